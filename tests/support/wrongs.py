"""Wrong rulebooks and templates, one a file and each with its one finding: what the tests and the reference are made of.

The first line of a file says the code and the words of its finding; the sign ^ stands where it must be told.
"""

from dataclasses import replace
from pathlib import Path

from engine.check import check, promises
from engine.company import Company
from engine.reading import Finding
from engine.vocabulary import Vocabulary
from gateway.acknowledge import read_templates
from normalizer.errors import ConfigError

FOLDER = Path(__file__).parents[1] / "engine" / "wrong"
WRONG = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("*.liquid")])
TODAY = "2026-11-25"


def wrong(file: Path) -> tuple[str, str, str, int, int]:
    """The text without its sign, the code and words of its finding, and the place where the sign stood."""
    text = file.read_text()
    code, _, words = text.partition("\n")[0].removeprefix("# ").partition(": ")
    before, _, after = text.partition("^")
    if file.suffix == ".liquid":  # a first line would be its subject
        before, after = before.replace(text.partition("\n")[0], "", 1), after
    return before + after, code, words, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1


def found_in(file: Path, text: str, vocabulary: Vocabulary, company: Company) -> list[Finding]:
    """What `rules check` finds in it."""
    name = f"test{file.suffix}"
    if file.suffix == ".liquid":
        try:
            read_templates({"test.en.liquid": text})
        except ConfigError as e:
            return [Finding(e.where, e.code, e.what, e.hint)]
        return list(promises("test.en.liquid", text))
    known = replace(vocabulary, templates={**vocabulary.templates, "half": frozenset(["en"])})
    hits = {} if file.stem == "dead" else None
    return check({name: text}, known, company, today=TODAY, hits=hits, since="30d")
