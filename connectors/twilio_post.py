"""What Twilio posts: a message that came in, or what became of one of ours.

https://www.twilio.com/docs/messaging/guides/webhook-request and .../guides/track-outbound-message-status. A form, or
JSON with the same names (Event Streams writes them with a small letter, under `data`). Twilio gives no time of a
message. Everything may be missing.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from connectors.reading import json_of, kept, moment, words
from connectors.twilio_api import WHY
from normalizer.canon import Address, Attachment, Channel, Envelope, Kind, Message, Returned
from normalizer.errors import Unreadable

FILES = 20
PREFIXED: Mapping[str, tuple[Channel, str]] = {"whatsapp": ("whatsapp", "phone")}  # others stay as they are written
CLAIMS = {
    "referral_url": "ReferralSourceUrl", "referral_type": "ReferralSourceType", "referral_id": "ReferralSourceId",
    "referral_headline": "ReferralHeadline", "referral_body": "ReferralBody", "referral_click": "ReferralCtwaClid",
}  # fmt: skip
# https://help.twilio.com/articles/223134027: Twilio answers these itself, where it does not say so by OptOutType too.
# YES is left out, since it may answer a question.
OPT_OUT = {
    **dict.fromkeys(("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"), "stop"),
    **dict.fromkeys(("START", "UNSTOP"), "start"),
    **dict.fromkeys(("HELP", "INFO"), "help"),
}

Said = Mapping[str, str]


def is_json(body: bytes) -> bool:
    return body.lstrip()[:1] in (b"{", b"[")


def posted(body: bytes) -> Iterator[Said]:
    """What stands in a body: one thing of a form, any number in JSON. Raises Unreadable for what is neither."""
    if not is_json(body):
        text = body.strip().decode("utf-8", "replace")
        yield {name: words(value, name) for name, value in reversed(parse_qsl(text, keep_blank_values=True))}
        return
    found = json_of(body)
    for one in found if isinstance(found, list) else [found]:
        inner = one.get("data", one) if isinstance(one, dict) else None
        if not isinstance(inner, dict):
            raise Unreadable("not the JSON object of a message")
        plain = {name: value for name, value in inner.items() if isinstance(value, str | int | float)}
        yield {name[:1].upper() + name[1:]: words(str(value), name) for name, value in plain.items()}


def first(body: bytes) -> Said:
    """The first thing in it; nothing if that cannot be read."""
    try:
        return next(posted(body), {})
    except Unreadable:
        return {}


def sid(said: Said) -> str:
    return said.get("MessageSid") or said.get("SmsMessageSid") or said.get("SmsSid") or ""


def status(said: Said) -> str:
    """Of one of ours; empty for what came in."""
    found = (said.get("MessageStatus") or said.get("SmsStatus") or "").lower()
    return "" if found in ("received", "receiving") else found


def customer(said: Said) -> str:
    """Who it is about, as Twilio writes it: whatsapp:+86..."""
    found = said.get("To" if status(said) else "From", "")
    return found or ("whatsapp:+" + said["WaId"] if said.get("WaId") else "")


def messages(envelope: Envelope, part: int, said: Said) -> list[Message]:
    """A message, news that one of ours failed, or nothing. Raises Unreadable."""
    if not sid(said):
        raise Unreadable("no MessageSid: neither a message nor news of one")
    if status(said) not in ("", "failed", "undelivered"):
        return []
    if not customer(said):
        raise Unreadable("it does not say whose it is")
    ours = said.get("From" if status(said) else "To", "")
    channel, sender = _address(customer(said), "" if status(said) else said.get("ProfileName", ""))
    common: dict[str, Any] = {
        "channel": channel, "connector": envelope.connector, "account": envelope.account,
        "scope": said.get("AccountSid", ""), "external_id": sid(said), "envelope": envelope.id, "part": part,
        "sender": sender, "received_at": envelope.received_at, "to": (_address(ours)[1],) if ours else (),
        "thread_key": customer(said), "proven": True, "sent_at": moment(said.get("Timestamp")),
    }  # fmt: skip
    return [Message(**common, **(_failed(said, sender) if status(said) else _spoken(said)))]


def _spoken(said: Said) -> dict[str, Any]:
    choice = said.get("ButtonPayload") or said.get("ListId") or ""
    label = said.get("ButtonText") or said.get("ListTitle") or ""
    body = (label if choice else "") or said.get("Body", "")
    opted = _opted(said)
    files = tuple(_files(said))
    text = "\n".join(line for line in (body, _place(said)) if line.strip())
    kind = said.get("MessageType", "")
    if not text and not files and kind not in ("", "text"):
        text = f"[{kind}]"
    return {
        "kind": Kind.POSTBACK if choice else Kind.REACTION if kind == "reaction" else Kind.MESSAGE,
        "text": text,
        "full_text": text,
        "attachments": files,
        "in_reply_to": said.get("OriginalRepliedMessageSid", ""),
        "answerable": not opted,
        "claims": kept(
            [("choice", choice), ("opt_out", opted), *((ours, said.get(name, "")) for ours, name in CLAIMS.items())]
        ),
    }


def _opted(said: Said) -> str:
    """stop, start or help, if that is all they say. On WhatsApp HELP and START are answered by nobody but us."""
    if found := said.get("OptOutType"):
        return found.lower()
    word = OPT_OUT.get(said.get("Body", "").strip().upper(), "")
    return word if word == "stop" or ":" not in said.get("From", "") else ""


def _failed(said: Said, customer: Address) -> dict[str, Any]:
    code = said.get("ErrorCode", "")
    why = said.get("ErrorMessage") or WHY.get(int(code) if code.isdecimal() and len(code) < 6 else 0, "")
    return {
        "kind": Kind.DELIVERY_NOTICE,
        "author": "system",
        "revision": status(said),
        "answerable": False,
        "returned": Returned(recipients=(customer,), status=code, of=(sid(said),), diagnostic=why or status(said)),
    }


def _files(said: Said) -> Iterator[Attachment]:
    """MediaUrl0, MediaUrl1, ...; they have no names but their ids."""
    for n in range(FILES):
        if url := said.get(f"MediaUrl{n}"):
            kind = said.get(f"MediaContentType{n}", "").partition(";")[0].strip().lower()
            ending = kind.rpartition("/")[2]
            name = url.rpartition("/")[2][:100] + (f".{ending}" if ending.isalnum() and len(ending) < 6 else "")
            yield Attachment(name, kind or "application/octet-stream", 0, "", remote=url)


def _place(said: Said) -> str:
    if not (said.get("Latitude") and said.get("Longitude")):
        return ""
    named = [said.get(name, "") for name in ("Label", "Address")]
    where = f"{said['Latitude']},{said['Longitude']}"
    return " ".join(part for part in ("[位置 Location]", *named, where) if part)


def _address(written: str, name: str = "") -> tuple[Channel, Address]:
    prefix, _, rest = written.rpartition(":")
    channel, kind = PREFIXED.get(prefix, ("sms", "phone"))
    number = rest if prefix in PREFIXED else written
    # A form written by hand has + for +, which means a blank.
    return channel, Address(kind, "+" + number[1:] if number[:1] == " " else number, name)
