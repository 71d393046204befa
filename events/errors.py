"""What can be wrong with a request to the fan-out. Theirs, never ours."""

from typing import ClassVar


class EventsError(Exception):
    """Base of this package's errors. ``field`` names the parameter that is wrong, if one is."""

    code: ClassVar[str] = "invalid_params"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class BadTopic(EventsError):
    """Not the name of a topic."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="topics")


class BadFilter(EventsError):
    """A filter of types or of where that can't be understood."""


class TooManyTopics(EventsError):
    """More topics than one connection may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"At most {limit} topics a connection.", field="topics")
        self.limit = limit


class OutOfOrder(Exception):
    """Ours: events were published that do not follow the last one."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"expected offset {expected}, got {got}")
        self.expected = expected
        self.got = got
