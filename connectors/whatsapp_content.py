"""What a WhatsApp message holds, type by type, in words and files.

One page for each: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/text
and so on. What has no words of its own is said in a few, so that nobody's message is empty.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from connectors.nested import inside, listed, needed, said
from connectors.reading import kept, words
from normalizer.canon import Attachment, Kind
from normalizer.errors import Unreadable

MEDIA = ("image", "video", "audio", "document", "sticker")


@dataclass(frozen=True, slots=True)
class Content:
    """What a message of some type holds."""

    text: str = ""
    files: tuple[Attachment, ...] = ()
    kind: Kind = Kind.MESSAGE
    about: str = ""  # the message it is about
    claims: Mapping[str, str] = field(default_factory=dict)


def content_of(number: str, sort: str, one: Any) -> Content:
    """Raises Unreadable. `number` is the id of ours it was written to: its token opens the files."""
    body = inside(one, sort)
    match sort:
        case "text":
            return Content(said(body, "body") or "[空消息 empty message]")
        case "contacts":
            return Content("\n".join(map(_card, listed(one, "contacts"))) or "[联系人 contact]")
        case "location":
            return Content(f"[位置 location] {_place(body)}")
        case "reaction":
            return Content(said(body, "emoji"), kind=Kind.REACTION, about=said(body, "message_id"))
        case "button":
            return _chosen(said(body, "payload"), said(body, "text"))
        case "interactive":
            return _interactive(body)
        case "order":
            items = [_item(item) for item in listed(body, "product_items")]
            return Content("\n".join(filter(None, ["[订单 order]", *items, said(body, "text")])))
        case "system" | "request_welcome":
            return Content(said(body, "body") or "[打开会话 opened the chat]", kind=Kind.AUTO_REPLY)
        case "revoke":
            needed(body, "original_message_id")
            return Content(kind=Kind.DELETE)
        case "edit":
            return _edited(number, body)
        case _ if sort in MEDIA:
            return _media(number, sort, body)
    why = said(next(iter(listed(one, "errors")), {}), "title")
    return Content(" ".join(filter(None, ["[不支持的消息 unsupported message]", said(body, "type") or sort, why])))


def _edited(number: str, body: Mapping[str, Any]) -> Content:
    needed(body, "original_message_id")
    now = inside(body, "message")
    if (sort := said(now, "type")) in ("edit", "revoke"):
        raise Unreadable("an edit of an edit")
    content = content_of(number, sort, now)
    return Content(content.text, content.files, Kind.EDIT)


def _media(number: str, sort: str, body: Mapping[str, Any]) -> Content:
    media_type = said(body, "mime_type").replace("\\/", "/").partition(";")[0].strip().lower()
    stem = "voice" if body.get("voice") is True else sort
    name = said(body, "filename").replace("\\", "/").rpartition("/")[2] or stem + (
        mimetypes.guess_extension(media_type) or ""
    )
    if not (media := said(body, "id")):
        return Content(said(body, "caption") or f"[{sort}]")
    file = Attachment(name[:255], media_type or "application/octet-stream", 0, "", remote=f"{number}/{media}")
    return Content(said(body, "caption"), (file,))


def _interactive(body: Mapping[str, Any]) -> Content:
    sort = said(body, "type")
    answer = inside(body, sort)
    match sort:
        case "button_reply" | "list_reply":
            return _chosen(said(answer, "id"), said(answer, "title"))
        case "nfm_reply":
            filled = _filled(said(answer, "response_json"))
            lines = [f"{name}: {value}" for name, value in filled.items()]
            return Content("\n".join(lines) or said(answer, "body") or "[表单 form]", claims=filled)
        case "call_permission_reply":
            response = said(answer, "response")
            return _chosen(f"call_permission:{response}", f"[通话许可 call permission] {response}")
    return Content(f"[不支持的消息 unsupported message] {sort}".rstrip())


def _chosen(code: str, label: str) -> Content:
    return Content(label or code or "[按钮 button]", kind=Kind.POSTBACK, claims=kept([("choice", code)]))


def _filled(encoded: str) -> dict[str, str]:
    """What was filled into a form (a Flow), without the token that only says which one."""
    try:
        form = orjson.loads(encoded)
    except orjson.JSONDecodeError:
        return {}
    names = (name for name in form if name not in ("flow_token", "choice")) if isinstance(form, dict) else ()
    return kept((words(name, "name"), said(form, name)) for name in names)


def _card(card: Any) -> str:
    phones = [said(phone, "phone") or said(phone, "wa_id") for phone in listed(card, "phones")]
    emails = [said(email, "email") for email in listed(card, "emails")]
    name = said(inside(card, "name"), "formatted_name")
    return " ".join(filter(None, ["[联系人 contact]", name, *phones, *emails]))


def _place(body: Mapping[str, Any]) -> str:
    point = ",".join(filter(None, (said(body, "latitude"), said(body, "longitude"))))
    return " ".join(filter(None, (said(body, "name"), said(body, "address"), point)))


def _item(item: Any) -> str:
    price = " ".join(filter(None, (said(item, "item_price"), said(item, "currency"))))
    return " ".join(filter(None, (said(item, "product_retailer_id"), f"x{said(item, 'quantity') or 1}", price)))
