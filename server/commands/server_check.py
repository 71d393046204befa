"""What `tower doctor` asks a running server: does it answer, is it ready, who are we to it."""

import asyncio
from collections.abc import Iterator

from events.payloads import JsonObject
from server.app import package_version
from server.client import ClientError
from server.commands.diagnosis import Diagnosis, Verdict
from server.commands.place import Place
from server.commands.rest import Rest

OF_COMPONENT: dict[str, Verdict] = {"up": "ok", "degraded": "note", "down": "bad"}


def examine_server(place: Place) -> Iterator[Diagnosis]:
    """Look at the server at a place; what depends on an answer is left out where there is none."""
    rest = Rest(place)
    try:
        health = rest.get("/health")
    except ClientError as error:
        yield Diagnosis(
            "Server", "bad", f"does not answer: {error.message}", "Is the address right? Start it."
        )
        return
    yield _version(rest.url, health)
    yield from _components(rest)
    yield asyncio.run(_socket(place))


def _version(url: str, health: JsonObject) -> Diagnosis:
    running, ours = health.get("version"), package_version()
    said = f"{url} runs {running}, up {health.get('uptime_seconds', 0):.0f} s"
    if running != ours:
        return Diagnosis("Server", "note", said, f"This is {ours}: use the same version on both.")
    return Diagnosis("Server", "ok", said)


def _components(rest: Rest) -> Iterator[Diagnosis]:
    """Read ``/ready``, which answers in either case."""
    try:
        ready = rest.get("/ready", also=503)
    except ClientError as error:
        yield Diagnosis("Ready", "bad", error.message, "Look into the server's log.")
        return
    status = str(ready.get("status"))
    advice = "" if status == "ready" else "It takes no missions until what is down below is mended."
    yield Diagnosis("Ready", "ok" if status == "ready" else "bad", status, advice)
    for name, found in ready.get("components", {}).items():
        verdict = OF_COMPONENT.get(str(found.get("status")), "note")
        if verdict != "ok":
            yield Diagnosis(name, verdict, f"{found['status']}: {found.get('message') or '-'}")


async def _socket(place: Place) -> Diagnosis:
    """Say hello: that takes the way through proxies, the credentials and the Origin rules."""
    try:
        async with place.client() as tower:
            hello = tower.hello
    except ClientError as error:
        advice = "A proxy on the way must let WebSocket through, to /ws."
        if error.code == "unauthenticated":
            advice = "Give a token that the server takes: --token, or TOWER_TOKEN."
        return Diagnosis("Socket", "bad", error.message, advice)
    return Diagnosis("Socket", "ok", f"we are {hello['user_id']}, {hello['role']}")
