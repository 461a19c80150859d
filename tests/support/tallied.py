"""What a store holds in the end, to be compared with what senders were told is ours."""

import os
from collections import Counter
from dataclasses import dataclass

from serving import Gateway

from gateway import settings, wire


@dataclass
class Ledger:
    """What the store holds in the end."""

    messages: Counter[str]  # external id to number of customers' messages on tickets
    comments: Counter[str]  # colleagues' words to how often they stand somewhere
    tickets: int
    numbers: list[str]
    undecided: list[str]  # tickets without a decision, or whose rules did not run
    unacknowledged: list[str]
    aside: int
    worked: dict[str, dict[str, int]]  # what was done for tickets about invoices, by number


def lost(accepted: set[str], ledger: Ledger) -> set[str]:
    """What a sender was told is ours, and is nowhere. (A chat's batch is accepted under the id of its newest message.)"""
    return {
        identity
        for identity in accepted
        if f"{identity}@example.cn" not in ledger.messages and identity not in ledger.messages
    }


async def count(gateway: Gateway) -> Ledger:
    os.environ.update(gateway.environment)
    configured = settings.read(gateway.config)
    store = await wire.open_store(configured)
    messages: Counter[str] = Counter()
    comments: Counter[str] = Counter()
    numbers, undecided, unacknowledged = [], [], []
    worked: dict[str, dict[str, int]] = {}
    try:
        after = ""
        while page := await store.tickets(after=after, limit=200):
            for ticket, _ in page:
                numbers.append(ticket.number)
                said = await store.messages(ticket.id)
                messages.update(message.external_id for message in said if message.direction == "in")
                comments.update(message.text for message in said if message.visibility == "internal")
                decisions = await store.decisions(ticket.id)
                if not decisions or not decisions[0].fired:
                    undecided.append(ticket.number)
                if "发票怎么开" in ticket.description:
                    rang = sum(one.case.trigger == "timer.invoice" for one in decisions)
                    worked[ticket.number] = {"tasks": len(ticket.tasks), "rang": rang, "waits": len(ticket.waits)}
                if ticket.acked_at is None:
                    unacknowledged.append(ticket.number)
            after = page[-1][0].number
        aside = len(await store.quarantine(limit=10_000))
    finally:
        await store.close()
    return Ledger(messages, comments, len(numbers), numbers, undecided, unacknowledged, aside, worked)
