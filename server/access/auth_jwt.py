"""JSON Web Tokens: HS256 with the secret of the settings, RS256 with the public keys of a file.

A token must say who (``sub``), with which role (``role``) and until when (``exp``). Which
algorithm is used is decided by what is configured, never by the token alone.
"""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast, get_args

import jwt

from control_tower.ports import Clock
from server.access.auth import Credential, Role
from server.settings import Settings, SettingsError

LEEWAY_S = 5
"""Clocks of issuers and servers differ by a little."""

MAX_SUBJECT = 200
REQUIRED = ("sub", "role", "exp")
ROLES = frozenset(get_args(Role))
MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: a key of at least the size of the hash."""


class JwtVerifier:
    """Checks tokens; see the module.

    Raises:
        SettingsError: if the secret is too short or the file of keys can't be used.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
        if self._secret is not None and len(self._secret.encode()) < MIN_SECRET_BYTES:
            raise SettingsError(f"TOWER_JWT_SECRET needs at least {MIN_SECRET_BYTES} bytes.")
        self._keys = _read_keys(settings.jwt_jwks) if settings.jwt_jwks else {}

    async def verify(self, token: str) -> Credential | None:
        """Return whose token it is, or None."""
        try:
            claims = self._claims(token)
        except (jwt.PyJWTError, ValueError):
            return None
        subject, role = claims["sub"], claims["role"]
        if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT:
            return None
        if not isinstance(role, str) or role not in ROLES:
            return None
        return Credential(subject, cast("Role", role), expires_at=float(claims["exp"]))

    async def ended(self, key_ids: Collection[str]) -> Collection[str]:  # noqa: ARG002
        """Return none: a token is good until it expires."""
        return ()

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        algorithm = str(header.get("alg"))
        key: Any = None
        if algorithm == "HS256":
            key = self._secret
        elif algorithm == "RS256":
            key = self._keys.get(str(header.get("kid", "")))
        if key is None:
            raise jwt.InvalidKeyError("no key for this token")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            options={"require": list(REQUIRED), "verify_exp": False, "verify_aud": False},
            leeway=LEEWAY_S,
        )
        # By our own clock, which tests may set. A number that is none would never pass.
        until = claims["exp"]
        if not isinstance(until, int | float) or not math.isfinite(until):
            raise jwt.DecodeError("exp is not a time")
        if until + LEEWAY_S <= self._clock.now():
            raise jwt.ExpiredSignatureError("expired")
        return claims


def _read_keys(path: Path) -> Mapping[str, Any]:
    """Return the public RSA keys of a JWKS file by their ids."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["keys"]
        keys = {
            str(entry.get("kid", "")): jwt.PyJWK(entry, algorithm="RS256").key
            for entry in entries
            if entry.get("kty") == "RSA"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise SettingsError(f"TOWER_JWT_JWKS={path} can't be read: {error}") from None
    if not keys:
        raise SettingsError(f"TOWER_JWT_JWKS={path} has no RSA keys.")
    return keys
