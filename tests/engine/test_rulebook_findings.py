"""Wrong rulebooks: every finding names its place, what is wrong, and what to write instead."""

import pytest

from engine.findings import CODES, told
from engine.rulebook import findings, load
from engine.vocabulary import Vocabulary
from normalizer.errors import ConfigError

HEAD = "rulebook: test\nrules:\n"

# The sign ^ stands right before the place that the finding must name.
WRONG = {
    "unknown field": ("- rule: a\n  when: {^categry: complaint}\n  then: {tag: x}", "unknown-field", "'category'"),
    "unknown field, nested": ("- rule: a\n  when:\n    any:\n      - tags: x\n      - ^chanel: email\n  then: {tag: x}", "unknown-field", "'channel'"),
    "unknown operator": ("- rule: a\n  when: {category.confidence: {^atleast: 0.5}}\n  then: {tag: x}", "unknown-operator", "'at_least'"),
    "operator of another kind": ("- rule: a\n  when: {category: {^at_least: complaint}}\n  then: {tag: x}", "type", "is_not"),
    "unknown category": ("- rule: a\n  when: {category: ^complain}\n  then: {tag: x}", "unknown-value", "'complaint'"),
    "unknown Chinese label": ("- rule: a\n  when: {category: ^投拆}\n  then: {tag: x}", "unknown-value", "known"),
    "unknown in a list": ("- rule: a\n  when: {category: [complaint, ^inquiri]}\n  then: {tag: x}", "unknown-value", "'inquiry'"),
    "unknown verb": ("- rule: a\n  then: {^rout: logistics}", "unknown-verb", "'route'"),
    "a wait for nothing": ("- rule: a\n  then: {wait: ^{for: 15m}}", "missing", "then:"),
    "a wait of no time": ("- rule: a\n  then: {wait: {for: ^soon, then: {tag: x}}}", "type", "15m"),
    "what never ends a wait": ("- rule: a\n  then: {wait: {for: 15m, unless: ^customer_speak, then: {tag: x}}}", "unknown-value", "'customer_speaks'"),
    "unknown answer": ("- rule: a\n  then: {reply: ^cours-faq}", "unknown-answer", "'course-faq'"),
    "an answer without a language": ("- rule: a\n  then: {suggest: ^half-faq}", "missing-language", "answers/half-faq.en.md"),
    "a field no ticket type has": ("- rule: a\n  then: {ask_for: ^modell}", "unknown-field", "'model'"),
    "nobody to notify": ("- rule: a\n  then: {notify: ^seniors}", "unknown-value", "'senior'"),
    "nothing to call": ("- rule: a\n  then: {call: ^erq}", "unknown-target", "'erp'"),
    "a task for nobody there is": ("- rule: a\n  then: {task: {title: t, group: ^seniors}}", "unknown-value", "'senior'"),
    "a task due never": ("- rule: a\n  then: {task: {title: t, due: ^never}}", "type", "4h"),
    "a link to nowhere": ("- rule: a\n  then: {link: ^previos}", "unknown-value", "'previous'"),
    "what cannot be held": ("- rule: a\n  then: {suppress: ^tag}", "unknown-value", "task"),
    "a wrong action upon a verdict": ("- rule: a\n  then: {review: {group: senior, rejected: {^cloze: x}}}", "unknown-verb", "'close'"),
    "unknown group": ("- rule: a\n  then: {route: ^logistic}", "unknown-value", "'logistics'"),
    "unknown group in a mapping": ("- rule: a\n  then: {route: {group: ^seniors, by: least_loaded}}", "unknown-value", "'senior'"),
    "unknown way to route": ("- rule: a\n  then: {route: {group: senior, by: ^chance}}", "unknown-value", "least_loaded"),
    "unknown skill": ("- rule: a\n  then: {route: {group: senior, skills: [^englisch]}}", "unknown-value", "'english'"),
    "unknown template": ("- rule: a\n  then: {acknowledge: ^recieved}", "unknown-template", "'received'"),
    "template without a language": ("- rule: a\n  then: {acknowledge: ^half}", "missing-language", "half.zh.liquid"),
    "unknown priority": ("- rule: a\n  then: {set: {priority: ^hihg}}", "unknown-value", "'high'"),
    "unknown field to set": ("- rule: a\n  then: {set: {^prioriti: high}}", "unknown-field", "'priority'"),
    "raised by less than nothing": ("- rule: a\n  then: {raise: ^-1}", "type", "lower: {priority: +1}"),
    "too many steps": ("- rule: a\n  then: {raise: {priority: ^+9}}", "type", "+1"),
    "unknown word list": ("- rule: a\n  when: {says: {list: ^refund-word}}\n  then: {tag: x}", "unknown-list", "'refund-words'"),
    "unknown key of a rule": ("- rule: a\n  ^wen: {category: complaint}\n  then: {tag: x}", "unknown-key", "'when'"),
    "unknown trigger": ("- rule: a\n  on: ^ticket.create\n  then: {tag: x}", "unknown-trigger", "'ticket.created'"),
    "unknown layer": ("- rule: a\n  layer: ^costumer\n  then: {tag: x}", "unknown-layer", "'customer'"),
    "no then": ("- ^rule: a\n  when: {category: complaint}", "missing", "then:"),
    "text where a number belongs": ("- rule: a\n  when: {category.confidence: {less_than: ^much}}\n  then: {tag: x}", "type", "number"),
    "text where a flag belongs": ("- rule: a\n  when: {message.answerable: ^no}\n  then: {tag: x}", "type", "write false"),
    "a pattern RE2 refuses": ("- rule: a\n  when: {message.text: {matches: ^'(?=x)'}}\n  then: {tag: x}", "pattern", "look-around"),
    "history without a window": ("- rule: a\n  when:\n    history: ^{same: contact, count: {at_least: 3}}\n  then: {tag: x}", "type", "within"),
    "history counted in words": ("- rule: a\n  when: {history: {within: 24h, count: {at_least: ^three}}}\n  then: {tag: x}", "type", "number"),
    "a mark nobody makes": ("- rule: a\n  when: {^mark.churn_rsk: high}\n  then: {mark: {churn_risk: high}}", "unknown-field", "churn_risk"),
    "one name twice": ("- rule: a\n  then: {tag: x}\n- ^rule: a\n  then: {tag: y}", "duplicate", "rename"),
    "a key twice": ("- rule: a\n  then: {tag: x}\n  ^then: {tag: y}", "duplicate-key", "keep one"),
    "one field written twice": ("- rule: a\n  then: ^[{set: {category: complaint}}, {set: {category: inquiry}}]", "written-twice", "keep one"),
    "a subcategory of another category": ("- rule: a\n  then: {set: {category: inquiry, subcategory: ^refund}}", "unknown-value", "account"),
    "unknown helpdesk": ("- rule: a\n  then: {hand_over: ^crmm}", "unknown-target", "'crm'"),
    "unknown policy": ("- rule: a\n  then: {sla: ^incidents}", "unknown-value", "'incident'"),
    "something that cannot be suppressed": ("- rule: a\n  then: {suppress: ^acknowlege}", "unknown-value", "'acknowledge'"),
    "a table without columns": ("- table: t\n  columns: ^x\n  rows: []", "type", "columns:"),
    "a row that is no list": ("- table: t\n  columns: [category, route]\n  rows: [^x]", "type", "[US"),
    "a row with a cell too few": ("- table: t\n  columns: [category, route]\n  rows: [[^complaint]]", "table", "each"),
    "a column there is not": ("- table: t\n  columns: [category, ^rout]\n  rows: [[complaint, senior]]", "unknown-field", "route"),
    "a cell with an unknown code": ("- table: t\n  columns: [category, route]\n  rows: [[any, senior], [^complant, senior]]", "unknown-value", "'complaint'"),
    "a cell with an unknown group": ("- table: t\n  columns: [category, route]\n  rows: [[any, ^seniors]]", "unknown-value", "'senior'"),
    "a cell of another kind": ("- table: t\n  columns: [message.length, route]\n  rows: [[^'>= long', senior]]", "type", "number"),
    "a spreadsheet there is not": ("- table: t\n  file: ^customs.xlsx", "unknown-file", ""),
    "a duration that is none": ("- rule: a\n  when: {since: {created: {more_than: ^soon}}}\n  then: {tag: x}", "type", "2d"),
    "an event there is not": ("- rule: a\n  when: {since: {^craeted: {more_than: 2d}}}\n  then: {tag: x}", "unknown-key", "created"),
    "a day that is none": ("- rule: a\n  when: {clock.date: {before: ^tomorrow}}\n  then: {tag: x}", "type", "2026-11-11"),
    "a sum without currency": ("- rule: a\n  when: {extracted.amount: {more_than: ^1000}}\n  then: {tag: x}", "type", "CNY"),
    "sums of two currencies": ("- rule: a\n  when: {extracted.amount: {between: ^[1 CNY, 2 USD]}}\n  then: {tag: x}", "type", "CNY"),
    "an empty list": ("- rule: a\n  when: {category: ^[]}\n  then: {tag: x}", "type", "[a, b]"),
    "a change of what nobody changes": ("- rule: a\n  when: {changed: ^language}\n  then: {tag: x}", "unknown-field", "known"),
    "a change to a status there is not": ("- rule: a\n  when: {changed: {status: {to: ^sloved}}}\n  then: {tag: x}", "unknown-value", "'solved'"),
    "a campaign there is not": ("- rule: a\n  during: ^双十二\n  then: {tag: x}", "unknown-value", "双十一"),
    "a campaign there is not, as a condition": ("- rule: a\n  when: {during: [618, ^double-12]}\n  then: {tag: x}", "unknown-value", "double-11"),
    "valid for no time": ("- rule: a\n  valid: ^{}\n  then: {tag: x}", "type", "until"),
    "valid until before it begins": ("- rule: a\n  valid: {from: 2026-11-11, until: ^2026-11-01}\n  then: {tag: x}", "impossible", "last day"),
    "an unknown mode": ("- rule: a\n  mode: ^shado\n  then: {tag: x}", "unknown-value", "shadow"),
    "a canary without a share": ("- rule: a\n  mode: canary\n  share: ^none\n  then: {tag: x}", "type", "10%"),
    "a share of no canary": ("- rule: a\n  share: ^10%\n  then: {tag: x}", "type", "canary"),
    "history of the same street": ("- rule: a\n  when: {history: {same: ^street, within: 1d, count: {at_least: 1}}}\n  then: {tag: x}", "unknown-value", "known"),
    "a look-up there is not": ("- rule: a\n  when: {^outside.wether: red}\n  then: {tag: x}", "unknown-field", ""),
    "a list there is not, for a field": ("- rule: a\n  when: {message.from.domain: {list: ^partner}}\n  then: {tag: x}", "unknown-list", "known"),
    "a milestone there is not": ("- rule: a\n  when: {^sla.first_respons.left: {at_most: 30m}}\n  then: {tag: x}", "unknown-field", "first_response"),
    "a table without rows": ("- table: t\n  columns: [category, route]\n  rows: ^none", "type", "rows:"),
    "a first without rows": ("- first: f\n  rules: ^none", "type", "rules:"),
    "override of nobody": ("- rule: a\n  override: ^agent\n  then: {tag: x}", "unknown-value", "person"),
    "not YAML": ("- rule: a\n  then: {tag: x^", "yaml", ""),
}  # fmt: skip


def marked(text: str) -> tuple[str, int, int]:
    """The rulebook without its sign, and the place where that stood."""
    before = text[: text.index("^")]
    return text.replace("^", "", 1), before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1


@pytest.fixture
def words(vocabulary: Vocabulary) -> Vocabulary:
    from dataclasses import replace

    return replace(
        vocabulary,
        templates={**vocabulary.templates, "half": frozenset(["en"])},
        answers={**vocabulary.answers, "half-faq": frozenset(["zh"])},
    )


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rulebook_is_told_at_its_place(name: str, words: Vocabulary) -> None:
    body, code, hint = WRONG[name]
    text, line, column = marked(HEAD + body)
    if code == "yaml":  # libyaml notices at the end of the file
        line, column = line + 1, 1
        text += "\n"
    with pytest.raises(ConfigError) as raised:
        load({"test.yaml": text}, words)
    error = raised.value
    assert (error.where.file, error.where.line, error.where.column) == ("test.yaml", line, column), str(error)
    assert error.code == code
    assert hint in error.hint


def test_a_file_that_is_no_rulebook_is_told(vocabulary: Vocabulary) -> None:
    for text in ("just words", "- a\n- b", "rulebook: x\nrules: {}", "rules: []"):
        assert findings({"test.yaml": text}, vocabulary)


def test_an_empty_file_holds_no_rules(vocabulary: Vocabulary) -> None:
    assert findings({"test.yaml": "# nothing yet\n"}, vocabulary) == []


def test_all_findings_are_told_at_once_by_place(vocabulary: Vocabulary) -> None:
    bad = HEAD + "- rule: a\n  when: {categry: x, chanel: y}\n  then: {rout: z}\n- rule: b\n  then: {tagg: x}"
    found = findings({"b.yaml": bad, "a.yaml": "rulebook: a\nrules: [{rule: c}]"}, vocabulary)
    assert [(f.where.file, f.where.line) for f in found] == [("a.yaml", 2), *[("b.yaml", n) for n in (4, 4, 5, 7)]]


def test_two_files_cannot_be_one_rulebook(vocabulary: Vocabulary) -> None:
    one, two = HEAD + "- rule: a\n  then: {tag: x}", HEAD + "- rule: b\n  then: {tag: x}"
    (found,) = findings({"one.yaml": one, "two.yaml": two}, vocabulary)
    assert (found.where.file, found.code) == ("two.yaml", "duplicate")


def test_labels_in_any_language_mean_their_code(vocabulary: Vocabulary) -> None:
    texts = [
        HEAD + f"- rule: a\n  when: {{category: {category}}}\n  then: {{set: {{priority: {priority}}}, route: {group}}}"
        for category, priority, group in [
            ("complaint", "high", "senior"),
            ("投诉", "高", "资深组"),
            ("Complaint", "P2", "Senior desk"),
        ]
    ]
    assert len({load({"t.yaml": text}, vocabulary).sha for text in texts}) == 1


@pytest.mark.parametrize("name", WRONG)
def test_every_finding_is_in_the_catalogue_and_reads_in_chinese(name: str, words: Vocabulary) -> None:
    for one in findings({"test.yaml": marked(HEAD + WRONG[name][0])[0]}, words):
        assert one.code in CODES
        zh = told(one, "zh").what
        assert zh != one.what and not zh.endswith(f"：{one.what}")
