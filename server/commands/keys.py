"""`tower keys`: who may connect while TOWER_AUTH=keys.

Through the server if one runs over the data folder, else on the folder itself; so the first key can
be made before the first start.
"""

from typing import Annotated, Literal
from urllib.parse import quote

import typer

from control_tower.store import ThreadedStore, holder_of
from events.payloads import JsonObject
from server.auth_keys import Keyring, key_json
from server.clock import SystemClock
from server.commands.listing import AsJson, DataDir, show, show_json
from server.commands.operator_calls import call
from server.commands.own_store import with_own_store
from server.commands.terminal import err, loaded, out, plainly
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

keys = typer.Typer(help="Make, list and revoke API keys (for TOWER_AUTH=keys).")


@keys.command("create")
@plainly
def create(
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
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it: it is shown this once and can't be shown again."""
    settings = loaded({"data_dir": data_dir}).settings
    holder = holder_of(settings.data_dir)

    async def make(store: ThreadedStore) -> JsonObject:
        lasts_s = None if days is None else days * DAY_S
        record, key = await Keyring(store, SystemClock()).create(
            user_id=user, role=role, name=name, lasts_s=lasts_s
        )
        return key_json(record) | {"key": key}

    body = {"user_id": user, "role": role, "name": name, "expires_days": days}
    made: JsonObject = (
        call(holder, "POST", KEYS, body) if holder else with_own_store(settings, make)
    )
    if json:
        show_json(made)
        return
    typer.echo(made["key"])
    err.print(
        f"This is key {made['key_id']} of {user}, role {role}. Keep it now: it is not shown again.",
        markup=False,
        highlight=False,
    )
    if settings.auth != "keys":
        err.print("TOWER_AUTH is not keys, so a server does not ask for it yet.", highlight=False)


@keys.command("list")
@plainly
def list_keys(json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the keys, oldest first, those that ended too."""
    settings = loaded({"data_dir": data_dir}).settings
    holder = holder_of(settings.data_dir)

    async def find(store: ThreadedStore) -> list[JsonObject]:
        return [key_json(record) for record in await Keyring(store, SystemClock()).list()]

    show(
        call(holder, "GET", KEYS) if holder else with_own_store(settings, find),
        COLUMNS,
        as_json=json,
    )


@keys.command("revoke")
@plainly
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `tower keys list` shows it.")],
    data_dir: DataDir = None,
) -> None:
    """End a key: requests with it are refused at once, its connections are closed within 5 s."""
    settings = loaded({"data_dir": data_dir}).settings
    holder = holder_of(settings.data_dir)

    async def end(store: ThreadedStore) -> None:
        await Keyring(store, SystemClock()).revoke(key_id)

    if holder:
        call(holder, "DELETE", f"{KEYS}/{quote(key_id, safe='')}")
    else:
        with_own_store(settings, end)
    out.print(f"Key {key_id} is revoked.", markup=False, highlight=False)
