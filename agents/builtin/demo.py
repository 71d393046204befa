"""``demo``: a rule-based agent that shows what the tower does, without a model, a key or a network.

It reads the little language of :mod:`agents.builtin.phrases`, does one command after the other
and answers with a line for each. What it streams is exactly what it answers.
"""

import asyncio
from typing import TYPE_CHECKING, Any, assert_never

from agents.builtin import commands, phrases
from agents.builtin.asking import question_about
from agents.errors import (
    AgentError,
    BreakerOpen,
    ClarificationExpired,
    QuotaExceeded,
    ToolFailed,
    ToolInvalid,
    ToolRefused,
    ToolTimeout,
)
from agents.registry import Registry

if TYPE_CHECKING:
    from control_tower.execution.context import Context

MAX_COUNT = 10_000
MAX_STEPS = 5_000
MAX_WAIT_S = 30 * 86_400
STEP_S = 0.01
PAUSE_S = 0.01
PACED = 200
"""So many numbers are said at a pace that a person can see."""

ABILITIES = (
    "I am the demo agent: I follow rules, no language model is behind me. I understand "
    "“calculate 6*7”, “list files”, “write notes.txt: buy milk”, “read notes.txt”, "
    "“delete notes.txt”, “remind me in 10 seconds to stretch”, “ask me my name”, “count to 20”, "
    "“work 50 steps”, “what time is it” and “search for milk”; join several with “then” or “;”."
)


async def demo(ctx: "Context") -> str:
    """Do what the mission says, and answer with a line for each command."""
    answer = _Answer(ctx)
    for command in phrases.parse(ctx.mission):
        answer.begin()
        try:
            await _do(ctx, command, answer)
        except QuotaExceeded as error:
            answer.say(f"I stopped here: {error.message}")
            break
        except (ToolFailed, ToolInvalid, ToolTimeout, BreakerOpen, ClarificationExpired) as error:
            answer.say(_reason(error))
    return answer.text


class _Answer:
    """The answer as it grows; each piece is streamed as it is said."""

    def __init__(self, ctx: "Context") -> None:
        self._ctx = ctx
        self._pieces: list[str] = []
        self._break = ""

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def begin(self) -> None:
        """Start a line."""
        self._break = "\n" if self._pieces else ""

    def say(self, piece: str) -> None:
        """Add to the line."""
        piece, self._break = self._break + piece, ""
        self._ctx.delta(piece)
        self._pieces.append(piece)


async def _do(  # noqa: C901, PLR0912 - an arm for each command
    ctx: "Context", command: commands.Command, answer: _Answer
) -> None:
    match command:
        case commands.Calculate(expression=expression):
            answer.say(f"{expression} = {await ctx.tool('calculator', expression=expression)}")
        case commands.ListFiles():
            answer.say(_listing(await ctx.tool("workspace.list")))
        case commands.Read(name=name):
            answer.say(str(await ctx.tool("workspace.read", name=name)))
        case commands.Write(name=name, text=text):
            answer.say(_written(await ctx.tool("workspace.write", name=name, text=text)))
        case commands.Delete(name=name):
            answer.say(await _delete(ctx, name))
        case commands.Remind(seconds=span, text=text):
            answer.say(await _remind(ctx, span, text))
        case commands.Wait(seconds=span):
            answer.say(await _wait(ctx, span))
        case commands.Ask(about=about):
            question = question_about(about)
            answer.say(question.answered(await ctx.clarify(question.text, question.options)))
        case commands.Count(to=to):
            await _count(ctx, to, answer)
        case commands.Work(steps=steps):
            answer.say(await _work(ctx, steps))
        case commands.Time():
            answer.say(_time(await ctx.tool("clock")))
        case commands.Search(query=query):
            answer.say(_found(await ctx.tool("search_history", query=query)))
        case commands.Help():
            answer.say(ABILITIES)
        case commands.Unknown(text=text):
            answer.say(f"I do not understand “{_short(text)}”. {ABILITIES}")
        case never:
            assert_never(never)


async def _delete(ctx: "Context", name: str) -> str:
    try:
        output: Any = await ctx.tool("workspace.delete", name=name)
    except ToolRefused as error:
        return f"I kept {name}: {_decapitalised(error.message)}"
    return f"I deleted {output['deleted']}."


async def _remind(ctx: "Context", span: float, text: str) -> str:
    if span > MAX_WAIT_S:
        return "I can remind you within 30 days at most."
    await ctx.sleep(span)
    return f"Reminder: {text}"


async def _wait(ctx: "Context", span: float) -> str:
    if span > MAX_WAIT_S:
        return "I can wait 30 days at most."
    await ctx.sleep(span)
    return f"I waited {span:g} seconds."


async def _count(ctx: "Context", to: int, answer: _Answer) -> None:
    if not 1 <= to <= MAX_COUNT:
        answer.say(f"I can count to any number from 1 to {MAX_COUNT}, but not to {to}.")
        return
    for number in range(1, to + 1):
        answer.say(str(number) if number == 1 else f" {number}")
        if not ctx.replaying:
            await asyncio.sleep(PAUSE_S if number <= PACED else 0)


async def _work(ctx: "Context", steps: int) -> str:
    if not 1 <= steps <= MAX_STEPS:
        return f"I can work 1 to {MAX_STEPS} steps, but not {steps}."
    for number in range(1, steps + 1):
        await ctx.step(f"work {number} of {steps}", _work_a_little, number, idempotent=True)
    return f"I worked {steps} {'step' if steps == 1 else 'steps'}."


async def _work_a_little(number: int) -> int:
    await asyncio.sleep(STEP_S)
    return number


def _listing(files: Any) -> str:
    if not files:
        return "There are no files yet."
    listed = [f"{file['name']} ({_size(file['size_bytes'])})" for file in files]
    return f"{len(files)} {'file' if len(files) == 1 else 'files'}: {', '.join(listed)}"


def _written(output: Any) -> str:
    verb = "replaced" if output["replaced"] else "wrote"
    return f"I {verb} {output['name']} ({_size(output['size_bytes'])})."


def _time(output: Any) -> str:
    day, _, moment = output["time"].partition("T")
    return f"It is {moment[:5]} {output['timezone']} on {output['weekday']}, {day}."


def _found(messages: Any) -> str:
    if not messages:
        return "I found nothing."
    lines = [f"- {message.get('snippet') or message.get('content', '')}" for message in messages]
    return "\n".join([f"I found {len(messages)}:", *lines])


def _size(size_bytes: int) -> str:
    if size_bytes < 1024:
        return f"{size_bytes} {'byte' if size_bytes == 1 else 'bytes'}"
    return f"{size_bytes / 1024:.1f} KiB"


def _reason(error: AgentError) -> str:
    if isinstance(error, BreakerOpen | ToolTimeout | ClarificationExpired):
        return f"That did not work: {_decapitalised(error.message)}"
    return error.message


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _decapitalised(sentence: str) -> str:
    """Return a sentence as the second half of one; names with capitals inside stay."""
    first = sentence.split(" ", 1)[0]
    return sentence[:1].lower() + sentence[1:] if first[1:].islower() else sentence


def register(registry: Registry) -> None:
    """Register the agent."""
    registry.agent("demo", "Shows what the tower does; follows rules, has no model.")(demo)
