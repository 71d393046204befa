"""REST: one file a resource; the whole table of endpoints is put together here."""

from server.rest import (
    agents,
    chat,
    dashboard,
    documents,
    events,
    execute,
    governance,
    health,
    interrupts,
    keys,
    metrics,
    missions,
    requests,
    results,
    search,
    sessions,
    tickets,
    transfer,
)

ENDPOINTS = (
    *requests.ENDPOINTS,
    *execute.ENDPOINTS,
    *missions.ENDPOINTS,
    *events.ENDPOINTS,
    *results.ENDPOINTS,
    *interrupts.ENDPOINTS,
    *agents.ENDPOINTS,
    *sessions.ENDPOINTS,
    *transfer.ENDPOINTS,
    *chat.ENDPOINTS,
    *search.ENDPOINTS,
    *tickets.ENDPOINTS,
    *keys.ENDPOINTS,
    *governance.ENDPOINTS,
    *dashboard.ENDPOINTS,
    *metrics.ENDPOINTS,
    *health.ENDPOINTS,
    *documents.ENDPOINTS,
)
"""Every endpoint. A path with a parameter stands behind the literal paths that it would match."""
