"""What is asked of the vendors' payloads: does a message come out where a customer said something, and whose is it?

Measured is what `ticketgate normalize CHANNEL FILE` prints. Vendors' own names stand in `expected`; here they are mapped.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gateway import mind, settings
from gateway.attempt import Reader

CONFIG = Path(__file__).resolve().parents[2] / "config" / "ticketgate.yaml"


@dataclass(frozen=True)
class Said:
    """A message that should come out. None: the corpus does not say."""

    id: str | None = None
    sender: str | None = None
    text: str | None = None


def telegram(expected: Mapping[str, Any]) -> list[Said]:
    if not expected["is_customer_message"]:
        return []
    return [Said(_word(expected.get("message_id")), _word(expected.get("from_id")), expected.get("text"))]


def whatsapp(expected: Mapping[str, Any]) -> list[Said]:
    return [Said(one["id"], one["from"], one["text"]) for one in expected["messages"]]


def messenger(expected: Mapping[str, Any]) -> list[Said]:
    said = [event for event in expected["events"] if event["is_customer_message"]]
    return [Said(event["mid"], _word(event["sender"]), event["text"]) for event in said]


def line(expected: Mapping[str, Any]) -> list[Said]:
    said = [event for event in expected["events"] if event["is_customer_message"]]
    return [Said(event["message_id"], event["user_id"], event["text"]) for event in said]


def slack(expected: Mapping[str, Any]) -> list[Said]:
    return [Said(None, expected.get("user"), expected.get("text"))] if expected["is_customer_message"] else []


def discord(expected: Mapping[str, Any]) -> list[Said]:
    return [Said(expected["id"], None, expected["content"])] if expected["is_message"] else []


def wechat(expected: Mapping[str, Any]) -> list[Said]:
    if not expected["is_customer_message"]:
        return []
    return [
        Said(expected.get("MsgId"), expected["FromUserName"], expected.get("Content") or expected.get("Recognition"))
    ]


VENDORS: Mapping[str, Callable[[Mapping[str, Any]], list[Said]]] = {
    "telegram": telegram, "whatsapp": whatsapp, "messenger": messenger, "line": line, "slack": slack,
    "discord": discord, "wechat": wechat,
}  # fmt: skip


@cache
def _mind() -> mind.Mind:
    return mind.read(settings.read(CONFIG))


def verdicts(case: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, bool, str]]:
    """(aspect, right or not, what was said) for one payload."""
    channel = case["channel"]
    raw = (folder / case["input"]).read_bytes()
    try:
        got = [
            one
            for one in Reader(_mind().configured, channel, known=_mind()).printed(case["input"], raw)
            if "unreadable" not in one
        ]
    except Exception as e:  # a failure is a figure here, not the end
        yield f"{channel} survives", False, f"{case['id']}: {e!r}"
        return
    yield f"{channel} survives", True, ""
    wanted = VENDORS[channel](case["expected"])
    told = [(one["external_id"], one["from"]["address"], one["text"]) for one in got]
    yield f"{channel} message or not", len(got) == len(wanted), f"{case['id']}: got {told} wanted {wanted}"
    for said, one in zip(wanted, got, strict=False):
        if said.id is not None:
            yield (
                f"{channel} id",
                one["external_id"] == said.id,
                f"{case['id']}: got {one['external_id']} wanted {said.id}",
            )
        if said.sender is not None:
            address = one["from"]["address"]
            right = address.removeprefix("+") == said.sender or address.rpartition("/")[2] == said.sender
            yield f"{channel} sender", right, f"{case['id']}: got {address} wanted {said.sender}"
        if said.text:
            yield f"{channel} text", one["text"] == said.text, f"{case['id']}: got {one['text']!r} wanted {said.text!r}"


def _word(value: Any) -> str | None:
    return None if value is None else str(value)
