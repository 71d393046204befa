"""`tower cancel`: stop a mission on a server that runs."""

from typing import Annotated

import msgspec
import typer

from events.payloads import JsonObject
from server.client import Client
from server.commands.listing import AsJson, DataDir, ask_tower
from server.commands.terminal import out, plainly


@plainly
def cancel(
    mission_id: Annotated[str, typer.Argument(help="Which mission.")],
    reason: Annotated[str | None, typer.Option(help="Why; it is kept with the mission.")] = None,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Cancel a mission: it makes no further call, and its questions are closed."""

    async def question(tower: Client) -> JsonObject:
        mission: JsonObject = await tower.call(
            "mission.cancel", mission_id=mission_id, reason=reason
        )
        return mission

    mission = ask_tower(data_dir, question)
    if json:
        typer.echo(msgspec.json.encode(mission).decode())
        return
    ended = mission["outcome"]
    said = f"ended: {ended}" if ended else f"is being cancelled ({mission['state']} until then)"
    out.print(f"The mission {mission_id} {said}", markup=False, highlight=False)
