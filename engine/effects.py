"""Actions: what `then` may say, read from YAML into effects, and the slots each of them writes.

A slot is a thing that several rules may want to write: `category`, `tag:logistics`, `mark.churn_risk`, `route`, ...
"""

# ruff: noqa: E501
# Tables read better a row a line.

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from engine.decision import (
    Acknowledge,
    AskReview,
    Effect,
    Escalate,
    HandOver,
    Lower,
    Mark,
    Raise,
    Route,
    Set,
    Suppress,
    Tag,
    Untag,
    UseSla,
)  # fmt: skip
from engine.reading import Place, Reading, suggestion
from engine.words import folded

HOLDABLE = ("acknowledge", "hand_over")
SETTABLE: Mapping[str, str] = {  # field -> the choice its values come from
    "category": "category",
    "subcategory": "subcategory",
    "priority": "priority",
    "status": "status",
    "type": "type",
    "subject": "",
}
LATER = (
    "reply", "ask_for", "suggest", "notify", "call", "task", "human", "wait", "link", "close", "quality",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verb:
    """`example` is what stands behind the verb in a rulebook."""

    name: str
    read: Callable[[Reading, Place, str], list[Effect]]
    example: str
    zh: str
    en: str


def effects(reading: Reading, at: Place, because: str) -> tuple[Effect, ...]:
    """The effects written at this place: a mapping of verbs, or a list of such mappings where a verb repeats."""
    if at.value is None:
        reading.fault(at, "missing", "a rule needs a `then`", "then: {tag: NAME}")
    found = [effect for part in at.items() for effect in _verbs(reading, part, because)]
    _twice(reading, at, found)
    return tuple(found)


def _verbs(reading: Reading, at: Place, because: str) -> list[Effect]:
    if at.value is None:
        return []
    if not isinstance(at.value, dict):
        reading.fault(at, "type", "actions are written as `verb: value`", "then: {route: GROUP}")
        return []
    return [effect for name in at.value for effect in _verb(reading, at.down(name), name, because)]


def _verb(reading: Reading, at: Place, name: str, because: str) -> list[Effect]:
    if verb := VERBS.get(name):
        return verb.read(reading, at, because)
    if name in LATER:
        reading.fault_key(at, "not-yet", f"{name!r} is not available yet", f"available: {', '.join(VERBS)}")
    else:
        reading.unknown_key(at, "unknown-verb", "action", name, VERBS)
    return []


def _twice(reading: Reading, at: Place, found: list[Effect]) -> None:
    seen: dict[str, Effect] = {}
    for effect in found:
        for slot in slots(effect):
            if seen.setdefault(slot, effect) is not effect and not isinstance(effect, Suppress | HandOver):
                reading.fault(at, "written-twice", f"this rule writes {slot} twice", "keep one")


def _set(reading: Reading, at: Place, _: str) -> list[Effect]:
    if not isinstance(at.value, dict):
        reading.fault(at, "type", "set is written as {field: value}", "set: {priority: high}")
        return []
    made = [effect for name in at.value for effect in _set_one(reading, at.down(name), name.removeprefix("ticket."))]
    _belongs(reading, at)
    return made


def _set_one(reading: Reading, at: Place, name: str) -> list[Effect]:
    if name.startswith("custom.") and name.removeprefix("custom.") in reading.vocabulary.fields:
        word = reading.word(at, name)
        return [Set(name, word)] if word else []
    if name not in SETTABLE:
        known = [*SETTABLE, *(f"custom.{field}" for field in reading.vocabulary.fields)]
        reading.unknown_key(at, "unknown-field", "field to set", name, known)
        return []
    word = reading.word(at, name)
    if not word or not SETTABLE[name]:
        return [Set(name, word)] if word else []
    code = reading.code(at, SETTABLE[name], word, name)
    return [Set(name, code)] if code else []


def _belongs(reading: Reading, at: Place) -> None:
    """A subcategory set together with a category must be one of its own."""
    category, sub = at.down("category"), at.down("subcategory")
    if category.value is None or sub.value is None:
        return
    code = reading.vocabulary.code("category", str(category.value)) or ""
    inner = reading.vocabulary.subcategories.get(code, {})
    if code and reading.vocabulary.code("subcategory", str(sub.value)) not in inner:
        reading.fault(sub, "unknown-value", f"{category.value} has no {sub.value!r}", suggestion(str(sub.value), inner))


def _raise(reading: Reading, at: Place, _: str) -> list[Effect]:
    value, by = _priority(reading, at, "raise")
    return [Raise(value=value, by=by)] if value or by else []


def _lower(reading: Reading, at: Place, _: str) -> list[Effect]:
    value, by = _priority(reading, at, "lower")
    return [Lower(value=value, by=by)] if value or by else []


def _priority(reading: Reading, at: Place, verb: str) -> tuple[str, int]:
    """A priority, or so many steps (`+1`, which YAML reads as 1)."""
    if isinstance(at.value, dict):
        if not reading.mapping(at, ("priority",), verb):
            return "", 0
        at = at.down("priority")
    steps = str(at.value).lstrip("+-")
    if steps.isascii() and steps.isdigit():
        if not 1 <= int(steps) <= 3:
            reading.fault(at, "type", f"{verb} by one to three steps, not {at.value}", f"{verb}: {{priority: +1}}")
            return "", 0
        return "", int(steps)
    return reading.code(at, "priority", str(at.value), "priority") or "", 0


def _tag(reading: Reading, at: Place, _: str) -> list[Effect]:
    tags = _names(reading, at, "tag")
    return [Tag(tags)] if tags else []


def _untag(reading: Reading, at: Place, _: str) -> list[Effect]:
    tags = _names(reading, at, "untag")
    return [Untag(tags)] if tags else []


def _names(reading: Reading, at: Place, what: str) -> tuple[str, ...]:
    return tuple(sorted({word for item in at.items() if (word := reading.word(item, what))}))


def _mark(reading: Reading, at: Place, _: str) -> list[Effect]:
    if not isinstance(at.value, dict):
        word = reading.word(at, "mark")
        return _marked(reading, word, "true") if word else []
    return [effect for name in at.value for effect in _mark_one(reading, at.down(name), name)]


def _mark_one(reading: Reading, at: Place, name: str) -> list[Effect]:
    if isinstance(at.value, bool):
        return _marked(reading, name, str(at.value).lower())
    word = reading.word(at, name)
    return _marked(reading, name, word) if word else []


def _marked(reading: Reading, name: str, value: str) -> list[Effect]:
    reading.marks.add(f"mark.{name}")
    return [Mark(name, value)]


def _route(reading: Reading, at: Place, _: str) -> list[Effect]:
    if not isinstance(at.value, dict):
        group = reading.code(at, "group", str(at.value), "group")
        return [Route(group=group)] if group else []
    reading.mapping(at, ("group", "assignee", "skills", "by"), "route")
    group = _optional(reading, at, "group", "group")
    assignee = _optional(reading, at, "assignee", "agent")
    skills = reading.codes(at.down("skills"), "skill", "skills") if "skills" in at.value else ()
    by = at.down("by")
    least: Literal["", "least_loaded"] = "least_loaded" if by.value == "least_loaded" else ""
    if by.value is not None and not least:
        reading.fault(by, "unknown-value", f"cannot route by {by.value!r}", "by: least_loaded")
    if "by" in at.value and "group" not in at.value:
        reading.fault(by, "missing", "`by` chooses among the agents of a group", "add group: NAME")
    return [Route(group, assignee, tuple(sorted(set(skills))), least)]


def _optional(reading: Reading, at: Place, key: str, choice: str) -> str:
    below = at.down(key)
    return (reading.code(below, choice, str(below.value), choice) or "") if key in at.value else ""


def _acknowledge(reading: Reading, at: Place, _: str) -> list[Effect]:
    name = reading.word(at, "acknowledge")
    known = reading.vocabulary.templates
    if name and name not in known:
        reading.fault(at, "unknown-template", f"unknown template {name!r}", suggestion(name, known))
        return []
    if missing := [code for code in reading.vocabulary.languages if name and code not in known[name]]:
        files = ", ".join(f"templates/{name}.{code}.liquid" for code in missing)
        reading.fault(at, "missing-language", f"template {name!r} lacks a language", f"add {files}")
    return [Acknowledge(name)] if name else []


def _review(reading: Reading, at: Place, because: str) -> list[Effect]:
    if not isinstance(at.value, dict):
        group = reading.code(at, "group", str(at.value), "group")
        return [AskReview(because, group)] if group else []
    for key in ("approved", "rejected"):
        if key in at.value:
            reading.fault_key(at.down(key), "not-yet", f"{key!r} is not available yet", "leave it out")
    reading.mapping(at, ("group", "reason", "hold", "approved", "rejected"), "review")
    reason = reading.word(at.down("reason"), "reason") if "reason" in at.value else because
    return [AskReview(reason, _optional(reading, at, "group", "group"), _holdable(reading, at.down("hold")))]


def _suppress(reading: Reading, at: Place, _: str) -> list[Effect]:
    what = _holdable(reading, at)
    return [Suppress(what)] if what else []


def _holdable(reading: Reading, at: Place) -> tuple[Literal["acknowledge", "hand_over"], ...]:
    if at.value is None:
        return ()
    written = {str(item.value) for item in at.items()}
    for item in at.items():
        if str(item.value) not in HOLDABLE:
            reading.fault(
                item, "unknown-value", f"{item.value!r} cannot be held", suggestion(str(item.value), HOLDABLE)
            )
    kept: tuple[Literal["acknowledge", "hand_over"], ...] = ("acknowledge", "hand_over")
    return tuple(name for name in kept if name in written)


def _hand_over(reading: Reading, at: Place, _: str) -> list[Effect]:
    if isinstance(at.value, dict):
        reading.mapping(at, ("targets",), "hand_over")
        at = at.down("targets")
    targets = _names(reading, at, "hand_over")
    known = reading.vocabulary.targets
    for item in at.items():
        if known is not None and str(item.value) not in {*known, "all"}:
            hint = suggestion(str(item.value), ["all", *sorted(known)])
            reading.fault(item, "unknown-target", f"unknown helpdesk {item.value!r}", hint)
    return [HandOver(targets)] if targets else []


def _sla(reading: Reading, at: Place, _: str) -> list[Effect]:
    if isinstance(at.value, dict):
        reading.mapping(at, ("policy",), "sla")
        at = at.down("policy")
    policy = reading.code(at, "policy", str(at.value), "SLA policy")
    return [UseSla(policy)] if policy else []


def _escalate(reading: Reading, at: Place, _: str) -> list[Effect]:
    if isinstance(at.value, dict):
        reading.mapping(at, ("by",), "escalate")
        at = at.down("by")
    steps = 1 if at.value is True else at.value
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 9:
        reading.fault(at, "type", f"escalate by a number of levels, not {at.value!r}", "escalate: 1")
        return []
    return [Escalate(steps)]


VERBS: Mapping[str, Verb] = {
    v.name: v
    for v in (
        Verb("set", _set, "{subcategory: logistics, priority: normal}", "设置字段", "give fields a value"),
        Verb("raise", _raise, "{priority: high}", "至少提到该优先级；`+1` 为提一级", "to at least this priority; `+1` is one step"),
        Verb("lower", _lower, "{priority: low}", "至多为该优先级；`+1` 为降一级", "to at most this priority; `+1` is one step"),
        Verb("tag", _tag, "[物流, logistics]", "加标签", "add tags"),
        Verb("untag", _untag, "spam", "去标签", "take tags away"),
        Verb("mark", _mark, "{churn_risk: high}", "作标记，供其他规则判断", "leave a mark that other rules can read"),
        Verb("route", _route, "{group: senior, by: least_loaded, skills: [complaints]}", "分派到组；by 指明如何选人", "to a group, and there to the least loaded agent who has the skills"),
        Verb("acknowledge", _acknowledge, "received", "用该模板自动回复客户（每张工单一次）", "tell the customer that it arrived, with this template, once per ticket"),
        Verb("review", _review, "{group: front-desk, reason: 分类不明确, hold: [acknowledge]}", "请人预审；hold 的动作等结论", "ask a person to look; what is held waits"),
        Verb("hand_over", _hand_over, "all", "转交给这些工单系统（all 为全部）", "tell these helpdesks; `all` is every one"),
        Verb("sla", _sla, "incident", "改用该 SLA 策略", "promise by this policy instead of the type's"),
        Verb("escalate", _escalate, "1", "升级", "raise the escalation level"),
        Verb("suppress", _suppress, "acknowledge", "不做该动作，胜过任何层的规则", "beats what it names, whatever the layer"),
    )
}  # fmt: skip


def slots(effect: Effect) -> tuple[str, ...]:
    """What an effect writes. Facts that depend on a slot are recomputed when it is written."""
    match effect:
        case Set(field):
            return (field,)
        case Raise() | Lower():
            return ("priority",)
        case Tag(tags) | Untag(tags):
            return tuple(f"tag:{folded(tag)}" for tag in tags)
        case Mark(name):
            return (f"mark.{name}",)
        case Route():
            return ("group",)
        case AskReview():
            return ("review",)
        case Escalate():
            return ("escalation_level",)
        case UseSla():
            return ("sla",)
        case Acknowledge():
            return ("acknowledge",)
        case HandOver():
            return ("hand_over",)
        case Suppress():
            return ("suppress",)
