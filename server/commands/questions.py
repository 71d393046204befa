"""Questions to a person, as text, and the call that answers one from the command line."""

from dataclasses import dataclass

import msgspec

from events.payloads import JsonObject
from server.client import Client, ClientError
from server.commands.farewell import how_to_answer
from server.commands.limits import amount_of, limit_of
from server.commands.listing import age
from server.commands.terminal import printable


@dataclass(frozen=True, slots=True)
class Given:
    """What a person said, in the options of `tower approve`.

    Attributes:
        approved: of a confirmation.
        words: the answer, or the decision.
        message: why.
        arguments: what is to run instead.
        add: how much to add to a used-up limit.
        result: what a call of unknown outcome returned.
    """

    approved: bool = True
    words: str | None = None
    message: str | None = None
    arguments: JsonObject | None = None
    add: str | None = None
    result: msgspec.UnsetType | object = msgspec.UNSET


def said(interrupt: JsonObject, again: str = "") -> list[str]:
    """Return the lines about a question; nothing is cut, for this is what a person agrees to."""
    lines = [f"{interrupt['interrupt_id']}  {_standing(interrupt)}  {interrupt['mission_id']}"]
    lines += [f"  {line}" for line in printable(interrupt["message"]).splitlines()]
    if interrupt["tool"] is not None:
        arguments = printable(msgspec.json.encode(interrupt["arguments"]).decode())
        lines.append(f"  {interrupt['tool']} {arguments} ({interrupt['risk']})")
    lines += [f"  - {printable(option)}" for option in interrupt["options"] or ()]
    if interrupt["status"] == "pending":
        lines.append(f"  > {how_to_answer(interrupt, again)}")
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


async def answer(tower: Client, asked: JsonObject, given: Given) -> JsonObject:
    """Answer a question; return how it stands now.

    Raises:
        ClientError: if the answer is none for this kind, or the server refuses it.
    """
    interrupt_id, kind = asked["interrupt_id"], asked["kind"]
    if kind == "confirmation" or (kind is None and given.words is None):
        if given.words is not None:
            raise _wrong("This asks for a yes or a no: leave --answer out.")
        return await tower.confirm(
            interrupt_id, given.approved, message=given.message, arguments=given.arguments
        )
    if given.words is None:
        raise _wrong(f"This asks for words: {how_to_answer(asked)}")
    if kind in ("clarification", None):
        return await tower.clarify(interrupt_id, given.words)
    return await _decide(tower, asked, given)


async def _decide(tower: Client, asked: JsonObject, given: Given) -> JsonObject:
    params: JsonObject = {"interrupt_id": asked["interrupt_id"], "decision": given.words}
    if given.words == "extend":
        amount = amount_of(given.add or "")
        if amount is None:
            raise _wrong("To extend, say by how much: --answer extend --add AMOUNT")
        params["quota"] = {limit_of(asked["resource"]): amount}
    if given.result is not msgspec.UNSET:
        params["result"] = given.result
    answered: JsonObject = await tower.call("interrupt.answer", **params)
    return answered


def _wrong(sentence: str) -> ClientError:
    return ClientError("invalid_params", sentence)
