"""What security.md promises and no other suite looks at."""

import asyncio
import re
import socket
from importlib.metadata import distributions
from pathlib import Path

import httpx2
import pytest
from starlette.requests import Request
from starlette.types import Message

from server.endpoints import body_chunks
from server.errors import InvalidRequest
from server.logging import MASK, Redactor, secrets_of_environment
from server.serving import SEND_BUFFER_BYTES, USER_TIMEOUT_MS, listen

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).resolve().parents[2]
UNPINNED = {"control-tower", "pip", "setuptools", "wheel"}
"""The project itself, and what a virtual environment begins with."""

POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "require-trusted-types-for": "'script'",
}
STRICTER = {"form-action": "'none'", "trusted-types": "lit-html dompurify"}
"""What is forbidden beyond the contract."""


@pytest.mark.parametrize("path", ["/", "/operator", "/governance"])
async def test_the_policy_of_pages_is_the_contracts(api: httpx2.AsyncClient, path: str) -> None:
    """Directive by directive; scripts are the server's own and the one import map, by its hash."""
    answer = await api.get(path, headers={"Accept": "text/html"})
    policy = {
        name: value
        for name, _, value in (
            each.strip().partition(" ")
            for each in answer.headers["content-security-policy"].split(";")
        )
    }
    scripts = policy.pop("script-src")
    assert re.fullmatch(r"'self'( 'sha256-[A-Za-z0-9+/]{43}=')?", scripts)
    assert policy == POLICY | STRICTER


async def test_a_body_that_never_ends_is_refused() -> None:
    """What came so far is dropped when the time is over."""
    first: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Message:
        if first:
            return first.pop()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nothing comes")

    request = Request({"type": "http", "headers": []}, receive)
    with pytest.raises(InvalidRequest, match="did not arrive"):
        [chunk async for chunk in body_chunks(request, 1_000, timeout_s=0.01)]


async def test_accepted_sockets_are_bounded() -> None:
    """They inherit a small send buffer and a time after which unread bytes end them."""
    with listen("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                # Linux keeps, and reports, twice what was asked for.
                size = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
                assert size <= 2 * SEND_BUFFER_BYTES
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    waits = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                    assert waits == USER_TIMEOUT_MS


async def test_secrets_of_the_environment_are_known_to_the_log() -> None:
    """By the names of their variables, wherever their value turns up; the rest is readable."""
    environ = {
        "OPENAI_API_KEY": "plain-looking-1",
        "SHOP_PASSWORD": "plain-looking-2",
        "DB_TOKEN": "plain-looking-3",
        "HOME": "/home/ada-lovelace",
        "KEYBOARD": "norwegian",
    }
    secrets = secrets_of_environment(environ)
    assert sorted(secrets) == [f"plain-looking-{number}" for number in (1, 2, 3)]
    redactor = Redactor(secrets)
    assert redactor.text("a plain-looking-2 b") == f"a {MASK} b"
    redactor.learn("plain-looking-22")
    assert redactor.text("a plain-looking-22 b") == f"a {MASK} b"


async def test_everything_installed_is_pinned() -> None:
    """What the tests run with is what constraints.txt says, to the version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {
        _plain(name): version
        for name, _, version in (line.partition("==") for line in lines if line[:1] != "#")
    }
    assert all(pinned.values()), "only exact versions"
    installed = {_plain(each.name): each.version for each in distributions() if each.name}
    strays = {name: v for name, v in installed.items() if name not in UNPINNED}
    assert {name: pinned.get(name) for name in strays} == strays


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
