"""微信客服 read on from where it was read last: by `kf/sync_msg`, page by page.

A callback wakes it and gives a token for the next ten minutes; without one it looks by itself every so often, so that
none that is lost costs a message. Each page and the place behind it become ours in one transaction.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import structlog

from connectors.base import Accept, Clock, Cursor, Recall
from connectors.wechat_api import Api, Coded
from normalizer.canon import Envelope, digest
from normalizer.errors import Refused, SendingError

PAGE = 1000  # items asked for at once
NAMES = 100  # customers whose names are asked for at once
KNOWN = 10_000  # whose names are remembered
SOON = 10.0  # seconds until it is read again after trouble
EXPIRED = 95007  # the callback's token is older than ten minutes

log = structlog.get_logger("ticketgate")


class Sync:
    """The 客服帐号 of one account. `open_kfids` empty: all that its secret may see."""

    def __init__(self, api: Api, account: str, open_kfids: Sequence[str], every: float, backlog: timedelta) -> None:
        self.api, self.account, self.every, self.backlog = api, account, every, backlog
        self.recall: Recall | None = None
        self._open_kfids = open_kfids
        self._callbacks: dict[str, str] = {}  # the token of the last callback for each
        self._names: dict[str, str] = {}
        self._wake = asyncio.Event()

    def told(self, kfid: str, token: str) -> None:
        """A callback: there is something new. It also comes for those that are not to be read."""
        if not kfid or (self._open_kfids and kfid not in self._open_kfids):
            return
        self._callbacks[kfid] = token
        self._wake.set()

    async def listen(self, accept: Accept, clock: Clock) -> None:
        while True:
            self._wake.clear()
            well = await self._round(accept, clock)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.every if well else min(SOON, self.every))

    async def _round(self, accept: Accept, clock: Clock) -> bool:
        """Read every one; whether all went well."""
        well = True
        try:
            known = self._open_kfids or await self._listed(clock())
        except SendingError as error:
            known, well = (), False
            log.warning("客服帐号 not listed", account=self.account, hint=error.reason)
        for kfid in dict.fromkeys((*known, *self._callbacks)):
            try:
                await self._pull(kfid, accept, clock)
            except SendingError as error:
                well = False
                log.warning("微信客服 not read", account=self.account, open_kfid=kfid, hint=error.reason)
        return well

    async def _listed(self, now: datetime) -> Sequence[str]:
        answer = await self.api.call("POST", "/cgi-bin/kf/account/list", now, {"offset": 0, "limit": 100})
        listed = answer.get("account_list")
        found = [one.get("open_kfid") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        return [kfid for kfid in found if isinstance(kfid, str)]

    async def _pull(self, kfid: str, accept: Accept, clock: Clock) -> None:
        """Everything new."""
        name = f"wecom/{self.account}/{kfid}"
        cursor = await self.recall(name) if self.recall else ""
        oldest = datetime.min.replace(tzinfo=UTC) if cursor else clock() - self.backlog
        more = True
        while more:
            now = clock()
            page = await self._page(kfid, cursor, now)
            items, onward = page.get("msg_list") or [], page.get("next_cursor") or ""
            if not isinstance(items, list) or not isinstance(onward, str):
                raise Refused("the answer is no list of messages")
            fresh = [item for item in items if _sent(item) >= oldest.timestamp()]
            await self._ask_names(fresh, now)
            new = [self._enclosed(item, now) for item in fresh]
            moved = onward not in ("", cursor)
            if new or moved:
                await accept(new, Cursor(name, onward) if moved else None)
            cursor, more = onward or cursor, bool(page.get("has_more")) and moved

    async def _page(self, kfid: str, cursor: str, now: datetime) -> dict[str, Any]:
        asking = {"cursor": cursor, "token": self._callbacks.get(kfid, ""), "open_kfid": kfid}
        try:
            whole = {"limit": PAGE, **{name: value for name, value in asking.items() if value}}
            return await self.api.coded("POST", "/cgi-bin/kf/sync_msg", now, whole)
        except Coded as error:
            if error.code != EXPIRED or not asking["token"]:
                raise error.judged from None
        self._callbacks[kfid] = ""
        return await self._page(kfid, cursor, now)

    async def _ask_names(self, items: Sequence[Any], now: datetime) -> None:
        """What customers call themselves, which no item tells. Without it they have only an id.

        developer.work.weixin.qq.com/document/path/95159
        """
        if len(self._names) > KNOWN:
            self._names.clear()
        unknown = list(
            {customer: "" for item in items if (customer := _customer(item)) and customer not in self._names}
        )
        for start in range(0, len(unknown), NAMES):
            some = unknown[start : start + NAMES]
            try:
                answer = await self.api.call(
                    "POST", "/cgi-bin/kf/customer/batchget", now, {"external_userid_list": some}
                )
            except SendingError as error:  # a name is worth no delay
                log.warning("names of customers not read", account=self.account, hint=error.reason)
                return
            told = answer.get("customer_list")
            named = (
                {_word(one, "external_userid"): _word(one, "nickname") for one in told if isinstance(one, dict)}
                if isinstance(told, list)
                else {}
            )
            self._names |= {customer: named.get(customer, "") for customer in some}

    def _enclosed(self, item: Any, now: datetime) -> Envelope:
        customer = _customer(item)
        name = self._names.get(customer, "")
        key = (_word(item, "msgid") if isinstance(item, dict) else "") or digest(orjson.dumps(item))
        body, lane = orjson.dumps({**item, "nickname": name} if name else item), customer or self.account
        return Envelope("wecom", self.account, key, lane, now, body, {"content-type": "application/json"})


def _word(said: Any, name: str) -> str:
    found = said.get(name)
    return found if isinstance(found, str) else ""


def _customer(item: Any) -> str:
    """Of a message, or of an event."""
    outer = item if isinstance(item, dict) else {}
    inner = outer.get("event") if isinstance(outer.get("event"), dict) else {}
    return _word(outer, "external_userid") or _word(inner, "external_userid")


def _sent(item: Any) -> float:
    """When an item was sent, in seconds; what does not tell counts as new."""
    told = item.get("send_time") if isinstance(item, dict) else None
    return float(told) if isinstance(told, int | float) else float("inf")
