"""微信客服: what `kf/sync_msg` lists, each item read as a message.

    origin 3   the customer        origin 4   an event        origin 5   a colleague, in 企业微信 itself

developer.work.weixin.qq.com/document/path/94670. Kinds nobody knows are named, so that no customer is lost.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectors.reading import kept, moment, words
from connectors.wechat_words import Said, file, lines, place, pressed
from normalizer.canon import Address, Envelope, Kind, Message, Returned
from normalizer.errors import Unreadable

CUSTOMER, COLLEAGUE = 3, 5
TITLED = {  # kinds that are shown as a card: what it is, and where its title stands
    "business_card": ("名片", ("userid",)),
    "miniprogram": ("小程序", ("title",)),
    "channels_shop_product": ("商品", ("title", "product_id")),
    "channels_shop_order": ("订单", ("order_id", "product_titles")),
    "channels": ("视频号", ("nickname", "title")),
    "merged_msg": ("聊天记录", ("title",)),
    "note": ("笔记", ()),
}
FAILURES = {
    "0": "unknown reason", "1": "the 客服帐号 was deleted", "2": "the app was switched off",
    "4": "they last wrote more than 48 hours ago", "5": "the conversation is closed",
    "6": "more than 5 messages since they last wrote", "7": "视频号 is not bound", "8": "the company is not verified",
    "10": "they refused it", "11": "no colleague ever signed in to the 企业微信 app",
    "12": "of a kind that may not be sent",
    "13": "held back for safety",
}  # fmt: skip


def message(envelope: Envelope, item: Any) -> Message | None:
    """One item of the list; None if nobody says anything in it. Raises Unreadable."""
    if not isinstance(item, dict) or not isinstance(item.get("msgtype"), str):
        raise Unreadable("an item without msgtype")
    if item["msgtype"] == "event":
        return _event(envelope, item, _part(item, "event"))
    if item.get("origin") not in (CUSTOMER, COLLEAGUE):
        raise Unreadable("an item of unknown origin")
    customer, kfid = _text(item, "external_userid"), _text(item, "open_kfid")
    named = _text(item, "msgid")
    if not (customer and named):
        raise Unreadable("an item without msgid or external_userid")
    said = spoken(item["msgtype"], _part(item, item["msgtype"]))
    heard = replace(
        _base(envelope, item, kfid, customer, named),
        kind=said.kind, text=said.text, full_text=said.text, attachments=said.attachments,
        claims=kept([("choice", said.choice)]),
    )  # fmt: skip
    return heard if item["origin"] == CUSTOMER else _by_colleague(heard, _text(item, "servicer_userid"))


def spoken(kind: str, part: Mapping[str, Any]) -> Said:
    match kind:
        case "text":
            return pressed(_text(part, "content"), _text(part, "menu_id"))
        case "image" | "voice" | "video" | "file":
            return Said(Kind.MESSAGE, "", file(kind, _text(part, "media_id")))
        case "location":
            label = " ".join(filter(None, (_text(part, "name"), _text(part, "address"))))
            return Said(Kind.MESSAGE, place(label, part.get("latitude"), part.get("longitude")))
        case "link":
            return Said(Kind.MESSAGE, lines(*(_text(part, name) for name in ("title", "desc", "url"))))
    what, names = TITLED.get(kind, (kind[:40], ()))
    return Said(Kind.MESSAGE, " ".join([f"[{what}]", *filter(None, (_text(part, name) for name in names))]))


def _event(envelope: Envelope, item: Mapping[str, Any], event: Mapping[str, Any]) -> Message | None:
    """Taken back, or not delivered. Others (coming in, a colleague's shift, who serves whom) say nothing."""
    customer, kfid = _text(event, "external_userid"), _text(event, "open_kfid") or _text(item, "open_kfid")
    taken_back = _text(event, "recall_msgid")
    match event.get("event_type"):
        case "user_recall_msg" | "servicer_recall_msg" as kind if taken_back and customer:
            gone = replace(
                _base(envelope, item, kfid, customer, taken_back), kind=Kind.DELETE, revision="deleted",
            )  # fmt: skip
            return gone if kind == "user_recall_msg" else _by_colleague(gone, _text(event, "servicer_userid"))
        case "msg_send_fail" if customer:
            failed, status = _text(event, "fail_msgid"), _text(event, "fail_type")
            found = Returned(
                (Address("wecom", customer),), status, of=(failed,) if failed else (),
                diagnostic=FAILURES.get(status, "unknown reason"),
            )  # fmt: skip
            named = _text(item, "msgid") or f"{failed}-{status}"
            return replace(_base(envelope, item, kfid, customer, named), kind=Kind.DELIVERY_NOTICE, returned=found)
    return None


def _base(envelope: Envelope, item: Mapping[str, Any], kfid: str, customer: str, named: str) -> Message:
    return Message(
        channel="wecom",
        connector=envelope.connector,
        account=envelope.account,
        external_id=named,
        sender=Address("wecom", customer, _text(item, "nickname")),  # which the reader put there
        received_at=envelope.received_at,
        envelope=envelope.id,
        scope=kfid,
        to=(Address("wecom", kfid),) if kfid else (),
        sent_at=moment(item.get("send_time")) if item.get("send_time") else None,
        thread_key=f"{kfid}:{customer}",
        proven=True,
    )


def _by_colleague(said: Message, colleague: str) -> Message:
    """Said in our name in 企业微信 itself."""
    sender = Address("wecom", colleague or said.scope)
    return replace(said, sender=sender, to=(said.sender,), direction="out", author="agent")


def _part(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = item.get(name)
    if not isinstance(part, dict | None):
        raise Unreadable(f"{name} is {type(part).__name__}, not an object")
    return part or {}


def _text(part: Mapping[str, Any], name: str) -> str:
    return words(part.get(name), name).strip()
