"""``/static``: the pages' scripts and styles, compressed once and revalidated by the browser."""

import asyncio
import gzip
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from server.pages import page_policy

COMPRESSED = frozenset(
    {"text/css", "text/html", "text/javascript", "application/json", "image/svg+xml", "text/plain"}
)
LEAST_BYTES = 512
"""Below it the headers cost more than the compression saves."""


@dataclass(frozen=True, slots=True)
class _Packed:
    """A file's compressed bytes, and the ETag of the file that they were made from."""

    etag: str
    body: bytes


class PageFiles(StaticFiles):
    """The files under ``static/``; a browser asks each time whether they changed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)
        self._packed: dict[str, _Packed] = {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file at ``path``; dotfiles are none of the pages' business."""
        if any(part.startswith(".") and part != "." for part in path.split("/")):
            path = "\0"
        response = await super().get_response(path, scope)
        if isinstance(response, FileResponse):
            response = await self._compressed(response, Headers(scope=scope))
        return response

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Return a file that is to be revalidated."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Vary"] = "Accept-Encoding"
        if isinstance(response, FileResponse) and response.media_type == "text/html":
            response.headers["Content-Security-Policy"] = page_policy(
                Path(response.path).read_bytes()
            )
        return response

    async def _compressed(self, plain: FileResponse, asked: Headers) -> Response:
        """Return the file as gzip where the browser takes it and it is worth it.

        The compressed form has an ETag of its own, since it is another sequence of bytes; a range
        is always one of the plain form.
        """
        size = int(plain.headers["content-length"])
        fits = plain.media_type in COMPRESSED and size >= LEAST_BYTES and "range" not in asked
        if not fits or not takes_gzip(asked.get("accept-encoding", "")):
            return plain
        headers = {
            name: value
            for name, value in plain.headers.items()
            if name not in {"content-length", "accept-ranges"}
        }
        headers |= {"etag": _etag_of_gzip(plain.headers["etag"]), "content-encoding": "gzip"}
        if self.is_not_modified(Headers(headers), asked):
            return NotModifiedResponse(Headers(headers))
        return Response(await self._pack(plain), plain.status_code, headers)

    async def _pack(self, plain: FileResponse) -> bytes:
        path, etag = str(plain.path), plain.headers["etag"]
        known = self._packed.get(path)
        if known is None or known.etag != etag:
            known = _Packed(etag, await asyncio.to_thread(_gzip_of, path))
            self._packed[path] = known
        return known.body


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip."""
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.rstrip("0.") != "" or weight == ""
    return False


def _etag_of_gzip(etag: str) -> str:
    return f'{etag.removesuffix(chr(34))}-gzip"'


def _gzip_of(path: str) -> bytes:
    return gzip.compress(Path(path).read_bytes(), mtime=0)
