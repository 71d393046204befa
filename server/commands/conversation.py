"""A mission on the terminal: its steps as they happen, its questions, its result."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
from rich.console import Console
from rich.markup import escape

from events.payloads import TERMINAL_TYPES, JsonObject
from server.client import Client, ClientError
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
        self.pending: JsonObject | None = None

    async def follow(self, mission_id: str) -> JsonObject:
        """Show a mission until it ends, or asks while nobody is there; return its block."""
        async for event in self._tower.events():
            if event["type"] == "llm.delta":
                self._stream(event["data"]["text"])
            elif event["mission_id"] == mission_id and not await self._take(event):
                break
        else:
            raise ClientError("disconnected", "The server went away; the mission goes on there.")
        mission: JsonObject = await self._tower.call("mission.get", mission_id=mission_id)
        return mission

    async def _take(self, event: JsonObject) -> bool:
        """Show one event; return whether to go on."""
        kind, data = event["type"], event["data"]
        if kind in TERMINAL_TYPES:
            self._end_stream()
            return False
        if kind == "interrupt.raised":
            return await self._question(data)
        line = _line(kind, data)
        if line and not self._quiet:
            self._end_stream()
            self._console.print(line, highlight=False)
        return True

    def _stream(self, text: str) -> None:
        if self._quiet:
            return
        self._streaming = True
        self._console.print(text, end="", style="dim", markup=False, highlight=False)

    def _end_stream(self) -> None:
        if self._streaming:
            self._streaming = False
            self._console.print()

    async def _question(self, data: JsonObject) -> bool:
        self._end_stream()
        self._console.print(
            f"[bold yellow]?[/] {escape(printable(data['message']))}", highlight=False
        )
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
                await self._tower.call(
                    "confirm", confirmation_id=data["interrupt_id"], approved=approved
                )
            case "clarification":
                for option in data.get("options") or ():
                    self._console.print(f"  - {escape(option)}", highlight=False)
                words = ""
                while not words:
                    words = await self._read("  > ")
                await self._tower.call(
                    "clarify", clarification_id=data["interrupt_id"], answer=words
                )
            case _:
                await self._decide(data)

    async def _yes_or_no(self, prompt: str) -> bool:
        words = None
        while words not in YES_OR_NO:
            words = (await self._read(prompt)).lower()
        return YES_OR_NO[words]

    async def _decide(self, data: JsonObject) -> None:
        choices = DECISIONS[data["kind"]]
        words = ""
        while words not in choices:
            words = await self._read(f"  {' / '.join(choices)}? ")
        params: dict[str, Any] = {"interrupt_id": data["interrupt_id"], "decision": words}
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
    "resource_exhausted": ("finish", "cancel"),
    "unknown_outcome": ("retry", "it_happened", "fail"),
}
"""What may be decided here. To extend a quota takes amounts: the chat and the API have them."""


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
