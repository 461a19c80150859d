"""What is put together without Liquid says what Liquid says."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid import BoundTemplate

from engine.acknowledgement import VARIABLES
from gateway.acknowledge import read_templates
from gateway.letter import letter
from gateway.settings import shipped

SHIPPED = sorted((shipped() / "rules" / "templates").glob("*.liquid"))
WORDS = st.sampled_from(("Dear ", " ", "\n", "您好：", "{}", "  {% if", "%}")).filter(lambda words: "{%" not in words)
NAMES = st.sampled_from(VARIABLES)
TESTS = st.builds("{{% if {}{} %}}".format, NAMES, st.sampled_from(("", ' != ""')))
PARTS = st.recursive(
    WORDS | st.builds("{{{{ {} }}}}".format, NAMES),
    lambda inner: st.builds(
        lambda test, then, otherwise: f"{test}{''.join(then)}{{% else %}}{''.join(otherwise)}{{% endif %}}",
        TESTS, st.lists(inner, max_size=3), st.lists(inner, max_size=3),
    ),
)  # fmt: skip
VALUES = st.fixed_dictionaries(
    {name: st.sampled_from(("", " ", "王芳", "{{ name }}", "20261102001")) for name in VARIABLES}
    | {"promise_is_length": st.booleans()}
)


def parsed(text: str) -> BoundTemplate:
    return read_templates({"some.en.liquid": text}).parsed["some", "en"]


def by_liquid(template: BoundTemplate, values: dict[str, str | bool]) -> str:
    return BoundTemplate.render(template, **values)


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=6).map("".join), VALUES)
def test_a_letter_says_what_liquid_says(text: str, values: dict[str, str | bool]) -> None:
    template = parsed(text)
    assert letter(template.nodes) is not None
    assert template.render(**values) == by_liquid(template, values)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SHIPPED), VALUES)
def test_so_do_the_templates_that_come_along(path: Path, values: dict[str, str | bool]) -> None:
    template = parsed(path.read_text())
    assert template.render(**values) == by_liquid(template, values)


@pytest.mark.parametrize(
    "text", ["{{ name | upcase }}", "{% for x in (1..2) %}{{ name }}{% endfor %}", '{% if name == "x" %}y{% endif %}',
             "{% if name %}a{% elsif due %}b{% endif %}", "{% assign name = due %}{{ name }}", "{{ name.size }}"],
)  # fmt: skip
def test_what_else_liquid_can_do_is_left_to_it(text: str) -> None:
    assert letter(parsed(text).nodes) is None


def test_the_acknowledgement_that_comes_along_needs_no_liquid() -> None:
    received = [path for path in SHIPPED if path.name.startswith("received.")]
    assert received
    assert all(letter(parsed(path.read_text()).nodes) is not None for path in received)
