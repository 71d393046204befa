"""REST: one file a resource; the whole table of endpoints is put together here."""

from server.rest import documents, execute, health, interrupts, missions, requests

ENDPOINTS = (
    *requests.ENDPOINTS,
    *execute.ENDPOINTS,
    *missions.ENDPOINTS,
    *interrupts.ENDPOINTS,
    *health.ENDPOINTS,
    *documents.ENDPOINTS,
)
"""Every endpoint. A path with a parameter stands behind the literal paths that it would match."""
