"""Model turns as they are planned: with their tools' schemas, or a way of their own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.llm.provider import ToolOffer
from control_tower.ports import EffectContext, ModelRequest
from events.payloads import JsonObject

MODEL_RETRIES = 3
"""Further attempts after a failure that may pass: busy, limited, cut off."""


@dataclass(slots=True, frozen=True, kw_only=True)
class PlannedTurn(ModelRequest):
    """A turn of a model of the table. ``offers`` are its tools, as the model is shown them."""

    offers: tuple[ToolOffer, ...] = ()


@dataclass(slots=True, frozen=True, kw_only=True)
class BroughtTurn(ModelRequest):
    """A turn of a model that an agent brought along: journaled and charged as any other.

    Attributes:
        make: makes the turn, streaming through the effect's ``delta``.
    """

    make: "Callable[[EffectContext], Awaitable[Brought]]"


@dataclass(slots=True, frozen=True)
class Brought:
    """What a model that was brought along answered.

    Attributes:
        output: as the journal keeps it.
        cost_usd: by a list of prices; None where it is not known.
    """

    output: JsonObject
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
