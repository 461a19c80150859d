"""A data folder with many tickets, made by the store's own verbs: what lists, searches and pages are measured with.

    python tests/bench/many.py FOLDER 100000      fill FOLDER (a master key of `m`s), print what looking things up takes
    python tests/bench/many.py FOLDER             measure a folder that is filled already

From tests: `await fill(store, 10_000)`. The same number always makes the same tickets.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import corpus
from stored import NOW, contact, decided, envelope, message, opened, ticket

from gateway.store.store import Store
from gateway.store.work import Claim, Outcome
from normalizer.canon import Derived, Extracted, Milestone, Review, Sla

BATCH = 400
STATUSES = ("closed",) * 88 + ("solved",) * 4 + ("open",) * 4 + ("new",) * 2 + ("waiting_customer", "waiting_third")
PRIORITIES = ("normal",) * 70 + ("low",) * 12 + ("high",) * 14 + ("urgent",) * 4
CATEGORIES = {"after_sales": ("logistics", "refund"), "inquiry": ("product", "invoice"), "complaint": ("service",)}
GROUPS = ("after_sales", "billing", "service_desk", "oncall")
AGENTS = ("", *(f"agent{n}" for n in range(20)))
CHANNELS = ("email",) * 6 + ("form", "chat", "wechat", "api")
TEXT_SIZE = 600  # bytes: most customers are brief
FAMILY, GIVEN = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平"


async def fill(store: Store, many: int, *, first: int = 0, progress: Callable[[int], None] = lambda _: None) -> None:
    """Add `many` tickets with contacts, messages and decisions, indexed; serials count from `first`."""
    random = Random(corpus.SEED + first)
    texts = [corpus.text(random, language, TEXT_SIZE) for language in ("zh", "en") * 100]
    for start in range(first, first + many, BATCH):
        keys = [f"many-{n}" for n in range(start, min(start + BATCH, first + many))]
        await store.journal([envelope(key) for key in keys], NOW)
        claims = await store.claim(NOW, len(keys))
        made = [one(random, claim, start + n, texts) for n, claim in enumerate(claims)]
        assert all(await store.commit(made, NOW))
        while await store.catch_up():
            pass
        progress(start + len(keys))


def one(random: Random, claim: Claim, serial: int, texts: list[str]) -> Outcome:
    """A ticket that came in `serial` minutes after the first."""
    at = NOW - timedelta(minutes=150_000) + timedelta(minutes=serial)
    sender, name = f"customer{random.randrange(25_000)}@mail{serial % 50}.example.cn", _name(random)
    order = f"SF{random.randrange(10**11):011d}"
    said = message(
        claim, sender=sender, text=f"{random.choice(texts)}\n{order}", subject=random.choice(corpus.SUBJECTS["zh"]),
        channel=random.choice(CHANNELS), external_id=f"<many-{serial}@example.cn>", received_at=at,
    )  # fmt: skip
    whose = contact(f"{serial}.{sender}", name)
    new = replace(
        ticket(said, whose, f"{at:%Y%m%d}{serial:06d}"), created_at=at, captured_at=at,
        extracted={"order_number": Extracted(order, (0, len(order)))}, **_codes(random, at),
    )  # fmt: skip
    made = decided(new, whose, said)
    kept = replace(made.ticket, version=1)
    return Outcome(claim, ((said, kept.id),), (whose,), (kept,), (made,))


def _name(random: Random) -> str:
    return random.choice(FAMILY) + "".join(random.choices(GIVEN, k=random.choice((1, 2))))


def _codes(random: Random, at: datetime) -> dict[str, Any]:
    category = random.choice(tuple(CATEGORIES))
    agent = random.choice(AGENTS)
    needed = random.random() < 0.01
    return {
        "status": Derived(random.choice(STATUSES), "bench"),
        "priority": Derived(random.choice(PRIORITIES), "bench"),
        "category": Derived(category, "bench"),
        "subcategory": Derived(random.choice(CATEGORIES[category]), "bench"),
        "group": Derived(random.choice(GROUPS), "bench"),
        "assignee": Derived(agent, "bench") if agent else None,
        "tier": random.choice(("normal",) * 49 + ("vip",)),
        "review": Review(True, ("low confidence",)) if needed else None,
        "sla": Sla("standard", "always", {"first_response": Milestone(at + timedelta(hours=8))}),
    }


async def measure(store: Store) -> list[tuple[str, float]]:
    """What each way of looking takes, in milliseconds: the middle of five."""
    newest = await store.tickets(limit=1)
    middle = (await store.tickets(limit=1, after=str(newest[0][0].number)))[0][0]
    far = (await store.tickets(limit=1, status="waiting_third", assignee="agent7"))[0][0].number
    looks: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        ("newest 50", lambda: store.tickets()),
        ("the page after a far one", lambda: store.tickets(after=far)),
        ("the page before a far one", lambda: store.tickets(before=far)),
        ("status=new", lambda: store.tickets(status="new")),
        ("open, four statuses", lambda: store.tickets(status=["new", "open", "waiting_customer", "waiting_third"])),
        ("assignee and status", lambda: store.tickets(assignee="agent7", status="waiting_third")),
        ("urgent, new, vip (few)", lambda: store.tickets(priority="urgent", status="new", tier="vip")),
        ("none such", lambda: store.tickets(status="merged")),
        ("waiting for review", lambda: store.tickets(review="yes")),
        ("by what is due", lambda: store.tickets(order="due")),
        ("of one contact", lambda: store.tickets(contact=middle.contact)),
        ("counts by status", lambda: store.tally("status")),
        ("counts of urgent by assignee", lambda: store.tally("assignee", priority="urgent")),
        ("figures for metrics", lambda: store.counts()),
        ("one by its number", lambda: store.ticket(middle.number)),
        *((f"search {asked}", _searching(store, asked, **more)) for asked, more in _searches(middle.number)),
    ]
    return [(what, await _middle(look)) for what, look in looks]


def _searches(number: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for asked in (
        number,
        "退款",
        "订单号 物流",
        "customer17",
        "王芳",
        "SF12345678901",
        "refund order",
        "没有 refund",
        "example.cn",
    ):
        yield asked, {}
    yield "退款", {"filters": {"status": "merged"}}
    yield "物流显示 refunded", {}


def _searching(store: Store, asked: str, **more: Any) -> Callable[[], Awaitable[Any]]:
    return lambda: store.search(asked, **more)


async def _middle(look: Callable[[], Awaitable[Any]]) -> float:
    await look()
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        await look()
        taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)[2]


async def run(folder: Path, many: int) -> None:
    store = await opened(folder)
    started = time.perf_counter()
    if many:
        await fill(store, many, progress=lambda n: print(n, f"{time.perf_counter() - started:.0f} s", file=sys.stderr))
    print(f"{(await store.counts()).tickets} tickets")
    for what, milliseconds in await measure(store):
        print(f"{milliseconds:8.2f} ms  {what}")
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("many", type=int, nargs="?", default=0)
    asked = parser.parse_args()
    asyncio.run(run(asked.folder, asked.many))


if __name__ == "__main__":
    main()
