"""Buses under test."""

from collections.abc import AsyncIterator

import pytest

from events.bus import LocalBus
from tests.contract.bus.kit import WITHIN_S, Cluster, Ear, Node, SharedLog
from tests.rig.redis import server_url


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Return a cluster without nodes over a Redis that others use, too."""
    made = Cluster(server_url())
    yield made
    await made.close()


@pytest.fixture(params=["local", "redis"])
async def pair(request: pytest.FixtureRequest, cluster: Cluster) -> tuple[Node, Ear]:
    """Return a node that commits, and the ear of one that hears of it: the same one, if alone."""
    if request.param == "local":
        ear = Ear()
        return Node(LocalBus(ear), SharedLog(), ear), ear
    cluster.patience_s = WITHIN_S
    here, there = await cluster.node(), await cluster.node()
    return here, there.ear
