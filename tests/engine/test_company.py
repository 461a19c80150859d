"""What operators write about their company is checked at its place."""

import pytest

from engine.company import FILES, Company, company
from normalizer.canon import Contact, Identity
from normalizer.errors import ConfigError

GOOD = {
    "people.yaml": "groups: {a: {}}\nagents:\n  x: {groups: [a]}\n",
    "types.yaml": "policies: {standard: {milestones: {first_response: 4h}}}\ntypes: {request: {}}\n",
}
WRONG = {
    "agent of no group": ("people.yaml", "groups: {a: {}}\nagents: {x: {groups: [b]}}", (2, 23), "known: a"),
    "agent of no skill": ("people.yaml", "groups: {a: {}}\nskills: {s: {}}\nagents: {x: {groups: [a], skills: [t]}}", (3, 36), "known: s"),
    "unknown key": ("people.yaml", "groups: {a: {}}\npeople: {}", (2, 9), "known: groups"),
    "no duration": ("types.yaml", "policies: {standard: {milestones: {first_response: soon}}}\ntypes: {request: {}}", (1, 35), ""),
    "a priority left out": ("types.yaml", "policies: {standard: {milestones: {first_response: {high: 2h}}}}\ntypes: {request: {}}", (1, 35), ""),
    "type of no policy": ("types.yaml", "policies: {p: {milestones: {}}}\ntypes: {request: {sla: q}}", (2, 24), "known: p"),
    "policy of no calendar": ("types.yaml", "policies: {standard: {calendar: c, milestones: {}}}\ntypes: {request: {}}", (1, 33), "always"),
    "no weekday": ("calendars.yaml", "calendars: {always: {hours: {mondag-friday: 09:00-18:00}}}", (1, 30), "monday"),
    "no hours": ("calendars.yaml", "calendars: {always: {hours: {monday: nine}}}", (1, 38), "09:00"),
    "never open": ("calendars.yaml", "calendars: {always: {hours: {}}}", (1, 29), "hours"),
    "no day": ("calendars.yaml", "calendars: {always: {holidays: [2026-13-01]}}", (1, 33), "2026-10-01"),
    "no such business calendar": ("calendars.yaml", "calendars: {always: {}}\nbusiness: office", (2, 11), "always"),
    "an empty list": ("lists.yaml", "lists: {a: []}", (1, 12), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_configuration_is_told_at_its_place(name: str) -> None:
    file, text, place, hint = WRONG[name]
    with pytest.raises(ConfigError) as raised:
        company({**GOOD, file: text})
    assert (raised.value.where.file, raised.value.where.line, raised.value.where.column) == (file, *place), str(
        raised.value
    )
    assert hint in raised.value.hint


def test_a_small_company_needs_only_people_and_types() -> None:
    small = company(GOOD, name="Small")
    assert (small.name, small.business, list(small.calendars)) == ("Small", "always", ["always"])
    assert small.members == {"a": ("x",)}


def test_what_is_configured_makes_its_name(house: Company) -> None:
    assert company(GOOD).sha == company(dict(reversed(GOOD.items()))).sha
    assert company(GOOD).sha != company(GOOD, zone="UTC").sha
    assert set(FILES) >= set(GOOD)


def test_a_tier_is_known_by_any_identity(house: Company) -> None:
    def tier(kind: str, value: str) -> str:
        return house.tier(Contact("c", (Identity("phone", "+1"), Identity(kind, value))))

    assert tier("email", "vip@example.com") == "vip"
    assert tier("email", "else@vip.example.com") == "vip"
    assert tier("email", "else@example.com") == "normal"
    assert tier("handle", "vip@example.com") == "normal"
