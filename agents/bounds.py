"""JSON from outside and back: bounded in size and depth, free of what a store cannot keep."""

import math
from collections.abc import Callable

import msgspec
from pydantic_core import to_jsonable_python

from events.types import Json

MAX_ARGUMENTS_BYTES = 262_144
"""An event's ``data`` is at most 256 KiB (tower.md), and arguments are shown in one."""
MAX_OUTPUT_BYTES = 8_388_608
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
"""SQLite's largest; msgspec would encode more."""


class OutOfBounds(ValueError):
    """A value that may not enter. The message says where and why, never the value."""


def jsonable(value: object) -> Json:
    """Return ``value`` as JSON values: models, dataclasses, dates and the like are spelled out.

    Raises:
        OutOfBounds: if it holds something that has no JSON.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    try:
        plain: Json = to_jsonable_python(value)
    except (ValueError, RecursionError) as error:
        raise OutOfBounds("it holds something that is not JSON") from error
    return plain


def check_inside(value: object, where: str = "", depth: int = 0) -> None:
    """Refuse what cannot be stored or sent: NUL, lone surrogates, NaN, huge integers, deep nests.

    Raises:
        OutOfBounds: naming the place.
    """
    if depth > MAX_DEPTH:
        raise OutOfBounds(f"nested deeper than {MAX_DEPTH} levels")
    match value:
        case str():
            _check_text(value, where)
        case None | bool():
            return
        case int() | float():
            _check_number(value, where)
        case dict():
            for key, inner in value.items():
                _check_text(key, where)
                check_inside(inner, f"{where}.{key}" if where else key, depth + 1)
        case list():
            for index, inner in enumerate(value):
                check_inside(inner, f"{where}[{index}]", depth + 1)
        case _:
            raise OutOfBounds(f"{where or 'a value'}: not JSON")


def _check_number(value: float, where: str) -> None:
    if not math.isfinite(value):
        raise OutOfBounds(f"{where or 'a number'}: not a finite number")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise OutOfBounds(f"{where or 'a number'}: an integer beyond 64 bits")


def _check_text(text: object, where: str) -> None:
    if not isinstance(text, str):
        raise OutOfBounds(f"{where or 'arguments'}: a key that is not text")
    if "\0" in text:
        raise OutOfBounds(f"{where or 'text'}: contains NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise OutOfBounds(f"{where or 'text'}: contains half of a surrogate pair") from None


def encoded(value: Json, limit: int) -> bytes:
    """Return ``value`` as JSON text of at most ``limit`` bytes.

    Raises:
        OutOfBounds: if it is longer.
    """
    text = msgspec.json.encode(value)
    if len(text) > limit:
        raise OutOfBounds(f"longer than {limit // 1024} KiB")
    return text


def storable(value: object, clean: Callable[[str], str] = str) -> Json:
    """Return what a tool returned, as it will be read back from the journal.

    Tuples become lists, NaN becomes null, and NUL and lone surrogates become U+FFFD, so that the
    first run sees exactly what a replay sees.

    Args:
        value: anything with a JSON form.
        clean: applied to each text.

    Raises:
        OutOfBounds: if it has no JSON form or is too long.
    """
    plain = _cleaned(jsonable(value), clean, 0)
    encoded(plain, MAX_OUTPUT_BYTES)
    return plain


def _cleaned(value: object, clean: Callable[[str], str], depth: int) -> Json:
    if depth > MAX_DEPTH:
        raise OutOfBounds(f"nested deeper than {MAX_DEPTH} levels")
    match value:
        case str():
            return clean(clean_text(value))
        case None | bool():
            return value
        case int():
            return value if abs(value) <= MAX_INTEGER else str(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {
                clean(clean_text(str(key))): _cleaned(inner, clean, depth + 1)
                for key, inner in value.items()
            }
        case list():
            return [_cleaned(inner, clean, depth + 1) for inner in value]
        case _:
            raise OutOfBounds("it holds something that is not JSON")


def clean_text(text: str) -> str:
    """Return ``text`` with NUL and lone surrogates replaced by U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text
