"""`tower approve`: what waits on a person, and their answer."""

from typing import Annotated, Any

import msgspec
import typer

from events.payloads import JsonObject
from server.client import Client, ClientError
from server.commands.farewell import how_to_answer
from server.commands.listing import AsJson, DataDir, age, ask_tower
from server.commands.terminal import out, plainly, printable

MISSION = "m_"
MOST = 500
"""As many questions as one page of the server has."""


@plainly
def approve(
    interrupt_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Which question, or whose mission; without: list them."
        ),
    ] = None,
    no: Annotated[bool, typer.Option("--no", help="Refuse instead.")] = False,
    answer: Annotated[
        str | None, typer.Option(help="The answer to a question that wants words.")
    ] = None,
    message: Annotated[str | None, typer.Option(help="Why; the agent reads it.")] = None,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Answer what a mission asks, or list what waits on a person.

    A confirmation is approved, or refused with --no. A clarification takes --answer, and so does a
    decision: finish or cancel, retry, it_happened or fail.
    """

    async def question(tower: Client) -> list[JsonObject]:
        if interrupt_id is None:
            return await _pending(tower)
        asked = await _find(tower, interrupt_id)
        return [await _answer(tower, asked, answer, approved=not no, message=message)]

    found = ask_tower(data_dir, question)
    if json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    if not found:
        out.print("Nothing waits on a person.")
    for each in found:
        out.print("\n".join(said(each)), markup=False, highlight=False, soft_wrap=True)


def said(interrupt: JsonObject) -> list[str]:
    """Return the lines about a question; nothing is cut, for this is what a person agrees to."""
    lines = [f"{interrupt['interrupt_id']}  {_standing(interrupt)}  {interrupt['mission_id']}"]
    lines += [f"  {line}" for line in printable(interrupt["message"]).splitlines()]
    if interrupt["tool"] is not None:
        arguments = printable(msgspec.json.encode(interrupt["arguments"]).decode())
        lines.append(f"  {interrupt['tool']} {arguments} ({interrupt['risk']})")
    lines += [f"  - {printable(option)}" for option in interrupt["options"] or ()]
    if interrupt["status"] == "pending":
        lines.append(f"  > {how_to_answer(interrupt)}")
    return lines


def _standing(interrupt: JsonObject) -> str:
    """Return the decision, or how long there is for one."""
    match interrupt["answer"]:
        case {"approved": bool(approved)}:
            return "approved" if approved else "refused"
        case {"decision": str(decision)}:
            return f"decided: {decision}"
        case {"answer": words}:
            return f"answered: {printable(str(words))}"
    if interrupt["status"] != "pending":
        return str(interrupt["status"])
    expires = interrupt["expires_at"]
    return f"{interrupt['kind']}, expires {age(expires)}" if expires else str(interrupt["kind"])


async def _pending(tower: Client, mission_id: str | None = None) -> list[JsonObject]:
    page = await tower.call("interrupt.list", mission_id=mission_id, limit=MOST)
    found: list[JsonObject] = page["interrupts"]
    return found


async def _find(tower: Client, wanted: str) -> JsonObject:
    """Return the question with this id, or the one that this mission asks."""
    if not wanted.startswith(MISSION):
        found = [each for each in await _pending(tower) if each["interrupt_id"] == wanted]
        # Answered already, or unknown: the server has the sentence for it.
        return found[0] if found else {"interrupt_id": wanted, "kind": None}
    found = await _pending(tower, wanted)
    if not found:
        raise ClientError("not_found", f"The mission {wanted} asks nothing.")
    if len(found) > 1:
        ids = ", ".join(each["interrupt_id"] for each in found)
        raise ClientError("conflict", f"The mission {wanted} asks more than one question: {ids}")
    return found[0]


async def _answer(
    tower: Client, asked: JsonObject, answer: str | None, *, approved: bool, message: str | None
) -> JsonObject:
    interrupt_id, kind = asked["interrupt_id"], asked["kind"]
    params: dict[str, Any]
    if kind == "confirmation" or (kind is None and answer is None):
        if answer is not None:
            raise ClientError("invalid_params", "This asks for a yes or a no: leave --answer out.")
        method = "confirm"
        params = {"confirmation_id": interrupt_id, "approved": approved, "message": message}
    elif answer is None:
        raise ClientError("invalid_params", f"This asks for words: {how_to_answer(asked)}")
    elif kind in ("clarification", None):
        method, params = "clarify", {"clarification_id": interrupt_id, "answer": answer}
    else:
        method, params = "interrupt.answer", {"interrupt_id": interrupt_id, "decision": answer}
    answered: JsonObject = await tower.call(method, **params)
    return answered
