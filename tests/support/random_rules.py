"""Random rulebooks and tickets out of the registries: every field, every operator that fits it, every nesting.

The values are few, so that rules meet, feed each other and go round in circles.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.conditions import OPERATORS, SAYS
from engine.facts import FIELDS, Field, known
from engine.vocabulary import Vocabulary

Dice = random.Random
Rules = list[dict[str, Any]]

TAGS, MARKS, MARKED = ("a", "b", "c", "Ｄ"), ("m", "n", "o"), ("x", "y", "Z")
WORDS = ("退款", "refund", "物流", "没收到", "vip", "退", "fund", "不要", "包裹没收到", "ＶＩＰ 客户")
SPOKEN = (
    *WORDS,
    "不是退款",
    "not a refund",
    "我不想退款",
    "zzz",
    "，",
    " hi ",
    "\n",
    "refunds",
    "是不是退款",
    "退\u200b款",
)
TEXTS = ("", "RE: x", "Re: x", "parcel", "退款", "a@example.org", "example.org", "O'1", '"', "\\", "email")
PATTERNS = ("^re", "(?i)re", "退+", "[0-9]{2}", "x$", "a|b|", "(a*)*b", ".")
NUMBERS = (0, 1, 2, 3, 5, 20, 0.2, 0.5, 0.9, 1.0, -1, 100_000, 1e-7, 12345678901)
TIMES = ("00:00", "09:30", "12:00", "18:00", "23:59")
DATES = ("2026-03-04", "2026-03-05 00:30", "2026-10-02", "2026-11-11", "2025-12-31 23:59")
AMOUNTS = ("100 CNY", "1000 CNY", "100 USD", "99.50 CNY")
LENGTHS = ("0m", "30m", "2h", "2d", -5, 90)
LANGUAGES = ("zh", "en", "zh-Hant", "EN-us", "fr")
TRIGGERS = ("ticket.created", "message.received", "ticket.updated")
LAYERS = ("base", "base", "campaign", "customer", "risk")
# fields that rules can write stand out, since only they can make chains and circles
WRITTEN = (
    "category", "subcategory", "tags", "priority", "status", "type", "group", "assignee", "escalation_level",
    "review.needed", "category.confidence", *(f"mark.{name}" for name in MARKS), "custom.model",
)  # fmt: skip
OPEN = (
    "extracted.order_number",
    "extracted.phone",
    "extracted.amount",
    "custom.purchased_on",
    "age.custom.purchased_on",
    "since.created",
    "changed.status",
    "changed.priority.to",
    "sla.first_response.left",
    "load.on_shift.senior",
    "contact.attributes.product",
    "load.group.senior",
)


def rulebook(dice: Dice, vocabulary: Vocabulary, size: int = 9) -> Rules:
    """Rules of one book; the first makes every mark, so that all may be read."""
    made: Rules = [{"rule": "marks", "when": {"says": "zzz"}, "then": [{"mark": {m: "x"}} for m in MARKS]}]
    for i in range(dice.randint(1, size)):
        made.append(_unit(dice, vocabulary, i))
    if dice.random() < 0.5:
        made += _ring(dice)
    return made


def _ring(dice: Dice) -> Rules:
    """Rules that feed each other in a circle, some by what is not there."""
    tags = dice.sample(TAGS, dice.randint(2, len(TAGS)))
    links = zip(tags, [*tags[1:], tags[0]], strict=True)
    return [
        {"rule": f"ring{i}", "because": "b", "layer": dice.choice(LAYERS),
         "when": [{"none": {"tags": here}} if dice.random() < 0.2 else {"tags": here}],
         "then": {"tag": there} if dice.random() < 0.8 else {"tag": there, "mark": {dice.choice(MARKS): "x"}}}
        for i, (here, there) in enumerate(links)
    ]  # fmt: skip


def _unit(dice: Dice, vocabulary: Vocabulary, i: int) -> dict[str, Any]:
    head: dict[str, Any] = {"because": "b", "layer": dice.choice(LAYERS), **_counts(dice)}
    if dice.random() < 0.1:
        return _table(dice, i, head)
    if dice.random() < 0.3:
        head["on"] = dice.sample(TRIGGERS, dice.randint(1, 2))
    if dice.random() < 0.35:
        return {"rule": f"r{i}", **head, "when": _link(dice), "then": _linked(dice)}
    if dice.random() < 0.2:
        rows = [{"when": _when(dice, vocabulary), "then": _then(dice)} for _ in range(dice.randint(1, 3))]
        return {"first": f"f{i}", **head, "rules": rows}
    return {"rule": f"r{i}", **head, "when": _when(dice, vocabulary), "then": _then(dice)}


def _counts(dice: Dice) -> dict[str, Any]:
    """When it counts, and for whom: most rules always and for all."""
    return dice.choice(
        (*({},) * 12, {"mode": "shadow"}, {"mode": "canary", "share": "50%"}, {"during": "double-11"}, {"valid": {"from": "2026-03-05"}})
    )  # fmt: skip


CELLS: Mapping[str, tuple[Any, ...]] = {
    "category": ("complaint", "complaint, inquiry", "any", "!= inquiry", "none"),
    "tags": (*TAGS, "any", "none"),
    "message.length": (">= 5", "2..9", "< 3", 0, ""),
    "says": ("退款", "退款, refund", "any"),
    "tag": (*TAGS, ""),
    "set.priority": ("low", "high", "-"),
    "then.mark.m": (*MARKED, ""),
}


def _table(dice: Dice, i: int, head: Mapping[str, Any]) -> dict[str, Any]:
    columns = dice.sample(sorted(CELLS), dice.randint(2, 5))
    rows = [[dice.choice(CELLS[column]) for column in columns] for _ in range(dice.randint(1, 4))]
    return {"table": f"t{i}", **head, "columns": columns, "rows": rows}


def _link(dice: Dice) -> dict[str, Any]:
    """What another rule may have written: these make chains and circles."""
    read = dice.choice(({"tags": dice.choice(TAGS)}, {f"mark.{dice.choice(MARKS)}": dice.choice(MARKED)}))
    return {"none": read} if dice.random() < 0.25 else read


def _linked(dice: Dice) -> dict[str, Any]:
    return dice.choice(
        ({"tag": dice.choice(TAGS)}, {"mark": {dice.choice(MARKS): dice.choice(MARKED)}}, {"untag": dice.choice(TAGS)})
    )


def _when(dice: Dice, vocabulary: Vocabulary) -> list[Any]:
    return [_condition(dice, vocabulary, 2) for _ in range(dice.choice((0, 1, 1, 1, 2, 2, 3)))]


def _condition(dice: Dice, vocabulary: Vocabulary, depth: int) -> dict[str, Any]:
    if depth and dice.random() < 0.3:
        parts = [_condition(dice, vocabulary, depth - 1) for _ in range(dice.randint(1, 3))]
        return {dice.choice(("any", "all", "none")): parts}
    match dice.randrange(10):
        case 0 | 1:
            words = _some(dice, WORDS)
            operator = dice.choice(SAYS)
            return {operator: {"words": words, "denied": "include"} if dice.random() < 0.2 else words}
        case 2:
            count = {dice.choice(("at_least", "at_most", "is", "more_than")): dice.randint(0, 3)}
            return {"history": {"category": _some(dice, list(vocabulary.categories)), "within": dice.choice(("1h", "24h", "2d")), "count": count}}  # fmt: skip
        case 3 | 4 | 5 | 6:
            return _test(dice, vocabulary, dice.choice(WRITTEN))
        case _:
            return _test(dice, vocabulary, dice.choice((*FIELDS, *OPEN)))


def _test(dice: Dice, vocabulary: Vocabulary, name: str) -> dict[str, Any]:
    field = known(name, vocabulary)
    if field is None or (field.choice and not vocabulary.choices[field.choice]):  # this company has no such thing
        return {"tags": dice.choice(TAGS)}
    operators = [o for o in OPERATORS.values() if field.kind in o.kinds and o.takes in _TAKES]
    operator = dice.choice(operators)
    return {name: {operator.name: _TAKES[operator.takes](dice, field, vocabulary)}}


def _value(dice: Dice, field: Field, vocabulary: Vocabulary) -> Any:
    if field.choice:
        return dice.choice(list(vocabulary.choices[field.choice])[:4])
    match field.kind:
        case "number":
            return dice.choice(NUMBERS)
        case "flag":
            return dice.random() < 0.5
        case "time":
            return dice.choice(TIMES)
        case "date":
            return dice.choice(DATES)
        case "amount":
            return dice.choice(AMOUNTS)
        case "duration":
            return dice.choice(LENGTHS)
        case "language":
            return dice.choice(LANGUAGES)
        case "set":
            return dice.choice((*TAGS, "image/png"))
        case _:
            return dice.choice((*MARKED, *TEXTS[1:]))


def _pair(dice: Dice, field: Field, vocabulary: Vocabulary) -> list[Any]:
    return [_value(dice, field, vocabulary), _value(dice, field, vocabulary)]


def _listed(dice: Dice, field: Field, vocabulary: Vocabulary) -> list[Any]:
    return [_value(dice, field, vocabulary) for _ in range(dice.choice((1, 2, 3, 7)))]


_TAKES: Mapping[str, Callable[[Dice, Field, Vocabulary], Any]] = {
    "one": _value,
    "pair": _pair,
    "list": _listed,
    "flag": lambda dice, _f, _v: dice.random() < 0.5,
    "pattern": lambda dice, _f, _v: dice.choice(PATTERNS),
    "some": lambda dice, _f, _v: dice.choice((dice.choice(TEXTS[1:]), list(dice.sample(TEXTS[1:], 2)))),
    "length": lambda dice, _f, _v: dice.choice(LENGTHS[:4]),
}


def _some(dice: Dice, of: Sequence[str]) -> list[str]:
    return dice.sample(of, dice.randint(1, min(3, len(of))))


def _then(dice: Dice) -> dict[str, Any]:
    verbs = {
        "set": lambda: dice.choice(({"category": "complaint"}, {"category": "inquiry"}, {"status": "open"}, {"type": "repair"}, {"custom.model": "x"}, {"subcategory": "refund", "category": "after_sales"}, {"priority": dice.choice(("low", "normal", "high"))})),
        "raise": lambda: dice.choice(({"priority": "high"}, {"priority": 1}, {"priority": "urgent"})),
        "lower": lambda: dice.choice(({"priority": "low"}, {"priority": 1})),
        "tag": lambda: _some(dice, TAGS),
        "untag": lambda: dice.choice(TAGS),
        "mark": lambda: {dice.choice(MARKS): dice.choice(MARKED)},
        "route": lambda: dice.choice(("senior", {"group": "logistics", "by": "least_loaded"}, {"skills": ["english"]})),
        "acknowledge": lambda: dice.choice(("received", "received-vip")),
        "review": lambda: dice.choice(({"group": "senior", "hold": ["acknowledge"]}, {"group": "front-desk"})),
        "suppress": lambda: dice.choice(("acknowledge", ["acknowledge", "hand_over"])),
        "escalate": lambda: dice.randint(1, 3),
        "hand_over": lambda: dice.choice(("crm", "all")),
    }  # fmt: skip
    chosen = dice.sample(sorted(verbs), dice.choice((1, 1, 1, 2, 3)))
    if "set" in chosen:  # a rule that sets a priority does not move it as well
        chosen = [verb for verb in chosen if verb not in ("raise", "lower")]
    if {"raise", "lower"} <= set(chosen):
        chosen.remove("lower")
    if "untag" in chosen and "tag" in chosen:
        chosen.remove("untag")
    return {verb: verbs[verb]() for verb in chosen}


def ticket(dice: Dice, vocabulary: Vocabulary) -> dict[str, Any]:
    """What an example's `given` may say, at random."""
    given: dict[str, Any] = {"text": "".join(dice.choice(SPOKEN) for _ in range(dice.randrange(5)))}
    optional: dict[str, Callable[[], Any]] = {
        "trigger": lambda: dice.choice(TRIGGERS),
        "now": lambda: dice.choice(("2026-03-04T16:30:00+00:00", "2026-10-02T01:30:00+00:00", "2026-03-07T04:00:00+00:00", "2026-11-11T04:00:00+00:00")),
        "category": lambda: dice.choice(list(vocabulary.categories)),
        "subcategory": lambda: dice.choice(("refund", "logistics")),
        "confidence": lambda: dice.choice((0.2, 0.5, 0.9)),
        "language": lambda: dice.choice(LANGUAGES),
        "tags": lambda: _some(dice, TAGS),
        "marks": lambda: {dice.choice(MARKS): dice.choice(MARKED)},
        "priority": lambda: dice.choice(("low", "high", "urgent")),
        "status": lambda: dice.choice(("open", "solved")),
        "type": lambda: dice.choice(("repair", "request")),
        "custom": lambda: {"model": dice.choice(MARKED), "purchased_on": dice.choice((*DATES, "unknown"))},
        "since": lambda: {"created": dice.choice(LENGTHS[:4])},
        "changed": lambda: {"status": ["open", "solved"], "priority": ["low", "high"]},
        "sla": lambda: {"first_response": {"left": dice.choice(("30m", "-5m", "2h"))}},
        "sentiment": lambda: dice.choice(list(vocabulary.choices["sentiment"])),
        "intents": lambda: _some(dice, list(vocabulary.choices["intent"])),
        "extracted": lambda: {"order_number": dice.choice(TEXTS[1:]), "amount": dice.choice(AMOUNTS)},
        "group": lambda: "senior",
        "subject": lambda: dice.choice(TEXTS),
        "kind": lambda: dice.choice(list(vocabulary.choices["kind"])),
        "contact": lambda: {"tier": "vip", "proven": dice.random() < 0.5, "bucket": dice.randrange(100), "attributes": {"product": dice.choice(MARKED)}},
        "history": lambda: [{"category": dice.choice(list(vocabulary.categories)), "ago": dice.choice(("2h", "30h"))} for _ in range(dice.randrange(4))],
        "load": lambda: {"group:senior": dice.randrange(4)},
        "urge_count": lambda: dice.randrange(3),
    }  # fmt: skip
    for name in dice.sample(sorted(optional), dice.randint(0, 12)):
        given[name] = optional[name]()
    return given


def written(name: str, rules: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"rulebook": name, "rules": rules}, ensure_ascii=False)
