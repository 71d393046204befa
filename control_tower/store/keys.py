"""Idempotency keys: their row, read by the writer and by readers alike."""

import msgspec
from sqlalchemy import bindparam, select

from control_tower.records import KeyRecord
from control_tower.store import numbers
from control_tower.store.statements import Connection, Query
from control_tower.store.tables import idempotency_keys

_KEY = Query(
    select(
        idempotency_keys.c.body_sha256,
        idempotency_keys.c.mission_id,
        idempotency_keys.c.created_at,
        idempotency_keys.c.reply,
    ).where(
        idempotency_keys.c.user_no == bindparam("user_no"),
        idempotency_keys.c.key == bindparam("key"),
    )
)


def key(connection: Connection, user_id: str, name: str) -> KeyRecord | None:
    """Return an idempotency key's record."""
    return find_key(connection, numbers.user_no(connection, user_id), user_id, name)


def find_key(connection: Connection, user_no: int, user_id: str, key: str) -> KeyRecord | None:
    """Return an idempotency key's record; ``reply["offset"]`` is its unit's first offset."""
    row = _KEY.one(connection, user_no=user_no, key=key)
    if row is None:
        return None
    body_sha256, mission_id, created_at, reply = row
    return KeyRecord(
        user_id=user_id,
        key=key,
        body_sha256=body_sha256,
        reply=msgspec.json.decode(reply),
        mission_id=mission_id,
        created_at=created_at,
    )
