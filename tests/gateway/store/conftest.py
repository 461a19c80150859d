"""A real store in a folder of its own; each test meets both, SQLite and PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stored
from postgres import Postgres
from stored import opened

from gateway.store.store import Store

STORES = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    only = metafunc.definition.get_closest_marker("only")
    metafunc.parametrize("kind", only.args if only else STORES, indirect=True)


@pytest.fixture(autouse=True)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """What stores that are opened stand on."""
    name: str = getattr(request, "param", "") or request.cls.kind
    if name == "sqlite":
        yield name
        return
    server: Postgres = request.getfixturevalue("postgres")
    with stored.on(server):
        yield name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[Store]:
    made = await opened(folder)
    yield made
    await made.close()
