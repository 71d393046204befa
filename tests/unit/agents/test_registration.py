"""The decorators and the registry: what they take, and what they say of what they do not."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import agents
from agents.defaults import builtin_registry, default_registry, recording
from agents.errors import RegistrationError
from agents.registry import Registry
from control_tower import errors


async def echo(text: str) -> str:
    """Say it again."""
    return text


def test_decorators_leave_the_function_as_it_is() -> None:
    """A registered function can still be called and tested directly."""
    with recording(Registry()) as registry:
        assert agents.tool(risk="read_only")(echo) is echo
        assert agents.agent("mine", description="Mine.")(echo) is echo
    assert registry.tools["echo"].function is echo
    assert registry.agents["mine"].description == "Mine."
    assert registry.find_tool(echo) is registry.find_tool("echo")


def test_recording_ends_with_its_block() -> None:
    """Outside of it the decorators fill the default registry again."""
    with recording(Registry()):
        agents.tool(risk="low", name="inside")(echo)
    assert "inside" not in default_registry().tools


def test_the_default_registry_is_one_and_has_the_built_ins() -> None:
    """Everyone gets the same, and it serves without any app."""
    assert default_registry() is default_registry()
    assert {"demo", "echo", "react"} <= default_registry().agents.keys()
    assert {
        "calculator",
        "clock",
        "search_history",
        "workspace.list",
        "workspace.read",
        "workspace.write",
        "workspace.delete",
    } <= default_registry().tools.keys()


@pytest.mark.parametrize(
    ("risk", "confirm", "asks"),
    [
        ("read_only", None, False),
        ("write", None, False),
        ("low", None, False),
        ("medium", None, False),
        ("destructive", None, True),
        ("high", None, True),
        ("critical", None, True),
        ("critical", False, False),
        ("read_only", True, True),
    ],
)
def test_risk_decides_about_asking_unless_confirm_does(
    risk: Any, confirm: bool | None, asks: bool
) -> None:
    """Destructive, high and critical ask, unless the tool says otherwise."""
    registry = Registry()
    registry.tool(risk, confirm=confirm)(echo)
    assert registry.tools["echo"].asks is asks


async def _generator(text: str) -> AsyncIterator[str]:
    """Do."""
    yield text


@pytest.mark.parametrize(
    ("options", "function", "said"),
    [
        ({"risk": "dangerous"}, echo, "must be one of read_only, write, destructive"),
        ({"risk": "low", "retries": 2}, echo, "retries but is not idempotent"),
        ({"risk": "low", "idempotent": True, "retries": -1}, echo, "retries=-1"),
        ({"risk": "low", "idempotent": True, "retries": 99}, echo, "retries=99"),
        ({"risk": "low", "idempotent": True, "retries": True}, echo, "retries=True"),
        ({"risk": "low", "timeout_s": 0}, echo, "timeout_s=0"),
        ({"risk": "low", "timeout_s": "1"}, echo, "timeout_s='1'"),
        ({"risk": "low", "timeout_s": True}, echo, "timeout_s=True"),
        ({"risk": "low", "on_open": "hope"}, echo, "on_open='hope'"),
        ({"risk": "low", "confirm": "yes"}, echo, "confirm='yes'"),
        ({"risk": "low", "tags": "one"}, echo, "tags"),
        ({"risk": "low", "tags": (1,)}, echo, "tags"),
        ({"risk": "low", "name": "no spaces"}, echo, "is not a name for a tool"),
        ({"risk": "low", "name": "n" * 201}, echo, "is not a name for a tool"),
        ({"risk": "low"}, _generator, "is a generator"),
        ({"risk": "low", "name": "five"}, 5, "not callable"),
    ],
)
def test_tools_that_contradict_themselves_are_refused(
    options: dict[str, Any], function: Any, said: str
) -> None:
    """At registration, with a sentence that says what to change."""
    with pytest.raises(RegistrationError, match=said):
        Registry().tool(**options)(function)


def test_a_tool_needs_its_risk() -> None:
    """The decorator without parentheses is a mistake that is explained."""
    decorate: Any = agents.tool
    with pytest.raises(RegistrationError, match="needs its risk"):
        decorate(echo)


def test_an_agent_needs_its_name() -> None:
    """The decorator without parentheses is a mistake that is explained."""
    decorate: Any = agents.agent
    with pytest.raises(RegistrationError, match="needs a name"):
        decorate(echo)


def _no_argument() -> str:
    return ""


def _two_arguments(one: Any, two: Any) -> str:
    return ""


@pytest.mark.parametrize("function", [_no_argument, _two_arguments])
def test_an_agent_takes_its_context_and_nothing_else(function: Callable[..., str]) -> None:
    """A function with another signature is refused before it could run."""
    with pytest.raises(RegistrationError, match="one argument, its Context"):
        Registry().agent("mine")(function)


def test_names_are_taken_once() -> None:
    """The message says where the first one is from."""
    registry = builtin_registry()
    with pytest.raises(
        RegistrationError, match=r"already an agent called demo, from agents\.built"
    ):
        registry.agent("demo")(echo)
    with pytest.raises(RegistrationError, match="already a tool called calculator"):
        registry.tool("low", name="calculator")(echo)


def test_an_agent_is_described_by_its_docstring() -> None:
    """Its first line stands in where no description is given."""
    registry = Registry()
    registry.agent("mine")(echo)
    assert registry.agents["mine"].description == "Say it again."


def test_any_callable_can_be_an_agent() -> None:
    """An object with __call__ is one."""

    class Mine:
        """My agent."""

        def __call__(self, ctx: Any) -> Iterator[str]:
            """Stream."""
            yield "x"

    registry = Registry()
    mine = Mine()
    assert registry.agent("mine")(mine) is mine
    assert registry.agents["mine"].description == "My agent."


def test_the_package_exports_what_programs_need() -> None:
    """The names of the contract come from agents, and errors are the kernel's own."""
    for name in agents.__all__:
        assert getattr(agents, name) is not None
    for leaf in errors.AGENT_ERRORS.values():
        assert getattr(agents, leaf.__name__) is leaf
        assert issubclass(leaf, agents.AgentError)
    assert not issubclass(agents.Parked, Exception)
