"""What WhatsApp's Cloud API says of messages (`object: whatsapp_business_account`), made messages of ours.

    messages         what customers say; `contacts` beside them says who they are
    message_echoes   what a colleague writes in the WhatsApp Business app: ours, going out
    statuses         of what we sent: only failures are told

As in https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages.
A person is their phone number or, where they hide it, their business-scoped user id.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from connectors.nested import inside, listed, needed, said
from connectors.reading import moment
from connectors.whatsapp_content import content_of
from normalizer.canon import Address, Envelope, Kind, Message, Returned
from normalizer.errors import Unreadable

GROUP = "group:"  # before a group's id in `thread_key`

Make = Callable[[Envelope, int], Message]


def parts(entry: Any) -> Iterator[Make]:
    """For each thing said in an entry what makes a message of it, or raises Unreadable."""
    for change in listed(entry, "changes"):
        if said(change, "field") == "history":  # of the app a number was used in before: said long ago
            continue
        value = inside(change, "value")
        for one in listed(value, "messages"):
            yield partial(_message, value, one, False)
        for one in listed(value, "message_echoes"):
            yield partial(_message, value, one, True)
        for one in listed(value, "statuses"):
            if said(one, "status").lower() == "failed" and said(one, "type") != "call":
                yield partial(_failed, value, one)


def _message(value: Mapping[str, Any], one: Any, ours: bool, envelope: Envelope, part: int) -> Message:
    own = needed(one, "id")
    number, customer = said(inside(value, "metadata"), "phone_number_id"), _customer(value, one, ours)
    us = _us(value)
    sort = said(one, "type")
    original = said(inside(one, sort), "original_message_id") if sort in ("revoke", "edit") else ""
    content = content_of(number, sort, one)
    system = content.kind is Kind.AUTO_REPLY
    return Message(
        channel="whatsapp",
        connector=envelope.connector,
        account=envelope.account,
        scope=number,
        external_id=original or own,
        # Of an edited or deleted message the id is the original's; the change has an id of its own.
        revision="deleted" if sort == "revoke" else said(one, "timestamp") or own if sort == "edit" else "",
        references=(own,) if original else (),
        envelope=envelope.id,
        part=part,
        direction="out" if ours else "in",
        author="agent" if ours else "system" if system else "customer",
        sender=us if ours else customer,
        to=(customer if ours else us,),
        received_at=envelope.received_at,
        sent_at=moment(said(one, "timestamp")),
        kind=content.kind,
        in_reply_to=content.about or said(inside(one, "context"), "id"),
        thread_key=_thread(number, said(one, "group_id"), customer),
        text=content.text,
        full_text=content.text,
        quoted=_advertised(inside(one, "referral")),
        attachments=content.files,
        claims=content.claims,
        answerable=not (ours or system),
        proven=True,
    )


def _failed(value: Mapping[str, Any], status: Any, envelope: Envelope, part: int) -> Message:
    number, sent = said(inside(value, "metadata"), "phone_number_id"), needed(status, "id")
    customer = person(said(status, "recipient_id") or needed(status, "recipient_user_id"))
    group = customer.address if said(status, "recipient_type") == "group" else ""
    error: Any = next(iter(listed(status, "errors")), {})
    why = said(inside(error, "error_data"), "details") or said(error, "message") or said(error, "title")
    return Message(
        channel="whatsapp",
        connector=envelope.connector,
        account=envelope.account,
        scope=number,
        external_id=sent,
        revision="failed",
        envelope=envelope.id,
        part=part,
        author="system",
        sender=customer,
        to=(_us(value),),
        received_at=envelope.received_at,
        sent_at=moment(said(status, "timestamp")),
        kind=Kind.DELIVERY_NOTICE,
        in_reply_to=sent,
        returned=Returned((customer,), said(error, "code"), True, (sent,), why),
        thread_key=_thread(number, group, customer),
        text=why,
        full_text=why,
        answerable=False,
        proven=True,
    )


def person(known_as: str, name: str = "") -> Address:
    """A phone number in full, as WhatsApp gives it without +, or a business-scoped user id."""
    is_number = known_as.isascii() and known_as.isdecimal() and 6 <= len(known_as) <= 15
    return Address("phone", f"+{known_as}", name) if is_number else Address("whatsapp", known_as, name)


def _customer(value: Mapping[str, Any], one: Any, ours: bool) -> Address:
    """Whose conversation it is, with the name of their profile."""
    names = ("to", "to_user_id") if ours else ("from", "from_user_id")
    given = [known_as for name in names if (known_as := said(one, name))]
    contacts = listed(value, "contacts")
    known = [contact for contact in contacts if {said(contact, "wa_id"), said(contact, "user_id")} & set(given)]
    contact: Any = next(iter(known or (contacts if len(contacts) == 1 and not given else [])), {})
    given += [said(contact, "wa_id"), said(contact, "user_id"), said(inside(one, "system"), "user_id")]
    known_as = next(filter(None, given), "")
    if not known_as:
        raise Unreadable("no sender")
    return person(known_as, said(inside(contact, "profile"), "name") or said(inside(contact, "profile"), "username"))


def _us(value: Mapping[str, Any]) -> Address:
    metadata = inside(value, "metadata")
    return Address("whatsapp", said(metadata, "phone_number_id"), said(metadata, "display_phone_number"))


def _thread(number: str, group: str, customer: Address) -> str:
    return f"{number}:{GROUP}{group}" if group else f"{number}:{customer.address}"


def _advertised(referral: Mapping[str, Any]) -> str:
    """The advertisement that was clicked before they wrote."""
    return "\n".join(filter(None, (said(referral, name) for name in ("headline", "body", "source_url"))))
