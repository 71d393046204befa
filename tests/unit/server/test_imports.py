"""Importing a session whose user is erased meanwhile."""

from collections.abc import AsyncIterator

import pytest

from control_tower.errors import Unavailable
from control_tower.store import InlineStore
from control_tower.unit import MarkSession
from server.clock import SystemClock, UlidIds
from server.imports import UNIT_MESSAGES, ImportedMessage, ImportedSession, Importer
from tests.contract.store.kit import Recorder, commit

AT = "2026-11-21T12:00:00Z"


async def test_what_is_erased_meanwhile_gets_no_more_messages() -> None:
    """The importer is told; what came before goes with the erasure."""
    published = Recorder()
    store = InlineStore.open(publish=published)
    importer = Importer(store, SystemClock(), UlidIds())

    async def messages() -> AsyncIterator[ImportedMessage]:
        for _ in range(UNIT_MESSAGES):
            yield ImportedMessage(role="user", content="hi", created_at=AT)
        (session_id,) = await store.sessions_of("alice")
        await commit(store, MarkSession(session_id, 1.0))
        yield ImportedMessage(role="user", content="late", created_at=AT)

    given = ImportedSession(created_at=AT, last_activity=AT)
    with pytest.raises(Unavailable) as refused:
        await importer.run("alice", given, messages())
    assert refused.value.outcome == "rejected"
    assert not [event for event in published.events if b"late" in event.body]
    await store.close()
