"""The web pages and their files, under a policy that lets nothing else in.

A page's policy allows scripts and styles of this server only, and the one inline import map,
by the hash of its text, which is computed from the file at start.
"""

import asyncio
import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from control_tower.errors import NotFound
from server.page_modules import with_preloads

TRUSTED_TYPES = "trusted-types lit-html dompurify"

_IMPORT_MAP = re.compile(rb'<script type="importmap"[^>]*>(.*?)</script>', re.DOTALL)


def static_dir() -> Path:
    """Return where the pages are: at the top of a clone, or inside an installed package."""
    here = Path(__file__).resolve().parent
    packaged = here / "static"
    return packaged if packaged.is_dir() else here.parent / "static"


def page_policy(html: bytes) -> str:
    """Return the Content-Security-Policy of a page, with the hashes of its import maps."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
        for text in _IMPORT_MAP.findall(html)
    ]
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(["script-src 'self'", *hashes]),
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            TRUSTED_TYPES,
        )
    )


DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Of `/docs` alone: Swagger UI writes inline styles, and strings into script sinks."""


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML page with its policy and what announces its modules, read once."""

    html: bytes
    policy: str

    @classmethod
    def read(cls, path: Path) -> "Page":
        """Read a page from its file."""
        html = with_preloads(path.read_bytes(), path.parent)
        return cls(html, page_policy(html))

    def response(self) -> Response:
        """Return the page."""
        return Response(
            self.html,
            media_type="text/html",
            headers={
                "Content-Security-Policy": self.policy,
                "Cache-Control": "no-cache",
                "Vary": "Accept",
            },
        )


def wants_html(headers: Headers) -> bool:
    """Return whether Accept names text/html; ``*/*`` does not."""
    accept = headers.get("accept", "")
    return any(part.partition(";")[0].strip().lower() == "text/html" for part in accept.split(","))


class PageFile:
    """A page on disk, read again when it has changed.

    Reading it means reading all of its modules, which takes longer than the event loop may stand.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._page: Page | None = None
        self._read_at = 0.0

    def is_there(self) -> bool:
        """Return whether the page is installed."""
        return self._path.is_file()

    async def page(self) -> Page:
        """Return the page.

        Raises:
            NotFound: where the pages are not installed.
        """
        try:
            changed_at = self._path.stat().st_mtime
            if self._page is None or changed_at != self._read_at:
                self._page = await asyncio.to_thread(Page.read, self._path)
                self._read_at = changed_at
        except FileNotFoundError:
            raise NotFound("The pages are not installed here.") from None
        return self._page

    async def answer(self, _request: Request) -> Response:
        """Return the page to whoever asks."""
        return (await self.page()).response()


class ForBrowsers(Route):
    """A page at the path of an endpoint: who asks for text/html gets it, all others the data."""

    def __init__(self, path: str, file: Path) -> None:
        self._page = PageFile(file)
        super().__init__(path, self._page.answer, methods=["GET"])

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a browser's GET, as long as the page is there."""
        match, child = super().matches(scope)
        wanted = match is Match.FULL and wants_html(Headers(scope=scope))
        return (match, child) if wanted and self._page.is_there() else (Match.NONE, {})


def console_routes(static: Path) -> list[BaseRoute]:
    """Return the routes of the operators' console and of governance.

    The pages are open, as all pages are: what they show they ask for with the person's token.
    """
    operator = PageFile(static / "operator.html")
    governance = PageFile(static / "governance.html")
    return [
        Route("/operator", operator.answer, methods=["GET"]),
        Route("/governance", governance.answer, methods=["GET"]),
    ]


class Reference:
    """The pages about the API: `/docs` for HTTP, `/docs/ws` for the socket."""

    def __init__(self, static: Path, ws_page: str) -> None:
        self._docs = static / "docs.html"
        self._ws = ws_page.encode()

    async def docs(self, _request: Request) -> Response:
        """Return Swagger UI over the OpenAPI document."""
        return Page(self._docs.read_bytes(), DOCS_POLICY).response()

    async def ws(self, _request: Request) -> Response:
        """Return the readable page of `/ws`."""
        return Page(self._ws, page_policy(b"")).response()

    async def redoc(self, _request: Request) -> Response:
        """Send those who know the other name to `/docs`."""
        return RedirectResponse("/docs", 308)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/docs", self.docs, methods=["GET"]),
            Route("/docs/ws", self.ws, methods=["GET"]),
            Route("/redoc", self.redoc, methods=["GET"]),
        ]
