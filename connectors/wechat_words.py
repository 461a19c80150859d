"""What a message of 微信 or 企业微信 says: its words, its files, and which button was pressed; and how ours is put.

The XML of 公众号, 小程序 and 企业微信应用 has the same types and names. Types nobody knows say nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.reading import kept, moment
from connectors.vendor import pieces
from normalizer.canon import Attachment, Choice, Kind, Reply
from normalizer.charset import clean

LONGEST = 2048  # octets of a text
LONGEST_HEAD = 1024  # octets of the words above buttons
MOST_CHOICES = 10
FILES = {  # name and media type where the vendor gives none
    "image": ("image.jpg", "image/jpeg"),
    "voice": ("voice.amr", "audio/amr"),
    "video": ("video.mp4", "video/mp4"),
    "shortvideo": ("video.mp4", "video/mp4"),
    "file": ("file", "application/octet-stream"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said or pressed. `choice` is the code of a button."""

    kind: Kind
    text: str
    attachments: tuple[Attachment, ...] = ()
    choice: str = ""


def said(fields: Mapping[str, str], menu: Mapping[str, str]) -> Said | None:
    """Of a message's XML; None if nobody says anything in it. `menu`: keys of the account's menu that are for people.

    developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html
    """
    field = {name: clean(value).strip() for name, value in fields.items()}
    match field.get("MsgType", ""):
        case "text":
            return pressed(field.get("Content", ""), field.get("bizmsgmenuid", ""))
        case "image" | "voice" | "video" | "shortvideo" as kind:
            files = file(kind, field.get("MediaId", ""), field.get("PicUrl", ""))
            return Said(Kind.MESSAGE, field.get("Recognition", ""), files)
        case "location":
            return Said(Kind.MESSAGE, place(field.get("Label", ""), field.get("Location_X"), field.get("Location_Y")))
        case "link":
            return Said(Kind.MESSAGE, lines(field.get("Title"), field.get("Description"), field.get("Url")))
        case "miniprogrampage":
            return Said(Kind.MESSAGE, f"[小程序] {field.get('Title', '')}".strip())
        case "file":  # 公众号 tell of it, and give no way to have it
            return Said(Kind.MESSAGE, f"[文件] {field.get('Title', '')}".strip())
        case "event":
            return _event(field, menu)
    return None


def _event(field: Mapping[str, str], menu: Mapping[str, str]) -> Said | None:
    """Menu clicks the account names, and buttons of a template card of ours."""
    key = field.get("EventKey", "")
    match field.get("Event", "").lower():
        case "click" if key in menu:
            return Said(Kind.POSTBACK, menu[key], choice=key)
        case "template_card_event" if key:
            code, _, label = key.partition(" ")
            return Said(Kind.POSTBACK, label or code, choice=code)
    return None  # following, scanning, viewing, paying and the like say nothing


def pressed(text: str, code: str) -> Said:
    """Words, or a button's: its label comes as the text, its code beside it."""
    return Said(Kind.POSTBACK, text, choice=code) if code else Said(Kind.MESSAGE, text)


def file(kind: str, media_id: str, url: str = "") -> tuple[Attachment, ...]:
    """A file left behind: a picture by its URL, which needs no token, all else by its id."""
    name, media_type = FILES[kind]
    remote = url if url.startswith(("http://", "https://")) else media_id
    return (Attachment(name, media_type, 0, "", remote=remote[:2048], missing="" if remote else "gone"),)


def place(label: str, latitude: object, longitude: object) -> str:
    at = ",".join(str(one) for one in (latitude, longitude) if isinstance(one, str | int | float) and one != "")
    return " ".join(one for one in ("[位置]", label, at) if one)


def lines(*parts: object) -> str:
    return "\n".join(dict.fromkeys(part for part in parts if isinstance(part, str) and part))


def sent_at(created: object) -> datetime | None:
    return moment(created) if created else None


def claims(of: Said) -> dict[str, str]:
    return kept([("choice", of.choice)])


# Ours


def bodies(reply: Reply) -> list[dict[str, Any]]:
    """What the API is told: texts, and the last of them with buttons if there are choices."""
    text, offered = reply.text.strip(), buttons(reply.choices)
    if not offered:
        return [{"msgtype": "text", "text": {"content": piece}} for piece in pieces(text, LONGEST, octets)]
    *front, head = pieces(text, LONGEST_HEAD, octets) or [""]
    menu = {"head_content": head, "list": offered, "tail_content": ""}
    return [*({"msgtype": "text", "text": {"content": one}} for one in front), {"msgtype": "msgmenu", "msgmenu": menu}]


def buttons(choices: Sequence[Choice]) -> list[dict[str, str]]:
    return [{"id": choice.code, "content": choice.label} for choice in choices[:MOST_CHOICES]]


def passive_words(reply: Reply) -> str:
    """A passive reply has no buttons: choices are links that say the words for them, as the API's menu does."""
    links = [link(choice) for choice in reply.choices]
    return "\n\n".join(part for part in (reply.text.strip(), "\n".join(links)) if part)


def link(choice: Choice) -> str:
    label = choice.label.translate(str.maketrans("", "", "<>&\"'"))
    return f'<a href="weixin://bizmsgmenu?msgmenucontent={label}&msgmenuid={choice.code}">{label}</a>'


def octets(text: str) -> int:
    """What lengths are counted in here."""
    return len(text.encode("utf-8", "surrogatepass"))
