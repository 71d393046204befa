"""API keys, for operators: made, listed, revoked. The key itself is in one answer only."""

from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response

from control_tower.cluster.calls import Nothing
from control_tower.errors import Forbidden
from server import told
from server.access.auth_keys import key_json
from server.endpoints import Body, Call, Endpoint, Query, json_reply
from server.rest.shapes import Id, Reply

DAY_S = 86_400.0


class KeyBody(Body):
    """For whom the key is, and what it may."""

    user_id: Id
    role: Literal["user", "operator", "viewer"] = "user"
    name: Annotated[str, Field(max_length=200)] = Field("", description="what people call it")
    expires_days: Annotated[float, Field(gt=0, le=36_500)] | None = Field(
        None, description="how long it is good; null until it is revoked"
    )


class KeyReply(Reply):
    """A key as it is known afterwards. ``last_used_at`` is right to the minute."""

    key_id: str
    name: str
    user_id: str
    role: Literal["user", "operator", "viewer"]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class NewKeyReply(KeyReply):
    """A new key. ``key`` is shown here and never again."""

    key: str


def _require_operator(call: Call[Any, Any]) -> None:
    if call.caller.role != "operator":
        raise Forbidden("API keys are for operators.")


async def list_keys(call: Call[None, Query]) -> Response:
    """List the API keys, oldest first, those that ended too; for operators."""
    _require_operator(call)
    found = await call.services.keyring.list()
    headers = {"X-Total-Count": str(len(found))}
    return json_reply([key_json(each) for each in found], headers=headers)


async def create(call: Call[KeyBody, Query]) -> Response:
    """Make an API key and show it, this once; for operators."""
    _require_operator(call)
    body = call.body
    record, key = await call.services.keyring.create(
        user_id=body.user_id,
        role=body.role,
        name=body.name,
        lasts_s=None if body.expires_days is None else body.expires_days * DAY_S,
    )
    return json_reply(key_json(record) | {"key": key}, 201)


async def revoke(call: Call[None, Query]) -> Response:
    """Revoke an API key: refused from now on, its connections closed within 5 s; for operators."""
    _require_operator(call)
    await call.services.keyring.revoke(call.path["key_id"])
    call.services.tell_all(told.FORGET_KEYS, Nothing())
    return Response(status_code=204)


KEYS = "/api/v1/keys"

ENDPOINTS = (
    Endpoint(
        "GET",
        KEYS,
        list_keys,
        "Sign-in",
        list[KeyReply],
        errors=("forbidden",),
        gives={"X-Total-Count": "How many keys there are."},
    ),
    Endpoint("POST", KEYS, create, "Sign-in", NewKeyReply, 201, KeyBody, errors=("forbidden",)),
    Endpoint(
        "DELETE",
        KEYS + "/{key_id}",
        revoke,
        "Sign-in",
        None,
        204,
        errors=("forbidden", "not_found"),
    ),
)
