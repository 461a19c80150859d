"""What stands under rules/examples: each is short, loads, and does what its own examples say."""

from pathlib import Path

import pytest

from engine.company import Company
from engine.rulebook import load
from engine.trial import run_tests
from engine.vocabulary import Vocabulary

EXAMPLES = sorted((Path(__file__).parents[2] / "rules" / "examples").glob("*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_short_and_does_what_it_says(file: Path, vocabulary: Vocabulary, house: Company) -> None:
    text = file.read_text()
    rules, _, tests = text.partition("\ntests:")
    assert len(rules.splitlines()) < 25
    assert tests
    assert run_tests(load({file.name: text}, vocabulary), house) == []
