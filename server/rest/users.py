"""Users, for operators: all that was kept of one is erased."""

from starlette.responses import Response

from control_tower.cluster.calls import Nothing
from control_tower.errors import Forbidden
from server import told
from server.endpoints import Call, Endpoint, Query


async def erase(call: Call[None, Query]) -> Response:
    """Erase a user for good: sessions, missions, files, keys, spending; for operators.

    Their API keys go first, so that nothing new comes; then their missions are cancelled. What
    they decided in other users' missions stays part of those.
    """
    if call.caller.role != "operator":
        raise Forbidden("Only an operator may erase a user.")
    await call.services.erase_user(call.path["user_id"])
    call.services.keyring.forget()
    call.services.tell_all(told.FORGET_KEYS, Nothing())
    return Response(status_code=204)


USERS = "/api/v1/users"

ENDPOINTS = (
    Endpoint(
        "DELETE",
        USERS + "/{user_id}",
        erase,
        "Sign-in",
        None,
        204,
        errors=("forbidden", "not_found"),
    ),
)
