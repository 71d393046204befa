"""The ASGI application: a thin skin over a tower that works (:mod:`server.app`)."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from server.access.guard import Guard
from server.app import Running
from server.endpoints import NoSuchPath, routes
from server.page_files import PageFiles
from server.pages import ForBrowsers, Reference, console_routes
from server.reference import wire_page
from server.rest import ENDPOINTS

OF_WORKERS = frozenset({"/health", "/ready", "/health/ready", "/metrics", "/api/v1/metrics"})
"""The paths that a node has which serves no people: what those ask who look after it."""


def create_app(running: Running) -> Starlette:
    """Return the ASGI application over a running tower, as far as its role goes."""
    services = running.services
    app = Starlette(
        routes=_all_routes(running) if running.role.serves_people else _probes(),
        middleware=[Middleware(Guard, settings=services.settings, figures=services.http)],
        exception_handlers={HTTPException: _to_the_guard},
    )
    app.router.redirect_slashes = False
    app.router.default = NoSuchPath(services.gate, app.router.default)
    app.state.services = services
    return app


def _all_routes(running: Running) -> list[BaseRoute]:
    static = running.services.static_dir
    return [
        WebSocketRoute("/ws", running.sockets),
        *console_routes(static),
        *Reference(static, wire_page.page(running.methods.methods)).routes(),
        Mount("/static", PageFiles(static)),
        *(ForBrowsers(each.path, static / each.page) for each in ENDPOINTS if each.page),
        *routes(ENDPOINTS),
    ]


def _probes() -> list[BaseRoute]:
    return routes(each for each in ENDPOINTS if each.path in OF_WORKERS)


async def _to_the_guard(_request: Request, error: Exception) -> Response:
    """Let the guard answer Starlette's own errors, as it answers all others."""
    raise error
