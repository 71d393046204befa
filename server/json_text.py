"""JSON from outside, before it is decoded: what no decoder of ours refuses by itself.

- A NUL in a text is refused: PostgreSQL can't store it.
- A lone surrogate (half an emoji, as browsers send it) becomes U+FFFD: UTF-8 can't hold it, and
  a decoder would refuse the whole message.
- Free-form values are bounded in depth and in the size of their integers.
"""

import re

import msgspec

from control_tower.errors import InvalidParams

MAX_DEPTH = 64
MAX_INT = 2**63 - 1

_ESCAPES = re.compile(
    rb"\\\\"  # an escaped backslash: what follows it is no escape
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # a lone surrogate
    rb"|(\\u0000)"
)


def clean(raw: bytes) -> bytes:
    """Return JSON text that can be stored once decoded. Malformed text passes as it is.

    Raises:
        InvalidParams: for a NUL.
    """
    if b"\\u" not in raw:
        return raw
    refuse_nul(raw, raw)
    return _ESCAPES.sub(_without_half, raw)


def refuse_nul(text: bytes, members: bytes | msgspec.Raw) -> None:
    """Check that JSON text holds no NUL; ``members`` is the object whose member is to blame.

    Raises:
        InvalidParams: for a NUL, with the member's name where there is one.
    """
    if not _holds_nul(text):
        return
    refusal = InvalidParams("A text may not contain NUL characters.")
    name = _member_with_nul(members)
    refusal.details |= {} if name is None else {"field": name}
    raise refusal


def _holds_nul(text: bytes) -> bool:
    return b"\\u0000" in text and any(match[2] for match in _ESCAPES.finditer(text))


def _member_with_nul(members: bytes | msgspec.Raw) -> str | None:
    try:
        found = msgspec.json.decode(members, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for name, value in found.items():
        if "\0" not in name and _holds_nul(bytes(value)):
            return name
    return None


def mend(text: str) -> str:
    """Return JSON text with its lone surrogates replaced, as :func:`clean` does."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return _ESCAPES.sub(_without_half, text.encode(errors="replace")).decode()


def _without_half(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match[1] else match[0]


def check_free(value: object, field: str) -> None:
    """Check a free-form JSON value of a request.

    Raises:
        InvalidParams: if it is deeper than 64 levels or holds an integer beyond 64 bits.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[object] = []
        for item in level:
            if isinstance(item, dict):
                deeper += item.values()
            elif isinstance(item, (list, tuple)):
                deeper += item
            elif isinstance(item, int) and not -MAX_INT <= item <= MAX_INT:
                raise InvalidParams(f"{field}: integers have at most 64 bits.", field=field)
        if not deeper:
            return
        level = deeper
    raise InvalidParams(f"{field}: at most {MAX_DEPTH} levels deep.", field=field)
