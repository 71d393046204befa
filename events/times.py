"""Times as the outside sees them.

Inside, an instant is a float of seconds since the Unix epoch, UTC; outside it is RFC 3339 with
milliseconds and ``Z``.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


@lru_cache(maxsize=1024)
def _to_the_millisecond(milliseconds: int) -> str:
    """Return the text of a millisecond; kept, as hundreds of events fall into one."""
    second, millisecond = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{millisecond:03d}Z"


def rfc3339(instant: float) -> str:
    """Return ``instant`` (Unix seconds) as ``2026-11-21T20:12:03.123Z``, cut to milliseconds."""
    return _to_the_millisecond(int(instant * 1000))


def rfc3339_or_none(instant: float | None) -> str | None:
    """Return :func:`rfc3339` of ``instant``, or None for None."""
    return None if instant is None else rfc3339(instant)


def instant_of(text: str) -> float:
    """Return an RFC 3339 time as Unix seconds.

    Stricter than ``datetime.fromisoformat``, which takes any ISO 8601 and times without a zone,
    and wider by the leap second, which counts as the second behind it.

    Raises:
        ValueError: if it is none, or falls outside the years 1 to 9999 in UTC.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError("is no RFC 3339 time")
    day, minute, second, fraction, zone = found.groups()
    leap = second == "60"
    zone = "+00:00" if zone in {"Z", "z"} else zone
    plain = f"{day}T{minute}:{'59' if leap else second}.{(fraction or '0')[:6]:0<6}{zone}"
    try:
        moment = (datetime.fromisoformat(plain) + timedelta(seconds=leap)).astimezone(UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise ValueError("is no RFC 3339 time") from None
