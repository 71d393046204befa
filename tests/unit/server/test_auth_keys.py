"""API keys: what they open, until when, and that nothing of them is stored but a hash."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from control_tower.commands import Caller
from control_tower.errors import NotFound
from control_tower.records import ApiKeyRecord
from control_tower.store import InlineStore
from control_tower.unit import Unit
from server.access.admission import Admission
from server.access.auth import Credential, Gate
from server.access.auth_keys import REMEMBERED_S, TOUCHED_EVERY_S, Keyring, hash_of
from server.errors import Unauthenticated
from server.settings import load
from server.wire.close_codes import Close
from tests.contract.store.kit import Recorder

NOW = 1_800_000_000.0


@dataclass(slots=True)
class SetClock:
    """A clock that a test sets."""

    at: float = NOW

    def now(self) -> float:
        """Return the time that was set."""
        return self.at


@pytest.fixture
def clock() -> SetClock:
    """A clock that stands at NOW."""
    return SetClock()


@pytest.fixture
async def store() -> AsyncIterator[InlineStore]:
    """A store in memory."""
    opened = InlineStore.open(publish=Recorder())
    yield opened
    await opened.close()


@pytest.fixture
def keyring(store: InlineStore, clock: SetClock) -> Keyring:
    """The keys of that store."""
    return Keyring(store, clock)


async def test_a_key_says_who_with_which_role(keyring: Keyring) -> None:
    """And which key it was."""
    record, key = await keyring.create(user_id="ada", role="viewer", name="laptop")
    assert await keyring.verify(key) == Credential("ada", "viewer", key_id=record.key_id)
    assert key.startswith("ct_")


async def test_only_a_hash_is_stored(keyring: Keyring, store: InlineStore) -> None:
    """Nowhere in the database is the key, nor can its id be turned into it."""
    record, key = await keyring.create(user_id="ada", role="user")
    assert record.key_sha256 == hash_of(key)
    assert record.key_id == f"k_{hash_of(key)[:16]}"
    assert key[3:].encode() not in store._connection.serialize()
    assert hash_of(key).encode() in store._connection.serialize()


@pytest.mark.parametrize("text", ["", "ct_", "ct_x", "ct_" + "a" * 43, "a" * 46, "ct_" + "é" * 43])
async def test_what_is_no_key_opens_nothing(keyring: Keyring, text: str) -> None:
    """Nothing is raised for it."""
    await keyring.create(user_id="ada", role="user")
    assert await keyring.verify(text) is None


async def test_a_revoked_key_ends_at_once(keyring: Keyring) -> None:
    """Though it was looked up a moment before; revoking it again leaves the first time."""
    record, key = await keyring.create(user_id="ada", role="user")
    _, other = await keyring.create(user_id="ada", role="user")
    assert await keyring.verify(key) is not None
    revoked = await keyring.revoke(record.key_id)
    assert await keyring.verify(key) is None
    assert await keyring.ended({record.key_id, "k_none"}) == {record.key_id, "k_none"}
    assert await keyring.verify(other) is not None
    assert (await keyring.revoke(record.key_id)).revoked_at == revoked.revoked_at == NOW


async def test_a_key_revoked_elsewhere_ends_within_a_second(
    keyring: Keyring, store: InlineStore, clock: SetClock
) -> None:
    """By another process, or on the data itself."""
    record, key = await keyring.create(user_id="ada", role="user")
    assert await keyring.verify(key) is not None
    await Keyring(store, clock).revoke(record.key_id)
    clock.at += REMEMBERED_S
    assert await keyring.verify(key) is None


@pytest.mark.parametrize("key_id", ["k_0123456789abcdef", "k_", "", "k_" + "g" * 16, "%"])
async def test_an_unknown_key_can_not_be_revoked(keyring: Keyring, key_id: str) -> None:
    """It says so, and ends no other."""
    _, key = await keyring.create(user_id="ada", role="user")
    with pytest.raises(NotFound):
        await keyring.revoke(key_id)
    assert await keyring.verify(key) is not None


async def test_a_key_expires(keyring: Keyring, clock: SetClock) -> None:
    """At its time."""
    record, key = await keyring.create(user_id="ada", role="user", lasts_s=60)
    found = await keyring.verify(key)
    assert found is not None
    assert found.expires_at == NOW + 60
    assert await keyring.ended({record.key_id}) == frozenset()
    clock.at += 60
    assert await keyring.verify(key) is None
    assert await keyring.ended({record.key_id}) == {record.key_id}


async def test_its_last_use_is_noted_about_once_a_minute(
    keyring: Keyring, store: InlineStore, clock: SetClock
) -> None:
    """So that a busy key is not a write a request."""
    _, key = await keyring.create(user_id="ada", role="user")

    async def used() -> ApiKeyRecord:
        assert await keyring.verify(key) is not None
        clock.at += REMEMBERED_S
        store.step()
        return (await keyring.list())[0]

    assert (await used()).last_used_at == NOW
    assert (await used()).last_used_at == NOW
    clock.at = NOW + TOUCHED_EVERY_S
    assert (await used()).last_used_at == NOW + TOUCHED_EVERY_S


async def test_many_uses_at_once_are_noted_once(
    keyring: Keyring, store: InlineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before the store has said that it noted the first."""
    _, key = await keyring.create(user_id="ada", role="user")
    noted: list[Unit] = []
    monkeypatch.setattr(store, "submit", noted.append)
    for _ in range(3):
        assert await keyring.verify(key) is not None
    assert len(noted) == 1


async def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(
    keyring: Keyring, store: InlineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that looked it up may pass; none that comes after the revocation does."""
    record, key = await keyring.create(user_id="ada", role="user")
    read, go_on = store.api_key, asyncio.Event()

    async def slowly(key_sha256: str) -> ApiKeyRecord | None:
        found = await read(key_sha256)
        await go_on.wait()
        return found

    monkeypatch.setattr(store, "api_key", slowly)
    looking = asyncio.create_task(keyring.verify(key))
    await asyncio.sleep(0)
    await keyring.revoke(record.key_id)
    go_on.set()
    await looking
    assert await keyring.verify(key) is None


@dataclass(slots=True)
class Open:
    """A connection that notes how it was closed."""

    caller: Caller | None
    code: int | None = None

    def close(self, code: int, reason: str = "") -> None:
        """Note it."""
        self.code = code


async def test_the_sweep_closes_what_lost_its_credentials(
    keyring: Keyring, clock: SetClock
) -> None:
    """Sockets and streams of revoked and expired ones, and no others."""
    record, key = await keyring.create(user_id="ada", role="user")
    gate = Gate("process", keyring)
    theirs, other = await gate.caller_of(key), Credential("bob", "user", expires_at=NOW + 1)
    sockets = [Open(theirs), Open(other), Open(Caller("local", "operator")), Open(None)]
    streams = [Open(theirs)]
    admission = Admission(load({"auth": "keys"}).settings, gate, clock)
    admission.connections = lambda: tuple(sockets)
    admission.streams = lambda: tuple(streams)

    def closed(among: Sequence[Open]) -> list[int | None]:
        return [each.code for each in among]

    await admission.sweep()
    assert closed([*sockets, *streams]) == [None] * 5
    await keyring.revoke(record.key_id)
    clock.at += 1
    await admission.sweep()
    assert closed(sockets) == [Close.SIGNED_OUT, Close.SIGNED_OUT, None, None]
    assert closed(streams) == [Close.SIGNED_OUT]


async def test_a_ticket_ends_with_the_key_it_stands_for(keyring: Keyring) -> None:
    """Though its 30 s are not over."""
    record, key = await keyring.create(user_id="ada", role="user")
    gate = Gate("process", keyring)
    caller = await gate.caller_of(key)
    first, second = [await gate.tickets.issue(caller, NOW) for _ in range(2)]
    assert await gate.redeem(first, NOW) == caller
    await keyring.revoke(record.key_id)
    with pytest.raises(Unauthenticated):
        await gate.redeem(second, NOW)
