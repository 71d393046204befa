"""Tokens for a server that asks for them."""

import time

import jwt

SECRET = "a secret of the tests that is long enough"


def token(name: str, role: str) -> str:
    """Return a token for an hour."""
    return jwt.encode({"sub": name, "role": role, "exp": time.time() + 3600}, SECRET)
