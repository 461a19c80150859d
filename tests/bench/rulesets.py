"""Rules and tickets for the rules benchmarks, the same for every engine, said in no engine's language.

Of every four rules one looks at a product, one at a sender's domain, one at an order number, and one for two words;
all look at the category and at a threshold too. Three rules match each ticket.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CATEGORIES = ("complaint", "inquiry", "after_sales")
TICKETS = 200  # so many different ones, again and again
FILLING = (
    "my parcel",
    "您好",
    "the thing I bought",
    "请问",
    "last week",
    "上周买的",
    "thank you",
    "谢谢",
    "and",
    "then",
)


@dataclass(frozen=True, slots=True)
class Test:
    """`field` `how` `value`: is, at_least, at_most, or says (one of these words stands in the text)."""

    field: str
    how: str
    value: Any


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Ticket:
    facts: dict[str, Any]  # category, product, domain, order, urges, length, text
    matches: frozenset[str]


def rules(count: int) -> list[Rule]:
    return [Rule(f"r{i}", _tests(i)) for i in range(count)]


def _tests(i: int) -> tuple[Test, ...]:
    category = Test("category", "is", CATEGORIES[i // 4 % 3])
    match i % 4:
        case 0:
            return (category, Test("product", "is", f"p{i}"), Test("length", "at_least", i % 20))
        case 1:
            return (category, Test("domain", "is", f"d{i}.example"), Test("urges", "at_most", i % 5))
        case 2:
            return (category, Test("order", "is", f"o{i}"), Test("length", "at_least", i % 300))
        case _:
            return (
                category,
                Test("text", "says", (f"word{i:05}", f"词语{i:05}号")),
                Test("length", "at_least", i % 20),
            )


def tickets(of: list[Rule], count: int, seed: int = 1) -> list[Ticket]:
    """Tickets that exactly three of these rules match; there must be four at least."""
    dice = random.Random(seed)
    return list(_made(of, dice, count))


def _made(of: list[Rule], dice: random.Random, count: int) -> Iterator[Ticket]:
    last = len(of) - 3
    while count:
        at = dice.randrange(0, last, 4)  # all four kinds in this category
        same = range(at // 4 % 3 * 4, last, 12)
        product, domain, word = dice.choice(same), dice.choice(same) + 1, dice.choice(same) + 3
        said = of[word].tests[1].value[dice.randrange(2)]
        text = " ".join([*dice.choices(FILLING, k=dice.randint(8, 30)), said, dice.choice(FILLING)])
        facts = {
            "category": CATEGORIES[at // 4 % 3], "product": of[product].tests[1].value, "domain": of[domain].tests[1].value,
            "order": "o-none", "urges": 0, "length": len(text), "text": text,
        }  # fmt: skip
        yield Ticket(facts, frozenset({of[product].name, of[domain].name, of[word].name}))
        count -= 1


def holds(rule: Rule, facts: dict[str, Any]) -> bool:
    """The plain meaning, to check what engines say."""
    return all(true(test, facts[test.field]) for test in rule.tests)


def true(test: Test, found: Any) -> bool:
    match test.how:
        case "is":
            return bool(found == test.value)
        case "at_least":
            return bool(found >= test.value)
        case "at_most":
            return bool(found <= test.value)
        case _:
            return any(word in found for word in test.value)
