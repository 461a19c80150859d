"""The company as its configuration tells it: people, calendars, ticket types and word lists.

    people.yaml      groups, agents with their skills and shifts, tiers and who has them
    calendars.yaml   opening hours, holidays and campaigns
    types.yaml       ticket types with their fields, SLA policies
    lists.yaml       word lists that rules name
    outside.yaml     look-ups elsewhere that rules may ask for (see outside.py)

What people write is checked here, at its place; the rest of the house sees the frozen `Company`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine import outside
from engine.calendar import Calendar, Hours, duration, instant, local, minutes
from engine.outside import Lookup
from engine.reading import Finding, glued, suggestion
from engine.vocabulary import PRIORITIES, WEEKDAYS, Labels
from normalizer.canon import Contact
from normalizer.errors import ConfigError
from normalizer.identity import email_address, phone
from normalizer.marked import Document, Path, model, read

FILES = ("people.yaml", "calendars.yaml", "types.yaml", "lists.yaml", "outside.yaml")

_DAYS = list(WEEKDAYS)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Label(_Strict):
    zh: str = ""
    en: str = ""


class Group(_Strict):
    label: Label = Label()


class Agent(_Strict):
    label: Label = Label()
    groups: tuple[str, ...]
    skills: tuple[str, ...] = ()
    shift: str = ""  # none: at work whenever the house is
    email: str = ""


class Tier(_Strict):
    label: Label = Label()
    identities: tuple[dict[Literal["email", "phone", "handle", "openid", "user", "domain"], str], ...] = ()


class OpenHours(_Strict):
    label: Label = Label()
    hours: Literal["24x7"] | dict[str, str | tuple[str, ...]] = "24x7"
    holidays: tuple[str, ...] = ()
    workdays: tuple[str, ...] = ()


class People(_Strict):
    groups: dict[str, Group] = {}
    skills: dict[str, Label] = {}
    shifts: dict[str, OpenHours] = {}
    agents: dict[str, Agent] = {}
    tiers: dict[str, Tier] = {"normal": Tier()}


class Span(_Strict):
    """A campaign in local time; a day as `until` is its last."""

    label: Label = Label()
    from_: str = Field(alias="from")
    until: str


class Calendars(_Strict):
    calendars: dict[str, OpenHours] = {"always": OpenHours()}
    business: str = "always"
    campaigns: dict[str, Span] = {}


class Policy(_Strict):
    label: Label = Label()
    calendar: str = "always"
    near: Annotated[int, Field(gt=0, lt=100)] = 80  # percent of a promise's time: when it counts as near
    milestones: dict[str, str | dict[Literal["urgent", "high", "normal", "low"], str]]

    @field_validator("milestones")
    @classmethod
    def _durations(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name, due in given.items():
            for text in due.values() if isinstance(due, dict) else [due]:
                if duration(text) is None:
                    raise ValueError(f"{name}: {text!r} is no duration; write 30m, 4h or 2d")
            if isinstance(due, dict) and len(due) < len(PRIORITIES):
                raise ValueError(f"{name}: give a duration for each of urgent, high, normal, low")
        return given


class TypeField(_Strict):
    label: Label = Label()
    kind: Literal["text", "phone", "email", "number", "date", "amount", "choice"] = "text"
    required: bool = False
    choices: tuple[str, ...] = ()


class TicketType(_Strict):
    label: Label = Label()
    sla: str = "standard"
    fields: dict[str, TypeField] = {}


class Types(_Strict):
    policies: dict[str, Policy]
    types: dict[str, TicketType]


class Lists(_Strict):
    lists: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}


@dataclass(frozen=True, slots=True)
class Campaign:
    """When it runs: from this moment, up to but not with that one."""

    label: Labels
    start: datetime
    end: datetime


@dataclass(frozen=True, repr=False)
class Company:
    """Who works here, when, and what is promised. `zone` is the one deployment time zone."""

    zone: ZoneInfo
    people: People
    business: str  # the calendar that `clock.business_hours` means
    calendars: Mapping[str, Calendar]
    types: Mapping[str, TicketType]
    policies: Mapping[str, Policy]
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    campaigns: Mapping[str, Campaign] = field(default_factory=dict)
    shifts: Mapping[str, Calendar] = field(default_factory=dict)
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    name: str = ""
    sha: str = ""  # of the configuration's content: part of what made a decision
    answers: Mapping[tuple[str, str], str] = field(default_factory=dict)  # name and language to the words
    doubts: tuple[Finding, ...] = ()  # what should be looked at in the word lists

    def answer(self, name: str, language: str) -> str:
        """The words of an answer in this language, else in any; empty if there is none."""
        there = sorted(of for known, of in self.answers if known == name)
        wanted = language if language in there else next(iter(there), "")
        return self.answers.get((name, wanted), "")

    def required(self, type: str) -> tuple[str, ...]:
        """The fields a ticket of this type cannot do without."""
        known = self.types.get(type)
        return tuple(name for name, one in known.fields.items() if one.required) if known else ()

    @cached_property
    def tier_of(self) -> Mapping[tuple[str, str], str]:
        """(kind, value) of an identity to its tier; kind `domain` is that of a mail address."""
        return {
            (kind, _known_by(kind, value)): tier
            for tier, listed in self.people.tiers.items()
            for identity in listed.identities
            for kind, value in identity.items()
        }

    def tier(self, contact: Contact) -> str:
        """The tier this contact claims by its identities; whether it counts depends on their proof."""
        for identity in contact.identities:
            keys = [(identity.kind, identity.value)]
            if identity.kind == "email":
                keys.append(("domain", identity.value.rpartition("@")[2]))
            for key in keys:
                if tier := self.tier_of.get(key):
                    return tier
        return contact.tier

    @cached_property
    def lengths(self) -> Mapping[tuple[str, str], Mapping[str, timedelta]]:
        """What a policy promises at a priority: (policy, priority) -> milestone -> open time."""
        return {
            (name, priority): {
                milestone: duration(given if isinstance(given, str) else given[priority]) or timedelta()  # type: ignore[index]
                for milestone, given in policy.milestones.items()
            }
            for name, policy in self.policies.items()
            for priority in PRIORITIES
        }

    @cached_property
    def members(self) -> Mapping[str, tuple[str, ...]]:
        """Agents of each group, by name."""
        return {
            group: tuple(sorted(name for name, agent in self.people.agents.items() if group in agent.groups))
            for group in self.people.groups
        }

    def running(self, now: datetime) -> tuple[str, ...]:
        """Campaigns that run at this moment, by name."""
        return tuple(sorted(name for name, campaign in self.campaigns.items() if campaign.start <= now < campaign.end))

    def on_shift(self, group: str, now: datetime) -> tuple[str, ...]:
        """Agents of a group who are at work at this moment, by name; without a shift that is in business hours."""
        return tuple(agent for agent in self.members.get(group, ()) if self._at_work(agent, now))

    def _at_work(self, agent: str, now: datetime) -> bool:
        shift = self.people.agents[agent].shift
        return (self.shifts[shift] if shift else self.calendars[self.business]).is_open(now)

    @cached_property
    def skills(self) -> Mapping[str, Labels]:
        named = {skill: _labels(label) for skill, label in self.people.skills.items()}
        return {skill: {} for agent in self.people.agents.values() for skill in agent.skills} | named

    @cached_property
    def labels(self) -> Mapping[str, Mapping[str, Labels]]:
        """What the vocabulary needs of us: groups, agents, skills, tiers, types, fields, policies."""
        fields = {name: _labels(f.label) for kind in self.types.values() for name, f in kind.fields.items()}
        return {
            "groups": {name: _labels(group.label) for name, group in self.people.groups.items()},
            "agents": {name: _labels(agent.label) for name, agent in self.people.agents.items()},
            "skills": self.skills,
            "tiers": {name: _labels(tier.label) for name, tier in self.people.tiers.items()},
            "types": {name: _labels(kind.label) for name, kind in self.types.items()},
            "fields": fields,
            "policies": {name: _labels(policy.label) for name, policy in self.policies.items()},
            "campaigns": {name: campaign.label for name, campaign in self.campaigns.items()},
        }

    @cached_property
    def kinds(self) -> Mapping[str, Any]:
        """The rest of what the vocabulary needs of us: kinds and choices of custom fields, milestones, look-ups."""
        fields = {name: f for kind in self.types.values() for name, f in kind.fields.items()}
        known = {
            name: {kind.fields[name].kind for kind in self.types.values() if name in kind.fields} for name in fields
        }
        choices: dict[str, tuple[str, ...]] = {}
        for kind in self.types.values():
            for name, f in kind.fields.items():
                choices[name] = tuple(dict.fromkeys((*choices.get(name, ()), *f.choices)))
        return {
            "field_kinds": {name: kinds.pop() for name, kinds in known.items() if len(kinds) == 1},
            "field_choices": {
                name: codes for name, codes in choices.items() if codes and fields[name].kind == "choice"
            },
            "milestones": frozenset(milestone for policy in self.policies.values() for milestone in policy.milestones),
            "outside": {name: lookup.kind for name, lookup in self.lookups.items()},
        }


def _glued(document: Document, lists: Lists) -> Iterator[Finding]:
    """Words of the lists with marks in them that were meant to part them."""
    for name, words in lists.lists.items():
        for i, word in enumerate(words):
            if one := glued(document.where("lists", name, i), word):
                yield one


def company(
    texts: Mapping[str, str],
    zone: str = "Asia/Shanghai",
    name: str = "",
    answers: Mapping[str, str] | None = None,
    places: Mapping[str, str] | None = None,
) -> Company:
    """The company of these files (name -> text, see FILES). Raises ConfigError at the place of the first fault.

    `places` says where each file stands, if faults are to be told by more than its name. `answers` are the files of
    answers/: `course-faq.zh.md` to its words, a title in its first line (`# ...`) or not.
    """
    documents = {file: read(texts.get(file, ""), (places or {}).get(file, file)) for file in FILES}
    people = model(People, documents["people.yaml"])
    calendars = model(Calendars, documents["calendars.yaml"])
    types = model(Types, documents["types.yaml"])
    lists = model(Lists, documents["lists.yaml"])
    lookups = model(outside.Outside, documents["outside.yaml"])
    _check_people(people, documents["people.yaml"])
    _check_types(types, calendars, documents["types.yaml"])
    made = _calendars("calendars", calendars.calendars, zone, documents["calendars.yaml"])
    _one_of(calendars.business, made, documents["calendars.yaml"], ("business",), "calendar")
    said = {_answer_name(file): _untitled(text) for file, text in sorted((answers or {}).items())}
    told = [zone, name, *(d.value for d in documents.values()), *([sorted(said.items())] if said else [])]
    content = json.dumps(told, sort_keys=True, ensure_ascii=False)
    return Company(
        zone=ZoneInfo(zone),
        people=people,
        business=calendars.business,
        calendars=made,
        types=types.types,
        policies=types.policies,
        lists=lists.lists,
        doubts=tuple(_glued(documents["lists.yaml"], lists)),
        campaigns=_campaigns(calendars.campaigns, ZoneInfo(zone), documents["calendars.yaml"]),
        shifts=_calendars("shifts", people.shifts, zone, documents["people.yaml"]),
        lookups=lookups.outside,
        name=name,
        answers=said,
        sha=hashlib.sha256(content.encode()).hexdigest(),
    )


def _calendars(section: str, given: Mapping[str, OpenHours], zone: str, document: Document) -> dict[str, Calendar]:
    return {name: _calendar((section, name), hours, ZoneInfo(zone), document) for name, hours in given.items()}


def _campaigns(given: Mapping[str, Span], zone: ZoneInfo, document: Document) -> dict[str, Campaign]:
    return {name: _campaign(span, zone, document, ("campaigns", name)) for name, span in given.items()}


def _campaign(span: Span, zone: ZoneInfo, document: Document, path: Path) -> Campaign:
    start, end = _moment(span.from_, document, (*path, "from")), _moment(span.until, document, (*path, "until"))
    until = end[1] if len(span.until.strip()) <= len("2026-11-11") else end[0]
    if until <= start[0]:
        raise ConfigError(document.where(*path, "until"), f"ends before it begins: {span.until}", "from: 2026-11-01")
    return Campaign(_labels(span.label), instant(start[0], zone), instant(until, zone))


def _moment(text: str, document: Document, path: Path) -> tuple[float, float]:
    found = local(text)
    if found is None:
        raise ConfigError(document.where(*path), f"{text!r} is no day or time", "2026-11-11 or 2026-11-11 20:00")
    return found


def _answer_name(file: str) -> tuple[str, str]:
    name, _, language = file.removesuffix(".md").rpartition(".")
    return name, language


def _untitled(text: str) -> str:
    """The words of an answer: without its title, which is for those who choose among them."""
    title, _, rest = text.lstrip("\ufeff\n").partition("\n")
    return (rest if title.startswith("# ") else text).strip()


def _check_people(people: People, document: Document) -> None:
    for name, agent in people.agents.items():
        for i, group in enumerate(agent.groups):
            _one_of(group, people.groups, document, ("agents", name, "groups", i), "group")
        if agent.shift:
            _one_of(agent.shift, people.shifts, document, ("agents", name, "shift"), "shift")
        for i, skill in enumerate(agent.skills):
            if people.skills:
                _one_of(skill, people.skills, document, ("agents", name, "skills", i), "skill")


def _check_types(types: Types, calendars: Calendars, document: Document) -> None:
    for name, kind in types.types.items():
        _one_of(kind.sla, types.policies, document, ("types", name, "sla"), "SLA policy")
    for name, policy in types.policies.items():
        _one_of(policy.calendar, calendars.calendars, document, ("policies", name, "calendar"), "calendar")


def _one_of(word: str, known: Iterable[str], document: Document, path: Path, what: str) -> None:
    if word not in known:
        raise ConfigError(document.where(*path), f"unknown {what} {word!r}", suggestion(word, known), "unknown")


def _calendar(path: Path, given: OpenHours, zone: ZoneInfo, document: Document) -> Calendar:
    name = str(path[-1])
    weekly = None if given.hours == "24x7" else _week(given.hours, document, (*path, "hours"))
    if weekly is not None and not any(weekly):
        raise ConfigError(document.where(*path, "hours"), f"{name} is never open", "give it hours")
    return Calendar(
        name,
        zone,
        weekly,
        frozenset(_days(given.holidays, document, (*path, "holidays"))),
        frozenset(_days(given.workdays, document, (*path, "workdays"))),
    )


def _week(hours: Mapping[str, str | tuple[str, ...]], document: Document, path: Path) -> tuple[Hours, ...]:
    week: list[Hours] = [()] * 7
    for days, spans in hours.items():
        listed = [spans] if isinstance(spans, str) else spans
        open_hours = tuple(sorted(_span(text, document, (*path, days)) for text in listed))
        for day in _weekdays(days, document, (*path, days)):
            week[day] = open_hours
    return tuple(week)


def _weekdays(text: str, document: Document, path: Path) -> Iterable[int]:
    known = {name: i for i, day in enumerate(_DAYS) for name in (day, day[:3])}
    first, dash, last = (part.strip().lower() for part in text.partition("-"))
    if first not in known or (dash and last not in known):
        raise ConfigError(document.key(*path), f"unknown weekday {text!r}", "monday or monday-friday")
    return range(known[first], known[last if dash else first] + 1)


def _span(text: str, document: Document, path: Path) -> tuple[int, int]:
    start, end = (minutes(part) for part in (text.partition("-")[0], text.partition("-")[2]))
    if start is None or end is None or start >= end:
        raise ConfigError(document.where(*path), f"{text!r} is no span of hours", "09:00-18:00")
    return start, end


def _days(texts: Iterable[str], document: Document, path: Path) -> Iterator[date]:
    for i, text in enumerate(texts):
        first, _, last = text.partition("..")
        try:
            day, end = date.fromisoformat(first.strip()), date.fromisoformat((last or first).strip())
        except ValueError:
            raise ConfigError(
                document.where(*path, i), f"{text!r} is no day", "2026-10-01 or 2026-10-01..2026-10-07"
            ) from None
        while day <= end:
            yield day
            day += timedelta(days=1)


def _known_by(kind: str, value: str) -> str:
    match kind:
        case "email":
            return email_address(value)
        case "phone":
            return phone(value) or value
        case "domain":
            return value.lower()
        case _:
            return value


def _labels(label: Label) -> Labels:
    return {language: text for language, text in label.model_dump().items() if text}
