"""`tower run`: one mission, from the terminal."""

import asyncio
import sys
from typing import Annotated, Any

import msgspec
import typer

from control_tower.store import holder_of
from events.payloads import JsonObject
from server import leaving, logging
from server.client import Submitted
from server.commands.conversation import EXIT_FAILED, EXIT_WAITING, Conversation
from server.commands.embedded import Reached, any_tower
from server.commands.farewell import left
from server.commands.keyboard import typed_line
from server.commands.listing import show_json
from server.commands.place import Place, placed
from server.commands.terminal import err, fail, loaded
from server.settings import Settings


@placed
def run(
    place: Place,
    mission: Annotated[str, typer.Argument(help="What to do, in words.")],
    agent: Annotated[str | None, typer.Option(help="Which agent.")] = None,
    profile: Annotated[str | None, typer.Option(help="A preset of the settings file.")] = None,
    session: Annotated[str | None, typer.Option(help="Go on in this session.")] = None,
    inputs: Annotated[str | None, typer.Option(help="Inputs of the agent, a JSON object.")] = None,
    priority: Annotated[
        str | None, typer.Option(help="realtime, high, normal, low or idle.")
    ] = None,
    app: Annotated[
        list[str] | None,
        typer.Option(help="A file or module with agents and tools, when no server runs."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Print the mission's id, and don't wait for it.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the finished mission as JSON.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no steps.")] = False,
    model: Annotated[str | None, typer.Option(help="Default model, as provider:name.")] = None,
) -> None:
    """Run one mission and print its result.

    Steps and questions go to standard error, the result alone to standard output. The mission runs
    at --url if that is given, else at the server that serves the data folder, else here.

    Ends with 0 if the mission completed, 1 if it did not, 3 if it waits for an answer and nobody
    is there to give it, 130 after Ctrl-C.
    """
    if not mission.strip():
        fail("The mission is empty.")
    settings = loaded({"data_dir": place.data_dir, "model": model}).settings
    logging.configure("warning", settings.log_format)
    submission: dict[str, Any] = {
        "mission": mission,
        "agent": agent,
        "profile": profile,
        "session_id": session,
        "inputs": _object(inputs),
        "priority": priority,
    }
    running = _run(place, settings, submission, app or [], quiet=quiet, detach=detach)
    finished, showed = leaving.run(running)
    if json:
        show_json(finished)
    elif detach:
        typer.echo(finished["mission_id"])
    elif not showed:
        _print_result(finished)
    raise typer.Exit(0 if detach else _exit_code(finished))


async def _run(
    place: Place,
    settings: Settings,
    submission: dict[str, Any],
    apps: list[str],
    *,
    quiet: bool,
    detach: bool,
) -> tuple[JsonObject, bool]:
    """Return the mission, and whether its result was seen already where it would be printed."""
    if detach and not place.url and holder_of(settings.data_dir) is None:
        fail("--detach: no server runs that would go on with it; start one: tower serve")
    async with any_tower(place, settings, apps) as tower:
        submitted = await tower.client.submit(**submission)
        if detach:
            return await tower.client.mission(submitted.mission_id), False
        return await _follow(place, tower, submitted, quiet=quiet)


async def _follow(
    place: Place, tower: Reached, submitted: Submitted, *, quiet: bool
) -> tuple[JsonObject, bool]:
    keyboard = typed_line if sys.stdin.isatty() else None
    mission_id = submitted.mission_id
    conversation = Conversation(tower.client, err, keyboard, quiet=quiet)
    try:
        async with tower.client.follow(submitted) as events:
            finished = await conversation.follow(mission_id, events)
    except asyncio.CancelledError:
        # Said before the server drains: the person wants to know now.
        line = "\n" if keyboard else ""  # the terminal echoed ^C on the line before
        _say(line + left(mission_id, conversation.pending, ours=tower.ours, again=place.again))
        raise
    if finished["status"] == "waiting":
        _say(left(mission_id, conversation.pending, ours=tower.ours, again=place.again))
    one_terminal = sys.stdout.isatty() and sys.stderr.isatty()
    return finished, one_terminal and conversation.showed(finished["result"])


def _object(text: str | None) -> JsonObject | None:
    """Return a JSON object that was given as an option."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return fail(f"--inputs takes a JSON object, as '{{\"tokens\": 5}}'; this is none: {text}")


def _say(sentence: str) -> None:
    err.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _print_result(mission: JsonObject) -> None:
    if mission["status"] == "completed":
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
