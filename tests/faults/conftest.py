"""Real servers to be killed, stopped and starved."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.witness import Sink
from tests.integration.tower_process import Event, TowerProcess
from tests.rig.coverage import unmeasured

APP = Path(__file__).parent / "apps" / "ledgered.py"

MakeTower = Callable[..., TowerProcess]
Show = Callable[[str], None]


_unmeasured = pytest.fixture(unmeasured, autouse=True)


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """Writes figures where they are seen whatever is captured."""

    def write(figures: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{figures}\n")

    return write


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    """The traces of what the app's tools did."""
    return Sink(tmp_path / "sink.jsonl")


@pytest.fixture
def make_tower(tmp_path: Path, sink: Sink) -> Iterator[MakeTower]:
    """Servers of the app over a data folder of the test's own."""
    made: list[TowerProcess] = []

    def make(**settings: str) -> TowerProcess:
        facts = {"FAULTS_SINK": str(sink.path), "TOWER_RATE_LIMITS": "off"}
        process = TowerProcess(tmp_path / "data", str(APP), **(facts | settings))
        made.append(process)
        return process.start()

    yield make
    for process in made:
        process.end()


def completed_steps(events: list[Event], pid: str) -> list[str]:
    """Return a mission's completed steps, in order."""
    return [
        event["data"]["step"]
        for event in events
        if event["type"] == "step.completed" and event["mission_id"] == pid
    ]
