"""What a provider of language models must do, and what a turn of its models is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from events.payloads import JsonObject


@dataclass(slots=True, frozen=True)
class ToolOffer:
    """A tool that a model may ask for. ``schema`` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: JsonObject


@dataclass(slots=True, frozen=True)
class AskedCall:
    """A tool call that a model asks for.

    Attributes:
        arguments: as the model gave them: untrusted.
        malformed: what it wrote instead, where that is no JSON object.
    """

    name: str
    arguments: JsonObject
    malformed: str | None = None


@dataclass(slots=True, frozen=True)
class ProviderTurn:
    """What a model answered.

    Attributes:
        finish_reason: ``stop``, ``tool_calls``, ``length`` or what else the provider says.
        input_tokens: as counted by the provider.
        output_tokens: as counted by the provider.
        cost_usd: by the provider's list of prices; None where it is not known.
    """

    text: str
    calls: Sequence[AskedCall] = ()
    finish_reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None


@dataclass(slots=True, frozen=True)
class ProviderRequest:
    """A turn to make.

    Attributes:
        model: the model's name at the provider.
        messages: ``role`` (system, user, assistant, tool) and ``content``; an assistant's may
            have ``tool_calls``, a tool's has ``tool_call_id`` and ``name``.
    """

    model: str
    messages: Sequence[JsonObject]
    tools: Sequence[ToolOffer] = ()
    settings: JsonObject = field(default_factory=dict)


class Provider(Protocol):
    """A source of language models."""

    @property
    def name(self) -> str:
        """The part of a model's name before the colon."""

    @property
    def configured(self) -> bool:
        """Whether somebody means to use it; what is not configured is no problem."""

    @property
    def problem(self) -> str | None:
        """Why it cannot be used as it is configured; None when it can."""

    async def open(self) -> None:
        """Make ready, so that the first turn need not wait; a turn opens what is not open."""

    def price(self, model: str) -> tuple[float, float] | None:
        """Return the price of a million input and output tokens in USD; None if unknown."""

    async def turn(self, request: ProviderRequest, delta: Callable[[str], None]) -> ProviderTurn:
        """Make a turn, streaming its text through ``delta``.

        Raises:
            ModelFailed: when the provider failed for good.
            ModelBusy: when another attempt may end otherwise.
        """
