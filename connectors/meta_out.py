"""How a reply is said by WhatsApp, Messenger and Instagram: bodies of calls, each family with its limits. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from connectors.messenger import CHOICE, OURS
from connectors.vendor import pieces, utf16
from connectors.whatsapp import GROUP
from normalizer.canon import Choice, Reply

# WhatsApp: interactive reply buttons and lists, text messages
TEXT, BUTTONS_TEXT, PARAMETER = 4096, 1024, 1024
BUTTONS, BUTTON_LABEL = 3, 20
ROWS, ROW_TITLE, ROW_DESCRIPTION = 10, 24, 72
# Messenger counts characters, Instagram octets of UTF-8.
QUICK_REPLIES, QUICK_LABEL = 13, 20
MESSENGER, INSTAGRAM = 2000, 1000


class Template(BaseModel):
    """A message that Meta approved, for who wrote more than a day ago. `parameters` are its {{1}}, {{2}}, ..."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern="^[a-z0-9_]{1,512}$")
    language: str = Field(min_length=2)  # as at Meta: zh_CN, en, en_US
    parameters: tuple[Literal["number", "subject", "text", "name"], ...] = ("number",)


def whatsapp(reply: Reply) -> list[dict[str, Any]]:
    """One body for each piece; the buttons under the last, the quotation over the first."""
    offered, left = reply.choices[:ROWS], reply.choices[ROWS:]
    cut = pieces(_with(reply.text, left), TEXT, utf16)
    few = len(offered) <= BUTTONS and all(utf16(one.label) <= BUTTON_LABEL for one in offered)
    if cut and offered and few:
        cut[-1:] = pieces(cut[-1], BUTTONS_TEXT, utf16)
    said: list[dict[str, Any]] = [{"type": "text", "text": {"body": text, "preview_url": False}} for text in cut]
    if cut and offered:
        interactive = _buttons(offered) if few else _list(offered, reply.language)
        said[-1] = {"type": "interactive", "interactive": {"body": {"text": cut[-1]}, **interactive}}
    if said and reply.in_reply_to:
        said[0]["context"] = {"message_id": reply.in_reply_to}
    return [{**_to(reply), **one} for one in said]


def template(reply: Reply, known: Template) -> dict[str, Any]:
    values = {"number": reply.number, "subject": reply.subject, "text": reply.text, "name": reply.to.name}
    # A parameter holds no line ends and is not empty.
    said = [" ".join(values[name].split())[:PARAMETER] or "-" for name in known.parameters]
    body = {"type": "body", "parameters": [{"type": "text", "text": one} for one in said]}
    filled = {"name": known.name, "language": {"code": known.language}, "components": [body] if said else []}
    return {**_to(reply), "type": "template", "template": filled}


def messenger(reply: Reply, *, human: bool) -> list[dict[str, Any]]:
    """One body for each piece, the buttons under the last. `human`: by a person, after the first day."""
    limit, measure = (INSTAGRAM, _octets) if reply.channel == "instagram" else (MESSENGER, utf16)
    offered, left = reply.choices[:QUICK_REPLIES], reply.choices[QUICK_REPLIES:]
    cropped = [one for one in offered if utf16(one.label) > QUICK_LABEL]
    way = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"} if human else {"messaging_type": "RESPONSE"}
    said: list[dict[str, Any]] = [
        {"text": text} for text in pieces(_with(reply.text, [*cropped, *left]), limit, measure)
    ]
    for one in said if reply.channel == "messenger" else ():
        one["metadata"] = f"{OURS}{reply.id}"
    if said and offered:
        said[-1]["quick_replies"] = [
            {"content_type": "text", "title": _cropped(one.label, QUICK_LABEL), "payload": f"{CHOICE}{one.code}"}
            for one in offered
        ]
    return [{"recipient": {"id": reply.to.address}, **way, "message": one} for one in said]


def _to(reply: Reply) -> dict[str, Any]:
    number, _, conversation = reply.thread_key.partition(":")
    head: dict[str, Any] = {"messaging_product": "whatsapp", "biz_opaque_callback_data": reply.id}
    if number and conversation.startswith(GROUP):
        return {**head, "recipient_type": "group", "to": conversation.removeprefix(GROUP)}
    if reply.to.kind == "phone":
        return {**head, "recipient_type": "individual", "to": reply.to.address.removeprefix("+")}
    return {**head, "recipient_type": "individual", "recipient": reply.to.address}  # who hides their number


def _buttons(offered: Sequence[Choice]) -> dict[str, Any]:
    buttons = [{"type": "reply", "reply": {"id": one.code, "title": one.label}} for one in offered]
    return {"type": "button", "action": {"buttons": buttons}}


def _list(offered: Sequence[Choice], language: str) -> dict[str, Any]:
    rows = [{"id": one.code, "title": _cropped(one.label, ROW_TITLE), **_described(one.label)} for one in offered]
    button = "请选择" if language.startswith("zh") else "Choose"
    return {"type": "list", "action": {"button": button, "sections": [{"title": button, "rows": rows}]}}


def _described(label: str) -> dict[str, str]:
    return {"description": _cropped(label, ROW_DESCRIPTION)} if utf16(label) > ROW_TITLE else {}


def _with(text: str, choices: Sequence[Choice]) -> str:
    """The text, and in words the choices that find no room in buttons."""
    return "\n".join([text.strip(), *(f"- {one.label}" for one in choices)])


def _cropped(label: str, most: int, measure: Callable[[str], int] = utf16) -> str:
    while measure(label) > most:
        label = label.removesuffix("…")[:-1] + "…"
    return label


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
