"""Times as the outside sees them.

Inside, an instant is a float of seconds since the Unix epoch, UTC; outside it is RFC 3339 with
milliseconds and ``Z``.
"""

from datetime import UTC, datetime


def rfc3339(instant: float) -> str:
    """Return ``instant`` (Unix seconds) as ``2026-11-21T20:12:03.123Z``."""
    moment = datetime.fromtimestamp(instant, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def rfc3339_or_none(instant: float | None) -> str | None:
    """Return :func:`rfc3339` of ``instant``, or None for None."""
    return None if instant is None else rfc3339(instant)
