"""Times as the outside sees them.

Inside, an instant is a float of seconds since the Unix epoch, UTC; outside it is RFC 3339 with
milliseconds and ``Z``.
"""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=64)
def _to_the_second(second: int) -> str:
    """Return the text of a whole second; kept, as thousands of events fall into one."""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


def rfc3339(instant: float) -> str:
    """Return ``instant`` (Unix seconds) as ``2026-11-21T20:12:03.123Z``, cut to milliseconds."""
    second, millisecond = divmod(int(instant * 1000), 1000)
    return f"{_to_the_second(second)}.{millisecond:03d}Z"


def rfc3339_or_none(instant: float | None) -> str | None:
    """Return :func:`rfc3339` of ``instant``, or None for None."""
    return None if instant is None else rfc3339(instant)
