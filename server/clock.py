"""The machine's clock, and ids that sort by it."""

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_RANDOM_BITS = 80
_LENGTH = 26


class SystemClock:
    """Wall time."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()


class UlidIds:
    """Unique ids in the order of their making: a prefix and a ULID.

    Within a millisecond, or when the clock goes back, the random part counts up instead, so that
    the ids of one process always ascend.
    """

    def __init__(self) -> None:
        self._last = 0

    def new(self, prefix: str) -> str:
        """Return a fresh id that begins with ``prefix``."""
        fresh = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        self._last = max(self._last + 1, fresh)
        return prefix + _crockford(self._last)


def _crockford(number: int) -> str:
    shifts = range(5 * (_LENGTH - 2), -1, -10)
    return "".join([_PAIRS[number >> shift & 1023] for shift in shifts])
