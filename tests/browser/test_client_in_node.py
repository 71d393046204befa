"""The public client in Node, against the real server."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from server.wire.close_codes import POLICIES
from tests.browser.tower_process import TowerProcess

HERE = Path(__file__).parent
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="no node on this machine")


class Bot:
    """``node_bot.mjs`` and the lines it says."""

    def __init__(self, tower: TowerProcess, *missions: str) -> None:
        url = tower.url.replace("http", "ws") + "/ws"
        self._process = subprocess.Popen(
            [
                str(NODE),
                "--experimental-websocket",
                "--no-warnings",
                str(HERE / "node_bot.mjs"),
                url,
                *missions,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []

    def read_until(self, key: str, value: object) -> None:
        """Read lines until one says so."""
        for line in self._read():
            if line.get(key) == value:
                return
        raise AssertionError(f"ended before {key}={value}: {self.lines[-5:]}")

    def finish(self) -> None:
        """Read the rest, and wait for the end."""
        list(self._read())
        assert self._process.wait(10) == 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave neither the process nor its pipe behind."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            self.lines.append(line)
            yield line

    def ended(self) -> list[tuple[str, str]]:
        """Return the outcomes and results so far."""
        return [(line["outcome"], line["result"]) for line in self.lines if "outcome" in line]

    def offsets(self) -> list[int]:
        """Return the offsets it saw, in the order in which it saw them."""
        return [line["offset"] for line in self.lines if "offset" in line]


def test_a_bot_runs_missions_and_answers(own_tower: TowerProcess) -> None:
    """One promise a mission, confirmations included."""
    with Bot(own_tower, "calculate 6*7", "write a.txt: x then delete a.txt") as bot:
        bot.finish()
    (first, second) = bot.ended()
    assert first == ("completed", "6*7 = 42")
    assert "I deleted a.txt." in second[1]


def test_a_bot_survives_the_server(own_tower: TowerProcess) -> None:
    """Killed twice under it, the server loses it nothing and repeats nothing."""
    with Bot(own_tower, "work 250 steps") as bot:
        for number in (40, 120):
            bot.read_until("step", f"work {number} of 250")
            own_tower.kill()
            time.sleep(0.1)
            own_tower.start()
        bot.finish()
    assert bot.ended() == [("completed", "I worked 250 steps.")]
    assert not [line for line in bot.lines if "fault" in line]
    offsets = bot.offsets()
    assert offsets == sorted(set(offsets))
    done = [line["step"] for line in bot.lines if line.get("type") == "step.completed"]
    assert done == [f"work {number} of 250" for number in range(1, 251)]


def test_both_tables_of_close_codes_agree() -> None:
    """What the server's table says of a code, the client's says too."""
    module = HERE.parents[1] / "static" / "js" / "wire" / "close_codes.js"
    show = "(module) => console.log(JSON.stringify(module.CLOSE_CODES))"
    script = f"import({json.dumps(module.as_uri())}).then({show})"
    shown = subprocess.run([str(NODE), "-e", script], capture_output=True, text=True, check=True)
    table = json.loads(shown.stdout)
    for code, policy in POLICIES.items():
        row = table[str(int(code))]
        assert row["reconnect"] == policy.reconnect, code
        assert row.get("least_ms", 0) == policy.least_wait_s * 1000, code
