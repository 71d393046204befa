"""`tower backup` and `tower restore`: the database as one file, and its way back."""

from pathlib import Path
from typing import Annotated

import typer

from control_tower.store import BackupError, Described, back_up, new_epoch
from control_tower.store import restore as put_back
from events.payloads import JsonObject
from server.clock import SystemClock
from server.commands.listing import AsJson, DataDir, show_json
from server.commands.own_store import sqlite_folder
from server.commands.terminal import fail, loaded, out, plainly


def described_json(found: Described) -> JsonObject:
    """Return what a database is, for programs."""
    return {
        "file": str(found.path),
        "size_bytes": found.size_bytes,
        "schema": found.schema,
        "epoch": found.epoch,
        "head": found.head,
        "floor": found.floor,
    }


@plainly
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Back the database up into one file, also while a server runs.

    The file is checked before it gets its name; only its owner may read it.
    """
    settings = loaded({"data_dir": data_dir}).settings
    try:
        made = back_up(sqlite_folder(settings), file, replace=force)
    except BackupError as error:
        fail(f"No backup was made: {error}.")
    if json:
        show_json(described_json(made))
        return
    size = f"{made.size_bytes / 2**20:.1f} MiB"
    out.print(f"{made.path}: {size}, {made.head} events.", markup=False, highlight=False)


@plainly
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `tower backup` made.")],
    json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Put a backup in the place of the database; the one before is kept beside it.

    No server may run over the data folder. Missions that lived when the backup was made go on from
    there at the next start: what they did afterwards is not known to them, and may be done again.
    """
    settings = loaded({"data_dir": data_dir}).settings
    try:
        restored = put_back(sqlite_folder(settings), file, new_epoch(SystemClock().now()))
    except BackupError as error:
        fail(f"Nothing was restored: {error}.")
    if json:
        kept = None if restored.kept is None else str(restored.kept)
        show_json(described_json(restored.database) | {"kept": kept})
        return
    out.print(
        f"{restored.database.path} is that of {file} now: {restored.database.head} events.",
        markup=False,
        highlight=False,
    )
    if restored.kept is not None:
        out.print(f"The one before is {restored.kept}.", markup=False, highlight=False)
