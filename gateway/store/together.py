"""Group commit: whoever calls while a transaction is under way shares the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from normalizer.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")

MOST = 500


class Together(Generic[T, R]):
    """Runs what concurrent callers ask for as one batch.

    `run` does a whole batch in one transaction; an exception among its results is raised at that caller alone. If the
    transaction itself fails, each caller's share is tried alone, so that only the guilty one fails; if the store
    is Unavailable, all of them are told. A cancelled caller cancels nothing: its share is committed with the others.
    """

    def __init__(self, run: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]) -> None:
        self._run = run
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def __call__(self, share: T) -> R:
        if self._closed:
            raise Unavailable("the store is closing")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def close(self) -> None:
        """Refuse newcomers, finish what was begun."""
        self._closed = True
        if self._task:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            await self._settle(batch)

    async def _settle(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._run([share for share, _ in batch])
        except Unavailable as e:
            results = [e] * len(batch)
        except Exception as e:
            if len(batch) > 1:
                for one in batch:
                    await self._settle([one])
                return
            results = [e]
        for (_, future), result in zip(batch, results, strict=True):
            _answer(future, result)


def _answer(future: "asyncio.Future[R]", result: R | Exception) -> None:
    if future.done():
        return  # its caller went away
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
