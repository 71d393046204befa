"""The command line: what it says, what it refuses, and that it is the API and nothing else."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from typer.testing import CliRunner, Result

from agents.extras import install_command
from server.commands.tower import app
from server.settings import NAMES
from tests.integration.conftest import MakeTower
from tests.integration.tower_process import ROOT, TowerProcess

pytestmark = pytest.mark.usefixtures("quiet_logs")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tower(*arguments: str, typed: str = "", **settings: str) -> Result:
    """Run a command to its end, in this process."""
    return CliRunner().invoke(app, list(arguments), input=typed, env=settings)


def test_others_can_not_reach_a_server_without_auth(folder: Path) -> None:
    """It refuses to start, and says how."""
    done = tower("serve", "--host", "0.0.0.0")
    assert done.exit_code == 1
    assert "TOWER_AUTH=keys" in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["worker"], "a worker runs"),
        (["worker", "--processes", "2"], "a worker runs"),
        (["serve", "--role", "web"], "--role web runs no missions"),
        (["serve", "--processes", "2"], "on SQLite one serves"),
    ],
)
def test_what_needs_other_nodes_is_refused_without_them(
    folder: Path, arguments: list[str], said: str
) -> None:
    """It says what to set, and has made nothing."""
    done = tower(*arguments)
    assert done.exit_code == 1
    assert said in done.stderr
    assert "TOWER_DATABASE_URL" in done.stderr
    assert "TOWER_REDIS_URL" in done.stderr
    assert list(folder.iterdir()) == []


def test_several_processes_are_not_reloaded() -> None:
    """To develop, one will do."""
    shared = {"TOWER_DATABASE_URL": "postgresql://db.example/t", "TOWER_REDIS_URL": "redis://c"}
    done = tower("serve", "--reload", "--processes", "2", **shared)
    assert done.exit_code == 1
    assert "--reload is for one process" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["serve", "--processes", "0"], ["serve", "--role", "worker"], ["worker", "--reload"]],
)
def test_what_no_command_takes_is_a_usage_error(arguments: list[str]) -> None:
    """A worker is a command of its own, and is not reloaded."""
    assert tower(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TOWER_PORT": "70000"}, "TOWER_PORT"),
        ({"TOWER_CORS_ORIGINS": "*"}, "exact origins"),
        ({"TOWER_CONFIG": "/nowhere.toml"}, "no settings file"),
        ({"TOWER_APPS": "nowhere.py", "TOWER_PORT": "0"}, "nowhere.py"),
        ({"TOWER_HOST": "203.0.113.7", "TOWER_AUTH": "keys"}, "203.0.113.7"),
    ],
)
def test_a_wrong_setting_is_a_sentence(settings: dict[str, str], said: str) -> None:
    """No traceback where the cause is known."""
    done = tower("serve", **settings)
    assert done.exit_code == 1
    assert said in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_a_second_server_on_the_same_folder_says_who_holds_it(tower_process: TowerProcess) -> None:
    """And leaves the first alone."""
    done = tower("serve", "--port", "0", "--data-dir", str(tower_process.data_dir))
    assert done.exit_code == 1
    assert str(tower_process.pid) in done.stderr
    assert tower_process.url in done.stderr.replace("\n", "")
    assert httpx2.get(f"{tower_process.url}/health").status_code == 200


def test_a_taken_port_is_a_sentence(tower_process: TowerProcess) -> None:
    """Whoever is there already."""
    port = str(urlsplit(tower_process.url).port)
    done = tower("serve", "--port", port)
    assert done.exit_code == 1
    assert port in done.stderr


def test_without_arguments_it_serves() -> None:
    """Seen by what keeps it from serving."""
    done = tower(TOWER_HOST="0.0.0.0")
    assert done.exit_code == 1
    assert "TOWER_AUTH" in done.stderr


def test_help_reads_well() -> None:
    """Commands with a line each; serve shows every setting."""
    done = tower("--help")
    assert done.exit_code == 0
    for command in ("serve", "new", "run", "doctor"):
        assert command in done.stdout
    done = tower("serve", "--help", COLUMNS="200")
    assert done.exit_code == 0
    for name in NAMES:
        assert f"TOWER_{name.upper()}" in done.stdout
    assert "default" in done.stdout


def test_a_new_file_is_served(folder: Path, make_tower: MakeTower) -> None:
    """Its agent answers, and asks before it refunds."""
    done = tower("new", "shop.py")
    assert done.exit_code == 0
    assert "tower serve shop.py" in done.stdout
    process = make_tower(str(folder / "shop.py"))
    with httpx2.Client(base_url=process.url, timeout=20) as http:
        ask = "/api/v1/requests?wait_s=15"
        told = http.post(ask, json={"user_message": "status of A-17", "agent": "shop"}).json()
        assert told["response_text"] == "A-17 cost 12.50."
        asked = http.post(ask, json={"user_message": "refund A-17", "agent": "shop"}).json()
        assert asked["confirmation_needed"]
        approval = {"confirmation_id": asked["confirmation_id"], "approved": True}
        assert http.post("/api/v1/confirmations", json=approval).status_code == 200
        for _ in range(100):
            block = http.get(f"/api/v1/requests/{asked['pid']}/status").json()
            if block["state"] == "terminated":
                break
            time.sleep(0.05)
        assert block["result"] == "I paid 12.50 back for A-17."


@pytest.mark.parametrize("name", ["app.py", "app.txt", "no/such/folder/app.py"])
def test_a_new_file_replaces_nothing(folder: Path, name: str) -> None:
    """Nor is one written that could not be served."""
    (folder / "app.py").write_text("mine")
    done = tower("new", name)
    assert done.exit_code == 1
    assert Path(name).name in done.stderr
    assert [each.read_text() for each in folder.iterdir()] == ["mine"]


def test_the_version() -> None:
    """And nothing else."""
    done = tower("--version")
    assert (done.exit_code, done.stdout.split()[0]) == (0, "control-tower")


def test_the_doctor_finds_a_healthy_place(folder: Path) -> None:
    """Every setting with where it came from; nothing is made."""
    done = tower("doctor", TOWER_PORT="0", COLUMNS="200")
    assert done.exit_code == 0, done.stdout
    assert "environment" in done.stdout
    assert "none runs" in done.stdout
    assert list(folder.iterdir()) == []


def test_the_doctor_finds_what_is_wrong(tower_process: TowerProcess, folder: Path) -> None:
    """A port that is taken; exit 1."""
    port = str(urlsplit(tower_process.url).port)
    done = tower("doctor", TOWER_PORT=port, COLUMNS="200")
    assert done.exit_code == 1
    assert "can't be listened on" in done.stdout


def test_the_doctor_finds_a_running_server(tower_process: TowerProcess) -> None:
    """And asks it how it is."""
    done = tower("doctor", "--data-dir", str(tower_process.data_dir), COLUMNS="200")
    assert done.exit_code == 0
    assert f"{tower_process.url} runs" in done.stdout
    assert "Ready: ready" in done.stdout
    assert "we are local, operator" in done.stdout


def test_a_command_warns_once_of_a_setting_that_is_none(tower_process: TowerProcess) -> None:
    """The doctor reads the settings for more than one thing."""
    for _ in range(2):
        done = tower("doctor", "--data-dir", str(tower_process.data_dir), TOWER_PROT="1")
        assert done.stderr.count("TOWER_PROT is not a setting") == 1


@pytest.mark.parametrize(
    ("made", "command"),
    [(True, ".venv/bin/pip install -e '.[llm]'"), (False, "pip install 'control-tower[llm]'")],
)
def test_an_extra_is_installed_where_it_stands(made: bool, command: str, folder: Path) -> None:
    """A clone is no package of a registry."""
    if made:
        (folder / "pyproject.toml").touch()
    assert install_command("llm", folder) == command


def test_an_address_is_said_as_it_was_given() -> None:
    """The start of a sentence does not change it."""
    done = tower("missions", "--url", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: http://127.0.0.1:9 can't be reached")


@pytest.mark.parametrize("mission", ["", "  "])
def test_an_empty_mission_is_a_sentence(mission: str, folder: Path) -> None:
    """Before anything is made."""
    done = tower("run", mission)
    assert (done.exit_code, done.stderr) == (1, "Error: The mission is empty.\n")
    assert list(folder.iterdir()) == []


def test_an_unknown_state_names_the_known(tower_process: TowerProcess) -> None:
    """So that nobody has to look them up."""
    done = tower("missions", "--state", "zzz", "--data-dir", str(tower_process.data_dir))
    assert done.exit_code == 1
    assert "new, ready, running, waiting, blocked, paused, terminated" in done.stderr


def test_a_run_without_a_server(folder: Path) -> None:
    """The result alone on standard output, the steps beside it; the data stays."""
    done = tower("run", "calculate 6 * 7")
    assert (done.exit_code, done.stdout.strip()) == (0, "6 * 7 = 42")
    assert "calculator" in done.stderr
    quiet = tower("run", "--quiet", "calculate 6 * 7")
    assert (quiet.stdout.strip(), quiet.stderr) == ("6 * 7 = 42", "")
    assert (folder / "data" / "tower.db").is_file()


def test_ctrl_c_while_it_still_imports_is_quiet(folder: Path) -> None:
    """Exit 130, no traceback: a library stands in that is interrupted as it loads."""
    (folder / "typer.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-m", "server", "missions"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, b"")


def test_a_run_with_a_server(tower_process: TowerProcess) -> None:
    """It runs there: the server knows the mission, by its own id."""
    done = tower("run", "--json", "calculate 5 * 5", "--data-dir", str(tower_process.data_dir))
    assert done.exit_code == 0
    mission = json.loads(done.stdout)
    there = httpx2.get(f"{tower_process.url}/api/v1/missions/{mission['mission_id']}").json()
    assert there == mission


def test_a_run_that_nobody_can_answer_waits() -> None:
    """Exit 3; a question is never answered by silence."""
    done = tower("run", "delete x.txt", typed="yes\n")
    assert done.exit_code == 3
    assert "waits for an answer" in done.stderr
    assert "tower approve i_" in done.stderr
    as_json = tower("run", "--json", "delete x.txt")
    assert json.loads(as_json.stdout)["status"] == "waiting"


def test_a_run_that_fails(folder: Path) -> None:
    """Exit 1 with what is wrong."""
    (folder / "app.py").write_text(
        "from agents import agent\n\n@agent('broken')\nasync def broken(ctx):\n"
        "    raise ValueError('no luck')\n"
    )
    done = tower("run", "--app", "app.py", "--agent", "broken", "x")
    assert done.exit_code == 1
    assert "no luck" in done.stderr
    unknown = tower("run", "--agent", "nobody", "x")
    assert unknown.exit_code == 1
    assert "nobody" in unknown.stderr or "agent" in unknown.stderr


def test_what_a_running_server_does_is_listed(tower_process: TowerProcess) -> None:
    """Missions, sessions and questions, as tables and as JSON; an answer by its id."""
    here = ("--data-dir", str(tower_process.data_dir))
    asked = httpx2.post(
        f"{tower_process.url}/api/v1/requests?wait_s=20", json={"mission": "delete old.txt"}
    ).json()
    listed = tower("missions", "--state", "waiting", *here, COLUMNS="200")
    assert asked["pid"] in listed.stdout
    assert "delete old.txt" in listed.stdout
    as_json = json.loads(tower("sessions", "--json", *here).stdout)
    assert asked["session_id"] in [each["session_id"] for each in as_json]
    pending = tower("approve", *here, COLUMNS="200")
    assert asked["confirmation_id"] in pending.stdout
    refused = tower("approve", asked["confirmation_id"], "--no", "--json", *here)
    assert json.loads(refused.stdout)[0]["answer"]["approved"] is False
    late = tower("approve", asked["confirmation_id"], *here)
    assert late.exit_code == 1
    assert late.stderr.startswith("Error:")


def test_a_question_is_shown_whole_and_answered_by_its_mission(
    tower_process: TowerProcess,
) -> None:
    """Tool and arguments uncut, also in a pipe; then the decision."""
    long = "x" * 90 + ".txt"
    here = ("--data-dir", str(tower_process.data_dir))
    asked = httpx2.post(
        f"{tower_process.url}/api/v1/requests?wait_s=20", json={"mission": f"delete {long}"}
    ).json()
    listed = tower("approve", *here).stdout
    assert f'workspace.delete {{"name":"{long}"}} (destructive)' in listed
    assert f"tower approve {asked['confirmation_id']}" in listed
    told = tower("approve", asked["pid"], "--no", *here)
    assert told.exit_code == 0
    assert "refused" in told.stdout
    assert "expires" not in told.stdout
    nothing = tower("approve", asked["pid"], *here)
    assert nothing.exit_code == 1
    assert "asks nothing" in nothing.stderr


def test_a_mission_is_cancelled(tower_process: TowerProcess) -> None:
    """With the reason, and its question with it."""
    here = ("--data-dir", str(tower_process.data_dir))
    asked = httpx2.post(
        f"{tower_process.url}/api/v1/requests?wait_s=20", json={"mission": "delete a.txt"}
    ).json()
    done = tower("cancel", asked["pid"], "--reason", "not today", *here)
    assert done.exit_code == 0
    assert f"{asked['pid']} ended: cancelled" in done.stdout
    mission = httpx2.get(f"{tower_process.url}/api/v1/missions/{asked['pid']}").json()
    assert mission["state_reason"] == "not today"
    assert asked["confirmation_id"] not in tower("approve", *here).stdout
    unknown = tower("cancel", "m_nobody", *here)
    assert unknown.exit_code == 1


def test_a_question_is_answered_in_words(tower_process: TowerProcess) -> None:
    """`approve ID --answer`."""
    asked = httpx2.post(
        f"{tower_process.url}/api/v1/requests?wait_s=20", json={"mission": "ask me my name"}
    ).json()
    here = ("--data-dir", str(tower_process.data_dir))
    wordless = tower("approve", asked["clarification_id"], *here)
    assert wordless.exit_code == 1
    assert "--answer" in wordless.stderr
    done = tower("approve", asked["clarification_id"], "--answer", "Ada", "--json", *here)
    assert json.loads(done.stdout)[0]["status"] == "resolved"


@pytest.mark.parametrize(
    "command",
    [
        "missions",
        "missions show m_1",
        "sessions",
        "sessions search x",
        "sessions export s_1",
        "approve",
        "watch",
        "top",
        "cancel m_1",
    ],
)
def test_looking_needs_a_server(command: str, folder: Path) -> None:
    """It says which command starts one, and makes nothing."""
    done = tower(*command.split())
    assert done.exit_code == 1
    assert "tower serve" in done.stderr
    assert list(folder.iterdir()) == []


def test_watching_shows_events_until_the_server_goes(tmp_path: Path) -> None:
    """From an offset on, one line each."""
    process = TowerProcess(tmp_path / "data").start()
    try:
        httpx2.post(f"{process.url}/api/v1/execute", json={"mission": "calculate 1"})
        threading.Timer(2.0, process.signal, [signal.SIGTERM]).start()
        here = ("--data-dir", str(tmp_path / "data"))
        seen = tower("watch", "--since", "0", "--json", "--patience", "0.1", *here)
        assert seen.exit_code == 1
        assert "server" in seen.stderr
        types = [json.loads(line)["type"] for line in seen.stdout.splitlines()]
        assert "mission.completed" in types
        assert "tower.draining" in types
    finally:
        process.wait()


@pytest.fixture(scope="module")
def tower_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """A server that runs beside the commands."""
    process = TowerProcess(tmp_path_factory.mktemp("beside") / "data").start()
    yield process
    process.end()
