"""Signing in to `/ws`: by header, by ticket, by hello; and being signed out."""

import contextlib
import time
from collections.abc import Iterator

import httpx2
import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.tower_process import Refused, TowerProcess, Wire, wire

pytestmark = pytest.mark.slow

SECRET = "a secret of more than thirty-two bytes"


def signed(user_id: str, role: str = "user", lasts_s: float = 600) -> str:
    """A token."""
    claims = {"sub": user_id, "role": role, "exp": time.time() + lasts_s}
    return jwt.encode(claims, SECRET, "HS256")


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """A server that wants credentials."""
    folder = tmp_path_factory.mktemp("sign-in") / "data"
    process = TowerProcess(
        folder, TOWER_AUTH="jwt", TOWER_JWT_SECRET=SECRET, TOWER_MAX_CONNECTIONS_PER_USER="3"
    ).start()
    yield process
    process.end()


async def closed_with(ws: Wire) -> int | None:
    """Wait for the close; return its code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await ws.receive()
    return ws.connection.close_code


async def test_credentials_on_the_upgrade(tower: TowerProcess) -> None:
    """Then no hello is needed, and another user's things do not exist."""
    async with wire(tower.ws_url, Authorization=f"Bearer {signed('ada')}") as ws:
        ack = await ws.call("mission.submit", mission="calculate 1 + 1")
        await ws.ended()
        me = await ws.call("hello")
        assert (me["user_id"], me["role"]) == ("ada", "user")
        with pytest.raises(Refused) as refused:
            await ws.call("hello", user_id="bob")
        assert refused.value.code == "forbidden"
        for method in ("tower.status",):
            with pytest.raises(Refused) as refused:
                await ws.call(method)
            assert refused.value.code == "forbidden"
    async with wire(tower.ws_url, Authorization=f"Bearer {signed('bob')}") as ws:
        told = []
        for pid in (ack["mission_id"], "m_none"):
            with pytest.raises(Refused) as refused:
                await ws.call("mission.get", mission_id=pid)
            told.append((refused.value.code, refused.value.message))
            with pytest.raises(Refused) as refused:
                await ws.call("subscribe", topics=[f"mission:{pid}"])
            told.append((refused.value.code, refused.value.message))
        assert told[:2] == told[2:]
        assert {code for code, _ in told} == {"not_found"}


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic eA==", "Bearer "])
async def test_bad_credentials_on_the_upgrade(tower: TowerProcess, header: str) -> None:
    """HTTP 401, as a problem."""
    with pytest.raises(InvalidStatus) as refused:
        async with wire(tower.ws_url, Authorization=header):
            pass
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["content-type"] == "application/problem+json"
    assert refused.value.response.headers["www-authenticate"].startswith("Bearer")


async def test_a_foreign_page_is_refused(tower: TowerProcess) -> None:
    """HTTP 403, whatever credentials it has."""
    with pytest.raises(InvalidStatus) as refused:
        async with wire(
            tower.ws_url, Authorization=f"Bearer {signed('ada')}", Origin="http://evil.example"
        ):
            pass
    assert refused.value.response.status_code == 403
    async with wire(tower.ws_url, Authorization=f"Bearer {signed('ada')}", Origin=tower.url) as ws:
        await ws.call("ping")


async def test_hello_with_a_token(tower: TowerProcess) -> None:
    """First of all; until then nothing else is answered."""
    async with wire(tower.ws_url) as ws:
        with pytest.raises(Refused) as refused:
            await ws.call("ping")
        assert refused.value.code == "unauthenticated"
        with pytest.raises(Refused) as refused:
            await ws.call("hello", token="wrong")
        assert refused.value.code == "unauthenticated"
        with pytest.raises(Refused) as refused:
            await ws.call("hello")
        assert refused.value.code == "unauthenticated"
        me = await ws.call("hello", token=signed("ada", "viewer"))
        assert (me["user_id"], me["role"]) == ("ada", "viewer")
        await ws.call("subscribe", topics=["system"])
        with pytest.raises(Refused) as refused:
            await ws.call("mission.submit", mission="x")
        assert refused.value.code == "forbidden"


async def test_no_hello_in_time(tower: TowerProcess) -> None:
    """4408 after 5 s."""
    began = time.monotonic()
    async with wire(tower.ws_url) as ws:
        assert await closed_with(ws) == 4408
    assert 4 < time.monotonic() - began < 9


async def test_a_ticket_opens_one_connection(tower: TowerProcess) -> None:
    """For pages, whose sockets can send no header."""
    headers = {"Authorization": f"Bearer {signed('ada')}"}
    answer = httpx2.post(f"{tower.url}/api/v1/ws-tickets", headers=headers)
    url = f"{tower.ws_url}?ticket={answer.json()['ticket']}"
    async with wire(url) as ws:
        assert (await ws.call("hello"))["user_id"] == "ada"
    with pytest.raises(InvalidStatus) as refused:
        async with wire(url):
            pass
    assert refused.value.response.status_code == 401
    assert answer.json()["ticket"] not in tower.log.read_text()


async def test_a_token_does_not_belong_in_the_url(tower: TowerProcess) -> None:
    """400: it would end up in logs."""
    with pytest.raises(InvalidStatus) as refused:
        async with wire(f"{tower.ws_url}?token={signed('ada')}"):
            pass
    assert refused.value.response.status_code == 400


async def test_an_expired_token_signs_out(tower: TowerProcess) -> None:
    """4401 within 5 s of its end."""
    token = signed("ada", lasts_s=2)
    async with wire(tower.ws_url, Authorization=f"Bearer {token}") as ws:
        await ws.call("ping")
        began = time.monotonic()
        assert await closed_with(ws) == 4401
        assert time.monotonic() - began < 2 + 5


async def test_a_user_has_so_many_connections(tower: TowerProcess) -> None:
    """The fourth is told when to come back; somebody else may."""
    mine = {"Authorization": f"Bearer {signed('many')}"}
    async with (
        wire(tower.ws_url, **mine),
        wire(tower.ws_url, **mine),
        wire(tower.ws_url, **mine),
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with wire(tower.ws_url, **mine):
                pass
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["retry-after"]
        async with wire(tower.ws_url, Authorization=f"Bearer {signed('other')}") as ws:
            await ws.call("ping")
        async with wire(tower.ws_url) as ws:
            with pytest.raises(Refused) as full:
                await ws.call("hello", token=signed("many"))
            assert full.value.code == "rate_limited"


async def test_secrets_are_in_no_log(tower: TowerProcess) -> None:
    """Neither the settings' secret nor a token that was used."""
    token = signed("canary")
    async with wire(tower.ws_url, Authorization=f"Bearer {token}") as ws:
        await ws.call("ping")
    log = tower.log.read_text()
    assert SECRET not in log
    assert token not in log
