"""Every example of docs/clients.md runs against a real server, and its tables are the code's."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from server.client.link import NETWORK, policy_of
from server.wire.close_codes import POLICIES
from tests.integration.tower_process import ROOT, TowerProcess

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "clients.md").read_text()
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NODE = shutil.which("node")
LANGUAGES = [
    "python",
    pytest.param("js", marks=pytest.mark.skipif(NODE is None, reason="no node on this machine")),
]


def start(language: str, number: int, tower: TowerProcess, folder: Path) -> subprocess.Popen[str]:
    """Run an example of a language."""
    text = [text for known, text in EXAMPLES if known == language][number]
    command = [str(NODE), "--experimental-websocket", "--no-warnings", "--input-type=module", "-e"]
    command.append(text)
    if language == "python":
        file = folder / "example.py"
        file.write_text(text)
        command = [sys.executable, str(file)]
    environ = os.environ | {"TOWER_URL": tower.url, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)


def test_the_page_has_two_examples_of_each() -> None:
    """The pattern finds them, and none is long."""
    assert [language for language, _ in EXAMPLES] == ["python", "python", "js", "js"]
    assert all(len(text.splitlines()) <= 22 for _, text in EXAMPLES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bot_submits_and_approves(language: str, tower: TowerProcess, tmp_path: Path) -> None:
    """And prints the result."""
    with start(language, 0, tower, tmp_path) as bot:
        said, _ = bot.communicate(timeout=40)
    assert bot.returncode == 0
    assert said.startswith("approving: Delete a file")
    assert "completed I wrote plan.txt" in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_operator_tails(language: str, tower: TowerProcess, tmp_path: Path) -> None:
    """What was before it came, and what happens then."""
    execute = f"{tower.url}/api/v1/execute"
    first = httpx2.post(execute, json={"mission": "calculate 1"}).json()["pid"]
    with start(language, 1, tower, tmp_path) as operator:
        try:
            assert operator.stdout is not None
            wanted = [first]
            for line in operator.stdout:
                if line.split()[2:] == ["mission.completed", wanted[-1]]:
                    if len(wanted) == 2:
                        break
                    done = httpx2.post(execute, json={"mission": "calculate 2"}).json()
                    wanted.append(done["pid"])
        finally:
            operator.kill()
    assert len(wanted) == 2


def test_the_table_of_closes_is_the_codes() -> None:
    """Every code is in it, with what the client does."""
    rows = re.findall(
        r"^\| ([\d, ]+) \|.*\| (.*) \|$", PAGE.partition("## Closes")[2], re.MULTILINE
    )
    told = {int(code): then for codes, then in rows for code in codes.split(",")}
    assert set(told) == {int(code) for code in POLICIES} | set(NETWORK)
    for code, then in told.items():
        assert then.startswith("dial again") is (policy_of(code).reconnect or code == 4401), code
        least = {"a second": 1.0, "five seconds": 5.0}
        said = next((wait for words, wait in least.items() if words in then), 0.0)
        assert policy_of(code).least_wait_s == said, code
