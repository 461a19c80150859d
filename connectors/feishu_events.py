"""Events as Feishu posts them: opened with the Encrypt Key, proven by signature or Verification Token, and named.

    encrypted   {"encrypt": base64 of IV and AES-256-CBC}; the key is SHA-256 of the Encrypt Key
    signature   X-Lark-Signature = SHA-256 of timestamp, nonce, Encrypt Key and the body as it came, in hex
    token       the Verification Token inside, which is all there is without an Encrypt Key

open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/request-url-configuration-case
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from connectors.reading import json_of, within, word
from normalizer.errors import Rejected, Unreadable

BLOCK = 16  # octets of AES
CHALLENGE = "url_verification"

_TAG = re.compile(r"</?(?:at|p|figure|img|br)\b[^<>]{0,1000}>", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]{10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """What was posted, once it is open. `id` never repeats but for redeliveries."""

    id: str
    type: str  # im.message.receive_v1, card.action.trigger, ...; of the first version its own words: message
    app: str
    token: str
    said: Mapping[str, Any]  # the event itself
    challenge: str = ""
    sealed: bool = False  # it came encrypted


def opened(body: bytes, keys: Sequence[str]) -> Event:
    """The event in a body of either version. Raises Unreadable."""
    posted = json_of(body)
    sealed = isinstance(posted, dict) and isinstance(posted.get("encrypt"), str)
    if sealed:
        posted = _decrypted(posted["encrypt"], keys)
    if not isinstance(posted, dict):
        raise Unreadable("not the JSON object of an event", code="malformed")
    if "schema" in posted or "header" in posted:
        head, id_name, type_name = within(posted, "header"), "event_id", "event_type"
    else:
        head, id_name, type_name = {**within(posted, "event"), **posted}, "uuid", "type"
    kind = word(head, type_name)
    if kind == "event_callback":
        kind = word(within(posted, "event"), "type")
    return Event(
        id=word(head, id_name),
        type=kind,
        app=word(head, "app_id"),
        token=word(head, "token"),
        said=_as_now(within(posted, "event"), word(posted, "ts").partition(".")[0])
        if kind == "message"
        else within(posted, "event"),
        challenge=word(posted, "challenge"),
        sealed=sealed,
    )


def _as_now(said: Mapping[str, Any], at: str) -> Mapping[str, Any]:
    """A message of the first version in the words of the second, as far as they are read."""
    kind, text = word(said, "msg_type"), _plain(word(said, "text_without_at_bot", "text"))
    passed_on, pictures = said.get("msg_list"), said.get("image_keys")
    if isinstance(passed_on, list):
        lines = [_plain(word(one, "title", "text")) or f"[{word(one, 'msg_type')}]" for one in passed_on]
        kind, text = "text", "\n".join(["[合并转发]", *lines])
    post: list[list[Any]] = [[{"tag": "text", "text": text}]]
    post += [[{"tag": "img", "image_key": one}] for one in (pictures if isinstance(pictures, list) else ())]
    message = {
        "message_id": said.get("open_message_id"),
        "chat_id": said.get("open_chat_id"),
        "chat_type": "p2p" if said.get("chat_type") == "private" else said.get("chat_type"),
        "message_type": kind,
        "create_time": at,
        "root_id": said.get("root_id"),
        "parent_id": said.get("parent_id"),
        "mentions": [{"key": "self", "mentioned_type": "self"}] if said.get("is_mention") is True else [],
        "content": {"title": said.get("title"), "content": post} if kind == "post" else {**said, "text": text},
    }
    ids = {"open_id": said.get("open_id"), "union_id": said.get("union_id"), "user_id": said.get("employee_id")}
    return {"message": message, "sender": {"sender_id": ids, "sender_type": "user"}}


def _plain(text: str) -> str:
    """Mentions and paragraphs are tags in texts of the first version."""
    return _TAG.sub("", text.replace("</p>", "\n")).strip()


def _decrypted(encrypted: str, keys: Sequence[str]) -> Any:
    try:
        raw = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("`encrypt` is not base64", code="malformed") from None
    for key in keys:
        try:
            return orjson.loads(decrypt(raw, key))
        except ValueError:  # another key's
            continue
    raise Unreadable("encrypted with a key that is not in encrypt_key" if keys else "encrypted: encrypt_key is needed")


def decrypt(raw: bytes, key: str) -> bytes:
    """The plain octets. Raises ValueError if it was another key."""
    if len(raw) < 2 * BLOCK or len(raw) % BLOCK:
        raise ValueError("not whole blocks")
    cipher = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(raw[:BLOCK])).decryptor()
    padded = cipher.update(raw[BLOCK:]) + cipher.finalize()
    unpadder = PKCS7(BLOCK * 8).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def prove(headers: Mapping[str, str], body: bytes, event: Event, keys: Sequence[str], tokens: Sequence[str]) -> None:
    """Raise Rejected unless this is Feishu speaking. With an Encrypt Key nothing but its signature counts.

    A plain SHA-256 can be prolonged by who has seen one: that the body is a single JSON value was checked before.
    """
    if not (keys or tokens):
        raise Rejected("nothing is known that could prove it: give encrypt_key or verification_token")
    if keys and not _signed(headers, body, keys):
        raise Rejected("X-Lark-Signature is missing or wrong: is encrypt_key that of the app?")
    if tokens and not known(event.token, tokens):
        raise Rejected("the Verification Token is missing or wrong")


def _signed(headers: Mapping[str, str], body: bytes, keys: Sequence[str]) -> bool:
    timestamp, nonce = headers.get("x-lark-request-timestamp", ""), headers.get("x-lark-request-nonce", "")
    offered = headers.get("x-lark-signature", "")
    if not (_SECONDS.fullmatch(timestamp) and nonce.isascii() and offered.isascii()):
        return False
    return known(offered, [signature(timestamp, nonce, key, body) for key in keys])


def signature(timestamp: str, nonce: str, key: str, body: bytes) -> str:
    return hashlib.sha256((timestamp + nonce + key).encode() + body).hexdigest()


def known(offered: str, wanted: Sequence[str]) -> bool:
    """In constant time."""
    return bool(sum(hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), one.encode()) for one in wanted))
