"""How our words are put for 微信 and 企业微信: texts in pieces, choices as menus, links or cards; lengths in octets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.vendor import pieces
from normalizer.canon import Choice, Reply

LONGEST = 2048  # of a text
LONGEST_HEAD = 1024  # of the words above a menu
MOST_CHOICES = 10  # of a menu
LONGEST_LABEL = 128
MOST_BUTTONS = 6  # of a card
LONGEST_ON_CARD = 160  # characters

_PLAIN = str.maketrans("", "", "<>&\"'")

Button = Mapping[str, Any]


def octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def clicked(choice: Choice) -> Button:
    """A line of 公众号's menu."""
    return {"id": choice.code, "content": choice.label}


def clicked_served(choice: Choice) -> Button:
    """A line of 微信客服's."""
    label = (pieces(choice.label, LONGEST_LABEL, octets) or [choice.code])[0]
    return {"type": "click", "click": {"id": choice.code, "content": label}}


def bodies(reply: Reply, button: Callable[[Choice], Button]) -> list[dict[str, Any]]:
    """What the API is told: texts, and the last of them with a menu if there are choices."""
    if not reply.choices:
        return [_text(piece) for piece in pieces(reply.text, LONGEST, octets)]
    *front, head = pieces(_words(reply, MOST_CHOICES), LONGEST_HEAD, octets) or [""]
    menu = {"head_content": head, "list": [button(choice) for choice in reply.choices[:MOST_CHOICES]]}
    return [*(_text(one) for one in front), {"msgtype": "msgmenu", "msgmenu": menu}]


def passive_words(reply: Reply) -> str:
    """A passive reply has no menu: choices are links that say the words for them, as a menu does."""
    links = [_link(choice) for choice in reply.choices[:MOST_CHOICES]]
    return "\n\n".join(part for part in (_words(reply, MOST_CHOICES), "\n".join(links)) if part)


def app_bodies(reply: Reply) -> list[dict[str, Any]]:
    """What an app of 企业微信 says: texts, and a card with buttons if there are choices.

    developer.work.weixin.qq.com/document/path/90236. A button's key comes back without its label, so it holds both.
    """
    if not reply.choices:
        return [_text(piece) for piece in pieces(reply.text, LONGEST, octets)]
    text = _words(reply, MOST_BUTTONS)
    front = [] if len(text) <= LONGEST_ON_CARD else [_text(piece) for piece in pieces(text, LONGEST, octets)]
    shown = {"sub_title_text": text} if not front and text else {}
    card = {
        "card_type": "button_interaction",
        "main_title": {"title": reply.subject[:36] or "请选择 Please choose"},
        **shown,
        "task_id": reply.id,
        "button_list": [_button(choice) for choice in reply.choices[:MOST_BUTTONS]],
    }
    return [*front, {"msgtype": "template_card", "template_card": card}]


def _words(reply: Reply, buttons: int) -> str:
    """The text, with the choices that have no button any more."""
    return "\n".join([reply.text.strip(), *(choice.label for choice in reply.choices[buttons:])]).strip()


def _text(content: str) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": content}}


def _link(choice: Choice) -> str:
    label = choice.label.translate(_PLAIN)
    return f'<a href="weixin://bizmsgmenu?msgmenucontent={label}&msgmenuid={choice.code}">{label}</a>'


def _button(choice: Choice) -> Button:
    return {"text": choice.label, "style": 1, "key": f"{choice.code} {choice.label}"}


def chosen(key: str) -> Sequence[str]:
    """Code and label of a card's button, from its key."""
    code, _, label = key.partition(" ")
    return code, label or code
