"""An estimate of tokens, for reservations before the provider has counted them."""

from typing import Any

import msgspec

BYTES_PER_TOKEN = 3
"""English text has about four bytes a token; three errs on the side of reserving too much."""


def count_tokens(value: Any) -> int:
    """Return about how many tokens a text or JSON value is."""
    size = len(value.encode() if isinstance(value, str) else msgspec.json.encode(value))
    return -(-size // BYTES_PER_TOKEN)
