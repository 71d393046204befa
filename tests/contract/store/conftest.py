"""Every store under the same suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.store.kit import KINDS, Opener, StoreAndLog


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Return an opener of one of the implementations."""
    return Opener(request.param, tmp_path)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[StoreAndLog]:
    """Return an open, empty store."""
    opened = await opener.open()
    yield opened
    await opened.close()
