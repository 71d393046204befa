"""One spelling for every JSON value, so that equal requests have equal hashes."""

import hashlib
import re
from typing import Final

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode


MAX_INTEGER: Final = 2**63 - 1
"""Beyond it most readers of JSON have no integers: Go, Java, Rust, C, SQL."""

_MAYBE_TOO_LARGE: Final = re.compile(rb"[0-9]{19}")


def canonical_json(value: object) -> bytes:
    """Return ``value`` as JSON with sorted keys and no spaces.

    Raises:
        TypeError: for a value that is not JSON (sets, objects, bytes are not accepted).
        ValueError: for an integer beyond 64 bits.
    """
    text = _encode(value)
    # Only what could be one is worth a walk through the whole value.
    if _MAYBE_TOO_LARGE.search(text) is not None:
        _check_integers(msgspec.json.decode(text))
    return text


def _check_integers(value: object) -> None:
    match value:
        case int() if abs(value) > MAX_INTEGER:
            raise ValueError("an integer beyond 64 bits: pass it as text")
        case dict():
            for inner in value.values():
                _check_integers(inner)
        case list():
            for inner in value:
                _check_integers(inner)


def sha256_hex(*parts: object) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of ``parts`` as one array."""
    return hashlib.sha256(canonical_json(parts)).hexdigest()
