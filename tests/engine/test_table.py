"""Decision tables: in the rulebook and as a spreadsheet beside it, with the place of every mistake."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import pytest

from engine import table
from engine.company import Company
from engine.decide import decide
from engine.decision import Decision
from engine.rulebook import findings, load
from engine.ruleset import RuleSet
from engine.trial import case, run_tests
from engine.vocabulary import Vocabulary
from normalizer.errors import ConfigError

HEAD = "rulebook: test\nrules:\n"


def xlsx(sheets: Mapping[str, Sequence[Sequence[Any]]]) -> bytes:
    """The smallest spreadsheet of these cells."""
    made, relations = io.BytesIO(), "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main, package = (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/package/2006",
    )
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as book:
        names = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="rId{i}"/>' for i, n in enumerate(sheets, 1))
        links = "".join(
            f'<Relationship Id="rId{i}" Type="{relations}/worksheet" Target="worksheets/sheet{i}.xml"/>'
            for i in range(1, len(sheets) + 1)
        )
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r" Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        book.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{names}</sheets></workbook>'
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships">{links}</Relationships>'
        )
        for i, rows in enumerate(sheets.values(), 1):
            lines = "".join(
                f'<row r="{r}">{"".join(_cell(r, c, value) for c, value in enumerate(row))}</row>'
                for r, row in enumerate(rows, 1)
            )
            book.writestr(
                f"xl/worksheets/sheet{i}.xml", f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>'
            )
    return made.getvalue()  # fmt: skip


def _cell(row: int, column: int, value: Any) -> str:
    at = f"{chr(ord('A') + column)}{row}"
    if isinstance(value, int | float):
        return f'<c r="{at}"><v>{value}</v></c>'
    return f'<c r="{at}" t="inlineStr"><is><t>{escape(value)}</t></is></c>' if value else ""


CUSTOMS = """\
- table: customs
  because: 海关
  when: {subcategory: logistics}
  columns: [contact.country, message.length, route, set.priority, tag]
  rows:
    - [US, any, english, high, customs]
    - ["CN, HK", ">= 10", logistics, "", [a, b]]
    - [CN, 2..5, senior, low, ""]
    - ["!= XX", 1, "", urgent, ""]
    - [none, any, billing, "", "c, d"]
    - [any, any, front-desk, -, -]
"""
LINES = [
    ["contact.country", "message.length", "route", "set.priority", "tag", "", "说明：不属于表"],
    ["US", "any", "english", "high", "customs"],
    ["CN, HK", ">= 10", "logistics", "", "a, b"],
    ["", "", "", "", ""],
    ["CN", "2..5", "senior", "low", ""],
    ["!= XX", 1, "", "urgent", ""],
    ["none", "any", "billing", "", "c, d"],
    ["any", "any", "front-desk", "-", "-"],
]
IN_SHEET = "- table: customs\n  because: 海关\n  when: {subcategory: logistics}\n  file: customs.xlsx\n"


def from_sheet(vocabulary: Vocabulary, rules: str = IN_SHEET, lines: Sequence[Sequence[Any]] = LINES) -> RuleSet:
    text = table.text(xlsx({"Sheet1": lines}), "rules/customs.xlsx")
    return load({"rules/t.yaml": HEAD + rules, "rules/customs.xlsx": text}, vocabulary)


def decided(rules: RuleSet, house: Company, vocabulary: Vocabulary, country: str, text: str) -> Decision:
    given = {
        "text": text,
        "subcategory": "logistics",
        "contact": {"attributes": {"country": country} if country else {}},
    }
    return decide(rules, house, case(given, vocabulary))


@pytest.fixture(params=["in the rulebook", "in a spreadsheet"])
def customs(request: pytest.FixtureRequest, vocabulary: Vocabulary) -> RuleSet:
    if request.param == "in a spreadsheet":
        return from_sheet(vocabulary)
    return load({"t.yaml": HEAD + CUSTOMS}, vocabulary)


@pytest.mark.parametrize(
    ("country", "text", "group", "priority", "tags"),
    [
        ("US", "x", "english", "high", ("customs",)),
        ("HK", "x" * 10, "logistics", "normal", ("a", "b")),
        ("CN", "x" * 9, "front-desk", "normal", ()),
        ("CN", "x" * 5, "senior", "low", ()),
        ("CN", "x", None, "urgent", ()),
        ("", "x" * 7, "billing", "normal", ("c", "d")),
        ("FR", "x" * 7, "front-desk", "normal", ()),
    ],
)
def test_of_its_rows_the_first_that_holds(
    country: str, text: str, group: str | None, priority: str, tags: tuple[str, ...],
    customs: RuleSet, house: Company, vocabulary: Vocabulary,
) -> None:  # fmt: skip
    ticket = decided(customs, house, vocabulary, country, text).ticket
    assert (ticket.group.value if ticket.group else None, ticket.priority.value, ticket.tags) == (group, priority, tags)


def test_its_guard_counts_for_every_row(customs: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    assert decide(customs, house, case({"text": "x", "subcategory": "refund"}, vocabulary)).fired == ()


def test_a_row_is_named_by_the_line_that_people_see(vocabulary: Vocabulary, house: Company) -> None:
    in_sheet = decided(from_sheet(vocabulary), house, vocabulary, "CN", "x" * 5)
    assert [one.rule for one in in_sheet.fired] == ["customs/5"]  # line 4 is empty
    in_book = decided(load({"t.yaml": HEAD + CUSTOMS}, vocabulary), house, vocabulary, "CN", "x" * 5)
    assert [one.rule for one in in_book.fired] == ["customs/3"]


def test_a_table_picks_after_all_that_any_row_reads(vocabulary: Vocabulary, house: Company) -> None:
    text = (
        HEAD
        + "- table: a\n  columns: [tags, route]\n  rows: [[late, senior], [any, front-desk]]\n- rule: z\n  then: {tag: late}\n"
    )
    decision = decide(load({"t.yaml": text}, vocabulary), house, case({"text": "x"}, vocabulary))
    assert [one.rule for one in decision.fired] == ["z", "a/1"]


def test_equal_tables_are_one_rule_set_whatever_program_saved_them(vocabulary: Vocabulary) -> None:
    other = table.text(xlsx({"Sheet1": [*LINES, ["", "", ""]], "Other": [["x"]]}), "c.xlsx")
    again = load({"r/t.yaml": HEAD + IN_SHEET, "r/customs.xlsx": other}, vocabulary)
    assert again.sha == from_sheet(vocabulary).sha
    changed = from_sheet(vocabulary, lines=[*LINES[:-1], ["any", "any", "senior", "-", "-"]])
    assert changed.sha != again.sha


def test_a_sheet_is_chosen_by_its_name(vocabulary: Vocabulary) -> None:
    text = table.text(xlsx({"notes": [["hi"]], "2026": LINES}), "customs.xlsx")
    rules = load({"t.yaml": HEAD + IN_SHEET + "  sheet: 2026\n", "customs.xlsx": text}, vocabulary)
    assert len(rules.rules) == 6


@pytest.mark.parametrize(
    ("change", "place", "code", "hint"),
    [
        ((0, 0, "contact.contry"), "rules/customs.xlsx:Sheet1:A1", "unknown-field", "contact.country"),
        ((0, 2, "rout"), "rules/customs.xlsx:Sheet1:C1", "unknown-field", ""),
        ((1, 2, "englsh"), "rules/customs.xlsx:Sheet1:C2", "unknown-value", "'english'"),
        ((2, 1, ">= ten"), "rules/customs.xlsx:Sheet1:B3", "type", "number"),
        ((5, 3, "urgnt"), "rules/customs.xlsx:Sheet1:D6", "unknown-value", "'urgent'"),
    ],
)
def test_a_mistake_is_told_at_its_file_sheet_and_cell(
    change: tuple[int, int, str], place: str, code: str, hint: str, vocabulary: Vocabulary
) -> None:
    lines = [list(line) for line in LINES]
    lines[change[0]][change[1]] = change[2]
    with pytest.raises(ConfigError) as raised:
        from_sheet(vocabulary, lines=lines)
    assert str(raised.value).startswith(f"{place}: ")
    assert raised.value.code == code
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        (IN_SHEET.replace("customs.xlsx", "custom.xlsx"), "unknown-file"),
        (IN_SHEET + "  sheet: Sheet2\n", "unknown-value"),
        (IN_SHEET + "  columns: [a]\n", "table"),
    ],
)
def test_what_names_the_file_wrongly_is_told_in_the_rulebook(rules: str, code: str, vocabulary: Vocabulary) -> None:
    text = table.text(xlsx({"Sheet1": LINES}), "rules/customs.xlsx")
    found = findings({"rules/t.yaml": HEAD + rules, "rules/customs.xlsx": text}, vocabulary)
    assert [(one.code, one.where.file) for one in found] == [(code, "rules/t.yaml")]


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 no", b"a,b,c\n1,2,3", xlsx({"S": LINES})[:-200]])
def test_what_is_no_spreadsheet_is_told(raw: bytes) -> None:
    with pytest.raises(ConfigError) as raised:
        table.text(raw, "rules/customs.xlsx")
    assert str(raised.value).startswith("rules/customs.xlsx: ")


def test_a_sheet_of_endless_rows_is_refused() -> None:
    with pytest.raises(ConfigError) as raised:
        table.text(xlsx({"S": [["x"]] * (table.MOST_ROWS + 1)}), "c.xlsx")
    assert raised.value.code == "too-large"


def test_an_action_that_has_the_name_of_a_fact_is_told_by_then(vocabulary: Vocabulary, house: Company) -> None:
    text = HEAD + (
        "- table: t\n  columns: [says, mark.risk, then.mark.risk, then.sla]\n"
        "  rows: [[{list: fraud-words}, none, high, incident], [any, any, low, standard]]\n"
    )
    ticket = decide(load({"t.yaml": text}, vocabulary), house, case({"text": "诈骗"}, vocabulary)).ticket
    assert (ticket.marks, ticket.sla and ticket.sla.policy) == ({"risk": "high"}, "incident")


def test_examples_stand_beside_a_table(vocabulary: Vocabulary, house: Company) -> None:
    rules = from_sheet(
        vocabulary,
        IN_SHEET
        + "tests:\n- name: n\n  given: {subcategory: logistics, contact: {attributes: {country: US}}}\n  expect: {group: english, fired: [customs]}\n",
    )
    assert run_tests(rules, house) == []
