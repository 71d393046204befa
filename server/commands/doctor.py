"""`tower doctor`: is everything there, and where does each setting come from?"""

import importlib.util
import json
import os
import platform
import shutil
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer
from rich.markup import escape

from agents import ModelTable
from control_tower.store import DataFolderUnusable, Holder, holder_of
from server.app import package_version
from server.commands.serve import settings_table
from server.commands.terminal import loaded, out, plainly
from server.health import MIN_FREE_BYTES
from server.pages import static_dir
from server.serving import listen
from server.settings import Settings, SettingsError

Verdict: TypeAlias = Literal["ok", "note", "bad"]

MARKS = {"ok": "[green]✓[/]", "note": "[yellow]![/]", "bad": "[red]✗[/]"}
MIN_SQLITE = (3, 35, 0)
ASK_TIMEOUT_S = 3
HOME = Path(__file__).parents[2]
"""The top of the clone, or the folder of the installed packages."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    said: str


@plainly
def doctor(
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the database.")] = None,
) -> None:
    """Check what a server needs, and show every setting with where it came from.

    Ends with 1 if something would keep a server from working.
    """
    found = loaded({"data_dir": data_dir})
    out.print(settings_table(found))
    out.print()
    diagnoses = list(examine(found.settings))
    for each in diagnoses:
        out.print(f"{MARKS[each.verdict]} {each.what}: {escape(each.said)}", highlight=False)
    if any(each.verdict == "bad" for each in diagnoses):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Diagnosis]:
    """Look at everything, one thing after another."""
    yield Diagnosis("Control Tower", "ok", package_version())
    yield Diagnosis("Python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield _sqlite()
    yield from _data_folder(settings.data_dir)
    try:
        holder = holder_of(settings.data_dir)
    except DataFolderUnusable as error:
        yield Diagnosis("Server", "bad", str(error))
    else:
        yield _running(holder) if holder else _port(settings)
    yield _pages()
    yield from _models(settings)


def _sqlite() -> Diagnosis:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        return Diagnosis("SQLite", "bad", f"{version} is too old: 3.35 or newer is needed")
    return Diagnosis("SQLite", "ok", version)


def _data_folder(folder: Path) -> Iterator[Diagnosis]:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        yield Diagnosis("Data folder", "bad", f"{existing.resolve()} is no folder")
        return
    if not os.access(existing, os.W_OK):
        yield Diagnosis("Data folder", "bad", f"{folder.resolve()} can't be written to")
        return
    made = "" if folder.exists() else " (will be made)"
    yield Diagnosis("Data folder", "ok", f"{folder.resolve()}{made}")
    free = shutil.disk_usage(existing).free
    verdict: Verdict = "ok" if free >= MIN_FREE_BYTES else "bad"
    yield Diagnosis("Disk", verdict, f"{free // 2**20} MiB free")


def _running(holder: Holder) -> Diagnosis:
    where = f"process {holder.pid} at {holder.url}"
    try:
        with urllib.request.urlopen(  # noqa: S310 - the URL is our own lock file's
            f"{holder.url}/ready", timeout=ASK_TIMEOUT_S
        ) as answer:
            status = json.load(answer)["status"]
    except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
        return Diagnosis("Server", "bad", f"{where} does not answer: {error}")
    return Diagnosis("Server", "ok", f"{where} is {status}")


def _port(settings: Settings) -> Diagnosis:
    where = f"{settings.host}:{settings.port}"
    try:
        listen(settings.host, settings.port).close()
    except SettingsError as error:
        return Diagnosis("Server", "bad", str(error))
    return Diagnosis("Server", "ok", f"none runs; {where} is free")


def _pages() -> Diagnosis:
    folder = static_dir()
    if not (folder / "index.html").is_file():
        return Diagnosis("Web pages", "note", f"{folder} has no index.html; / answers with JSON")
    return Diagnosis("Web pages", "ok", str(folder))


def install_llm(home: Path) -> str:
    """Return the command that installs the extra, in a clone or beside a package."""
    if (home / "pyproject.toml").is_file():
        return ".venv/bin/pip install -e '.[llm]'"
    return "pip install 'control-tower[llm]'"


def _models(settings: Settings) -> Iterator[Diagnosis]:
    if settings.model is None:
        yield Diagnosis("Model", "note", "none is set (TOWER_MODEL); the demo agent serves")
    else:
        yield Diagnosis("Model", "ok", settings.model)
    has_extra = importlib.util.find_spec("pydantic_ai") is not None
    said = "installed" if has_extra else f"not installed: {install_llm(HOME)}"
    yield Diagnosis("Extra llm", "ok" if has_extra else "note", said)
    for name, problem in (
        ModelTable.from_settings(settings.model, os.environ).availability().items()
    ):
        yield Diagnosis(f"Provider {name}", "note" if problem else "ok", problem or "can be used")
