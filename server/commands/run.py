"""`tower run`: one mission, from the terminal."""

import asyncio
import shlex
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop

from events.payloads import JsonObject
from server import logging
from server.commands.conversation import EXIT_FAILED, EXIT_WAITING, Conversation
from server.commands.embedded import any_tower
from server.commands.farewell import left
from server.commands.keyboard import typed_line
from server.commands.terminal import err, fail, loaded, plainly
from server.settings import Settings


@plainly
def run(
    mission: Annotated[str, typer.Argument(help="What to do, in words.")],
    agent: Annotated[str | None, typer.Option(help="Which agent.")] = None,
    profile: Annotated[str | None, typer.Option(help="A preset of the settings file.")] = None,
    session: Annotated[str | None, typer.Option(help="Go on in this session.")] = None,
    app: Annotated[
        list[str] | None,
        typer.Option(help="A file or module with agents and tools, when no server runs."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the finished mission as JSON.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no steps.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the database.")] = None,
    model: Annotated[str | None, typer.Option(help="Default model, as provider:name.")] = None,
) -> None:
    """Run one mission and print its result.

    Steps and questions go to standard error, the result alone to standard output. If a server
    serves the data folder, the mission runs there; if not, it runs here.

    Ends with 0 if the mission completed, 1 if it did not, 3 if it waits for an answer and nobody
    is there to give it, 130 after Ctrl-C.
    """
    if not mission.strip():
        fail("The mission is empty.")
    settings = loaded({"data_dir": data_dir, "model": model}).settings
    logging.configure("warning", settings.log_format)
    submission: dict[str, object] = {
        "mission": mission,
        "agent": agent,
        "profile": profile,
        "session_id": session,
    }
    again = f" --data-dir {shlex.quote(str(data_dir))}" if data_dir else ""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        finished = runner.run(_run(settings, submission, app or [], again, quiet=quiet))
    _print_result(finished, as_json=json)
    raise typer.Exit(_exit_code(finished))


async def _run(
    settings: Settings, submission: dict[str, object], apps: list[str], again: str, *, quiet: bool
) -> JsonObject:
    keyboard = typed_line if sys.stdin.isatty() else None
    async with any_tower(settings, apps) as tower:
        ack = await tower.client.call("mission.submit", **submission)
        mission_id = ack["mission_id"]
        conversation = Conversation(tower.client, err, keyboard, quiet=quiet)
        try:
            finished = await conversation.follow(mission_id)
        except asyncio.CancelledError:
            # Said before the server drains: the person wants to know now.
            line = "\n" if keyboard else ""  # the terminal echoed ^C on the line before
            _say(line + left(mission_id, conversation.pending, ours=tower.ours, again=again))
            raise
        if finished["status"] == "waiting":
            _say(left(mission_id, conversation.pending, ours=tower.ours, again=again))
        return finished


def _say(sentence: str) -> None:
    err.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _print_result(mission: JsonObject, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(mission).decode())
    elif mission["status"] == "completed":
        result = mission["result"]
        typer.echo(result if isinstance(result, str) else msgspec.json.encode(result).decode())
    elif mission["status"] != "waiting":
        error = mission["error"] or {}
        said = error.get("message") or mission["state_reason"] or ""
        err.print(f"{mission['outcome']}: {said}", markup=False, highlight=False)


def _exit_code(mission: JsonObject) -> int:
    if mission["status"] == "completed":
        return 0
    return EXIT_WAITING if mission["status"] == "waiting" else EXIT_FAILED
