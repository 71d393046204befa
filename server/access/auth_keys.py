"""API keys: made for a user with a role, shown once, known ever after by their hash only.

A key is looked up in the store when it is shown, and remembered for a second. So one that another
process revokes ends within that second; one that this process revokes ends at once.
"""

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, cast

import msgspec
import structlog

from control_tower.committing import Committer, committed
from control_tower.errors import NotFound
from control_tower.ports import Clock
from control_tower.records import ApiKeyRecord
from control_tower.unit import InsertApiKey, RevokeApiKey, TouchApiKey, Unit
from events.payloads import JsonObject
from events.times import rfc3339, rfc3339_or_none
from server.access.auth import Credential, Role

PREFIX = "ct_"
"""Tells people, and the scanners that look for leaked secrets, what it is."""

SECRET_BYTES = 32
REMEMBERED_S = 1.0
MAX_REMEMBERED = 4096
TOUCHED_EVERY_S = 60.0

_SHAPE = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}")

log = structlog.get_logger(__name__)


class KeyStore(Committer, Protocol):
    """What the keys need of the store."""

    async def api_keys(self) -> list[ApiKeyRecord]:
        """Return every key, oldest first."""

    async def api_key(self, key_sha256: str) -> ApiKeyRecord | None:
        """Return the key with this hash."""

    async def api_key_called(self, key_id: str) -> ApiKeyRecord | None:
        """Return the key with this id."""

    async def ended_api_keys(self, key_ids: Collection[str], now: float) -> frozenset[str]:
        """Return those of the ids whose key opens nothing any more."""


def hash_of(key: str) -> str:
    """Return what a key is known by."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_json(record: ApiKeyRecord) -> JsonObject:
    """Return a key as people may see it."""
    return {
        "key_id": record.key_id,
        "name": record.name,
        "user_id": record.user_id,
        "role": record.role,
        "created_at": rfc3339(record.created_at),
        "expires_at": rfc3339_or_none(record.expires_at),
        "last_used_at": rfc3339_or_none(record.last_used_at),
        "revoked_at": rfc3339_or_none(record.revoked_at),
    }


@dataclass(slots=True, frozen=True)
class _Remembered:
    record: ApiKeyRecord
    until: float


class Keyring:
    """Makes, lists, revokes and checks keys; a :class:`server.access.auth.Verifier`."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}
        self._forgotten = 0

    async def create(
        self, *, user_id: str, role: Role, name: str = "", lasts_s: float | None = None
    ) -> tuple[ApiKeyRecord, str]:
        """Return a new key's record, and the key: it can never be shown again.

        Args:
            user_id: whom it stands for.
            role: what it may.
            name: what people call it.
            lasts_s: how long it is good, in seconds; None is until it is revoked.

        Raises:
            UnitRefused: if the store can't take it.
        """
        now = self._clock.now()
        key = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        record = ApiKeyRecord(
            key_sha256=hash_of(key),
            name=name,
            user_id=user_id,
            role=role,
            created_at=now,
            expires_at=None if lasts_s is None else now + lasts_s,
        )
        await committed(self._store, Unit(writes=[InsertApiKey(record)], critical=False))
        log.info("key.created", key_id=record.key_id, user_id=user_id, role=role)
        return record, key

    async def list(self) -> "list[ApiKeyRecord]":
        """Return every key, oldest first, those that ended too."""
        return await self._store.api_keys()

    async def revoke(self, key_id: str) -> ApiKeyRecord:
        """End a key; it opens nothing from now on. Again is as once.

        Raises:
            NotFound: if there is no such key.
            UnitRefused: if the store can't take it; the key is then as it was.
        """
        record = await self._store.api_key_called(key_id)
        if record is None:
            raise NotFound("No such key.")
        revoke = RevokeApiKey(record.key_sha256, self._clock.now())
        await committed(self._store, Unit(writes=[revoke]))
        self.forget()
        log.info("key.revoked", key_id=record.key_id, user_id=record.user_id)
        return await self._store.api_key_called(key_id) or record

    def forget(self) -> None:
        """Look every key up again: some have ended, by a revocation or with their user."""
        self._remembered.clear()
        self._forgotten += 1

    async def verify(self, token: str) -> Credential | None:
        """Return whose key it is, or None."""
        if not _SHAPE.fullmatch(token):
            return None
        now = self._clock.now()
        record = await self._find(hash_of(token), now)
        if record is None or record.ended(now):
            return None
        self._touch(record, now)
        return Credential(
            record.user_id,
            cast("Role", record.role),
            expires_at=record.expires_at,
            key_id=record.key_id,
        )

    async def ended(self, key_ids: Collection[str]) -> Collection[str]:
        """Return those of the ids whose key opens nothing any more."""
        return await self._store.ended_api_keys(key_ids, self._clock.now())

    async def _find(self, key_sha256: str, now: float) -> ApiKeyRecord | None:
        known = self._remembered.get(key_sha256)
        if known is not None and known.until > now:
            return known.record
        forgotten = self._forgotten
        record = await self._store.api_key(key_sha256)
        # What was read before a revocation may not outlive it.
        if record is not None and forgotten == self._forgotten:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key_sha256] = _Remembered(record, now + REMEMBERED_S)
        return record

    def _touch(self, record: ApiKeyRecord, now: float) -> None:
        """Note that the key was used, unless that was noted lately."""
        if record.last_used_at is not None and now - record.last_used_at < TOUCHED_EVERY_S:
            return
        known = self._remembered.get(record.key_sha256)
        if known is not None:
            noted = msgspec.structs.replace(known.record, last_used_at=now)
            self._remembered[record.key_sha256] = _Remembered(noted, known.until)
        # Nobody waits for it: a store that refuses it is asked again when the key is read again.
        self._store.submit(Unit(writes=[TouchApiKey(record.key_sha256, now)], critical=False))
