"""The HTTP side of a server, for what `/ws` does not have: files in and out, and search."""

import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from server.client import ClientError
from server.commands.place import Place

TIMEOUT_S: Final = 60
ERASING_S: Final = 900
PIECE_BYTES: Final = 1 << 16


class Rest:
    """Requests to one server. Errors are those of its problem+json, as ``ClientError``.

    Attributes:
        url: of the server.
    """

    def __init__(self, place: Place) -> None:
        self.url, self._token = place.address()
        # Where the server is, is known; a proxy of the environment is not on the way to it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, *, also: int | None = None, **query: object) -> Any:
        """Return the JSON at a path; ``also`` is a status that is an answer and no error."""
        with self._open("GET", path, query, also=also) as answer:
            return _decoded(answer.read())

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Post an object to a path, an empty one if none is given; return the JSON that answers."""
        with self._open("POST", path, {}, msgspec.json.encode(body or {})) as answer:
            return _decoded(answer.read())

    def delete(self, path: str, **query: object) -> None:
        """Delete what is at a path. An erasure takes its time, so this waits longer."""
        with self._open("DELETE", path, query, timeout_s=ERASING_S) as answer:
            answer.read()

    def download(self, path: str, into: IO[bytes], **query: object) -> None:
        """Copy what is at a path, piece by piece."""
        with self._open("GET", path, query) as answer:
            shutil.copyfileobj(answer, into, PIECE_BYTES)

    def upload(self, path: str, file: Path) -> Any:
        """Post a JSON file, piece by piece; return the JSON that answers."""
        with file.open("rb") as opened:
            size = file.stat().st_size
            with self._open("POST", path, {}, opened, {"Content-Length": str(size)}) as answer:
                return _decoded(answer.read())

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        query: dict[str, object],
        body: bytes | IO[bytes] | None = None,
        headers: dict[str, str] | None = None,
        also: int | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Iterator[IO[bytes]]:
        asked = {name: str(value) for name, value in query.items() if value is not None}
        url = self.url + path + (f"?{urllib.parse.urlencode(asked)}" if asked else "")
        request = urllib.request.Request(url, body, method=method)  # noqa: S310 - http, as given
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            if error.code != also:
                raise _problem(error) from None
            yield error
        except urllib.error.URLError as error:
            why = getattr(error.reason, "strerror", None) or error.reason
            raise ClientError("disconnected", f"{self.url} can't be reached: {why}") from None
        except (HTTPException, TimeoutError) as error:
            raise ClientError("disconnected", f"{self.url} broke off: {error!r}") from None


def quoted(part: str) -> str:
    """Return an id as one part of a path."""
    return urllib.parse.quote(part, safe="")


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError):
        raise ClientError("internal", "The answer is no JSON: is this a Control Tower?") from None


def _problem(error: urllib.error.HTTPError) -> ClientError:
    with error:
        try:
            problem = msgspec.json.decode(error.read(), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError):
            return ClientError("internal", f"The server answered HTTP {error.code}.")
    detail = problem.get("detail") or problem.get("title") or f"HTTP {error.code}"
    return ClientError(str(problem.get("code", "internal")), str(detail))
