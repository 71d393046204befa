"""Credentials: whose they are, until when, and what looks like some but is none."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.datastructures import Headers

from control_tower.commands import Caller
from control_tower.errors import Forbidden, RateLimited
from server.access.auth import (
    LOCAL,
    MAX_TICKETS,
    NOBODY,
    TICKET_S,
    Credential,
    Gate,
    Tickets,
    acting_as,
    bearer,
)
from server.access.auth_jwt import JwtVerifier
from server.errors import Unauthenticated
from server.settings import SettingsError, load

SECRET = "a secret of more than thirty-two bytes"
NOW = 1_800_000_000.0


class FixedClock:
    """Always now."""

    def now(self) -> float:
        """Return NOW."""
        return NOW


def verifier(secret: str | None = SECRET, jwks: Path | None = None) -> JwtVerifier:
    """A verifier with these keys."""
    settings = load({"auth": "jwt", "jwt_secret": secret, "jwt_jwks": jwks}).settings
    return JwtVerifier(settings, FixedClock())


def token(
    algorithm: str = "HS256", key: Any = SECRET, kid: str | None = None, **claims: Any
) -> str:
    """A token for ada; ``claims`` replace, None removes."""
    whole = {"sub": "ada", "role": "user", "exp": NOW + 60} | claims
    kept = {name: value for name, value in whole.items() if value is not None}
    headers = {"kid": kid} if kid else None
    return jwt.encode(kept, key, algorithm, headers=headers)


async def test_a_token_says_who_with_which_role_until_when() -> None:
    """All three are in the credential."""
    found = await verifier().verify(token(role="viewer"))
    assert found == Credential("ada", "viewer", expires_at=NOW + 60)
    assert found is not None
    assert not found.ended(NOW)
    assert found.ended(NOW + 60)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None},
        {"role": None},
        {"exp": None},
        {"exp": NOW - 6},
        {"sub": ""},
        {"sub": "x" * 201},
        {"role": "admin"},
        {"role": ["operator"]},
        {"exp": [NOW + 60]},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": time.time() + 3600},
    ],
)
async def test_a_token_without_all_of_them_is_none(claims: dict[str, Any]) -> None:
    """Missing, over, or not what it must be."""
    assert await verifier().verify(token(**claims)) is None


async def test_a_clock_may_be_a_little_late() -> None:
    """5 s."""
    assert await verifier().verify(token(exp=NOW - 4)) is not None


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", "\0"])
async def test_what_is_no_token_is_none(text: str) -> None:
    """Nothing is raised for it."""
    assert await verifier().verify(text) is None


async def test_a_token_can_not_choose_how_it_is_checked() -> None:
    """No `none`, no other secret, and no public key used as a secret."""
    body = base64.urlsafe_b64encode(
        json.dumps({"sub": "ada", "role": "operator", "exp": NOW + 60}).encode()
    ).rstrip(b"=")
    for algorithm in ("none", "None", "NONE"):
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=")
        assert await verifier().verify(f"{header.decode()}.{body.decode()}.") is None
    other = "another secret of more than thirty-two bytes"
    assert await verifier().verify(token(key=other)) is None
    long = SECRET * 2
    assert await verifier(long).verify(token(key=long)) is not None
    assert await verifier(long).verify(token("HS512", long)) is None


@pytest.fixture(scope="module")
def keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    """Two RSA keys."""
    return rsa.generate_private_key(65_537, 2048), rsa.generate_private_key(65_537, 2048)


def jwks_file(path: Path, **keys: rsa.RSAPrivateKey) -> Path:
    """Write the public halves."""
    entries = [
        jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid}
        for kid, key in keys.items()
    ]
    path.write_text(json.dumps({"keys": entries}))
    return path


async def test_public_keys_come_from_a_file(
    tmp_path: Path, keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]
) -> None:
    """By their id; a token of another key, or signed with the public one, is none."""
    ours, other = keys
    checks = verifier(None, jwks_file(tmp_path / "k.json", a=ours))
    assert await checks.verify(token("RS256", ours, "a")) is not None
    assert await checks.verify(token("RS256", other, "a")) is None
    assert await checks.verify(token("RS256", ours, "b")) is None
    assert await checks.verify(token()) is None


@pytest.mark.parametrize("text", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "EC"}]}', "[1]"])
def test_a_file_without_keys_is_a_sentence(tmp_path: Path, text: str) -> None:
    """At start, not at the first request."""
    path = tmp_path / "k.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="TOWER_JWT_JWKS"):
        verifier(None, path)


def test_a_short_secret_is_refused() -> None:
    """It could be guessed from one token."""
    with pytest.raises(SettingsError, match="32 bytes"):
        verifier("short")


async def test_an_open_gate_lets_everybody_in_as_local() -> None:
    """Auth off: no token, or any."""
    gate = Gate("process")
    assert gate.open
    assert await gate.caller_of(None) == await gate.caller_of("whatever") == LOCAL


async def test_a_closed_gate_wants_credentials() -> None:
    """None, or bad ones: refused; the process's own always work."""
    gate = Gate("process", verifier())
    for bad in (None, "", "x", "proces", "ä"):
        with pytest.raises(Unauthenticated):
            await gate.caller_of(bad)
    assert await gate.caller_of("process") == LOCAL
    assert (await gate.caller_of(token())).user_id == "ada"


async def test_public_endpoints_have_no_caller() -> None:
    """Whatever they are sent."""
    scope = {"type": "http", "headers": [(b"authorization", b"Bearer x")]}
    assert await Gate("p", verifier()).caller(scope, public=True) == NOBODY


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer  ", "x"])
def test_only_bearer_is_understood(value: str) -> None:
    """Anything else is bad credentials, not none."""
    with pytest.raises(Unauthenticated):
        bearer(Headers({"authorization": value}))


def test_two_authorizations_are_refused() -> None:
    """A proxy may have looked at the other one."""
    raw = [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]
    with pytest.raises(Unauthenticated):
        bearer(Headers(raw=raw))


def test_bearer_tokens_are_read() -> None:
    """The scheme in any case."""
    assert bearer(Headers({"authorization": "bearer abc"})) == "abc"
    assert bearer(Headers({})) is None


async def test_a_ticket_is_good_once() -> None:
    """And for 30 s."""
    tickets = Tickets()
    ada = Credential("ada", "user", expires_at=NOW + 3600)
    ticket = await tickets.issue(ada, NOW)
    assert await tickets.redeem(ticket, NOW + 1) == ada
    for again in (ticket, "none", ""):
        with pytest.raises(Unauthenticated):
            await tickets.redeem(again, NOW + 1)
    late = await tickets.issue(ada, NOW)
    with pytest.raises(Unauthenticated):
        await tickets.redeem(late, NOW + TICKET_S)


async def test_tickets_are_bounded() -> None:
    """Those too old make room; else there are no more."""
    tickets = Tickets()
    for _ in range(MAX_TICKETS):
        await tickets.issue(LOCAL, NOW)
    with pytest.raises(RateLimited):
        await tickets.issue(LOCAL, NOW)
    assert await tickets.issue(LOCAL, NOW + TICKET_S + 1)


def test_only_operators_act_for_others() -> None:
    """With the role of a user, and for no longer than their own credentials last."""
    ada = Caller("ada", "user")
    assert acting_as(ada, None) is ada
    assert acting_as(ada, "ada") is ada
    for role in ("user", "viewer"):
        with pytest.raises(Forbidden):
            acting_as(Caller("ada", role), "bob")
    assert acting_as(LOCAL, "bob") == Caller("bob", "user")
    operator = Credential("root", "operator", expires_at=NOW, key_id="k")
    assert acting_as(operator, "bob") == Credential("bob", "user", expires_at=NOW, key_id="k")
