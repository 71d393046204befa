"""`tower erase`: remove a user or a session for good."""

from typing import Annotated
from urllib.parse import quote

import typer

from control_tower.erasure import Eraser
from control_tower.sessions import Sessions
from control_tower.store import ThreadedStore, holder_of
from server.auth import LOCAL
from server.clock import SystemClock, UlidIds
from server.commands.listing import DataDir
from server.commands.operator_calls import call
from server.commands.own_store import with_own_store
from server.commands.terminal import fail, loaded, out, plainly
from server.rest.chat import SESSIONS
from server.rest.users import USERS


@plainly
def erase(
    user: Annotated[str | None, typer.Option(help="The user, with everything of theirs.")] = None,
    session: Annotated[str | None, typer.Option(help="One session, with everything in it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Erase a user or a session for good: messages, missions, files, events, keys.

    Missions that run are cancelled first. The log keeps the places of the events and nothing else
    of them; backups made before keep everything.
    """
    if (user is None) == (session is None):
        fail("Say what to erase: --user NAME or --session ID.", code=2)
    name = user or session or ""
    settings = loaded({"data_dir": data_dir}).settings
    if not yes:
        _confirm("user" if user else "session", name)
    holder = holder_of(settings.data_dir)
    if holder is not None:
        path = f"{USERS}/{quote(name, safe='')}" if user else _session_path(name)
        call(holder, "DELETE", path)
    else:
        with_own_store(settings, lambda store: _erase(store, user, session))
    out.print(f"{name} is erased.", markup=False, highlight=False)


def _session_path(session_id: str) -> str:
    return f"{SESSIONS}/{quote(session_id, safe='')}?soft=false"


def _confirm(what: str, name: str) -> None:
    typed = typer.prompt(
        f"This erases {what} {name} for good; there is no way back. Type the name again"
    )
    if typed != name:
        fail("That is another name; nothing was erased.")


async def _erase(store: ThreadedStore, user: str | None, session: str | None) -> None:
    clock = SystemClock()
    eraser = Eraser(store, clock)
    try:
        await eraser.finish()
        if user is not None:
            await eraser.erase_user(user)
        elif session is not None:
            await Sessions(store, clock, UlidIds()).erase(LOCAL, session, eraser)
        await eraser.scrubbed()
    finally:
        await eraser.close()
