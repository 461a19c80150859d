"""What is asked of the vendors' payloads: does a message come out where a customer said something, and whose is it?

Measured is what `ticketgate normalize CHANNEL FILE` prints. Vendors' own names stand in `expected`; here they are mapped.
"""

import json
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


def signatures(folder: Path) -> Iterator[tuple[str, bool, str]]:
    """The vendors' published examples: what they say is right passes, and nothing else."""
    for name, found in (("twilio", _twilio), ("slack", _slack), ("wechat_crypto", _wechat)):
        for what, right in found(json.loads((folder / f"{name}_published.json").read_text("utf-8"))):
            yield "signatures", right, f"{name} {what}"


def _twilio(known: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    from connectors.twilio_signature import valid

    for one in known["vectors"]:
        said = one["body"].encode() if "body" in one else [(name, value) for name, value in one["params"]]
        signed = (one["auth_token"], one["url"], said)
        yield one["name"], valid(*signed, one["signature"]) == one["valid"]
        yield f"{one['name']}, other token", not valid("x" + one["auth_token"], *signed[1:], one["signature"])


def _slack(known: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    from connectors.slack import signature

    body = known["body"].encode()
    yield "example", signature(known["signing_secret"], known["timestamp"], body) == known["signature"]
    yield "other body", signature(known["signing_secret"], known["timestamp"], body + b"&") != known["signature"]


def _wechat(known: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    from connectors.wechat_crypto import aes_key, decrypt, encrypt, fields, signature

    token, key, receiver = known["token"], aes_key(known["encoding_aes_key"]), known["corp_id"]
    echo, sealed, opened = known["echo"], known["encrypt_fixed_random"], known["decrypt"]
    for nonce, right in ((echo["nonce"], True), (echo["invalid_nonce"], False)):
        made = signature(token, echo["timestamp"], nonce, echo["echo_str"])
        yield f"echo {right}", (made == echo["signature"]) is right
    yield "echo opened", decrypt(key, echo["echo_str"], receiver).isdigit()
    words = fields(opened["xml"].encode())["Encrypt"]
    yield "mac", signature(token, opened["timestamp"], opened["nonce"], words) == opened["msg_signature"]
    said = fields(decrypt(key, words, receiver))
    yield "opened", {name: said[name] for name in opened["expected"]} == opened["expected"]
    wanted = fields(sealed["expected_xml"].encode())
    made = encrypt(key, sealed["plain"].encode(), receiver, sealed["random16"].encode())
    yield "sealed", made == wanted["Encrypt"]
    yield "sealed mac", signature(token, sealed["timestamp"], sealed["nonce"], made) == wanted["MsgSignature"]
