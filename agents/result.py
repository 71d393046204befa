"""A result with words for people and data for programs."""

from dataclasses import dataclass

from events.types import Json


@dataclass(frozen=True, slots=True)
class Result:
    """What an agent may return instead of a text or a JSON value.

    Attributes:
        text: the final answer, stored as the assistant's message.
        data: a JSON value for programs that read the result.
    """

    text: str
    data: Json = None
