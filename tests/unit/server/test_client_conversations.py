"""The conversations that both clients are held to; `tests/js` plays the same file in JavaScript.

They are played on the cores, with a shell of a few lines that has neither sockets nor time.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.client import ClientError, Gap, Texts
from server.client.calls import Call, CallBook
from server.client.feed import Feed
from server.client.link import Link, Over, Wait
from server.client.messages import Event, decode, encode

FILE = Path(__file__).parents[2] / "js" / "conversations.json"
CONVERSATIONS = json.loads(FILE.read_text(encoding="utf-8"))


class Player:
    """One client; each step of a conversation is a method of it."""

    def __init__(self, subscribe: dict[str, Any] | None, *, refreshable: bool) -> None:
        self.link = Link(lambda: 0.5, refreshable=refreshable)
        keys = (f"key-{number}" for number in range(1, 99))
        self.book = CallBook(lambda: next(keys))
        self.feed: Feed | None = None
        if subscribe is not None:
            wanted = dict(subscribe)
            topics, since = wanted.pop("topics"), wanted.pop("since", "now")
            self.feed = Feed(topics, since, None, wanted)
        self.texts = Texts()
        self.now = 0.0
        self.requests: list[dict[str, Any]] = []
        self.calls: dict[int, str] = {}
        self.outcomes: dict[str, object] = {}
        self.offsets: list[int] = []
        self.reasons: list[str] = []
        self.shown: str | None = None
        self.lost: Wait | Over | None = None
        self.greeted = False

    def open(self, _: object) -> None:
        """The socket is there: hello."""
        if isinstance(self.lost, Wait):
            self.now += self.lost.delay_s
        assert not isinstance(self.lost, Over)
        self.requests = []
        self._send(0, "hello", self.link.greeting)

    def reply(self, given: list[Any]) -> None:
        """The server answers."""
        method, result = given
        request = self._request(method)
        message = decode(msgspec.json.encode({"id": request["id"], "result": result}))
        if method == "hello":
            self.link.greeted(message.result, self.now)
            self.greeted = True
            for call in self.book.pending():
                self._send_call(call)
            if self.feed is not None:
                self._send(-1, "subscribe", self.feed.request(self.link.epoch))
        elif method == "subscribe":
            assert self.feed is not None
            if isinstance(gap := self.feed.attached(message.result), Gap):
                self.reasons.append(gap.reason)
        elif (call_or_none := self.book.take(message.id)) is not None:
            self.outcomes[self.calls[call_or_none.id]] = {"result": message.result}

    def refuse(self, given: list[Any]) -> None:
        """The server answers with an error."""
        method, code, *details = given
        data = {"code": code, "details": details[0] if details else {}}
        error = ClientError.from_wire({"message": code, "data": data}, method)
        if method == "hello":
            self._lose(self.link.refused(error, self.now))
        elif (call := self.book.take(self._request(method)["id"])) is not None:
            self.outcomes[self.calls[call.id]] = {"error": error.code}

    def event(self, given: dict[str, Any]) -> None:
        """The server tells."""
        event = msgspec.convert(given, Event)
        self.link.heard(event)
        if self.feed is not None and self.feed.take(event):
            if event.offset is not None:
                self.offsets.append(event.offset)
            self.shown = self.texts.take(event) or self.shown

    def close(self, given: list[Any]) -> None:
        """The connection ends."""
        self._lose(self.link.closed(given[0], given[1], self.now))

    def call(self, given: list[Any]) -> None:
        """The application calls."""
        name, method, params = given
        call = self.book.add(method, params)
        self.calls[call.id] = name
        if self.greeted:
            self._send_call(call)

    def ping(self, offset: int) -> None:
        """A ping was answered."""
        assert self.feed is not None
        self.feed.settle(offset)

    def sent(self, given: list[Any]) -> None:
        """Such a request went out on this connection."""
        params = self._request(given[0])["params"]
        assert {name: params.get(name) for name in given[1]} == given[1]

    def not_sent(self, method: str) -> None:
        """No such request did."""
        assert method not in [request["method"] for request in self.requests]

    def waits_ms(self, ms: float) -> None:
        """It dials again after so long."""
        assert isinstance(self.lost, Wait)
        assert self.lost.delay_s * 1000 == ms

    def over(self, _: object) -> None:
        """It does not dial again."""
        assert isinstance(self.lost, Over)

    def given(self, offsets: list[int]) -> None:
        """These events were given, in this order."""
        assert self.offsets == offsets

    def gaps(self, reasons: list[str]) -> None:
        """These gaps were given."""
        assert self.reasons == reasons

    def text(self, text: str) -> None:
        """The streamed text so far."""
        assert self.shown == text

    def result(self, given: list[Any]) -> None:
        """A call has returned."""
        assert self.outcomes[given[0]] == {"result": given[1]}

    def error(self, given: list[Any]) -> None:
        """A call has failed."""
        assert self.outcomes[given[0]] == {"error": given[1]}

    def _lose(self, lost: Wait | Over) -> None:
        self.lost, self.greeted = lost, False
        for call in self.book.drop():
            self.outcomes[self.calls[call.id]] = {"error": call.lost().code}
        if isinstance(lost, Over):
            for call in self.book.clear():
                self.outcomes[self.calls[call.id]] = {"error": lost.error.code}

    def _send_call(self, call: Call) -> None:
        call.sends += 1
        self._send(call.id, call.method, call.params)

    def _send(self, request_id: int, method: str, params: dict[str, Any]) -> None:
        self.requests.append(json.loads(encode(request_id, method, params)))

    def _request(self, method: str) -> dict[str, Any]:
        return [request for request in self.requests if request["method"] == method][-1]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: one["name"])
def test_a_conversation(conversation: dict[str, Any]) -> None:
    """Step by step."""
    player = Player(
        conversation.get("subscribe"), refreshable=conversation.get("refreshable", False)
    )
    for step in conversation["steps"]:
        for verb, value in step.items():
            getattr(player, verb)(value)
