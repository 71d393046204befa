"""Every store under the same suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.store.kit import KINDS, ON_A_SERVER, Opener, StoreAndLog
from tests.rig.postgres import emptied_database


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Return an opener of one of the implementations."""
    if request.param not in ON_A_SERVER:
        return Opener(request.param, tmp_path)
    return Opener(request.param, tmp_path, emptied_database(request.getfixturevalue("postgres")))


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[StoreAndLog]:
    """Return an open, empty store."""
    opened = await opener.open()
    yield opened
    await opened.close()
