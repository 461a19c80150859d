"""docs/rules.md lists every field, operator, action and trigger there is: the tables are made from the registries.

`make golden` (GOLDEN=1) writes them anew.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rule_samples import example, named, with_weather

from engine.company import FILES, Company, company
from engine.conditions import OPERATORS
from engine.effects import SETTABLE, VERBS
from engine.facts import FIELDS, OPEN_FIELDS
from engine.rulebook import load
from engine.trial import EXPECT, GIVEN, run_tests
from engine.vocabulary import LAYERS, TRIGGERS, Vocabulary

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
CONFIG = PAGE.parents[1] / "config"
START, END = "<!-- generated: {} -->", "<!-- end -->"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---"] * len(list(head)), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def fields(vocabulary: Vocabulary) -> str:
    vocabulary = with_weather(vocabulary)
    rows = [
        (f"`{f.name}`", f.choice or f.kind, "yes" if f.slot else "", f"`{example(f, vocabulary)}`", f.en, f.zh)
        for f in FIELDS.values()
    ]
    rows += [
        (
            f"`{of.prefix}NAME`",
            of.kind,
            "yes" if prefix in ("mark.", "custom.") else "",
            f"`{example(named(of, vocabulary), vocabulary)}`",
            of.en,
            of.zh,
        )
        for prefix, of in OPEN_FIELDS.items()
    ]
    return table(("field", "kind or codes", "rules can change it", "example", "what it is", "含义"), rows)


def operators() -> str:
    rows = [(f"`{o.name}`", ", ".join(o.kinds), o.takes, f"`{o.example}`", o.en, o.zh) for o in OPERATORS.values()]
    return table(("operator", "for", "takes", "example", "means", "含义"), rows)


def verbs() -> str:
    return table(
        ("action", "example", "does", "作用"),
        [(f"`{v.name}`", f"`{v.name}: {v.example}`", v.en, v.zh) for v in VERBS.values()],
    )


def others() -> str:
    return "\n".join(
        [
            f"- layers, lowest first: {listed(LAYERS)}",
            f"- fields that `set` can give: {listed([*SETTABLE, 'custom.NAME'])}",
            f"- triggers for `on`: {listed([*TRIGGERS, 'timer.NAME'])}",
            f"- keys of `given` in a test: {listed(GIVEN)}",
            f"- keys of `expect`: {listed([*EXPECT, 'mark.NAME', 'custom.NAME'])}",
        ]
    )


def listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def written(page: str, vocabulary: Vocabulary) -> str:
    for name, made in (
        ("fields", lambda: fields(vocabulary)),
        ("operators", operators),
        ("actions", verbs),
        ("words", others),
    ):
        start = START.format(name)
        before, _, rest = page.partition(start)
        assert rest, f"docs/rules.md lacks {start}"
        page = f"{before}{start}\n\n{made()}\n\n{END}{rest.partition(END)[2]}"
    return page


def test_the_page_about_rules_lists_what_there_is(vocabulary: Vocabulary) -> None:
    page = PAGE.read_text()
    if os.environ.get("GOLDEN"):
        PAGE.write_text(written(page, vocabulary))
    assert PAGE.read_text() == written(page, vocabulary)


def test_what_the_page_shows_can_be_used(vocabulary: Vocabulary, house: Company) -> None:
    """Every YAML block of the guide, as an operator would copy it."""
    book, tables, lookups = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)[:3]
    assert run_tests(load({"page.yaml": book}, vocabulary), house) == []

    sheet = json.dumps({"sheets": {"2026": [["contact.country", "route"], ["US", "english"]]}})
    words = replace(vocabulary, lists={**vocabulary.lists, "eu-countries": ("DE", "FR")})
    assert len(load({"page.yaml": f"rulebook: page\nrules:\n{tables}", "customs.xlsx": sheet}, words).rules) == 4

    said = company({**{file: (CONFIG / file).read_text() for file in FILES}, "outside.yaml": lookups})
    (weather,) = said.lookups.values()
    assert weather.answer({"alerts": [{"level": "red"}]}) == "red"
    assert (weather.answer({}), weather.patience, weather.kept) == ("none", 0.8, 600)


def test_what_the_chinese_guide_shows_can_be_used(vocabulary: Vocabulary, house: Company) -> None:
    """Each YAML block is a rulebook, and its tests pass."""
    guide = (PAGE.parent / "zh" / "rules.md").read_text("utf-8")
    books = re.findall(r"```yaml\n(.*?)```", guide, re.S)
    assert len(books) == 4
    for book in books:
        assert run_tests(load({"guide.yaml": book}, vocabulary), house) == []
    for linked in re.findall(r"\((\.\./[^)#]+)", guide):
        assert (PAGE.parent / "zh" / linked).exists(), linked
