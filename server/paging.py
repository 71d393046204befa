"""Pages of lists that go by a cursor: the id of the last one of the page before."""

from collections.abc import Awaitable, Callable
from typing import Final

from control_tower.commands import Caller
from control_tower.errors import InvalidParams, NotFound
from events.payloads import JsonObject

MAX_SKIPPED: Final = 10_000
PAGE: Final = 500

Fetch = Callable[[int, str | None], Awaitable[list[JsonObject]]]
Look = Callable[[Caller, str], Awaitable[JsonObject]]


async def check_cursor(look: Look, caller: Caller, cursor: str | None) -> None:
    """Check that a cursor is the id of something that the caller may see.

    Raises:
        InvalidParams: if it is not; a page from the beginning would be read as one from there.
    """
    if cursor is None:
        return
    try:
        await look(caller, cursor)
    except NotFound:
        raise InvalidParams(
            "cursor: must be the id of the last one of the page before.", field="cursor"
        ) from None


async def skip(fetch: Fetch, key: str, offset: int, cursor: str | None) -> tuple[bool, str | None]:
    """Pass ``offset`` of them over.

    Args:
        fetch: returns a page from its length and cursor.
        key: where each has its id.
        offset: how many.
        cursor: where to begin; None is at the beginning.

    Returns:
        Whether there are any behind, and the cursor of those.
    """
    while offset > 0:
        wanted = min(offset, PAGE)
        passed = await fetch(wanted, cursor)
        if len(passed) < wanted:
            return False, cursor
        cursor = passed[-1][key]
        offset -= wanted
    return True, cursor
