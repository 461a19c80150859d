"""Who else works in a data folder, and who did until they died."""

import multiprocessing
import os
from pathlib import Path

from gateway.alone import Holder, dead_holders


def hold_and_die(folder: Path, told: "multiprocessing.connection.Connection") -> None:
    with Holder(folder) as number:
        told.send(number)
        told.recv()
        os._exit(9)


def test_a_holder_is_dead_once_its_process_is_and_not_before(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold_and_die, args=(tmp_path, theirs))
    process.start()
    theirs.close()
    number = ours.recv()
    with Holder(tmp_path) as another:
        assert another != number
        assert list(dead_holders(tmp_path)) == []
        ours.send("die")
        process.join()
        assert list(dead_holders(tmp_path)) == [number]
        assert list(dead_holders(tmp_path)) == []


def test_whose_leases_could_not_be_freed_is_found_again(tmp_path: Path) -> None:
    with Holder(tmp_path) as number:
        pass
    for dead in dead_holders(tmp_path):
        assert dead == number
        break  # the store was not there
    assert list(dead_holders(tmp_path)) == [number]
