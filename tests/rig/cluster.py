"""Two nodes instead of one, under tests that were written for one.

With ``TOWER_TEST_TOPOLOGY=cluster`` the contract's tests talk to a node that only serves clients;
a worker beside it runs the missions. Between them are a real PostgreSQL and a real Redis. What one
server promises, these must keep.
"""

import os
from functools import cache
from pathlib import Path

from tests.rig import postgres, redis

VARIABLE = "TOWER_TEST_TOPOLOGY"


def wanted() -> bool:
    """Return whether tests are to run over a cluster."""
    return os.environ.get(VARIABLE) == "cluster"


@cache
def _database(data_dir: Path) -> str:
    """Return a database for a data folder: the same whenever that is opened again."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    return postgres.new_database(postgres.server_url(run_id))


def settings_of(data_dir: Path) -> dict[str, str]:
    """Return what nodes have in common that stand for one server over ``data_dir``."""
    return {"database_url": _database(data_dir), "redis_url": redis.server_url()}
