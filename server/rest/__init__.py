"""REST: one file a resource; the whole table of endpoints is put together here."""

from server.rest import (
    chat,
    documents,
    events,
    execute,
    health,
    interrupts,
    missions,
    requests,
    sessions,
)

ENDPOINTS = (
    *requests.ENDPOINTS,
    *execute.ENDPOINTS,
    *missions.ENDPOINTS,
    *events.ENDPOINTS,
    *interrupts.ENDPOINTS,
    *sessions.ENDPOINTS,
    *chat.ENDPOINTS,
    *health.ENDPOINTS,
    *documents.ENDPOINTS,
)
"""Every endpoint. A path with a parameter stands behind the literal paths that it would match."""
