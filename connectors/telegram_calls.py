"""Calls to the Telegram Bot API, made by python-telegram-bot, with every error sorted into later, never or elsewhere.

The token stands in every URL: of errors only what Telegram itself said is told on.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from telegram import (
    Bot,
    File,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    ReplyParameters,
    User,
    WebhookInfo,
)
from telegram import error as wrong
from telegram.request import HTTPXRequest

from connectors.calling import LONGEST_WAIT
from connectors.telegram_content import Place
from connectors.telegram_updates import WANTED
from normalizer.canon import Choice
from normalizer.errors import Refused, Unavailable

TIMEOUT = 15.0  # seconds
CODE, BUTTONS, ROW = 64, 100, 30  # octets of a button's code; buttons under a message; characters in a row of them

# It tells URLs at DEBUG, and at ERROR what it could not read; whatever matters is raised to us besides.
logging.getLogger("telegram").setLevel(logging.CRITICAL)


class Elsewhere(Unavailable):
    """Updates are given to somebody else: a webhook is set, or another program asks with the same token."""


class Moved(Exception):
    """The group has become a supergroup, whose chat is another."""

    def __init__(self, chat: str) -> None:
        super().__init__(chat)
        self.chat = chat


class Calls:
    """One bot's. Connections are made when they are first needed."""

    def __init__(self, api: str, token: str) -> None:
        self._api, self._token = api.rstrip("/"), token
        self._open: tuple[Bot, HTTPXRequest] | None = None

    @property
    def _bot(self) -> Bot:
        if self._open is None:
            request = HTTPXRequest(
                connection_pool_size=16, read_timeout=TIMEOUT, write_timeout=TIMEOUT, connect_timeout=TIMEOUT,
                pool_timeout=TIMEOUT, httpx_kwargs={"trust_env": False},
            )  # fmt: skip
            bot = Bot(self._token, f"{self._api}/bot", f"{self._api}/file/bot", request)
            self._open = (bot, request)
        return self._open[0]

    async def updates(self, offset: int, wait: int) -> Sequence[Any]:
        """What waits from `offset` on, as Telegram wrote it; all before it is forgotten there. 0: whatever waits.

        The library's get_updates would lose a whole batch by one update it cannot read, and it warns of going round it;
        hence the capital: methods may be written either way (core.telegram.org/bots/api#making-requests).
        """
        asked = {"offset": offset, "timeout": wait, "allowed_updates": list(WANTED)}
        with sorted_out():
            found = await self._bot.do_api_request("GetUpdates", asked, read_timeout=wait + TIMEOUT)
        return found if isinstance(found, list) else []

    async def say(self, place: Place, text: str, answering: int | None, buttons: InlineKeyboardMarkup | None) -> str:
        """The id of what was said. A group that has become a supergroup hears it in its new chat."""
        to = ReplyParameters(answering, allow_sending_without_reply=True) if answering else None
        try:
            return await self._say(place, text, to, buttons)
        except Moved as moved:
            return await self._say(Place(moved.chat), text, None, buttons)

    async def _say(
        self, place: Place, text: str, to: ReplyParameters | None, buttons: InlineKeyboardMarkup | None
    ) -> str:
        with sorted_out():
            said = await self._bot.send_message(
                chat_id=place.chat,
                text=text,
                message_thread_id=int(place.topic) if place.topic else None,
                business_connection_id=place.business or None,
                reply_parameters=to,
                reply_markup=buttons,
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            )
        return str(said.message_id)

    async def heard(self, pressed: str) -> None:
        """The button that was pressed stops turning. Raises Refused if it did so long ago."""
        with sorted_out():
            await self._bot.answer_callback_query(pressed)

    async def file(self, called: str) -> File:
        """Where a file can be had, for an hour. Its path is a URL with the token in it."""
        with sorted_out():
            return await self._bot.get_file(called)

    async def me(self) -> User:
        with sorted_out():
            return await self._bot.get_me()

    async def webhook(self) -> WebhookInfo:
        with sorted_out():
            return await self._bot.get_webhook_info()

    async def close(self) -> None:
        if self._open:
            await self._open[1].shutdown()
        self._open = None


@contextmanager
def sorted_out() -> Iterator[None]:
    """Raise Unavailable, Refused or Moved in place of what the library raises."""
    try:
        yield
    except wrong.RetryAfter as error:
        asked = error.retry_after
        wait = asked if isinstance(asked, timedelta) else timedelta(seconds=asked)
        raise Unavailable("Telegram asks to wait", wait=min(wait, LONGEST_WAIT)) from None
    except wrong.ChatMigrated as error:
        raise Moved(str(error.new_chat_id)) from None
    except wrong.Forbidden as error:  # blocked the bot, threw it out, or is no more
        raise Refused(error.message, bounced=True) from None
    except wrong.Conflict as error:
        raise Elsewhere(error.message) from None
    except wrong.InvalidToken:
        raise Unavailable("Telegram does not know this token") from None
    except wrong.BadRequest as error:
        raise Refused(error.message, bounced="chat not found" in error.message.lower()) from None
    except wrong.TelegramError as error:
        # With a cause it is the network's, whose words may quote a URL; without one Telegram's.
        what = type(error.__cause__).__name__ if error.__cause__ else error.message
        raise Unavailable(f"no answer: {what}") from None


def keyboard(choices: Sequence[Choice]) -> tuple[InlineKeyboardMarkup | None, str]:
    """Buttons under a message, as many beside each other as are readable; and in words those that cannot be any."""
    fit = [one for one in choices if 1 <= len(one.code.encode()) <= CODE and one.label.strip()][:BUTTONS]
    rows: list[list[InlineKeyboardButton]] = []
    room = 0
    for one in fit:
        if len(one.label) > room:
            rows.append([])
            room = ROW
        rows[-1].append(InlineKeyboardButton(one.label, callback_data=one.code))
        room -= len(one.label) + 2
    spelt = "\n".join(f"· {one.label}" for one in choices if one not in fit)
    return (InlineKeyboardMarkup(rows) if rows else None), spelt
