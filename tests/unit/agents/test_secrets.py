"""Secrets: only ever a name and a digest, and only where a program put one."""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog.testing

from agents.errors import ToolDeclined, ToolFailed, ToolInvalid
from agents.executor import Executor
from agents.registry import Registry
from agents.secret import Secret, redact
from control_tower.ports import EffectContext

CANARY = "canary-value-123"
DIGEST = hashlib.sha256(CANARY.encode()).hexdigest()[:12]
SHOWN = {"secret": "API_KEY", "sha256": DIGEST}


@pytest.fixture
def effect(make_ctx: Callable[..., Any]) -> EffectContext:
    """Return what an attempt is given."""
    given: EffectContext = make_ctx("x").effect("3")
    return given


@pytest.fixture(autouse=True)
def pay(registry: Registry) -> list[Any]:
    """Register tools that take a secret; return what they were called with."""
    seen: list[Any] = []

    @registry.tool("read_only")
    async def pay(key: str, more: dict[str, list[str]] = {}, amount: int = 1) -> str:  # noqa: B006
        """Pay."""
        seen.append((key, more, amount))
        return f"paid with {key}"

    @registry.tool("read_only")
    async def leak(key: str) -> str:
        """Leak."""
        raise LookupError(f"https://example.org/?key={key}")

    @registry.tool("read_only")
    async def decline(key: str) -> str:
        """Decline."""
        raise ToolDeclined(f"not with {key}")

    @registry.tool("read_only")
    async def short(key: int) -> str:
        """Take a number."""
        return str(key)

    return seen


async def test_the_tool_gets_the_value_and_nobody_else_does(
    executor: Executor, effect: EffectContext, pay: list[Any]
) -> None:
    """The plan has name and digest, the identity the name, the output neither value."""
    plan = executor.plan("pay", {"key": Secret("API_KEY"), "more": {"a": ["x", Secret("OTHER")]}})
    assert plan.arguments["key"] == SHOWN
    assert plan.arguments["more"]["a"][0] == "x"
    assert plan.arguments["more"]["a"][1]["secret"] == "OTHER"
    assert plan.identity["key"] == {"secret": "API_KEY"}
    assert b"canary" not in msgspec.json.encode(msgspec.to_builtins(plan))
    assert "canary" not in repr(plan)
    assert await executor.run(plan, effect) == "paid with [secret API_KEY]"
    assert pay == [(CANARY, {"a": ["x", "another-canary"]}, 1)]


def test_a_secret_that_contains_another_is_hidden_whole() -> None:
    """Whichever of them was given first."""
    revealed = {"PART": "canary", "WHOLE": "canary-and-more"}
    assert redact("it is canary-and-more", revealed) == "it is [secret WHOLE]"


@pytest.mark.parametrize("tool", ["leak", "decline"])
async def test_errors_are_redacted(executor: Executor, effect: EffectContext, tool: str) -> None:
    """An exception's message often has the address that was called."""
    with pytest.raises(ToolFailed) as raised:
        await executor.run(executor.plan(tool, {"key": Secret("API_KEY")}), effect)
    assert "canary" not in str(raised.value)
    assert "[secret API_KEY]" in str(raised.value)


async def test_the_log_has_the_traceback_without_the_value(
    executor: Executor, effect: EffectContext
) -> None:
    """The developer needs the one and nobody the other."""
    with structlog.testing.capture_logs() as logs, pytest.raises(ToolFailed):
        await executor.run(executor.plan("leak", {"key": Secret("API_KEY")}), effect)
    assert "Traceback" in logs[0]["error"]
    assert "LookupError" in logs[0]["error"]
    assert "canary" not in repr(logs)


def test_validation_does_not_show_the_value(executor: Executor) -> None:
    """A secret that does not fit is refused without being repeated."""
    with pytest.raises(ToolInvalid) as raised:
        executor.plan("short", {"key": Secret("API_KEY")})
    assert "canary" not in str(raised.value)


def test_a_secret_that_is_not_set_is_named(executor: Executor) -> None:
    """Before anybody is asked to approve the call."""
    with pytest.raises(ToolInvalid, match="The secret MISSING is not set"):
        executor.plan("pay", {"key": Secret("MISSING")})


@pytest.mark.parametrize(
    "arguments",
    [
        {"key": SHOWN},
        {"key": "x", "more": {"a": [SHOWN]}},
        {"key": "x", "more": SHOWN},
    ],
)
def test_a_model_cannot_name_a_secret(executor: Executor, arguments: dict[str, Any]) -> None:
    """The shown form is refused in arguments, wherever it stands."""
    with pytest.raises(ToolInvalid, match="reserved for secrets"):
        executor.plan("pay", arguments)


async def test_an_edited_call_keeps_its_secret(
    executor: Executor, effect: EffectContext, pay: list[Any]
) -> None:
    """A person edits another argument and leaves the shown secret where it is."""
    plan = executor.plan("pay", {"key": Secret("API_KEY")})
    edited = executor.edit("pay", plan.arguments, plan.arguments | {"amount": 5})
    assert edited.arguments["key"] == SHOWN
    await executor.run(edited, effect)
    assert pay == [(CANARY, {}, 5)]


def test_an_edit_cannot_bring_another_secret(executor: Executor) -> None:
    """Only what was shown in this call may stand in the edited one."""
    plan = executor.plan("pay", {"key": Secret("API_KEY")})
    other = executor.plan("pay", {"key": Secret("OTHER")}).arguments["key"]
    with pytest.raises(ToolInvalid, match="reserved for secrets"):
        executor.edit("pay", plan.arguments, {"key": other})


async def test_a_rotated_secret_is_not_what_was_approved(
    executor: Executor, effect: EffectContext, secrets: dict[str, str]
) -> None:
    """The call fails rather than run with a value that nobody saw the digest of."""
    plan = executor.plan("pay", {"key": Secret("API_KEY")})
    secrets["API_KEY"] = "rotated"
    with pytest.raises(ToolFailed, match="has changed"):
        await executor.run(plan, effect)
    again = executor.plan("pay", {"key": Secret("API_KEY")})
    assert again.identity == plan.identity


def test_a_secret_inside_something_else_is_refused(executor: Executor) -> None:
    """Where validation would move the value, it could show."""

    class Odd(dict[str, Any]):
        """A mapping that validation turns into something else."""

    with pytest.raises(ToolInvalid):
        executor.plan("pay", {"key": {"inner": Secret("API_KEY")}})
