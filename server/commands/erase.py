"""`tower erase`: remove a user or a session for good."""

from typing import Annotated

import typer

from control_tower.erasure import Eraser
from control_tower.sessions import Sessions
from control_tower.store import ThreadedStore
from server.access.auth import LOCAL
from server.clock import SystemClock, UlidIds
from server.commands.own_store import server_or_folder, with_own_store
from server.commands.place import Place, placed
from server.commands.rest import quoted
from server.commands.terminal import fail, out
from server.rest.chat import SESSIONS
from server.rest.users import USERS


@placed
def erase(
    place: Place,
    user: Annotated[str | None, typer.Option(help="The user, with everything of theirs.")] = None,
    session: Annotated[str | None, typer.Option(help="One session, with everything in it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Erase a user or a session for good: messages, missions, files, events, keys.

    Missions that run are cancelled first. The log keeps the places of the events and nothing else
    of them; backups made before keep everything.
    """
    if (user is None) == (session is None):
        fail("Say what to erase: --user NAME or --session ID.", code=2)
    name = user or session or ""
    server, settings = server_or_folder(place)
    if not yes:
        _confirm("user" if user else "session", name)
    if server is not None:
        if user is not None:
            server.delete(f"{USERS}/{quoted(name)}")
        else:
            server.delete(f"{SESSIONS}/{quoted(name)}", soft="false")
    else:
        with_own_store(settings, lambda store: _erase(store, user, session))
    out.print(f"{name} is erased.", markup=False, highlight=False)


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
