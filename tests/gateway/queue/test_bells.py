"""What every bell does, and what becomes of one by Redis when Redis is not what it was. Redis is a real one."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from redis_server import RedisServer
from structlog.testing import capture_logs

from gateway.queue.bell import PATIENCE, Bell, Bells
from gateway.queue.redis_line import GROUP, RedisLine, bells
from normalizer.errors import Unavailable

AT_ONCE = PATIENCE / 2
Pair = tuple[Bells, Bells]  # of two processes, or of the only one


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as running:
        for name in ("work", "owed"):  # as after its first minutes
            running.say("XGROUP", "CREATE", f"ticketgate:{name}", GROUP, "$", "MKSTREAM")
        yield running


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Bells]:
    """The bells of a process that has begun to listen."""
    made = bells(url)
    assert isinstance(made.line, RedisLine)
    await made.line.look()
    await made.happened.wait()  # the first time it looks, and listens from there on
    keeping = asyncio.create_task(made.line.keep())
    try:
        yield made
    finally:
        keeping.cancel()
        await made.line.close()


@pytest.fixture(params=["here", "redis"])
async def pair(request: pytest.FixtureRequest, redis: RedisServer) -> AsyncIterator[Pair]:
    if request.param == "here":
        only = Bells()
        yield only, only
    else:
        async with connected(redis.url) as one, connected(redis.url) as other:
            yield one, other


async def took(waiting: Awaitable[None]) -> float:
    started = time.monotonic()
    await waiting
    return time.monotonic() - started


async def all_waiting(*ears: Bell) -> list[asyncio.Task[float]]:
    tasks = [asyncio.create_task(took(bell.wait())) for bell in ears]
    await asyncio.sleep(0.05)
    return tasks


@pytest.mark.parametrize("name", ["work", "owed", "happened"])
async def test_who_waits_is_woken_at_once(pair: Pair, name: str) -> None:
    rings, waits = (getattr(one, name) for one in pair)
    (waiting,) = await all_waiting(waits)
    rings.ring()
    assert await waiting < AT_ONCE


@pytest.mark.parametrize("name", ["work", "owed", "happened"])
async def test_what_rang_while_nobody_waited_is_heard(pair: Pair, name: str) -> None:
    rings, waits = (getattr(one, name) for one in pair)
    rings.ring()
    await asyncio.sleep(0.05)
    assert await took(waits.wait()) < AT_ONCE


@pytest.mark.parametrize("name", ["work", "happened"])
async def test_who_hears_nothing_looks_by_itself(pair: Pair, name: str) -> None:
    assert PATIENCE * 0.9 < await took(getattr(pair[0], name).wait()) < PATIENCE * 1.5


async def test_everybody_hears_what_happened(pair: Pair) -> None:
    waiting = await all_waiting(pair[0].happened, pair[1].happened)
    pair[0].happened.ring()
    assert max(await asyncio.gather(*waiting)) < AT_ONCE


async def test_a_thousand_rings_are_few(pair: Pair) -> None:
    for _ in range(1000):
        pair[0].work.ring()
    heard = 0
    while await took(pair[1].work.wait()) < AT_ONCE:
        heard += 1
    assert 1 <= heard <= 3


async def test_bells_do_not_ring_each_other(pair: Pair) -> None:
    pair[0].owed.ring()
    assert await took(pair[1].work.wait()) > PATIENCE * 0.9
    await pair[1].owed.wait()


async def test_of_two_workers_one_is_woken_first_the_one_that_waits_longest(redis: RedisServer) -> None:
    async with connected(redis.url) as one, connected(redis.url) as other, connected(redis.url) as door:
        waiting = await all_waiting(one.work, other.work)
        door.work.ring()
        assert await waiting[0] < AT_ONCE
        assert not waiting[1].done()
        waiting += await all_waiting(one.work)
        door.work.ring()
        assert await waiting[1] < AT_ONCE
        assert not waiting[2].done()
        await waiting[2]


async def test_who_is_busy_leaves_the_ring_to_who_is_not(redis: RedisServer) -> None:
    async with connected(redis.url) as busy, connected(redis.url) as idle:
        busy.work.ring()
        await asyncio.sleep(0.05)
        assert await took(idle.work.wait()) < AT_ONCE
        assert await took(busy.work.wait()) > PATIENCE * 0.9


async def until(true: Callable[[], object], within: float = 5) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def all_up(*processes: Bells) -> bool:
    return all(one.line and one.line.up for one in processes)


def said(logs: Sequence[object], *events: str) -> bool:
    return [line["event"] for line in logs if isinstance(line, dict)] == list(events)


async def test_redis_goes_and_comes_and_is_told_of_once() -> None:
    with RedisServer() as server, capture_logs() as logs:
        async with connected(server.url) as one, connected(server.url) as other:
            for n in range(2):
                assert all_up(one, other)
                server.kill()
                for bell in (one.work, other.happened):
                    (waiting,) = await all_waiting(bell)
                    bell.ring()
                    assert await waiting < AT_ONCE  # within one process it rings all the same
                assert await took(one.work.wait()) < PATIENCE * 1.5
                assert not all_up(one) and not all_up(other)
                server.start()
                await until(partial(all_up, one, other))
                await other.work.wait()
                await other.happened.wait()
                waits = await all_waiting(other.work, other.happened)
                one.work.ring(), one.happened.ring()
                assert max(await asyncio.gather(*waits)) < AT_ONCE, n
    told = [line["event"] for line in logs]
    assert 4 <= told.count("redis is away") == told.count("redis is back") <= 6  # a busy machine may hesitate once more
    assert len(told) <= 12


async def test_an_emptied_redis_costs_nothing(redis: RedisServer) -> None:
    async with connected(redis.url) as one, connected(redis.url) as other:
        assert redis.say("FLUSHALL") == "+OK"
        assert await took(other.work.wait()) < AT_ONCE  # set up again, and looked
        (waiting,) = await all_waiting(other.work)
        one.work.ring()
        assert await waiting < AT_ONCE


async def test_a_full_redis_is_away_until_there_is_room() -> None:
    with RedisServer() as server, capture_logs() as logs:
        async with connected(server.url) as one:
            assert server.say("CONFIG", "SET", "maxmemory", "1") == "+OK"
            one.work.ring()
            await asyncio.sleep(2.2)  # it answers a ping all the time
            assert said(logs, "redis is away")
            assert server.say("CONFIG", "SET", "maxmemory", "0") == "+OK"
            await until(lambda: said(logs, "redis is away", "redis is back"))


async def test_a_redis_that_hangs_holds_nobody_for_long() -> None:
    with RedisServer() as server:
        async with connected(server.url) as one:
            server.pause()
            assert await took(one.work.wait()) < 5
            (waiting,) = await all_waiting(one.work)
            one.work.ring()
            assert await waiting < AT_ONCE
            server.resume()
            await until(partial(all_up, one))


async def test_redis_with_a_password_by_tls(certificate: tuple[Path, Path]) -> None:
    with RedisServer("open sesame", certificate) as server:
        async with connected(server.url.replace("open sesame", "open%20sesame")) as one:
            (waiting,) = await all_waiting(one.work)
            one.work.ring()
            assert await waiting < AT_ONCE
        for wrong, why in (("closed", "invalid username-password"), ("", "Authentication required")):
            line = bells(server.url.replace(":open sesame@", f":{wrong}@" if wrong else "")).line
            assert line
            with pytest.raises(Unavailable) as failed:
                await line.try_out()
            await line.close()
            assert why in failed.value.reason and "sesame" not in failed.value.reason
        (plain,) = [bells(server.url.partition("?")[0].replace("open sesame", "open%20sesame")).line]
        assert plain
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await plain.try_out()
        await plain.close()
