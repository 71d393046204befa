"""A server of language models for tests: HTTP on loopback, in the test's own event loop.

What it answers is scripted in the tests' words (:class:`Said`, :class:`Refusal`); what is on the
wire is made of that by a dialect, OpenAI's or Anthropic's. It keeps every request, so that a test
can count how often a model was asked, across deaths of the server that asks.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeAlias

from tests.rig import anthropic_wire, openai_wire

DONE = b"0\r\n\r\n"


@dataclass(frozen=True)
class Said:
    """A turn of the model.

    Attributes:
        calls: tools' names with arguments; a text is sent as it is, JSON or not.
        finish: ``length``, ``refusal`` or what follows from the rest.
        cut_after: hang up after so many pieces of the stream.
        first_s: seconds of silence before the first piece, when the head was sent.
        trouble: an error that comes inside the stream, after the pieces.
    """

    text: str = ""
    calls: Sequence[tuple[str, dict[str, Any] | str]] = ()
    finish: str = ""
    tokens: tuple[int, int] = (11, 7)
    cut_after: int | None = None
    first_s: float = 0.0
    trouble: str = ""


@dataclass(frozen=True)
class Refusal:
    """An answer that is none: a status with a message."""

    status: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was said so far."""
        return list(self.body["messages"])

    @property
    def tools(self) -> list[str]:
        """The names of the offered tools, as they are on the wire."""
        return [str(each.get("name") or each["function"]["name"]) for each in self.body["tools"]]

    @property
    def turns(self) -> int:
        """How many turns of the model were before."""
        return sum(message["role"] == "assistant" for message in self.messages)

    @property
    def last(self) -> str:
        """The newest message as text."""
        return json.dumps(self.messages[-1]["content"])


@dataclass(frozen=True)
class Raw:
    """Bytes, whatever they are."""

    data: bytes


Answer: TypeAlias = Said | Refusal | Raw
Model: TypeAlias = Callable[[Request], Answer]


class Dialect(Protocol):
    """How a turn looks on the wire."""

    def pieces(self, said: Said) -> list[bytes]:
        """Return the pieces of a stream."""

    def whole(self, said: Said) -> dict[str, Any]:
        """Return the body of an answer that is not streamed."""

    def trouble(self, message: str, status: int) -> dict[str, Any]:
        """Return the body of an error."""


class ModelApi:
    """A running server; an async context manager.

    Attributes:
        model: answers requests; a list of answers is given in order, the last one for ever.
        requests: everything that was asked.
    """

    def __init__(self, model: Model | Sequence[Answer]) -> None:
        self.model = model if callable(model) else in_order(model)
        self.requests: list[Request] = []
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up on everybody."""
        assert self._server is not None
        self._server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The address without a path."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def settings(self, provider: str) -> dict[str, str]:
        """Return the environment that leads a provider of the tower here."""
        match provider:
            case "openai":
                return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{self.url}/v1"}
            case "anthropic":
                return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": self.url}
            case "azure":
                return {
                    "AZURE_OPENAI_ENDPOINT": self.url,
                    "AZURE_OPENAI_API_KEY": KEY,
                    "AZURE_OPENAI_API_VERSION": "2026-01-01",
                }
            case _:
                return {"TOWER_LLAMACPP_URL": f"{self.url}/v1"}

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side hung up, or the test is over
        finally:
            self._talks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader)
        self.requests.append(request)
        dialect: Dialect = anthropic_wire if request.path.endswith("/messages") else openai_wire
        answer = self.model(request)
        if isinstance(answer, Raw):
            writer.write(answer.data)
        elif isinstance(answer, Refusal):
            body = json.dumps(dialect.trouble(answer.message, answer.status)).encode()
            _head(writer, answer.status, "application/json", answer.headers, len(body))
            writer.write(body)
        elif request.body.get("stream"):
            _head(writer, 200, "text/event-stream", {}, None)
            await _stream(writer, dialect, answer)
        else:
            body = json.dumps(dialect.whole(answer)).encode()
            _head(writer, 200, "application/json", {}, len(body))
            writer.write(body)
        await writer.drain()


KEY = "canary-key-12345"


def in_order(answers: Sequence[Answer]) -> Model:
    """Return a model that gives answers in order, and the last one for ever."""
    left: Iterator[Answer] = iter(answers)
    kept = answers[-1]

    def model(_: Request) -> Answer:
        return next(left, kept)

    return model


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    path = first.split(" ")[1].partition("?")[0]
    return Request(path, headers, json.loads(body))


def _head(
    writer: asyncio.StreamWriter, status: int, kind: str, more: dict[str, str], size: int | None
) -> None:
    length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Type: {kind}",
        length,
        "Connection: close",
        *(f"{name}: {value}" for name, value in more.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())


async def _stream(writer: asyncio.StreamWriter, dialect: Dialect, said: Said) -> None:
    await writer.drain()
    await asyncio.sleep(said.first_s)
    pieces = dialect.pieces(said)
    for piece in pieces[: said.cut_after]:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
    if said.cut_after is None:
        writer.write(DONE)


@contextlib.asynccontextmanager
async def serving(model: Model | Sequence[Answer]) -> AsyncIterator[ModelApi]:
    """Serve a model for as long as the block lasts."""
    async with ModelApi(model) as api:
        yield api
