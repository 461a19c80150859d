"""Actions: what `then` may say, read from YAML into effects, and the slots each of them writes.

A slot is a thing that several rules may want to write: `category`, `tag:logistics`, `mark.churn_risk`, `route`, ...
"""

# ruff: noqa: E501
# Tables read better a row a line.

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from engine.calendar import duration
from engine.decision import (
    Acknowledge,
    Answer,
    AskFor,
    AskReview,
    CallOut,
    Close,
    Effect,
    Escalate,
    Grade,
    HandOver,
    Holdable,
    Human,
    LinkTo,
    Lower,
    Mark,
    Notify,
    OpenTask,
    Promise,
    Raise,
    Route,
    Set,
    Suggest,
    Suppress,
    Tag,
    Untag,
    UseSla,
    WaitFor,
)  # fmt: skip
from engine.reading import Place, Reading, apart, suggestion
from engine.words import folded
from normalizer.canon import RelatedKind

HOLDABLE: tuple[Holdable, ...] = get_args(Holdable)
ADDITIVE = frozenset(("notify", "call", "task", "wait", "suggest"))  # all of them happen, whoever wants them
UNLESS = ("customer_speaks", "agent_replies", "ticket_updated", "task_done")  # what may end a wait
LINKS = ("previous", "same_category", "same_subcategory")
BY = ("least_loaded", "round_robin", "sticky")
ASKING, ANSWERING = "ask-for", "answer"  # templates that these actions speak by
SETTABLE: Mapping[str, str] = {  # field -> the choice its values come from
    "category": "category",
    "subcategory": "subcategory",
    "priority": "priority",
    "status": "status",
    "type": "type",
    "subject": "",
}


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
        hint = apart(at.value) or "then: {route: GROUP}"
        reading.fault(at, "type", "actions are written as `verb: value`", hint)
        return []
    return [effect for name in at.value for effect in _verb(reading, at.down(name), name, because)]


def _verb(reading: Reading, at: Place, name: str, because: str) -> list[Effect]:
    if verb := VERBS.get(name):
        return verb.read(reading, at, because)
    if name in SETTABLE:
        reading.fault_key(at, "unknown-verb", f"unknown action {name!r}", f"write set: {{{name}: VALUE}}")
        return []
    reading.unknown_key(at, "unknown-verb", "action", name, VERBS)
    return []


def _twice(reading: Reading, at: Place, found: list[Effect]) -> None:
    seen: dict[str, Effect] = {}
    for effect in found:
        for slot in slots(effect):
            several = effect.verb in ADDITIVE or isinstance(effect, Suppress | HandOver)
            if seen.setdefault(slot, effect) is not effect and not several:
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
    if verb == "raise" and str(at.value).startswith("-"):
        reading.fault(at, "type", f"raise by {at.value} would be to lower it", f"lower: {{priority: +{steps}}}")
        return "", 0
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
    how = next((one for one in BY if one == by.value), "")
    if by.value is not None and not how:
        reading.fault(by, "unknown-value", f"cannot route by {by.value!r}", "by: " + " or ".join(BY))
    if "by" in at.value and "group" not in at.value:
        reading.fault(by, "missing", "`by` chooses among the agents of a group", "add group: NAME")
    made: Any = how
    return [Route(group, assignee, tuple(sorted(set(skills))), made)]


def _optional(reading: Reading, at: Place, key: str, choice: str) -> str:
    below = at.down(key)
    return (reading.code(below, choice, str(below.value), choice) or "") if key in at.value else ""


def _acknowledge(reading: Reading, at: Place, _: str) -> list[Effect]:
    name = reading.word(at, "acknowledge")
    if name and name not in reading.vocabulary.templates:
        hint = suggestion(name, sorted(reading.vocabulary.templates))
        reading.fault(at, "unknown-template", f"unknown template {name!r}", hint)
        return []
    _spoken(reading, at, name)
    return [Acknowledge(name)] if name else []


def _spoken(reading: Reading, at: Place, name: str) -> None:
    """A template must be there, in every language."""
    known = reading.vocabulary.templates.get(name, frozenset())
    if missing := [code for code in reading.vocabulary.languages if name and code not in known]:
        files = ", ".join(f"templates/{name}.{code}.liquid" for code in missing)
        reading.fault(at, "missing-language", f"template {name!r} lacks a language", f"add {files}")


def _reply(reading: Reading, at: Place, _: str) -> list[Effect]:
    name = reading.word(at, "reply")
    if not name:
        return []
    if name in reading.vocabulary.templates:
        _spoken(reading, at, name)
    elif not _answer(reading, at, name, sorted(reading.vocabulary.templates)):
        return []
    else:
        _spoken(reading, at, ANSWERING)
    return [Answer(name)]


def _answer(reading: Reading, at: Place, name: str, besides: Iterable[str] = ()) -> bool:
    """Whether there is such an answer; told if not, or if it lacks a language."""
    known = reading.vocabulary.answers
    if name not in known:
        reading.fault(at, "unknown-answer", f"unknown answer {name!r}", suggestion(name, [*known, *besides]))
        return False
    if missing := [code for code in reading.vocabulary.languages if code not in known[name]]:
        files = ", ".join(f"answers/{name}.{code}.md" for code in missing)
        reading.fault(at, "missing-language", f"answer {name!r} lacks a language", f"add {files}")
    return True


def _ask_for(reading: Reading, at: Place, _: str) -> list[Effect]:
    _spoken(reading, at, ASKING)
    if at.value in ("missing", True):
        return [AskFor()]
    fields = _names(reading, at, "ask_for")
    known = reading.vocabulary.fields
    for item in at.items():
        if str(item.value) not in known:
            hint = suggestion(str(item.value), ["missing", *known])
            reading.fault(item, "unknown-field", f"no ticket type has a field {item.value!r}", hint)
    return [AskFor(fields)] if fields else []


def _suggest(reading: Reading, at: Place, _: str) -> list[Effect]:
    if isinstance(at.value, dict):
        reading.mapping(at, ("answer", "text"), "suggest")
        if "text" in at.value:
            text = reading.word(at.down("text"), "text")
            return [Suggest(text=text)] if text else []
        at = at.down("answer")
    name = reading.word(at, "suggest")
    return [Suggest(name)] if name and _answer(reading, at, name) else []


def _notify(reading: Reading, at: Place, because: str) -> list[Effect]:
    if not isinstance(at.value, dict):
        found = [_whom(reading, item) for item in at.items()]
        at_all = [one for one in found if one]
        groups, agents, addresses = ([name for kind, name in at_all if kind == wanted] for wanted in _WHOM)
        return [Notify(because, _sorted(groups), _sorted(agents), _sorted(addresses))] if at_all else []
    reading.mapping(at, ("groups", "agents", "addresses", "calls", "text"), "notify")
    groups, agents = (
        list(reading.codes(at.down(key), choice, key)) if key in at.value else []
        for key, choice in (("groups", "group"), ("agents", "agent"))
    )
    named = at.down("addresses")
    addresses = [_address(reading, item) for item in named.items()] if named.value is not None else []
    called = at.down("calls")
    calls = [_target(reading, item) for item in called.items()] if called.value is not None else []
    text = reading.word(at.down("text"), "text") if "text" in at.value else because
    if not (groups or agents or addresses or calls):
        reading.fault(at, "missing", "notify whom?", "notify: {groups: [GROUP]}")
        return []
    mails, systems = _sorted(filter(None, addresses)), _sorted(filter(None, calls))
    return [Notify(text, _sorted(groups), _sorted(agents), mails, systems)]


_WHOM = ("group", "agent", "address")


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _whom(reading: Reading, at: Place) -> tuple[str, str] | None:
    """A group, an agent or an address, as one word."""
    word = reading.word(at, "notify")
    if "@" in word:
        return ("address", word) if _address(reading, at) else None
    for choice in ("group", "agent"):
        if word and (code := reading.vocabulary.code(choice, word)):
            return choice, code
    if word:
        known = [*reading.vocabulary.words("group"), *reading.vocabulary.words("agent")]
        reading.fault(at, "unknown-value", f"no group or agent is called {word!r}", suggestion(word, known))
    return None


def _address(reading: Reading, at: Place) -> str:
    word = reading.word(at, "address")
    name, sign, domain = word.partition("@")
    if word and not (name and sign and domain and " " not in word):
        reading.fault(at, "type", f"{word!r} is no mail address", "duty@example.com")
        return ""
    return word


def _target(reading: Reading, at: Place) -> str:
    """A target of `calls:`; told if there is none of that name."""
    name = reading.word(at, "call")
    known = reading.vocabulary.calls
    if name and known is not None and name not in known:
        hint = suggestion(name, known) if known else "add it to calls: in ticketgate.yaml"
        reading.fault(at, "unknown-target", f"nothing to call is named {name!r}", hint)
        return ""
    return name


def _call(reading: Reading, at: Place, _: str) -> list[Effect]:
    if not isinstance(at.value, dict):
        name = _target(reading, at)
        return [CallOut(name)] if name else []
    reading.mapping(at, ("target", "with"), "call")
    name, said = _target(reading, at.down("target")), at.down("with")
    if said.value is not None and not isinstance(said.value, dict):
        reading.fault(said, "type", "with is written as {name: value}", "with: {reason: lost}")
        return []
    given = [(key, reading.word(said.down(key), key)) for key in sorted(said.value or {})]
    return [CallOut(name, tuple(given))] if name else []


def _task(reading: Reading, at: Place, _: str) -> list[Effect]:
    if not isinstance(at.value, dict):
        title = reading.word(at, "task")
        return [OpenTask(title)] if title else []
    reading.mapping(at, ("title", "type", "group", "assignee", "due"), "task")
    title = reading.word(at.down("title"), "title")
    kind = reading.word(at.down("type"), "type") if "type" in at.value else ""
    group, assignee = _optional(reading, at, "group", "group"), _optional(reading, at, "assignee", "agent")
    due = _length(reading, at.down("due"), "due") if "due" in at.value else ""
    return [OpenTask(title, kind, group, assignee, due)] if title else []


def _length(reading: Reading, at: Place, what: str) -> str:
    """A duration as written; empty, and told, if it is none or takes no time at all."""
    passing = duration(str(at.value)) if at.value is not None else None
    if not passing:
        reading.fault(at, "type", f"{what}: {at.value!r} is no duration", f"{what}: 15m, 4h or 2d")
        return ""
    return str(at.value)


def _human(reading: Reading, at: Place, because: str) -> list[Effect]:
    reason = because if at.value is True else reading.word(at, "human")
    return [Human(reason)] if reason else []


def _wait(reading: Reading, at: Place, because: str) -> list[Effect]:
    if not reading.mapping(at, ("for", "unless", "then", "name"), "wait"):
        return []
    name = reading.word(at.down("name"), "name") if "name" in at.value else ""
    text = _length(reading, at.down("for"), "for")
    unless = at.down("unless")
    events = [str(item.value) for item in unless.items()] if unless.value is not None else []
    for item in unless.items() if events else ():
        if item.value not in UNLESS:
            hint = suggestion(str(item.value), UNLESS)
            reading.fault(item, "unknown-value", f"nothing ends a wait that is called {item.value!r}", hint)
    then = effects(reading, at.down("then"), because)
    passing = duration(text) if text else None
    return [WaitFor(int(passing.total_seconds()), _sorted(events), then, name)] if passing and then else []


def _link(reading: Reading, at: Place, _: str) -> list[Effect]:
    kind: Any = "related"
    if isinstance(at.value, dict):
        reading.mapping(at, ("to", "kind"), "link")
        kind = _one_of(reading, at.down("kind"), get_args(RelatedKind), "kind") if "kind" in at.value else kind
        at = at.down("to")
    to: Any = _one_of(reading, at, LINKS, "link")
    return [LinkTo(to, kind)] if to and kind else []


def _one_of(reading: Reading, at: Place, known: Iterable[str], what: str) -> str:
    word = reading.word(at, what)
    if word and word not in known:
        reading.fault(at, "unknown-value", f"{what} cannot be {word!r}", suggestion(word, known))
        return ""
    return word


def _close(reading: Reading, at: Place, because: str) -> list[Effect]:
    reason = because if at.value is True else reading.word(at, "close")
    return [Close(reason)] if reason else []


def _quality(reading: Reading, at: Place, _: str) -> list[Effect]:
    mark = reading.word(at, "quality")
    return [Grade(mark)] if mark else []


def _review(reading: Reading, at: Place, because: str) -> list[Effect]:
    if not isinstance(at.value, dict):
        group = reading.code(at, "group", str(at.value), "group")
        return [AskReview(because, group)] if group else []
    reading.mapping(at, ("group", "reason", "hold", "approved", "rejected"), "review")
    reason = reading.word(at.down("reason"), "reason") if "reason" in at.value else because
    approved, rejected = (
        effects(reading, at.down(key), because) if key in at.value else () for key in ("approved", "rejected")
    )
    group = _optional(reading, at, "group", "group")
    return [AskReview(reason, group, _holdable(reading, at.down("hold")), approved, rejected)]


def _suppress(reading: Reading, at: Place, _: str) -> list[Effect]:
    what = _holdable(reading, at)
    return [Suppress(what)] if what else []


def _holdable(reading: Reading, at: Place) -> tuple[Holdable, ...]:
    if at.value is None:
        return ()
    written = {str(item.value) for item in at.items()}
    for item in at.items():
        if str(item.value) not in HOLDABLE:
            hint = suggestion(str(item.value), HOLDABLE)
            reading.fault(item, "unknown-value", f"{item.value!r} cannot be held", hint)
    return tuple(name for name in HOLDABLE if name in written)


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
    if not isinstance(at.value, dict):
        policy = reading.code(at, "policy", str(at.value), "SLA policy")
        return [UseSla(policy)] if policy else []
    reading.mapping(at, ("policy", "milestones"), "sla")
    policy = _optional(reading, at, "policy", "policy")
    named = at.down("milestones")
    if named.value is not None and not isinstance(named.value, dict):
        reading.fault(named, "type", "milestones are written as {name: time}", "milestones: {solved: 2h}")
        return []
    lengths = [(name, _length(reading, named.down(name), name)) for name in sorted(named.value or {})]
    return [*([UseSla(policy)] if policy else []), *(Promise(name, text) for name, text in lengths if text)]


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
        Verb("route", _route, "{group: senior, by: least_loaded, skills: [complaints]}", "分派到组；by 指明如何选人：least_loaded 待处理最少者、round_robin 轮流、sticky 上次接待者", "to a group, and there to an agent who has the skills: `least_loaded`, `round_robin` (in turn), or `sticky` (who had the customer's last ticket)"),
        Verb("acknowledge", _acknowledge, "received", "用该模板自动回复客户（每张工单一次）", "tell the customer that it arrived, with this template, once per ticket"),
        Verb("reply", _reply, "course-faq", "按客户的语言回复：模板或 config/answers 中的答案；每小时对同一客户至多三次，从不回复自动邮件", "answer the customer in their language with a template or one of config/answers; at most three an hour to one customer, never to automatic mail"),
        Verb("ask_for", _ask_for, "missing", "请客户补充：missing 为该工单类型缺少的必填项，或列出字段；状态改为待客户补充", "ask the customer for what is missing: the required fields of the ticket type (`missing`), or those listed; the ticket then waits for the customer"),
        Verb("suggest", _suggest, "course-faq", "向客服推荐答案（客户看不到）", "propose an answer to whoever works on the ticket; the customer does not see it"),
        Verb("notify", _notify, "{groups: [senior], text: VIP 客户投诉}", "通知组、客服、邮箱（邮件），或系统（calls）", "tell groups, agents or addresses by mail, or systems by a signed call (`calls`)"),
        Verb("call", _call, "{target: erp, with: {reason: lost}}", "以签名的 webhook 调用 ticketgate.yaml 中 calls: 的系统", "call a system named under `calls:` in ticketgate.yaml, signed (Standard Webhooks)"),
        Verb("task", _task, "{title: 联系仓库查件, group: logistics, due: 4h}", "开任务；期限按营业时间计算", "open a task, due in so much open time"),
        Verb("review", _review, "{group: front-desk, reason: 分类不明确, hold: [acknowledge], rejected: {close: 误报}}", "请人预审；hold 的动作等结论，approved、rejected 为结论之后的动作", "ask a person to look; what is held is done if approved, and each verdict may have actions of its own"),
        Verb("human", _human, "客户要求人工服务", "转人工：规则不再回复、不再关闭", "a person has it: rules neither answer nor close any more"),
        Verb("hand_over", _hand_over, "all", "转交给这些工单系统（all 为全部）", "tell these helpdesks; `all` is every one"),
        Verb("sla", _sla, "{policy: incident, milestones: {solved: 2h}}", "改用该 SLA 策略，或另定承诺时限", "promise by this policy instead of the type's, or by these times"),
        Verb("wait", _wait, "{for: 15m, unless: [customer_speaks, agent_replies], then: {set: {status: solved}}}", "到时才做 then 的动作；期间发生 unless 的事则取消", "do the rest after so much time, unless one of these happens before"),
        Verb("escalate", _escalate, "1", "升级", "raise the escalation level"),
        Verb("suppress", _suppress, "acknowledge", "不做该动作，胜过任何层的规则", "beats what it names, whatever the layer"),
        Verb("link", _link, "same_category", "关联该客户较早的工单", "tie it to the customer's latest earlier ticket"),
        Verb("close", _close, "重复提交", "关闭并说明原因", "close it, with the reason"),
        Verb("quality", _quality, "impolite", "给客服的这条回复打质检标记", "mark the reply of an agent that set this off"),
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
        case Promise(milestone):
            return (f"sla.{milestone}",)
        case Close():
            return ("status",)
        case LinkTo(to, kind):
            return (f"link:{to} {kind}",)
        case Grade(mark):
            return (f"quality:{mark}",)
        case _:  # acknowledge, reply, ask_for, hand_over, suppress, human, and what adds up
            return (effect.verb,)


def own_slots(rule: str, made: Iterable[Effect], later: str = "") -> list[tuple[str, Effect]]:
    """What each effect of a rule writes. What adds up bears the rule's name in a slot of its own: all of them happen.

    `later` tells what a rule wanted done later from what it does now.
    """
    found: list[tuple[str, Effect]] = []
    counted: dict[str, int] = {}
    for effect in made:
        if effect.verb not in ADDITIVE:
            found += [(slot, effect) for slot in slots(effect)]
            continue
        counted[effect.verb] = number = counted.get(effect.verb, 0) + 1
        nth = f" {number}" if number > 1 else ""
        which = f"~{number}" if number > 1 else ""  # before the name, for a rule may be called "a 2"
        found.append((f"{effect.verb}{which}{later}@{rule}", _named(effect, rule, nth)))
    return found


def _named(effect: Effect, rule: str, nth: str) -> Effect:
    match effect:
        case WaitFor():
            return replace(effect, rule=rule, name=effect.name or f"{rule}{nth}")
        case Notify() | CallOut() | OpenTask():
            return replace(effect, rule=rule)
    return effect


def unnamed(effect: Effect) -> Effect:
    """The effect as it was read, before it bore its rule's name."""
    match effect:
        case WaitFor():
            return replace(effect, rule="", name="" if effect.name == effect.rule else effect.name)
        case Notify() | CallOut() | OpenTask():
            return replace(effect, rule="")
    return effect
