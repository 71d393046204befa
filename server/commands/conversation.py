"""A mission on the terminal: its steps as they happen, its questions, its result."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
from rich.console import Console
from rich.markup import escape

from events.payloads import JsonObject
from server.client import Client, ClientError, Event, Gap, Texts
from server.commands.limits import amount_of, limit_of
from server.commands.terminal import printable

EXIT_FAILED = 1
EXIT_WAITING = 3
SHOWN_CHARACTERS = 200
NOBODY = "nobody"

Keyboard: TypeAlias = Callable[[], Awaitable[str | None]]
"""Returns the next line that is typed; None at the end."""


class Conversation:
    """Follows one mission and answers its questions from the keyboard.

    Args:
        tower: connected.
        console: where steps and questions go; never the result.
        keyboard: where answers come from; None when nobody is there to answer.
        quiet: show questions, no steps.

    Attributes:
        pending: the ``data`` of the question that is open, for who leaves in the middle of it.
    """

    def __init__(
        self,
        tower: Client,
        console: Console,
        keyboard: Keyboard | None,
        *,
        quiet: bool = False,
    ) -> None:
        self._tower = tower
        self._console = console
        self._keyboard = keyboard
        self._quiet = quiet
        self._streaming = False
        self._texts = Texts()
        self._shown: dict[str | None, str] = {}
        self.pending: JsonObject | None = None

    async def follow(self, mission_id: str, events: AsyncIterator[Event | Gap]) -> JsonObject:
        """Show a mission until it ends, or asks while nobody is there; return its block.

        Args:
            mission_id: the mission.
            events: from its first one on, its children's among them.
        """
        async for event in events:
            if isinstance(event, Gap):
                continue  # if it ended in there, nothing more comes
            if event.type == "llm.delta":
                self._stream(event)
            elif event.mission_id == mission_id and not await self._take(mission_id, event):
                break
        self._end_stream()
        return await self._tower.mission(mission_id)

    async def _take(self, mission_id: str, event: Event) -> bool:
        """Show one event; return whether to go on."""
        if event.ends(mission_id):
            return False
        if event.type == "interrupt.raised":
            return await self._question(event.data)
        line = _line(event.type, event.data)
        if line and not self._quiet:
            self._end_stream()
            self._console.print(line, highlight=False)
        return True

    def showed(self, result: object) -> bool:
        """Whether the result was streamed whole, so that who saw that has seen it."""
        return result in self._shown.values()

    def _stream(self, event: Event) -> None:
        if self._quiet:
            return
        step = event.data["step"]
        before, text = self._shown.get(step, ""), self._texts.take(event) or ""
        self._shown[step] = text
        # After a lost connection all of it comes again; a new attempt begins anew.
        fresh = text.removeprefix(before) if text.startswith(before) else f"\n{text}"
        self._streaming = self._streaming or bool(fresh)
        self._console.print(printable(fresh), end="", markup=False, highlight=False, soft_wrap=True)

    def _end_stream(self) -> None:
        if self._streaming:
            self._streaming = False
            self._console.print()

    async def _question(self, data: JsonObject) -> bool:
        self._end_stream()
        self._console.print(
            f"[bold yellow]?[/] {escape(printable(data['message']))}", highlight=False
        )
        if data.get("tool") is not None:  # whole, for this is what a person agrees to
            arguments = msgspec.json.encode(data.get("arguments")).decode()
            call = printable(f"  {data['tool']} {arguments}")
            self._console.print(call, markup=False, highlight=False, soft_wrap=True)
        self.pending = data
        if self._keyboard is None:
            return False
        try:
            await self._answer(data)
        except ClientError as error:
            if error.code == NOBODY:
                self._console.print()  # the prompt's line is still open
                return False
            self._console.print(f"[red]{escape(error.message)}[/]", highlight=False)
        self.pending = None
        return True

    async def _answer(self, data: JsonObject) -> None:
        match data["kind"]:
            case "confirmation":
                approved = await self._yes_or_no("  approve? yes/[no] ")
                await self._tower.confirm(data["interrupt_id"], approved)
            case "clarification":
                for option in data.get("options") or ():
                    self._console.print(f"  - {escape(option)}", highlight=False)
                words = ""
                while not words:
                    words = await self._read("  > ")
                await self._tower.clarify(data["interrupt_id"], words)
            case _:
                await self._decide(data)

    async def _yes_or_no(self, prompt: str) -> bool:
        words = None
        while words not in YES_OR_NO:
            words = (await self._read(prompt)).lower()
        return YES_OR_NO[words]

    async def _decide(self, data: JsonObject) -> None:
        choices = DECISIONS[data["kind"]]
        prompt = f"  {' / '.join(choices.values())}? "
        while True:
            word, _, rest = (await self._read(prompt)).partition(" ")
            more = _more(word, rest.strip(), data)
            if word in choices and more is not None:
                break
        params: dict[str, Any] = {"interrupt_id": data["interrupt_id"], "decision": word, **more}
        await self._tower.call("interrupt.answer", **params)

    async def _read(self, prompt: str) -> str:
        self._console.print(prompt, end="", markup=False, highlight=False)
        line = await self._keyboard() if self._keyboard else None
        if line is None:
            raise ClientError(NOBODY, "Nobody is there to answer.")
        return line.strip()


YES_OR_NO = {"yes": True, "y": True, "no": False, "n": False, "": False}
"""Anything else is asked again: a slip must neither approve nor refuse for good."""

DECISIONS = {
    "resource_exhausted": {"extend": "extend AMOUNT", "finish": "finish", "cancel": "cancel"},
    "unknown_outcome": {"retry": "retry", "it_happened": "it_happened [JSON]", "fail": "fail"},
}
"""The words that decide, by the question's kind, as the prompt shows them."""


def _more(word: str, rest: str, data: JsonObject) -> JsonObject | None:
    """Return what goes with a decision; None if what was typed behind it makes no sense."""
    if word == "extend":
        amount = amount_of(rest)
        return None if amount is None else {"quota": {limit_of(data["resource"]): amount}}
    if not rest:
        return {}
    if word != "it_happened":
        return None
    try:
        return {"result": msgspec.json.decode(rest)}
    except msgspec.DecodeError:
        return None


def _line(kind: str, data: JsonObject) -> str | None:
    """Return what to say about an event, if anything."""
    match kind:
        case "step.started":
            return f"[dim]·[/] {escape(data['name'])} {escape(_short(data['input']))}"
        case "step.completed":
            took = f"[dim]{data['duration_ms']:.0f} ms[/]"
            return f"[green]✓[/] {escape(data['name'])} {escape(_short(data['output']))} {took}"
        case "step.failed":
            return f"[red]✗[/] {escape(data['name'])} {escape(data['error']['message'])}"
        case "mission.queued":
            return f"[dim]queued, position {data['position']} ({escape(data['cause'])})[/]"
        case "mission.recovered":
            return f"[dim]goes on after a restart; {data['replayed_steps']} steps replayed[/]"
        case "mission.blocked" | "mission.paused":
            return f"[dim]{kind.removeprefix('mission.')}: {escape(str(data['cause']))}[/]"
        case "artifact.created":
            return f"[dim]made {escape(data['name'])}, {data['size']} bytes[/]"
        case _:
            return None


def _short(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
