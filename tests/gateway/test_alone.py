"""Who else works in a data folder, and who did until they died."""

import asyncio
import multiprocessing
import os
from pathlib import Path

import pytest

from gateway.alone import FolderLocks
from normalizer.errors import Unavailable


def hold_and_die(folder: Path, told: "multiprocessing.connection.Connection") -> None:
    async def hold() -> None:
        async with FolderLocks(folder).holder() as number:
            told.send(number)
            told.recv()
            os._exit(9)

    asyncio.run(hold())


async def dead_holders(folder: Path) -> list[int]:
    found: list[int] = []

    async def free(holder: int) -> None:
        found.append(holder)

    await FolderLocks(folder).dead_holders(free)
    return found


async def test_a_holder_is_dead_once_its_process_is_and_not_before(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold_and_die, args=(tmp_path, theirs))
    process.start()
    theirs.close()
    number = ours.recv()
    async with FolderLocks(tmp_path).holder() as another:
        assert another != number
        assert await dead_holders(tmp_path) == []
        ours.send("die")
        process.join()
        assert await dead_holders(tmp_path) == [number]
        assert await dead_holders(tmp_path) == []


async def test_whose_leases_could_not_be_freed_is_found_again(tmp_path: Path) -> None:
    async with FolderLocks(tmp_path).holder() as number:
        pass

    async def away(holder: int) -> None:
        raise Unavailable(str(holder))

    with pytest.raises(Unavailable, match=str(number)):
        await FolderLocks(tmp_path).dead_holders(away)
    assert await dead_holders(tmp_path) == [number]
