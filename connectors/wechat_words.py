"""What a message of 微信 or 企业微信 says: its words, its files, and which button was pressed.

The XML of 公众号, 小程序 and 企业微信应用 has the same types and names. Types nobody knows say nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.reading import kept, moment
from connectors.wechat_replies import chosen
from normalizer.canon import Address, Attachment, Channel, Envelope, Kind, Message
from normalizer.charset import clean
from normalizer.errors import Unreadable

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


def message(
    envelope: Envelope, field: Mapping[str, str], channel: Channel, menu: Mapping[str, str], ours: str
) -> Message | None:
    """The message in these fields; None if nobody says anything. `ours`: who they wrote to. Raises Unreadable."""
    if not field.get("MsgType"):
        raise Unreadable("no MsgType in it")
    speech = said(field, menu)
    if speech is None:
        return None
    sender, created = word(field, "FromUserName"), word(field, "CreateTime")
    if not sender:
        raise Unreadable("no FromUserName in it")
    return Message(
        channel=channel,
        connector=envelope.connector,
        account=envelope.account,
        external_id=external_id(field) or envelope.id,
        sender=Address(channel, sender),
        received_at=envelope.received_at,
        envelope=envelope.id,
        scope=word(field, "ToUserName"),
        to=(Address(channel, ours),) if ours else (),
        sent_at=moment(created) if created else None,
        kind=speech.kind,
        thread_key=sender if channel == "wechat" else f"{ours}:{sender}",
        text=speech.text,
        full_text=speech.text,
        attachments=speech.attachments,
        proven=True,
        claims=kept([("choice", speech.choice)]),
    )


def external_id(field: Mapping[str, str]) -> str:
    """MsgId; of an event who did what when, since it has none."""
    if named := word(field, "MsgId"):
        return named
    told = [word(field, name) for name in ("FromUserName", "CreateTime", "Event", "EventKey", "TaskId")]
    return "-".join(one for one in told if one) if all(told[:3]) else ""


def word(field: Mapping[str, str], name: str) -> str:
    return clean(field.get(name, "")).strip()


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
            code, label = chosen(key)
            return Said(Kind.POSTBACK, label, choice=code)
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
