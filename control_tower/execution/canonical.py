"""One spelling for every JSON value, so that equal requests have equal hashes."""

import hashlib

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical_json(value: object) -> bytes:
    """Return ``value`` as JSON with sorted keys and no spaces.

    Raises:
        TypeError: for a value that is not JSON (sets, objects, bytes are not accepted).
    """
    return _encode(value)


def sha256_hex(*parts: object) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of ``parts`` as one array."""
    return hashlib.sha256(canonical_json(parts)).hexdigest()
