"""What every test lives under.

With ``TOWER_REQUIRE_ALL`` set (in CI) nothing may be skipped: a skipped test fails.
Over a cluster (:mod:`tests.rig.cluster`), tests marked ``alone`` are left out.
"""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.rig import cluster
from tests.rig.postgres import server_url

# Times of a busy machine say nothing about what is tested: no example has a deadline.
settings.register_profile("tower", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tower")

REQUIRE_ALL = "TOWER_REQUIRE_ALL"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Over a cluster, leave out what is about one server."""
    if not cluster.wanted():
        return
    alone = [item for item in items if item.get_closest_marker("alone")]
    config.hook.pytest_deselected(items=alone)
    items[:] = [item for item in items if item not in alone]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where the full set is asked for."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE_ALL) and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE_ALL} is set, and this was skipped: {reason}"
    return report


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> str:
    """Return the URL of a PostgreSQL server, shared by all workers of this run."""
    return server_url(request.getfixturevalue("testrun_uid"))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own environment out of the tests."""
    for name in os.environ:
        if name.startswith("TOWER_") and not name.startswith(("TOWER_TEST_", REQUIRE_ALL)):
            monkeypatch.delenv(name)
