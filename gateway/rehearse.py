"""Rendering every acknowledgement template before a customer is answered by it, for tickets of every kind.

So a fault that shows only with a certain ticket (no name, no promise, this one category) stops the start.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from engine.acknowledgement import variables
from engine.company import Company
from engine.sla import promised
from engine.vocabulary import PRIORITIES, Vocabulary
from gateway.acknowledge import Templates, rendered
from normalizer.canon import Contact, Derived, Extracted, Source, Ticket
from normalizer.errors import ConfigError

HINT = 'values are text, and may be empty: {% if name != "" %}{{ name }}{% endif %}'
WORKING, NIGHT = datetime(2026, 3, 2, 2, tzinfo=UTC), datetime(2026, 3, 7, 19, tzinfo=UTC)  # a Monday, a Saturday
NOBODY, SOMEBODY = Contact("sample"), Contact("sample", name="张三 Zhang San", locale="zh")
BARE = Ticket("sample", Source("email", "email_smtp", "sample", ""), "sample", "", WORKING, WORKING)
FULL = replace(
    BARE,
    number="20260302001",
    subject="订单号5，物流显示已签收但未收到货 " * 5,
    description='Tracking says "delivered" & <signed>, but nothing came.\n' * 20,
    group=Derived("sample", "sample"),
    assignee=Derived("sample", "sample"),
    extracted={"order_number": Extracted("10023", (0, 5))},
)


def templates(known: Templates, company: Company, vocabulary: Vocabulary) -> None:
    """Raises ConfigError at the place of the template that cannot be rendered, and says for which ticket."""
    samples = list(_samples(company, vocabulary))
    for (_, language), template in known.parsed.items():
        for kind, ticket, contact in samples:
            try:
                rendered(template, variables(ticket, contact, company, vocabulary, language), language)
            except ConfigError as e:
                raise ConfigError(e.where, f"{e.what} (tried with {kind})", HINT, e.code) from e


def _samples(company: Company, vocabulary: Vocabulary) -> Iterator[tuple[str, Ticket, Contact]]:
    """A ticket that is all but empty, and full ones of each priority, type and category, with and without a name."""
    yield "an empty ticket", BARE, NOBODY
    yield "an empty ticket of a known customer", BARE, SOMEBODY
    for type in company.types:
        for at in (WORKING, NIGHT):
            yield f"type {type}, received {at:%A %H:%M} UTC", _promised(company, replace(FULL, type=type), at), SOMEBODY
    for priority in PRIORITIES:
        ticket = _promised(company, replace(FULL, priority=Derived(priority, "sample")), WORKING)
        yield f"priority {priority}", ticket, NOBODY
    for category in vocabulary.categories:
        for subcategory in ("", *vocabulary.subcategories.get(category, ())):
            yield f"category {category} {subcategory}".strip(), _classified(FULL, category, subcategory), SOMEBODY


def _promised(company: Company, ticket: Ticket, at: datetime) -> Ticket:
    received = replace(ticket, created_at=at, captured_at=at)
    return replace(received, sla=promised(company, received, ticket.type, ticket.priority.value))


def _classified(ticket: Ticket, category: str, subcategory: str) -> Ticket:
    second = Derived(subcategory, "sample") if subcategory else None
    return replace(ticket, category=Derived(category, "sample"), subcategory=second)
