"""What `tower doctor` says of Redis, and a server without the driver for it."""

import sys
from pathlib import Path

import pytest

from server.app import running
from server.commands.bus_check import examine_bus
from server.settings import Settings, SettingsError, load
from tests.rig.redis import server_url


def settings(redis_url: str) -> Settings:
    """Return settings that name a bus."""
    given = {"database_url": "postgresql://db.example/tower", "redis_url": redis_url}
    return load(given).settings


def test_a_bus_that_answers_says_what_it_is() -> None:
    """By its version."""
    found = examine_bus(settings(server_url()))
    assert (found.verdict, found.said.endswith(" answers")) == ("ok", True)
    assert found.said[0].isdigit()


def test_a_bus_that_is_away_keeps_no_server_from_working() -> None:
    """So it is a note; and its password is nobody's business."""
    found = examine_bus(settings("redis://:hunter22@127.0.0.1:1/0"))
    assert found.verdict == "note"
    assert found.said.startswith("does not answer")
    assert "hunter22" not in found.said + found.advice


async def test_without_the_driver_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the doctor, and by a server before anybody hears of it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    chosen = settings("redis://127.0.0.1:1/0").model_copy(update={"data_dir": tmp_path / "data"})
    found = examine_bus(chosen)
    assert found.verdict == "bad"
    assert "pip install" in found.said
    with pytest.raises(SettingsError, match="TOWER_REDIS_URL needs the driver"):
        async with running(chosen, url="", on_fatal=lambda _: None):
            raise AssertionError("it served")
    assert not (tmp_path / "data").exists()
