"""Fakes behind the kernel's ports: a store of files, a clock, and a context that needs no tower."""

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from agents.defaults import builtin_registry
from agents.executor import Executor
from agents.llm.mock import MockProvider
from agents.llm.table import ModelTable
from agents.registry import Registry
from control_tower.errors import AgentError, ClarificationExpired, ToolRefused
from control_tower.execution.calls import FunctionCall, Kind, Spent
from control_tower.execution.results import Decision, Message, Reply
from control_tower.ports import EffectContext, Profile, ToolPlan
from control_tower.records import FileRecord
from control_tower.unit import DeleteFile, SaveFile, Write


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        """Return the time."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.time += seconds


class FakeFiles:
    """The store's files, in a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], FileRecord] = {}

    async def files(self, session_id: str) -> list[FileRecord]:
        """Return a session's files, without content."""
        return [
            msgspec.structs.replace(row, content=b"")
            for (session, _), row in sorted(self.rows.items())
            if session == session_id
        ]

    async def file(self, session_id: str, name: str) -> FileRecord | None:
        """Return a file."""
        return self.rows.get((session_id, name))

    def apply(self, writes: list[Write]) -> None:
        """Commit staged writes."""
        for write in writes:
            if isinstance(write, SaveFile):
                self.rows[write.file.session_id, write.file.name] = write.file
            elif isinstance(write, DeleteFile):
                self.rows.pop((write.session_id, write.name), None)


@dataclass
class FakeContext:
    """A context whose calls run at once; people's answers are given beforehand.

    Attributes:
        approvals: answers to confirmations in order: True, or the refusal's reason.
        replies: answers to clarifications in order; None is an expiry.
    """

    mission: str
    executor: Executor
    models: ModelTable
    files: FakeFiles
    inputs: dict[str, Any] = field(default_factory=dict)
    approvals: list[bool | str] = field(default_factory=list)
    replies: list[str | None] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    profile: Profile | None = None
    replaying: bool = False
    session_id: str = "s_1"
    user_id: str = "local"
    pid: str = "m_1"
    attempt: int = 1
    deltas: list[str] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    quota: AgentError | None = None
    quota_after: int = 10**9

    def _count(self, kind: str, what: Any) -> str:
        self.calls.append((kind, what))
        if self.quota is not None and len(self.calls) > self.quota_after:
            raise self.quota
        return str(len(self.calls))

    def effect(self, step: str = "1") -> EffectContext:
        """Return what an attempt at ``step`` is given."""
        return EffectContext(
            pid=self.pid,
            session_id=self.session_id,
            user_id=self.user_id,
            step=step,
            attempt=1,
            effect_key=hashlib.sha256(step.encode()).hexdigest()[:32],
            delta=self.deltas.append,
        )

    async def tool(self, tool: Any, /, **arguments: Any) -> Any:
        """Plan, ask, run, commit."""
        plan: ToolPlan = self.executor.plan(tool, arguments)
        step = self._count("tool", (plan.name, plan.arguments))
        if plan.confirm:
            answer = self.approvals.pop(0)
            if answer is not True:
                raise ToolRefused(f"{plan.name} was refused: {answer}")
        effect = self.effect(step)
        output = await self.executor.run(plan, effect)
        self.files.apply(effect.writes)
        return output

    async def llm(
        self, messages: Any, model: str | None = None, tools: Any = None, **settings: Any
    ) -> Reply:
        """Make a model turn."""
        request = self.models.plan(messages, model, tools or (), settings)
        step = self._count("llm", request)
        turn = await self.models.run(request, self.effect(step))
        return msgspec.convert(turn.output, Reply)

    async def history(self, limit: int = 50) -> list[Message]:
        """Return what was said before."""
        self._count("history", limit)
        return self.messages[-limit:]

    async def confirm(self, message: str, **details: Any) -> Decision:
        """Answer with the next approval."""
        self._count("confirm", message)
        answer = self.approvals.pop(0)
        return Decision(answer is True, None if answer is True else str(answer), details)

    async def clarify(self, question: str, options: Any = None, strict: bool = False) -> str:
        """Answer with the next reply."""
        self._count("clarify", (question, options, strict))
        reply = self.replies.pop(0)
        if reply is None:
            raise ClarificationExpired("Nobody answered in time.")
        return reply

    async def step(
        self, name: str, fn: Callable[..., Any], /, *args: Any, idempotent: bool = False
    ) -> Any:
        """Run a function."""
        self._count("step", (name, idempotent))
        result = fn(*args)
        return await result if inspect.isawaitable(result) else result

    async def call(self, kind: Kind, name: str, identity: Any, given: Any, request: Any) -> Any:
        """Make a call of any kind."""
        step = self._count(kind, (name, getattr(request, "idempotent", True)))
        if isinstance(request, FunctionCall):
            result = request.function(*request.args)
            result = await result if inspect.isawaitable(result) else result
            return result.output if isinstance(result, Spent) else result
        return (await self.models.run(request, self.effect(step))).output

    async def sleep(self, seconds: float) -> None:
        """Note the span."""
        self._count("sleep", seconds)

    async def spawn(self, agent: str, mission: str, quota: Any = None) -> "FakeChild":
        """Start nothing."""
        self._count("spawn", (agent, mission))
        return FakeChild(f"{self.pid}.child", mission)

    async def parallel(self, *branches: Callable[[Any], Awaitable[Any]]) -> list[Any]:
        """Run branches at once."""
        self._count("parallel", len(branches))
        return list(await asyncio.gather(*(branch(self) for branch in branches)))

    async def emit(self, name: str, **fields: Any) -> None:
        """Note what was said."""
        self._count("emit", (name, fields))

    async def artifact(self, name: str, content: Any, media_type: str = "text/plain") -> None:
        """Note the artifact."""
        self._count("artifact", (name, content, media_type))

    def now(self) -> float:
        """Return a fixed time."""
        return 1_800_000_000.0

    def random(self) -> float:
        """Return a fixed number."""
        return 0.5

    def uuid(self) -> str:
        """Return a fixed id."""
        return "00000000-0000-4000-8000-000000000000"

    def delta(self, text: str) -> None:
        """Note a piece of text."""
        if text:
            self.deltas.append(text)


@dataclass
class FakeChild:
    """A child that has already ended."""

    pid: str
    mission: str

    async def result(self) -> str:
        """Return its mission."""
        return f"did {self.mission}"


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def files() -> FakeFiles:
    """Return an empty store of files."""
    return FakeFiles()


@pytest.fixture
def registry() -> Registry:
    """Return a registry with the built-ins only."""
    return builtin_registry()


@pytest.fixture
def mock_provider() -> MockProvider:
    """Return the scripted provider that the contexts use."""
    return MockProvider()


@pytest.fixture
def secrets() -> dict[str, str]:
    """Return what stands for the environment."""
    return {"API_KEY": "canary-value-123", "OTHER": "another-canary"}


@pytest.fixture
def executor(
    registry: Registry, files: FakeFiles, clock: FakeClock, secrets: dict[str, str]
) -> Executor:
    """Return an executor over the fakes."""
    return Executor(registry, files, clock, secrets=secrets)


@pytest.fixture
def make_ctx(
    executor: Executor, files: FakeFiles, registry: Registry, mock_provider: MockProvider
) -> Callable[..., Any]:
    """Return a maker of contexts that share the store."""
    models = ModelTable([mock_provider], "mock:tools", registry)

    def make(mission: str, **fields: Any) -> FakeContext:
        given: dict[str, Any] = {"executor": executor, "models": models, "files": files} | fields
        return FakeContext(mission=mission, **given)

    return make
