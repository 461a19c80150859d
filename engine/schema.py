"""The JSON Schema of this deployment's rulebooks: what an editor completes and underlines while one is written.

    # yaml-language-server: $schema=rulebook.schema.json     on the first line of a rulebook

It knows the codes, groups, templates, lists and tags there are, and is made of the same registries that rulebooks are
read by. What it refuses `rules check` refuses; it cannot say all that `rules check` says.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from engine.conditions import NESTS, OPERATORS, SAYS, Operator
from engine.effects import BY, HOLDABLE, LINKS, SETTABLE, UNLESS, VERBS
from engine.facts import FILTERS, OF_TICKET, OPEN_FIELDS, SAME, Field, known, names
from engine.rulebook import FIRST_KEYS, MODES, ROW_KEYS, RULE_KEYS, TABLE_KEYS
from engine.trial import EXPECT, GIVEN
from engine.vocabulary import TRIGGERS, Vocabulary
from normalizer.canon import RelatedKind

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Schema = {"type": ["string", "number", "boolean"]}
_WORD: Schema = {"type": ["string", "number"]}
_OF_KIND: Mapping[str, Schema] = {"number": {"type": "number"}, "flag": {"type": "boolean"}}
_ADDRESS: Schema = {"type": "string", "pattern": "^[^ ]+@[^ ]+$", "examples": ["duty@example.com"]}
_LENGTH: Schema = {"type": "string", "pattern": r"^-?(\s*\d+\s*(d|h|min|m|s))+\s*$"}


def schema(vocabulary: Vocabulary, tags: Iterable[str] = (), marks: Iterable[str] = ()) -> Schema:
    """The schema of one rulebook; `tags` and `marks` are those that rules make already."""
    return {
        "$schema": DIALECT,
        "title": "Ticketgate rulebook 规则集",
        "type": "object",
        "properties": {
            "rulebook": _told(_WORD, "名称，每个文件一个", "Its name; one a file"),
            "about": _told({"type": "string"}, "说明", "What it is about"),
            "layer": _layer(vocabulary),
            "rules": {"type": "array", "items": {"$ref": "#/$defs/unit"}},
            "tests": {"type": "array", "items": {"$ref": "#/$defs/example"}},
        },
        "required": ["rulebook", "rules"],
        "additionalProperties": False,
        "$defs": {
            "unit": _unit(),
            "rule": _keyed(RULE_KEYS, vocabulary, ["rule", "then"]),
            "first": _keyed(FIRST_KEYS, vocabulary, ["first", "rules"]),
            "table": _keyed(TABLE_KEYS, vocabulary, ["table"]),
            "row": _keyed(ROW_KEYS, vocabulary, ["then"]),
            "when": _when(vocabulary, marks),
            "then": {"anyOf": [{"$ref": "#/$defs/actions"}, _list({"$ref": "#/$defs/actions"})]},
            "actions": _actions(vocabulary, tags),
            "words": _words(vocabulary),
            "example": _example(),
            **{f"of.{choice}": _choice(vocabulary, choice) for choice in vocabulary.choices},
        },
    }


def _told(made: Schema, zh: str, en: str) -> Schema:
    return {**made, "description": f"{zh} / {en}"}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of, "minItems": 1}


def _either(of: Schema) -> Schema:
    """One, or several."""
    return {"anyOf": [of, _list(of)]}


def _choice(vocabulary: Vocabulary, choice: str) -> Schema:
    """The codes, completed first, and the labels people may write instead."""
    labels = vocabulary.choices[choice]
    shown = [f"{code}: {' '.join(labels[code].values())}".rstrip(": ") for code in labels]
    words = list(dict.fromkeys([*labels, *(label for of in labels.values() for label in of.values())]))
    folded = {word.casefold() for word in words}
    words += [word for word in vocabulary.words(choice) if word.casefold() not in folded]
    return {"enum": words, "description": "; ".join(shown)} if words else dict(_TEXT)


def _layer(vocabulary: Vocabulary) -> Schema:
    return _told({"enum": list(vocabulary.layers)}, "层，高的盖过低的", "A higher layer beats a lower one")


def _unit() -> Schema:
    return {
        "type": "object",
        "if": {"required": ["table"]},
        "then": {"$ref": "#/$defs/table"},
        "else": {
            "if": {"required": ["first"]},
            "then": {"$ref": "#/$defs/first"},
            "else": {"$ref": "#/$defs/rule"},
        },
    }


def _keyed(keys: Iterable[str], vocabulary: Vocabulary, required: list[str]) -> Schema:
    every = _parts(vocabulary)
    return {
        "type": "object",
        "properties": {key: every[key] for key in keys},
        "required": required,
        "additionalProperties": False,
    }


def _parts(vocabulary: Vocabulary) -> Mapping[str, Schema]:
    day = {"type": "string", "examples": ["2026-11-11", "2026-11-11 20:00"]}
    trigger = {"anyOf": [{"enum": list(TRIGGERS)}, {"type": "string", "pattern": "^timer\\."}]}
    return {
        "rule": _told(_WORD, "规则名", "The rule's name"),
        "first": _told(_WORD, "名称：从上到下，只取第一个成立的", "Its name: of its rules the first that holds"),
        "table": _told(_WORD, "决策表的名称", "The decision table's name"),
        "because": _told({"type": "string"}, "解释决策时显示的理由", "Shown wherever the decision is explained"),
        "when": {"$ref": "#/$defs/when"},
        "then": {"$ref": "#/$defs/then"},
        "rules": _list({"$ref": "#/$defs/row"}),
        "columns": _list(_WORD),
        "rows": _list({"type": "array"}),
        "file": _told({"type": "string"}, "旁边的 .xlsx", "A spreadsheet beside the rulebook"),
        "sheet": _WORD,
        "on": _told(_either(trigger), "触发，默认 ticket.created", "What sets it off; ticket.created if left out"),
        "layer": _layer(vocabulary),
        "override": _told({"const": "person"}, "也改人工设定的值", "Changes what a person set, too"),
        "during": _told(_either({"$ref": "#/$defs/of.campaign"}), "活动期间", "While a campaign runs"),
        "valid": {
            "type": "object",
            "properties": {"from": _told(day, "起", "From"), "until": _told(day, "止（含当天）", "Up to and with")},
            "minProperties": 1,
            "additionalProperties": False,
        },
        "mode": _told({"enum": list(MODES)}, "shadow 只记录", "shadow records only"),
        "share": _told({"type": ["string", "integer"]}, "canary 的客户比例", "A canary's share of the contacts: 10%"),
    }


def _when(vocabulary: Vocabulary, marks: Iterable[str]) -> Schema:
    inner = {"$ref": "#/$defs/when"}
    properties: Schema = dict.fromkeys(NESTS, inner) | {says: {"$ref": "#/$defs/words"} for says in SAYS}
    properties |= {"history": _history(vocabulary), "changed": {}, "since": {"type": "object"},
                   "during": _either({"$ref": "#/$defs/of.campaign"})}  # fmt: skip
    for name in [*names(vocabulary), *(f"mark.{mark}" for mark in marks)]:
        if field := known(name, vocabulary):
            properties[name] = _condition(field)
    own = {f"ticket.{name}": made for name, made in properties.items() if name in OF_TICKET}
    prefixes = [f"^(ticket\\.)?{re.escape(prefix)}." for prefix in OPEN_FIELDS]
    one = {
        "type": "object",
        "properties": properties | own,
        "patternProperties": {pattern: {} for pattern in prefixes},
        "additionalProperties": False,
    }
    return {"anyOf": [one, {"type": "array", "items": inner}]}


def _history(vocabulary: Vocabulary) -> Schema:
    counted = _operators(Field("history", "number", "", "", lambda _c, _h: None))
    filters = {what: _either({"$ref": f"#/$defs/of.{what}"}) for what in FILTERS}
    properties = {"same": _either({"enum": ["contact", *SAME]}), **filters, "within": _LENGTH, "count": counted}
    made = {"type": "object", "properties": properties, "required": ["within", "count"], "additionalProperties": False}
    return _told(made, "该客户一段时间内的工单数（含本单）", "How many tickets of the customer, this one included")


def _condition(field: Field) -> Schema:
    value = _value(field)
    listed = {"type": "object", "properties": {"list": {}}, "required": ["list"]}
    return _told({"anyOf": [value, _list(value), _operators(field), listed]}, field.zh, field.en)


def _value(field: Field) -> Schema:
    return {"$ref": f"#/$defs/of.{field.choice}"} if field.choice else _OF_KIND.get(field.kind, _TEXT)


def _operators(field: Field) -> Schema:
    fitting = [operator for operator in OPERATORS.values() if field.kind in operator.kinds]
    properties = {operator.name: _told(_taken(operator, field), operator.zh, operator.en) for operator in fitting}
    if field.name in ("message.text", "message.subject"):
        properties |= {says: {"$ref": "#/$defs/words"} for says in SAYS}
    return {"type": "object", "properties": properties, "minProperties": 1, "additionalProperties": False}


def _taken(operator: Operator, field: Field) -> Schema:
    value = _value(field)
    match operator.takes:
        case "one":
            return value
        case "list":
            return {"anyOf": [value, _list(value), {"type": "object", "required": ["list"]}]}
        case "pair":
            return {"type": "array", "items": value, "minItems": 2, "maxItems": 2}
        case "flag":
            return {"type": "boolean"}
        case "words":
            return {"$ref": "#/$defs/words"}
        case "length":
            return _LENGTH
        case _:
            return _either(_TEXT)


def _words(vocabulary: Vocabulary) -> Schema:
    lists = _either({"enum": list(vocabulary.lists)}) if vocabulary.lists else {}
    inner = {
        "type": "object",
        "properties": {
            "list": _told(lists, "词表（lists.yaml）", "A word list of lists.yaml"),
            "words": _either(_WORD),
            "denied": _told({"const": "include"}, "否认的提及也算", "Mentions that are denied count too"),
        },
        "additionalProperties": False,
    }
    return {"anyOf": [_WORD, _list(_WORD), inner]}


def _actions(vocabulary: Vocabulary, tags: Iterable[str]) -> Schema:
    typed = _typed(vocabulary, tags)
    made = {
        name: _told({**typed.get(name, {}), "examples": [verb.example]}, verb.zh, verb.en)
        for name, verb in VERBS.items()
    }
    return {"type": "object", "properties": made, "minProperties": 1, "additionalProperties": False}


def _typed(vocabulary: Vocabulary, tags: Iterable[str]) -> Mapping[str, Schema]:
    """What stands behind the actions whose values are known here; any other is taken as it comes."""
    priority = {"$ref": "#/$defs/of.priority"}
    moved = {"anyOf": [priority, {"type": "integer"}]}
    stepped = {"anyOf": [moved, _mapping({"priority": moved}, ["priority"])]}
    group, policy, agent = ({"$ref": f"#/$defs/of.{choice}"} for choice in ("group", "policy", "agent"))
    tag = _either({"anyOf": [{"enum": sorted(tags)}, _WORD]} if tags else _WORD)
    templates = _named(vocabulary.templates)
    held = _either({"enum": list(HOLDABLE)})
    targets = _WORD if vocabulary.targets is None else _named(["all", *vocabulary.targets])
    call = _WORD if vocabulary.calls is None else _named(vocabulary.calls)
    answer = _named(vocabulary.answers)
    return {
        "set": _mapping({name: _settable(choice) for name, choice in SETTABLE.items()}
                        | {f"custom.{name}": _TEXT for name in vocabulary.fields}, [], loose="^ticket\\."),
        "raise": stepped,
        "lower": stepped,
        "tag": tag,
        "untag": tag,
        "mark": {"anyOf": [_WORD, {"type": "object", "additionalProperties": _TEXT}]},
        "route": {"anyOf": [group, _mapping({"group": group, "assignee": agent, "by": {"enum": list(BY)},
                                             "skills": _either({"$ref": "#/$defs/of.skill"})}, [])]},
        "acknowledge": templates,
        "review": {"anyOf": [group, _mapping({"group": group, "reason": _WORD, "hold": held,
                                              "approved": {"$ref": "#/$defs/then"},
                                              "rejected": {"$ref": "#/$defs/then"}}, [])]},
        "suppress": held,
        "hand_over": {"anyOf": [_either(targets), _mapping({"targets": _either(targets)}, ["targets"])]},
        "sla": {"anyOf": [policy, _mapping({"policy": policy, "milestones": {"type": "object"}}, [])]},
        "wait": _mapping({"for": _LENGTH, "unless": _either({"enum": list(UNLESS)}),
                          "then": {"$ref": "#/$defs/then"}, "name": _WORD}, ["for", "then"]),
        "reply": _named([*vocabulary.templates, *vocabulary.answers]),
        "suggest": {"anyOf": [answer, _mapping({"answer": answer, "text": _WORD}, [])]},
        "ask_for": {"anyOf": [_either({"enum": ["missing", *vocabulary.fields]}), {"const": True}]},
        "notify": {"anyOf": [_either({"anyOf": [group, agent, _ADDRESS]}),
                             _mapping({"groups": _either(group), "agents": _either(agent), "calls": _either(call),
                                       "addresses": _either(_ADDRESS), "text": _WORD}, [])]},
        "call": {"anyOf": [call, _mapping({"target": call, "with": {"type": "object"}}, ["target"])]},
        "task": {"anyOf": [_TEXT, _mapping({"title": _TEXT, "type": _WORD, "group": group, "assignee": agent,
                                            "due": _LENGTH}, ["title"])]},
        "link": {"anyOf": [{"enum": list(LINKS)}, _mapping({"to": {"enum": list(LINKS)},
                                                            "kind": {"enum": list(get_args(RelatedKind))}}, ["to"])]},
    }  # fmt: skip


def _named(names: Iterable[str]) -> Schema:
    """One of these names."""
    return {"enum": sorted(set(names))}


def _mapping(properties: Mapping[str, Schema], required: list[str], loose: str = "") -> Schema:
    made: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False, "minProperties": 1}
    if required:
        made["required"] = required
    return {**made, "patternProperties": {loose: {}}} if loose else made


def _settable(choice: str) -> Schema:
    return {"$ref": f"#/$defs/of.{choice}"} if choice else _TEXT


def _example() -> Schema:
    expect = {
        "type": "object",
        "properties": {name: {} for name in EXPECT},
        "patternProperties": {"^(mark|custom)\\.": {}},
        "additionalProperties": False,
    }
    given = {"type": "object", "properties": {name: {} for name in GIVEN}, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"name": _WORD, "given": given, "end_to_end": {"type": "object"}, "expect": expect},
        "required": ["name", "expect"],
        "additionalProperties": False,
    }
