"""Words that go back in the answer to the request that brought a message: the passive reply, within 5 seconds.

It needs no permission and counts towards no quota. The vendor asks again up to three times, with the same MsgId, if it
hears nothing in time: it hears the same again, and nothing is said twice.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

REMEMBERED = 1000  # requests whose answers are kept, for when they are asked again


@dataclass(slots=True)
class Asked:
    """A request that waits for words, or has been answered; with nothing, if none came in time."""

    who: str
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    words: str = ""


class Passive:
    """The requests of one account that wait, in this process."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    async def words(self, key: str, who: str, seconds: float) -> str:
        """What is offered for them within so many seconds; the same to a request that is repeated."""
        if (known := self._asked.get(key)) is not None:
            await known.answered.wait()
            return known.words
        asked = self._asked[key] = Asked(who)
        while len(self._asked) > REMEMBERED:
            self._asked.popitem(last=False)[1].answered.set()
        waiting = asyncio.ensure_future(asked.answered.wait())
        try:
            await asyncio.wait({waiting}, timeout=seconds)
        finally:
            waiting.cancel()
            asked.answered.set()  # from here on nothing is taken for it any more
        return asked.words

    def offer(self, who: str, words: str) -> bool:
        """Whether somebody waits for words to them, and takes these."""
        for asked in self._asked.values():
            if asked.who == who and not asked.answered.is_set():
                asked.words = words
                asked.answered.set()
                return True
        return False

    def close(self) -> None:
        for asked in self._asked.values():
            asked.answered.set()
