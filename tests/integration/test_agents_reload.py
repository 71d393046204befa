"""`tower serve --reload`: a changed app is served at once, and missions go on under it."""

import os
import signal
import socket
from pathlib import Path

import httpx2
import pytest

from server.reloading import look, watched
from server.tether import tied
from tests.integration.conftest import MakeTower
from tests.integration.tower_process import TowerProcess, eventually, wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

APP = """
from agents import Context, agent

@agent("greeter", description="Greets.")
async def greeter(ctx: Context) -> str:
    name = await ctx.clarify("Who?")
    return f"{GREETING}, {name}"
"""


def write(app: Path, text: str) -> None:
    """Write an app; two writes in one tick of the clock are told apart by a later time."""
    before = app.stat().st_mtime_ns if app.exists() else 0
    app.write_text(text)
    os.utime(app, ns=(before + 10**9, before + 10**9))


def greeting(url: str) -> str | None:
    """Return what the running app's agent says of itself; None while nobody answers."""
    try:
        answer = httpx2.get(f"{url}/api/v1/agents", timeout=10)
    except httpx2.HTTPError:
        return None
    said = {each["name"]: each["description"] for each in answer.json()["agents"]}
    return said.get("greeter")


async def test_a_changed_app_is_served_and_its_missions_go_on(
    make_tower: MakeTower, tmp_path: Path
) -> None:
    """Also after one that can't be imported; the address stays, and a signal ends it all."""
    app = tmp_path / "app" / "app.py"
    app.parent.mkdir()
    write(app, APP.replace("GREETING", "'Hello'"))
    tower = make_tower("--reload", str(app))
    async with wire(tower.ws_url) as ws:
        waits = await ws.call("mission.submit", mission="greet", agent="greeter")
        asked = await ws.event("interrupt.raised")
        works = await ws.call("mission.submit", mission="work 200 steps", agent="demo")
        await ws.event("step.completed")
        write(app, "this is no Python")
        await ws.event("tower.draining")
        await ws.connection.wait_closed()
    await eventually(lambda: "app.py could not be imported" in tower.log.read_text(), 30)
    write(app, APP.replace("GREETING", "'Good day'").replace("Greets.", "Greets well."))
    await eventually(lambda: greeting(tower.url) == "Greets well.", 30)
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=[f"mission:{works['mission_id']}"], since=0)
        last = await ws.ended()
        assert last["type"] == "mission.completed"
        steps = [e["data"]["step"] for e in ws.durable if e["type"] == "step.completed"]
        assert len(steps) == len(set(steps)) == 200
        await ws.call("subscribe", topics=[f"mission:{waits['mission_id']}"])
        number = asked["data"]["interrupt_id"]
        await ws.call("clarify", clarification_id=number, answer="Ada")
        last = await ws.ended()
        assert last["data"]["result"] == "Good day, Ada"
    assert tower.stop() == 0


async def test_a_server_does_not_outlive_its_supervisor(
    make_tower: MakeTower, tmp_path: Path
) -> None:
    """Killed, it leaves nobody behind who holds the folder."""
    app = tmp_path / "app" / "app.py"
    app.parent.mkdir()
    write(app, "")
    tower = make_tower("--reload", str(app))
    tower.signal(signal.SIGKILL)
    await eventually(lambda: greeting(tower.url) is None, 30)
    tower.wait()


async def test_a_server_whose_supervisor_is_gone_before_it_looks_ends(tmp_path: Path) -> None:
    """Killed in its child's first moment, it is nobody's parent when the child is up."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours, theirs = tied()
        ours.close()
        handed = [listener.fileno(), theirs.fileno()]
        given = ("--supervised", str(handed[0]), "--tether", str(handed[1]))
        tower = TowerProcess(tmp_path / "data", *given)
        with theirs:
            tower.launch(pass_fds=handed)
        assert tower.wait(60) in {0, -signal.SIGTERM}


def test_what_is_watched(tmp_path: Path) -> None:
    """The Python files beside an app, but no hidden folder; a settings file, too."""
    for name in ("app.py", "more/b.py", ".venv/c.py", "node_modules/d.py", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    config = tmp_path / "notes.txt"
    places = watched([str(tmp_path / "app.py")], config)
    assert {path.name for path in look(places)} == {"app.py", "b.py", "notes.txt"}
    assert watched(["some.module"], None) == [Path.cwd()]
