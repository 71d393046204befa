"""Schemas from signatures, and the gate for arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agents.bounds import MAX_ARGUMENTS_BYTES
from agents.errors import RegistrationError, ToolInvalid
from agents.schema import ArgumentSchema
from agents.secret import Secret
from agents.tool_context import ToolContext


def schema_of(function: Callable[..., object]) -> ArgumentSchema:
    """Return the schema of a tool's function."""
    return ArgumentSchema(function, context=ToolContext)


class Colour(Enum):
    """A choice."""

    RED = "red"


class Address(BaseModel):
    """A nested model."""

    street: str
    number: int = 1


@dataclass
class Point:
    """A nested dataclass."""

    x: float


def ship(  # noqa: D417, PLR0917 - a tool as people write them
    ctx: ToolContext,
    order: str,
    to: Address,
    amount: float = 1.5,
    day: date | None = None,
    colour: Colour = Colour.RED,
    tags: list[str] = [],  # noqa: B006 - a default as people write them
    speed: Literal["fast", "slow"] = "slow",
    weight: Annotated[int, Field(ge=0, le=10)] = 1,
) -> None:
    """Ship an order.

    Args:
        ctx: given.
        order: Its number.
        to: Where to.
    """


def test_the_schema_is_read_from_signature_and_docstring() -> None:
    """Types, defaults, bounds and descriptions are there; the context is not."""
    schema = schema_of(ship).json_schema
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["order", "to"]
    assert "ctx" not in schema["properties"]
    assert schema["properties"]["order"] == {"type": "string", "description": "Its number."}
    assert schema["properties"]["amount"] == {"type": "number", "default": 1.5}
    assert schema["properties"]["weight"]["maximum"] == 10
    assert schema["properties"]["colour"]["default"] == "red"
    assert schema_of(ship).context_parameter == "ctx"


def test_arguments_are_completed_and_typed() -> None:
    """Defaults are shown; the function gets its own types."""
    schema = schema_of(ship)
    checked = schema.check({"order": "A-1", "to": Address(street="S"), "day": date(2026, 1, 2)})
    to = {"street": "S", "number": 1}
    assert checked.given == {"order": "A-1", "to": to, "day": "2026-01-02"}
    assert checked.complete["amount"] == 1.5
    assert checked.complete["speed"] == "slow"
    keywords = schema.keywords(checked.complete)
    assert keywords["to"] == Address(street="S")
    assert keywords["day"] == date(2026, 1, 2)
    assert keywords["colour"] is Colour.RED


SHIP = schema_of(ship)
"""Built once: building costs more than checking."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"to": {"street": "S"}}, "order: is missing"),
        ({"order": 5, "to": {"street": "S"}}, "order: input should be a valid string"),
        ({"order": "A", "to": {"street": "S", "number": "1"}}, "to.number: "),
        ({"order": "A", "to": {"street": "S"}, "amount": "1"}, "amount: "),
        ({"order": "A", "to": {"street": "S"}, "amount": True}, "amount: "),
        ({"order": "A", "to": {"street": "S"}, "weight": 11}, "weight: "),
        ({"order": "A", "to": {"street": "S"}, "ctx": 1}, "ctx: there is no such argument"),
        ({"order": "A", "to": {"street": "S"}, "a0": 1}, "a0: there is no such argument"),
        ({"order": "A\0", "to": {"street": "S"}}, "order: contains NUL"),
        ({"order": "x" * MAX_ARGUMENTS_BYTES, "to": {"street": "S"}}, "longer than 256 KiB"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(arguments: dict[str, Any], said: str) -> None:
    """JSON is taken strictly, and the message names the argument."""
    with pytest.raises(ToolInvalid, match="ship cannot take these arguments") as raised:
        schema_of(ship).check(arguments)
    assert said in raised.value.message


def test_a_refusal_is_short_and_silent_about_values() -> None:
    """Many errors are counted, long names cut, and no value is repeated."""
    arguments = {f"{'n' * 300}{number}": "canary" for number in range(20)}
    with pytest.raises(ToolInvalid) as raised:
        schema_of(ship).check(arguments)
    assert "more" in raised.value.message
    assert "canary" not in raised.value.message
    assert len(raised.value.message) < 1_200


def test_whole_numbers_fit_where_fractions_are_expected() -> None:
    """An integer is a number, as JSON has it."""

    def pay(amount: float) -> None:
        """Pay."""

    assert schema_of(pay).check({"amount": 12}).complete == {"amount": 12.0}


def test_names_that_pydantic_uses_are_free_for_arguments() -> None:
    """Parameters may be called json, schema, copy or model_config."""

    def odd(json: int, schema: int, copy: int, model_config: int, self: int) -> None:
        """Do."""

    given = {"json": 1, "schema": 2, "copy": 3, "model_config": 4, "self": 5}
    assert schema_of(odd).keywords(schema_of(odd).check(given).complete) == given


def test_a_sentinel_default_stays_the_authors() -> None:
    """A default without JSON is neither shown nor passed."""
    sentinel = object()

    def odd(one: Any = sentinel) -> None:
        """Do."""

    schema = schema_of(odd)
    assert schema.check({}).complete == {}
    assert schema.keywords({}) == {}


def test_methods_partials_and_callable_objects_are_read() -> None:
    """Whatever can be called with names has a schema."""

    class Tool:
        def __call__(self, order: str) -> None:
            """Do."""

        def method(self, order: str) -> None:
            """Do."""

    def two(first: int, order: str) -> None:
        """Do."""

    for function in (Tool(), Tool().method, partial(two, 1)):
        assert "order" in schema_of(function).json_schema["properties"]


def _starred(*orders: str) -> None:
    """Do."""


def _double_starred(**orders: str) -> None:
    """Do."""


def _positional(order: str, /) -> None:
    """Do."""


def _secret(key: Secret) -> None:
    """Do."""


def _opaque(thing: ArgumentSchema) -> None:
    """Do."""


def _function(thing: Callable[[], int]) -> None:
    """Do."""


def _unresolved(thing: "Missing") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Do."""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_starred, "by name"),
        (_double_starred, "by name"),
        (_positional, "by name"),
        (_secret, "declare it as str"),
        (_opaque, "whose type is not JSON"),
        (_function, "no JSON schema"),
        (_unresolved, "cannot be resolved"),
    ],
)
def test_signatures_without_a_schema_are_refused(
    function: Callable[..., object], said: str
) -> None:
    """At registration, saying what to change."""
    with pytest.raises(RegistrationError, match=said):
        schema_of(function)


@given(
    st.dictionaries(
        st.sampled_from(["order", "to", "amount", "day", "nonsense"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_any_json_passes_or_is_refused(arguments: dict[str, Any]) -> None:
    """What passes once passes again unchanged: what is shown is what runs."""
    try:
        checked = SHIP.check(arguments)
    except ToolInvalid:
        return
    assert SHIP.check(checked.complete).complete == checked.complete
