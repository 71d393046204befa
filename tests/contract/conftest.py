"""The application for the contract of its HTTP: one for all tests of a module."""

from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from server.app import Running
from tests.contract.rest_app import open_app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Running, httpx2.AsyncClient]]:
    """A running tower and a client of it."""
    async with open_app(tmp_path_factory.mktemp("rest") / "data") as both:
        yield both


@pytest.fixture
def api(opened: tuple[Running, httpx2.AsyncClient]) -> httpx2.AsyncClient:
    """A client of the HTTP API."""
    return opened[1]
