"""`tower keys`: who may connect while TOWER_AUTH=keys.

Through the server if one runs over the data folder, else on the folder itself; so the first key can
be made before the first start.
"""

from typing import Annotated, Literal

import typer

from control_tower.store import ThreadedStore
from events.payloads import JsonObject
from server.access.auth_keys import Keyring, key_json
from server.clock import SystemClock
from server.commands.listing import AsJson, show, show_json
from server.commands.own_store import server_or_folder, with_own_store
from server.commands.place import Place, placed
from server.commands.rest import quoted
from server.commands.terminal import err, out
from server.rest.keys import DAY_S, KEYS

COLUMNS = (
    "key_id",
    "user_id",
    "role",
    "name",
    "created_at",
    "last_used_at",
    "expires_at",
    "revoked_at",
)

keys = typer.Typer(
    help="Make, list and revoke API keys (for TOWER_AUTH=keys).", no_args_is_help=True
)


@keys.command("create")
@placed
def create(
    place: Place,
    user: Annotated[str, typer.Option(help="Whom the key stands for.")],
    role: Annotated[
        Literal["user", "operator", "viewer"],
        typer.Option(help="user: their own things; viewer: reads everything; operator: all."),
    ] = "user",
    name: Annotated[str, typer.Option(help="What to call it, e.g. where it is used.")] = "",
    days: Annotated[
        float | None, typer.Option(min=0.001, help="How long it is good; without: for ever.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a key and print it: it is shown this once and can't be shown again."""
    server, settings = server_or_folder(place)

    async def make(store: ThreadedStore) -> JsonObject:
        lasts_s = None if days is None else days * DAY_S
        record, key = await Keyring(store, SystemClock()).create(
            user_id=user, role=role, name=name, lasts_s=lasts_s
        )
        return key_json(record) | {"key": key}

    body = {"user_id": user, "role": role, "name": name, "expires_days": days}
    made = with_own_store(settings, make) if server is None else server.post(KEYS, body)
    if json:
        show_json(made)
        return
    typer.echo(made["key"])
    err.print(
        f"This is key {made['key_id']} of {user}, role {role}. Keep it now: it is not shown again.",
        markup=False,
        highlight=False,
    )
    if settings.auth != "keys" and not place.url:
        err.print("TOWER_AUTH is not keys, so a server does not ask for it yet.", highlight=False)


@keys.command("list")
@placed
def list_keys(place: Place, json: AsJson = False) -> None:
    """List the keys, oldest first, those that ended too."""
    server, settings = server_or_folder(place)

    async def find(store: ThreadedStore) -> list[JsonObject]:
        return [key_json(record) for record in await Keyring(store, SystemClock()).list()]

    found = with_own_store(settings, find) if server is None else server.get(KEYS)
    show(found, COLUMNS, as_json=json, nothing="There are no keys.")


@keys.command("revoke")
@placed
def revoke(
    place: Place,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `tower keys list` shows it.")],
) -> None:
    """End a key: requests with it are refused at once, its connections are closed within 5 s."""
    server, settings = server_or_folder(place)

    async def end(store: ThreadedStore) -> None:
        await Keyring(store, SystemClock()).revoke(key_id)

    if server is None:
        with_own_store(settings, end)
    else:
        server.delete(f"{KEYS}/{quoted(key_id)}")
    out.print(f"Key {key_id} is revoked.", markup=False, highlight=False)
