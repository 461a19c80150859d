"""A condition on every fact there is, for the reference and for the tests that hold it to its word."""

from dataclasses import replace

from engine.facts import Field, Open
from engine.vocabulary import Vocabulary


def with_weather(vocabulary: Vocabulary) -> Vocabulary:
    """The same, and a look-up that the company of the samples does not have."""
    return replace(vocabulary, outside={"weather": "text"})


def named(of: Open, vocabulary: Vocabulary) -> Field:
    """The field that stands for all of this prefix."""
    field = of.field(of.key, vocabulary)
    assert field is not None, of.prefix
    return field


def example(field: Field, vocabulary: Vocabulary) -> str:
    """A condition on this field, as it stands in `when`."""
    if field.kind == "rank":
        return f"{field.name}: {{at_least: high}}"
    if field.choice:
        return f"{field.name}: {next(iter(vocabulary.choices[field.choice]))}"
    return f"{field.name}: {SAMPLES[field.kind]}"


SAMPLES = {
    "text": "{matches: '(?i)[a-z]'}", "number": "{at_least: 1}", "flag": "true", "set": "{exists: true}", "language": "zh",
    "time": '{between: ["09:00", "18:00"]}', "date": "{after: 2026-01-31}", "amount": "{at_least: 100 CNY}",
    "duration": "{at_least: 30m}",
}  # fmt: skip
