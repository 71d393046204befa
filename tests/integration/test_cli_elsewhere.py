"""The commands against a server that is elsewhere: --url and --token, missions, sessions, files."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner, Result

from server.client import Client
from server.commands.tower import app
from tests.integration.tower_process import TowerProcess

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet_logs")]

SECRET = "a secret of at least thirty-two bytes"


def token(user: str, role: str) -> str:
    """Credentials that last."""
    return jwt.encode({"sub": user, "role": role, "exp": 4_000_000_000}, SECRET)


ADA = token("ada", "user")
OLGA = token("olga", "operator")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """A server that asks for tokens."""
    folder = tmp_path_factory.mktemp("there") / "data"
    process = TowerProcess(folder, TOWER_AUTH="jwt", TOWER_JWT_SECRET=SECRET).start()
    yield process
    process.end()


@pytest.fixture(autouse=True)
def _elsewhere(there: TowerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in an empty folder, as ada."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOWER_URL", there.url)
    monkeypatch.setenv("TOWER_TOKEN", ADA)


def tower(*arguments: str, code: int = 0) -> Result:
    """Run a command to its end, in this process."""
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done


def told(*arguments: str) -> Any:
    """What a command prints as JSON."""
    return json.loads(tower(*arguments, "--json").stdout)


def test_a_run_elsewhere(tmp_path: Path) -> None:
    """The mission is the token's user's; nothing is made here."""
    mission = told("run", "calculate 6 * 7", "--priority", "high")
    assert (mission["user_id"], mission["priority"]) == ("ada", "high")
    assert tower("run", "-q", "calculate 6 * 7").stdout == "6 * 7 = 42\n"
    echoed = tower("run", "-q", "x", "--agent", "echo", "--inputs", '{"tokens": 2}').stdout
    assert len(echoed.split()) == 2
    assert list(tmp_path.iterdir()) == []


def test_wrong_credentials_are_a_sentence(there: TowerProcess) -> None:
    """As is a server that is not there, and an option that is no JSON."""
    for command in ("missions", "sessions search x"):
        done = tower(*command.split(), "--token", "nonsense", code=1)
        assert done.stderr.startswith("Error:")
        assert "credentials" in done.stderr.lower()
        done = tower(*command.split(), "--url", "http://127.0.0.1:1", code=1)
        assert "Connection refused" in done.stderr
    assert "JSON object" in tower("run", "x", "--inputs", "[]", code=1).stderr
    assert "its own agents" in tower("run", "x", "--app", "app.py", code=1).stderr


def test_a_mission_is_told_what_to_do() -> None:
    """Shown, explained, paused, resumed, reprioritised, extended, cancelled."""
    mission_id = tower("run", "--detach", "ask me my name").stdout.strip()
    while told("missions", "show", mission_id)["state"] != "waiting":
        pass
    shown = tower("missions", "show", mission_id).stdout
    assert "ask me my name" in shown
    assert "waiting" in tower("missions", "explain", mission_id).stdout
    listed = tower("missions", "list", "--state", "waiting").stdout
    assert mission_id in listed
    assert told("missions", "--limit", "1") == told("missions", "list", "--limit", "1")
    assert "is paused" in tower("missions", "pause", mission_id).stdout
    assert "is waiting" in tower("missions", "resume", mission_id).stdout
    assert "priority low" in tower("missions", "priority", mission_id, "low").stdout
    before = told("missions", "show", mission_id)["quota"]["max_tool_calls"]
    tower("missions", "extend", mission_id, "tool_calls=20", "timeout_seconds=0.5")
    quota = told("missions", "show", mission_id)["quota"]
    assert (quota["max_tool_calls"], quota["timeout_seconds"]) == (before + 20, 3600.5)
    assert "tool_calls=20" in tower("missions", "extend", mission_id, "much", code=1).stderr
    assert "ended: cancelled" in tower("missions", "cancel", mission_id).stdout
    assert "No such mission" in tower("missions", "show", "m_nobody", code=1).stderr


def test_a_quota_is_extended_by_its_question(there: TowerProcess) -> None:
    """`approve --answer extend --add`, which the same call then goes on with."""

    async def submit() -> str:
        async with Client(there.url, ADA) as client:
            quota = {"max_tool_calls": 1}
            submitted = await client.submit("calculate 1; calculate 2", quota=quota)
            topic = f"mission:{submitted.mission_id}"
            async with client.subscribe(topic, since="start", types=["interrupt.raised"]) as asked:
                await anext(asked)
            return submitted.mission_id

    mission_id = asyncio.run(submit())
    assert "--add" in tower("approve").stdout
    assert "by how much" in tower("approve", mission_id, "--answer", "extend", code=1).stderr
    tower("approve", mission_id, "--answer", "extend", "--add", "5")
    lines = tower("watch", f"mission:{mission_id}", "--since", "0").stdout
    assert "quota.extended" in lines
    assert "mission.completed" in lines.splitlines()[-1]


def test_a_session_is_kept_and_given_away(tmp_path: Path) -> None:
    """Found, renamed, archived, exported, imported, deleted, restored."""
    session_id = told("run", "calculate 3 * 3 for the [red]zebra")["session_id"]
    assert "zebra" in tower("sessions", "search", "zebra").stdout
    assert tower("sessions", "search", "nowhere-to-be-found").stdout == "Nothing found.\n"
    assert told("sessions", "search", "zebra")[0]["session_id"] == session_id
    shown = tower("sessions", "show", session_id).stdout
    assert "calculate 3 * 3 for the [red]zebra" in shown
    tower("sessions", "rename", session_id, "Stripes [bold]")
    assert "Stripes [bold]" in tower("sessions").stdout
    tower("sessions", "archive", session_id)
    assert session_id not in tower("sessions", "list").stdout
    assert session_id in tower("sessions", "--archived").stdout
    tower("sessions", "archive", session_id, "--undo")
    tower("sessions", "export", session_id, "-o", "zebra.json")
    again = tower("sessions", "export", session_id, "-o", "zebra.json", code=1)
    assert "there already" in again.stderr
    assert tower("sessions", "export", session_id, "--format", "md").stdout.startswith("# Stripes")
    assert "no format" in tower("sessions", "export", session_id, "-o", "z.pdf", code=1).stderr
    imported = told("sessions", "import", "zebra.json")
    assert imported["session_id"] != session_id
    assert [m["content"] for m in told("sessions", "show", imported["session_id"])["messages"]] == [
        m["content"] for m in told("sessions", "show", session_id)["messages"]
    ]
    assert "can't be read" in tower("sessions", "import", "nothing.json", code=1).stderr
    tower("sessions", "export", "s_nobody", "-o", "nobody.json", code=1)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["zebra.json"]
    assert f"restore {session_id}" in tower("sessions", "delete", session_id).stdout
    assert session_id not in tower("sessions").stdout
    tower("sessions", "restore", session_id)
    assert session_id in tower("sessions").stdout


def test_everybody_sees_what_they_may() -> None:
    """The table of missions and the feed are a user's own, or all of an operator's."""
    mission_id = tower("run", "-d", "delete x.txt").stdout.strip()
    while told("missions", "show", mission_id)["state"] != "waiting":
        pass
    mine = [mission["mission_id"] for mission in told("top")]
    assert mission_id in mine
    assert "waiting" in tower("watch", "--table").stdout
    theirs = told("top", "--token", OLGA)
    assert mission_id in [mission["mission_id"] for mission in theirs]
    assert told("top", "--token", token("bob", "user")) == []
    refused = tower("watch", "system", code=1)
    assert "operators" in refused.stderr
    tower("missions", "cancel", mission_id, "--token", token("bob", "user"), code=1)
    tower("missions", "cancel", mission_id)
    ended = tower("watch", f"mission:{mission_id}", "--since", "0", "--type", "mission.*").stdout
    assert "mission.cancelled" in ended.splitlines()[-1]
    assert tower("watch", f"mission:{mission_id}").stdout == ""


def test_the_doctor_looks_at_a_server_elsewhere() -> None:
    """What it runs, whether it is ready, who we are to it, and what to do if it is not so."""
    healthy = tower("doctor").stdout
    assert "Ready: ready" in healthy
    assert "we are ada, user" in healthy
    assert "TOWER_HOST" not in healthy
    # On a busy machine the loop's lag may well be noted.
    assert "bad" not in {each["verdict"] for each in told("doctor", "--token", OLGA)}
    refused = tower("doctor", "--token", "nonsense", code=1).stdout
    assert "→ Give a token" in refused
    gone = tower("doctor", "--url", "http://127.0.0.1:1", code=1).stdout
    assert "does not answer" in gone
    assert "→" in gone
