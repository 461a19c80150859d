"""A house in this process with a rules folder of its own: what tests of putting rules live need."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from serving import Gateway

from gateway import process, settings, wire
from gateway.clock import Clock
from gateway.house import House
from gateway.reading import Reading
from normalizer.canon import Envelope

ROOT = Path(__file__).parents[2]
RULEBOOK = """\
rulebook: lanes
rules:
  - rule: zeppelins
    when: {{says: [zeppelin, 飞艇]}}
    then: {{set: {{priority: {priority}}}, tag: airborne}}
tests:
  - {{name: a lost zeppelin, given: {{text: my zeppelin is lost}}, expect: {{priority: {expected}}}}}
"""


def rulebook(priority: str = "high", expected: str = "") -> str:
    return RULEBOOK.format(priority=priority, expected=expected or priority)


def ruled(folder: Path, source: str = "files") -> Gateway:
    """A gateway's settings, beside them the rules and config that ship and `rules/60-lanes.yaml`."""
    shutil.copytree(ROOT / "rules", folder / "rules", dirs_exist_ok=True)
    for file in (ROOT / "config").glob("*.yaml"):
        if file.name != "ticketgate.yaml":
            shutil.copy(file, folder / file.name)
    (folder / "rules" / "60-lanes.yaml").write_text(rulebook())
    gateway = Gateway(folder, outbound="off")
    gateway.config.write_text(gateway.config.read_text() + f"rules: {{source: {source}, folder: ./rules}}\n")
    return gateway


@asynccontextmanager
async def house_of(gateway: Gateway, clock: Clock | None = None) -> AsyncIterator[House]:
    house = await wire.house(settings.read(gateway.config), clock=clock)
    try:
        yield house
    finally:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await house.store.close()


async def said(house: House, *texts: str, key: str = "m") -> None:
    """These mails wait in the journal, each from a customer of its own."""
    now = house.clock.now()
    await house.store.journal([_mail(text, f"{key}{n}", now) for n, text in enumerate(texts)], now)


def _mail(text: str, key: str, now: object) -> Envelope:
    raw = (
        f"From: {key}@example.cn\r\nTo: support@example.com\r\nMessage-ID: <{key}@x>\r\nSubject: hello\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()
    return Envelope("email_smtp", "support", key, f"lane {key}", now, raw, {"to": "support@example.com"})  # type: ignore[arg-type]


async def drain(house: House) -> None:
    """Work on what waits, until nothing does."""
    under_way: Sequence[Reading] = []
    while True:
        fresh = await process.take_in(house, process.BATCH - len(under_way))
        under_way = await process.one_round(house, [*under_way, *fresh])
        if not fresh and not under_way:
            return
