"""`tower approve`: what waits on a person, and their answer."""

from typing import Annotated, Any

import msgspec
import typer

from events.payloads import JsonObject
from server.client import Client, ClientError
from server.commands.listing import AsJson, show_json
from server.commands.place import Place, ask, placed
from server.commands.questions import Given, answer, said
from server.commands.terminal import fail, out

MISSION = "m_"
MOST = 500
"""As many questions as one page of the server has."""


@placed
def approve(
    place: Place,
    interrupt_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Which question, or whose mission; without: list them."
        ),
    ] = None,
    no: Annotated[bool, typer.Option("--no", help="Refuse instead.")] = False,
    words: Annotated[
        str | None, typer.Option("--answer", help="The answer to a question that wants words.")
    ] = None,
    message: Annotated[str | None, typer.Option(help="Why; the agent reads it.")] = None,
    arguments: Annotated[
        str | None, typer.Option(help="Approve the call with these arguments instead: JSON.")
    ] = None,
    add: Annotated[str | None, typer.Option(help="With --answer extend: how much to add.")] = None,
    result: Annotated[
        str | None, typer.Option(help="With --answer it_happened: what it returned, as JSON.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Answer what a mission asks, or list what waits on a person.

    A confirmation is approved, or refused with --no. A clarification takes --answer. So does a
    decision: extend (with --add), finish or cancel when a quota is used up; retry, it_happened or
    fail when nobody knows whether a call was made.
    """
    given = Given(
        approved=not no,
        words=words,
        message=message,
        arguments=_json("--arguments", arguments) if arguments is not None else None,
        add=add,
        result=_json("--result", result) if result is not None else msgspec.UNSET,
    )

    async def question(tower: Client) -> list[JsonObject]:
        if interrupt_id is None:
            return await tower.interrupts(limit=MOST)
        return [await answer(tower, await _find(tower, interrupt_id), given)]

    found = ask(place, question)
    if json:
        show_json(found)
        return
    if not found:
        out.print("Nothing waits on a person.")
    for each in found:
        lines = "\n".join(said(each, place.again))
        out.print(lines, markup=False, highlight=False, soft_wrap=True)


async def _find(tower: Client, wanted: str) -> JsonObject:
    """Return the question with this id, or the one that this mission asks."""
    if not wanted.startswith(MISSION):
        pending = await tower.interrupts(limit=MOST)
        found = [each for each in pending if each["interrupt_id"] == wanted]
        # Answered already, or unknown: the server has the sentence for it.
        return found[0] if found else {"interrupt_id": wanted, "kind": None}
    found = await tower.interrupts(mission_id=wanted)
    if not found:
        raise ClientError("not_found", f"The mission {wanted} asks nothing.")
    if len(found) > 1:
        ids = ", ".join(each["interrupt_id"] for each in found)
        raise ClientError("conflict", f"The mission {wanted} asks more than one question: {ids}")
    return found[0]


def _json(option: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        fail(f"{option} takes JSON; this is none: {text}")
