"""API keys: written by the writer, read for each credential that is shown.

A key itself is never stored, only the SHA-256 of it: it has 256 random bits, so that nothing slower
is needed, and a lookup by hash takes no time that depends on how much of a guess is right.
"""

from collections.abc import Iterable

from sqlalchemy import String, bindparam, func, select, update

from control_tower.records import KEY_ID_DIGITS, KEY_ID_PREFIX, ApiKeyRecord
from control_tower.store.statements import Connection, Query, Row, insert
from control_tower.store.tables import api_keys

INSERT = insert(api_keys, without=["no"])
"""A row is what :func:`row_of` returns."""

REVOKE = Query(
    update(api_keys)
    .where(api_keys.c.key_sha256 == bindparam("of_sha256"))
    .values(revoked_at=func.coalesce(api_keys.c.revoked_at, bindparam("at")))
)
"""Whoever revoked it first, did."""

TOUCH = Query(
    update(api_keys)
    .where(api_keys.c.key_sha256 == bindparam("of_sha256"))
    .values(last_used_at=bindparam("at"))
)

_COLUMNS = (
    api_keys.c.key_sha256,
    api_keys.c.name,
    api_keys.c.user_id,
    api_keys.c.role,
    api_keys.c.created_at,
    api_keys.c.revoked_at,
    api_keys.c.expires_at,
    api_keys.c.last_used_at,
)
_ALL = Query(select(*_COLUMNS).order_by(api_keys.c.no))
_BY_HASH = Query(select(*_COLUMNS).where(api_keys.c.key_sha256 == bindparam("of_sha256")))
# Hashes are hexadecimal: "g" is behind whatever begins with the id's digits.
_BY_ID = Query(
    select(*_COLUMNS).where(
        api_keys.c.key_sha256 >= bindparam("digits"),
        api_keys.c.key_sha256 < bindparam("digits", type_=String) + "g",
    )
)


def row_of(key: ApiKeyRecord) -> Row:
    """Return a key's row."""
    return (
        key.key_sha256,
        key.name,
        key.user_id,
        key.role,
        key.created_at,
        key.revoked_at,
        key.expires_at,
        key.last_used_at,
    )


def _record(row: Row) -> ApiKeyRecord:
    return ApiKeyRecord(
        key_sha256=row[0],
        name=row[1],
        user_id=row[2],
        role=row[3],
        created_at=row[4],
        revoked_at=row[5],
        expires_at=row[6],
        last_used_at=row[7],
    )


def list_keys(connection: Connection) -> list[ApiKeyRecord]:
    """Return every key, oldest first, those that ended too."""
    return [_record(row) for row in _ALL.all(connection)]


def by_hash(connection: Connection, key_sha256: str) -> ApiKeyRecord | None:
    """Return the key with this hash."""
    row = _BY_HASH.one(connection, of_sha256=key_sha256)
    return None if row is None else _record(row)


def by_id(connection: Connection, key_id: str) -> ApiKeyRecord | None:
    """Return the key with this id."""
    digits = key_id.removeprefix(KEY_ID_PREFIX)
    if len(digits) != KEY_ID_DIGITS:
        return None
    row = _BY_ID.one(connection, digits=digits)
    return None if row is None else _record(row)


def ended(connection: Connection, key_ids: Iterable[str], now: float) -> frozenset[str]:
    """Return those of the ids whose key was revoked, erased, or has expired."""
    found = {key_id: by_id(connection, key_id) for key_id in key_ids}
    return frozenset(
        key_id for key_id, record in found.items() if record is None or record.ended(now)
    )
