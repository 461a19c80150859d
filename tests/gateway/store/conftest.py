"""A real store in a folder of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from stored import opened

from gateway.store.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[Store]:
    made = await opened(folder)
    yield made
    await made.close()
