"""The Python client of `/ws`: calls with replies, and events as they come.

    async with Client("http://127.0.0.1:8000") as tower:
        async with tower.follow(await tower.submit("calculate 2 + 2")) as events:
            async for event in events:
                print(event.type)

The cores (`link`, `calls`, `feed`, `texts`) know neither sockets nor clocks; the shells (`line`,
`client`, `subscription`) decide nothing. The command line is built on it, so that it can do
nothing which the API can't. `docs/clients.md` is its manual.
"""

from server.client.client import Client
from server.client.errors import ClientError
from server.client.line import Status
from server.client.messages import Event, Gap
from server.client.methods import Submitted
from server.client.subscription import Subscription
from server.client.texts import Texts

__all__ = [
    "Client",
    "ClientError",
    "Event",
    "Gap",
    "Status",
    "Submitted",
    "Subscription",
    "Texts",
]
