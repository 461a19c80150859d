"""Waits: what rules want done after a while, and what may happen before so that it is not."""

from collections.abc import Mapping
from dataclasses import replace

from engine.decision import Fact, Trigger
from engine.thread import SPEAKING
from normalizer.canon import Message, Ticket

Changed = Mapping[str, tuple[Fact, Fact]]


def ended(
    ticket: Ticket, trigger: Trigger, message: Message | None, changed: Changed
) -> tuple[Ticket, tuple[str, ...]]:
    """The ticket without the waits that this ends, and their names."""
    if not ticket.waits:
        return ticket, ()
    happened = _happened(trigger, message, changed)
    left = tuple(wait for wait in ticket.waits if happened.isdisjoint(wait.unless))
    return replace(ticket, waits=left), tuple(wait.name for wait in ticket.waits if wait not in left)


def _happened(trigger: Trigger, message: Message | None, changed: Changed) -> set[str]:
    """In the words of `unless`."""
    match trigger:
        case "message.received" | "message.completed":
            spoke = message and message.kind in SPEAKING and (message.direction, message.author) == ("in", "customer")
            return {"customer_speaks"} if spoke else set()
        case "agent.replied":
            return {"agent_replies"}
        case "ticket.updated":
            return {"ticket_updated"}
        case "task.updated":
            return {"task_done"} if changed.get("task.status", ("", ""))[1] == "done" else set()
        case _:
            return set()
