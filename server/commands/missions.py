"""`tower missions`: what a server works on, and the commands that a mission takes."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from events.payloads import JsonObject
from server.client import Client
from server.commands.limits import amount_of, limit_of
from server.commands.listing import AsJson, Limit, show, show_fields, show_json
from server.commands.place import Place, ask, placed
from server.commands.terminal import fail, out

Id = Annotated[str, typer.Argument(metavar="ID", help="Which mission.")]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept with the mission.")]
Session = Annotated[str | None, typer.Option(help="Of this session.")]
State = Annotated[str | None, typer.Option(help="In this state, e.g. running.")]
User = Annotated[str | None, typer.Option(help="Of this user.")]

COLUMNS: Final = ("mission_id", "state", "agent", "priority", "created_at", "mission")
LIMITS: Final = (
    "llm_calls, tool_calls, input_tokens, output_tokens, cost_usd, children, events "
    "or timeout_seconds"
)

group = typer.Typer(
    invoke_without_command=True, help="List missions, look at one, or tell it what to do."
)


def list_missions(
    place: Place,
    session: Session = None,
    state: State = None,
    user: User = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List missions, newest first."""

    async def question(tower: Client) -> list[JsonObject]:
        return await tower.missions(session_id=session, state=state, user_id=user, limit=limit)

    found = ask(place, question)
    if not json:  # one column says how it stands: the state, or how it ended
        found = [mission | {"state": mission["outcome"] or mission["state"]} for mission in found]
    show(found, COLUMNS, as_json=json, nothing="No missions.")


@placed
def _by_default(
    context: typer.Context,
    place: Place,
    session: Session = None,
    state: State = None,
    user: User = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List missions, newest first; or, with a command, look at one or tell it what to do."""
    if context.invoked_subcommand is None:
        list_missions(place, session, state, user, limit, json)


@placed
def show_mission(place: Place, mission_id: Id, json: AsJson = False) -> None:
    """Show all that is known of a mission."""
    show_fields(ask(place, lambda tower: tower.mission(mission_id)), as_json=json)


@placed
def explain(place: Place, mission_id: Id, json: AsJson = False) -> None:
    """Say why a mission is where it is: what it waits for, and its place in the queue."""
    show_fields(ask(place, lambda tower: tower.explain(mission_id)), as_json=json)


@placed
def cancel(place: Place, mission_id: Id, reason: Reason = None, json: AsJson = False) -> None:
    """Cancel a mission: it makes no further call, and its questions are closed."""
    _command(place, lambda tower: tower.cancel(mission_id, reason), as_json=json)


@placed
def pause(place: Place, mission_id: Id, reason: Reason = None, json: AsJson = False) -> None:
    """Pause a mission at its next call."""
    _command(place, lambda tower: tower.pause(mission_id, reason), as_json=json)


@placed
def resume(place: Place, mission_id: Id, reason: Reason = None, json: AsJson = False) -> None:
    """Let a paused mission go on."""
    _command(place, lambda tower: tower.resume(mission_id, reason), as_json=json)


@placed
def priority(
    place: Place,
    mission_id: Id,
    level: Annotated[str, typer.Argument(help="realtime, high, normal, low or idle.")],
    json: AsJson = False,
) -> None:
    """Change a mission's priority."""
    _command(place, lambda tower: tower.set_priority(mission_id, level), as_json=json)


@placed
def extend(
    place: Place,
    mission_id: Id,
    amounts: Annotated[
        list[str], typer.Argument(metavar="LIMIT=AMOUNT...", help=f"What to add to {LIMITS}.")
    ],
    json: AsJson = False,
) -> None:
    """Add to a mission's quota, as in: extend ID tool_calls=20 cost_usd=0.5."""
    quota = dict(_amount(each) for each in amounts)
    _command(place, lambda tower: tower.extend_quota(mission_id, quota), as_json=json)


def _amount(given: str) -> tuple[str, float]:
    name, _, number = given.partition("=")
    amount = amount_of(number)
    if amount is None:
        fail(f"{given}: say what to add to which limit, as tool_calls=20.")
    return limit_of(name), amount


def _command(
    place: Place, question: Callable[[Client], Awaitable[JsonObject]], *, as_json: bool
) -> None:
    """Tell a mission something, and say how it stands then."""
    mission = ask(place, question)
    if as_json:
        show_json(mission)
    else:
        out.print(standing(mission), markup=False, highlight=False, soft_wrap=True)


def standing(mission: JsonObject) -> str:
    """Return one line about how a mission stands."""
    named = f"The mission {mission['mission_id']}"
    if mission["outcome"]:
        return f"{named} ended: {mission['outcome']}"
    return f"{named} is {mission['state']}, priority {mission['priority']}"


group.callback()(_by_default)
group.command("list")(placed(list_missions))
group.command("show")(show_mission)
for _each in (explain, cancel, pause, resume, priority, extend):
    group.command()(_each)
