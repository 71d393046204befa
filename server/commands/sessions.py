"""`tower sessions`: conversations, to be found, kept, given away and deleted."""

import html
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from events.payloads import JsonObject
from server.client import Client
from server.commands.listing import AsJson, Limit, age, show, show_fields, show_json
from server.commands.place import Place, ask, placed
from server.commands.rest import Rest, quoted
from server.commands.terminal import fail, out, printable

Id = Annotated[str, typer.Argument(metavar="ID", help="Which session.")]
Archived = Annotated[bool, typer.Option("--archived", help="Those in the archive.")]

SESSIONS: Final = "/api/v1/chat/sessions"
COLUMNS: Final = ("session_id", "user_id", "message_count", "last_activity", "title")
MESSAGES_SHOWN: Final = 500
FORMATS: Final = ("json", "md", "txt")

group = typer.Typer(
    invoke_without_command=True, help="List sessions, look into one, find, export, import."
)


def list_sessions(
    place: Place, archived: Archived = False, limit: Limit = 20, json: AsJson = False
) -> None:
    """List sessions, newest activity first."""

    async def question(tower: Client) -> list[JsonObject]:
        return await tower.sessions(archived=archived, limit=limit)

    show(ask(place, question), COLUMNS, as_json=json, nothing="No sessions.")


@placed
def _by_default(
    context: typer.Context,
    place: Place,
    archived: Archived = False,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List sessions, newest activity first; or, with a command, look into one."""
    if context.invoked_subcommand is None:
        list_sessions(place, archived, limit, json)


@placed
def show_session(place: Place, session_id: Id, json: AsJson = False) -> None:
    """Show a session and its messages."""
    rest = Rest(place)
    session = rest.get(f"{SESSIONS}/{quoted(session_id)}")
    messages = rest.get(f"{SESSIONS}/{quoted(session_id)}/messages", limit=MESSAGES_SHOWN)
    if json:
        show_json(session | {"messages": messages})
        return
    show_fields(session, as_json=False)
    for message in messages:
        head = f"\n{message['role']}, {age(message['created_at'])}"
        out.print(head, style="bold", markup=False, highlight=False)
        out.print(printable(message["content"]), markup=False, highlight=False, soft_wrap=True)
    if len(messages) == MESSAGES_SHOWN:
        out.print(f"\nThese are the first {MESSAGES_SHOWN}; tower sessions export has all.")


@placed
def rename(
    place: Place,
    session_id: Id,
    title: Annotated[str, typer.Argument(help="Its new title.")],
    json: AsJson = False,
) -> None:
    """Give a session another title."""
    _command(
        place, lambda tower: tower.update_session(session_id, title=title), "renamed", as_json=json
    )


@placed
def archive(
    place: Place,
    session_id: Id,
    undo: Annotated[bool, typer.Option("--undo", help="Take it out again.")] = False,
    json: AsJson = False,
) -> None:
    """Put a session into the archive, or take it out."""
    done = "taken out of the archive" if undo else "archived"
    _command(
        place,
        lambda tower: tower.update_session(session_id, archived=not undo),
        done,
        as_json=json,
    )


@placed
def delete(place: Place, session_id: Id, json: AsJson = False) -> None:
    """Delete a session. It can be restored."""
    _command(
        place,
        lambda tower: tower.delete_session(session_id),
        f"deleted; to have it back: tower sessions restore {session_id}{place.again}",
        as_json=json,
    )


@placed
def restore(place: Place, session_id: Id, json: AsJson = False) -> None:
    """Restore a session that was deleted."""
    restored = Rest(place).post(f"{SESSIONS}/{quoted(session_id)}/restore")
    _say(restored, "restored", as_json=json)


@placed
def search(
    place: Place,
    words: Annotated[list[str], typer.Argument(help="Words that a message has, all of them.")],
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """Find messages by their words, the best first."""
    hits = Rest(place).get("/api/v1/chat/search", query=" ".join(words), limit=limit)
    if json:
        show_json(hits)
        return
    if not hits:
        out.print("Nothing found.")
    for hit in hits:
        title = printable(hit["session_title"] or "")
        head = f"{hit['session_id']}  {hit['role']}, {age(hit['created_at'])}  {title}"
        out.print(head, markup=False, highlight=False, soft_wrap=True)
        out.print(Text("  ") + marked(hit["snippet"]), soft_wrap=True)


@placed
def export(
    place: Place,
    session_id: Id,
    into: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; without: print it.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="json, md or txt; else as the file ends.")
    ] = None,
) -> None:
    """Export a session whole: as JSON (which can be imported), Markdown or plain text."""
    wanted = form or (into.suffix.removeprefix(".") if into else "") or "json"
    if wanted not in FORMATS:
        fail(f"There is no format {wanted}; there are {', '.join(FORMATS)}.")
    path = f"{SESSIONS}/{quoted(session_id)}/export"
    if into is None:
        Rest(place).download(path, sys.stdout.buffer, format=wanted)
        return
    _write(into, lambda file: Rest(place).download(path, file, format=wanted))
    out.print(f"Wrote {into}", markup=False, highlight=False)


@placed
def import_session(
    place: Place,
    file: Annotated[Path, typer.Argument(help="What tower sessions export wrote, as JSON.")],
    json: AsJson = False,
) -> None:
    """Import a session that was exported as JSON."""
    try:
        imported = Rest(place).upload(f"{SESSIONS}/import", file)
    except OSError as error:
        fail(f"{file} can't be read: {error.strerror}.")
    _say(imported, f"imported, {imported['message_count']} messages", as_json=json)


def marked(snippet: str) -> Text:
    """Return a snippet of the search, which is HTML, with the words that were found in bold."""
    text = Text()
    for at, piece in enumerate(snippet.replace("</mark>", "<mark>").split("<mark>")):
        plain = printable(" ".join(html.unescape(piece).splitlines()))
        text.append(plain, style="bold" if at % 2 else None)
    return text


def _write(into: Path, fill: Callable[[Any], None]) -> None:
    """Write a new file whole, or not at all."""
    if into.exists():
        fail(f"{into} is there already; nothing was written.")
    part = into.with_name(f"{into.name}.part")
    try:
        with part.open("wb") as file:
            fill(file)
        part.rename(into)
    except OSError as error:
        fail(f"{into} can't be written: {error.strerror}.")
    finally:
        part.unlink(missing_ok=True)


def _command(
    place: Place,
    question: Callable[[Client], Awaitable[JsonObject]],
    done: str,
    *,
    as_json: bool,
) -> None:
    _say(ask(place, question), done, as_json=as_json)


def _say(session: JsonObject, done: str, *, as_json: bool) -> None:
    if as_json:
        show_json(session)
    else:
        said = f"The session {session['session_id']} was {done}"
        out.print(said, markup=False, highlight=False, soft_wrap=True)


group.callback()(_by_default)
group.command("list")(placed(list_sessions))
group.command("show")(show_session)
group.command("import")(import_session)
for _each in (rename, archive, delete, restore, search, export):
    group.command()(_each)
