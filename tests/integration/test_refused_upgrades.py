"""Upgrades that are refused: said to the client, and no matter for the error log."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.integration.conftest import MakeTower


async def test_a_refused_upgrade_is_no_error_of_the_application(make_tower: MakeTower) -> None:
    """A foreign Origin gets 403, a made-up ticket 401, and the log has nothing to complain of."""
    tower = make_tower()
    with pytest.raises(InvalidStatus) as foreign:
        async with connect(tower.ws_url, origin="https://evil.example"):  # type: ignore[arg-type]
            pass
    assert foreign.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as spent:
        async with connect(f"{tower.ws_url}?ticket=made-up"):
            pass
    assert spent.value.response.status_code == 401
    assert tower.stop() == 0
    assert '"level": "error"' not in tower.log.read_text()
