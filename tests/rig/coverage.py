"""Where servers run unmeasured: what they do is covered by faster tests, and they have to be quick.

Coverage costs a server 0.7 s at its start and a good part of its speed; one that is killed leaves
no figures at all.
"""

from collections.abc import Iterator

import pytest

VARIABLE = "COVERAGE_PROCESS_CONFIG"
"""By it, coverage measures the processes that a measured one starts."""


def unmeasured() -> Iterator[None]:
    """Start processes without coverage while this is open; the body of a fixture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        yield
