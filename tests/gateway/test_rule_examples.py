"""The examples that operators copy: each works as it stands, beside the rules that come along."""

from pathlib import Path

import pytest

from engine.check import check, errors
from engine.rulebook import load
from engine.trial import run_tests, trials
from gateway import bundle as bundles
from gateway import mind, settings
from gateway.bundle import Bundle

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "rules" / "examples").glob("*.yaml"))
LONGEST = 25  # lines, its tests included


def beside_ours(file: Path) -> tuple[settings.Configured, Bundle]:
    configured = settings.read(ROOT / "config" / "ticketgate.yaml")
    needed = {f"config/{one.name}": one.read_bytes() for one in (file.parent / "config").glob("*.yaml")}
    changed = bundles.read(configured).with_changes({f"rules/{file.name}": file.read_bytes(), **needed})
    return configured, Bundle(changed.files)


def test_there_is_one_for_each_thing_operators_ask_for_first() -> None:
    assert [file.stem for file in EXAMPLES] == [
        "campaign-logistics", "confirm-solved", "course-will-not-open", "customs-by-country", "english-customers", "fraud-double-check",
        "large-refund", "night-time", "rainstorm", "third-complaint", "urged-again", "vip-lane", "warranty-repair",
    ]  # fmt: skip


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_beside_our_rules_has_no_fault_and_passes_its_tests_and_theirs(file: Path) -> None:
    configured, bundle = beside_ours(file)
    base, texts = mind.stood_on(configured, bundle), bundle.rulebooks()

    found = check(texts, base.vocabulary, base.company)
    assert [one for one in found if one.where.file == f"rules/{file.name}"] == []
    assert errors(found) == []

    ruleset = load(texts, base.vocabulary)
    assert run_tests(ruleset, base.company) == []
    named = {trial.name for trial in trials({file.name: file.read_text("utf-8")}, base.vocabulary)}
    assert named, "an example without tests proves nothing"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_short_enough_to_be_read_at_a_glance(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) < LONGEST
