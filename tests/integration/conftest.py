"""Real servers for integration tests."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from tests.integration.tower_process import TowerProcess

MakeTower = Callable[..., TowerProcess]


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """One server for the tests of a module; each test uses sessions of its own."""
    process = TowerProcess(tmp_path_factory.mktemp("tower") / "data").start()
    yield process
    process.end()


@pytest.fixture
def make_tower(tmp_path: Path) -> Iterator[MakeTower]:
    """Servers over a data folder of the test's own, to be stopped and killed."""
    made: list[TowerProcess] = []

    def make(*arguments: str, **settings: str) -> TowerProcess:
        process = TowerProcess(tmp_path / "data", *arguments, **settings)
        made.append(process)
        return process.start()

    yield make
    for process in made:
        process.end()


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    """Logs as before: a command configures those of its process, which here is the tests'."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
