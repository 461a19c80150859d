"""How many worker processes a gateway has if nobody says so."""

import os
from pathlib import Path

import pytest

from gateway import settings
from gateway.settings import Settings


@pytest.mark.parametrize(
    ("cores", "quota", "many"),
    [
        (1, "max 100000", 0),
        (2, "max 100000", 2),
        (64, "max 100000", 2),
        (8, "100000 100000", 0),
        (8, "150000 100000", 2),
    ],
)
def test_it_is_by_the_cores_that_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, quota: str, many: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(settings, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert Settings().worker_count == many


def test_whoever_says_how_many_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETGATE_WORKERS", "5")
    assert Settings().worker_count == 5
