"""Random rules and tickets from a seed, of all that rules can say: what is claimed of all rule sets is tried on these."""

import json
import random
from collections.abc import Iterable, Mapping
from typing import Any

TAGS, MARKS, SAID = ["a", "b", "c"], ["m", "n"], ["退款", "refund", "物流", "没收到", "vip"]
CATEGORIES = ["complaint", "inquiry", "after_sales"]
SUBCATEGORIES = ["refund", "logistics"]


def book(name: str, rules: Iterable[Mapping[str, Any]]) -> str:
    """A rulebook; JSON is YAML."""
    return json.dumps({"rulebook": name, "rules": list(rules)}, ensure_ascii=False)


def rules(dice: random.Random, count: int = 6) -> list[dict[str, Any]]:
    """Rules and firsts; each name is used once."""
    marks = {"rule": "marks", "when": {"tags": "marked"}, "then": {"mark": dict.fromkeys(MARKS, "x")}}
    return [marks, *(_first(dice, i) if dice.random() < 0.2 else _rule(dice, f"r{i}") for i in range(count))]


def _first(dice: random.Random, number: int) -> dict[str, Any]:
    rows = [{key: value for key, value in _rule(dice, "").items() if key in ("when", "then")} for _ in range(3)]
    return {"first": f"f{number}", "rules": rows}


def _rule(dice: random.Random, name: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"rule": name, "when": [when(dice) for _ in range(dice.randrange(4))], "then": _then(dice)}
    if dice.random() < 0.2:
        rule["layer"] = dice.choice(["campaign", "customer", "risk"])
    if dice.random() < 0.2:
        rule["on"] = dice.choice(["message.received", ["ticket.created", "message.received"]])
    if not rule["when"]:
        del rule["when"]
    return rule


def when(dice: random.Random, depth: int = 0) -> dict[str, Any]:
    """One condition, perhaps with others inside."""
    if depth < 2 and dice.random() < 0.25:
        nest = dice.choice(["any", "all", "none"])
        return {nest: [when(dice, depth + 1) for _ in range(dice.randrange(1, 4))]}
    return _leaf(dice)


def _leaf(dice: random.Random) -> dict[str, Any]:
    low, high = sorted((dice.randrange(20), dice.randrange(20)))
    leaves: list[dict[str, Any]] = [
        {"category": dice.choice(CATEGORIES)},
        {"category": {dice.choice(["not_in", "in"]): dice.sample(CATEGORIES, 2)}},
        {"category": {"exists": dice.random() < 0.5}},
        {"subcategory": dice.choice(SUBCATEGORIES)},
        {"category.confidence": {dice.choice(["less_than", "at_least", "at_most", "more_than"]): dice.choice([0.2, 1.0])}},
        {"tags": {dice.choice(["has_any", "has_all", "not_in", "in"]): dice.sample(TAGS, 2)}},
        {"tags": dice.choice(TAGS)},
        {"tags": {"exists": dice.random() < 0.5}},
        {f"mark.{dice.choice(MARKS)}": {dice.choice(["is", "is_not"]): dice.choice(["x", "y"])}},
        {dice.choice(["says", "says_all", "says_none"]): dice.sample(SAID, 2)},
        {"says": {"words": [dice.choice(SAID)], "denied": "include"}},
        {"priority": {dice.choice(["at_least", "at_most", "is", "is_not", "less_than"]): dice.choice(["low", "high", "urgent"])}},
        {"message.length": {"between": [low, high]}},
        {"message.length": {dice.choice(["more_than", "less_than"]): low}},
        {"language": {dice.choice(["is", "is_not"]): dice.choice(["zh", "en", "zh-Hant"])}},
        {"group": dice.choice(["senior", "logistics"])},
        {"history": {"category": dice.choice(CATEGORIES), "within": "24h", "count": {"at_least": dice.randrange(4)}}},
        {"contact.tier": dice.choice(["vip", "normal"])},
        {"message.proven": dice.random() < 0.5},
        {"review.needed": True},
        {"subject": {"starts_with": dice.choice(["RE", "R", "FW"])}},
        {"message.subject": {dice.choice(["ends_with", "is"]): dice.choice(["RE", "E"])}},
        {"clock.time": {"between": dice.choice([["22:00", "06:00"], ["09:00", "18:00"]])}},
        {"clock.business_hours": dice.random() < 0.5},
        {"channel": dice.choice(["email", ["form", "sms"]])},
    ]  # fmt: skip
    return dice.choice(leaves)


def _then(dice: random.Random) -> dict[str, Any]:
    verbs: dict[str, Any] = {
        "set": {dice.choice(["category", "subcategory", "status", "type", "priority"]): None},
        "raise": {"priority": dice.choice(["high", 1])},
        "tag": dice.choice(TAGS),
        "untag": dice.choice(TAGS),
        "mark": {dice.choice(MARKS): dice.choice(["x", "y"])},
        "route": dice.choice(["senior", "logistics", {"group": "refund", "by": "least_loaded"}]),
        "acknowledge": dice.choice(["received", "received-vip"]),
        "review": "front-desk",
        "escalate": 1,
    }
    values = {"category": CATEGORIES, "subcategory": SUBCATEGORIES, "status": ["open", "solved"],
              "type": ["repair", "request"], "priority": ["low", "high"]}  # fmt: skip
    chosen = {verb: verbs[verb] for verb in dice.sample(list(verbs), dice.randrange(1, 3))}
    if "set" in chosen:
        chosen["set"] = {name: dice.choice(values[name]) for name in chosen["set"]}
    if "priority" in chosen.get("set", {}):
        chosen.pop("raise", None)
    if {"tag", "untag"} <= chosen.keys() and chosen["tag"] == chosen["untag"]:
        del chosen["untag"]
    return chosen


def ticket(dice: random.Random) -> dict[str, Any]:
    """What an example gives; a category and its subcategory belong together."""
    given: dict[str, Any] = {
        "text": "".join(dice.choice([*SAID, "不是", "没有", " ", "，", "x"]) for _ in range(dice.randrange(6))),
        "subject": dice.choice(["", "RE", "R", "FW: E", "hello"]),
        "language": dice.choice(["zh", "en", "zh-Hant", ""]),
        "tags": dice.sample(TAGS, dice.randrange(3)),
        "priority": dice.choice(["low", "normal", "high", "urgent"]),
        "channel": dice.choice(["email", "form", "chat"]),
        "contact": {"tier": dice.choice(["vip", "normal"]), "proven": dice.random() < 0.5},
        "trigger": dice.choice(["ticket.created", "ticket.created", "message.received"]),
        "now": dice.choice(["2026-03-04T12:00:00+08:00", "2026-03-07T23:00:00+08:00", "2026-03-04T09:00:00+08:00"]),
        "marks": {mark: dice.choice(["x", "y"]) for mark in MARKS if dice.random() < 0.3},
        "history": [{"category": dice.choice(CATEGORIES), "ago": "2h"} for _ in range(dice.randrange(3))],
    }
    if dice.random() < 0.8:
        given["category"], given["confidence"] = dice.choice(CATEGORIES), dice.choice([0.1, 0.2, 0.5, 1.0])
        if given["category"] != "inquiry" and dice.random() < 0.5:
            given["subcategory"] = dice.choice(SUBCATEGORIES)
    return given
