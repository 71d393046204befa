"""`tower doctor`: is everything there, and where does each setting come from?"""

import importlib.util
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer
from rich.markup import escape

from agents import ModelTable
from agents.extras import install_command
from control_tower.store import DataFolderUnusable, holder_of
from server.app import package_version
from server.commands.bus_check import examine_bus
from server.commands.database_check import examine_database
from server.commands.diagnosis import MARKS, Diagnosis, Verdict
from server.commands.listing import AsJson, show_json
from server.commands.place import Place, placed
from server.commands.serve import settings_table
from server.commands.server_check import examine_server
from server.commands.terminal import loaded, out
from server.figures.health import MIN_FREE_BYTES
from server.pages import static_dir
from server.serving import listen
from server.settings import Settings, SettingsError

MIN_SQLITE = (3, 35, 0)
ELSEWHERE = "Choose another with TOWER_DATA_DIR."


@placed
def doctor(place: Place, json: AsJson = False) -> None:
    """Check what a server needs, and a server that runs; say what to do about what is wrong.

    With --url it looks at that server. Without, at this installation, every setting with where it
    came from, and the server over the data folder, if one runs.

    Ends with 1 if something keeps a server from working, or us from it.
    """
    diagnoses: list[Diagnosis] = []
    if place.url is None:
        found = loaded({"data_dir": place.data_dir})
        if not json:
            out.print(settings_table(found))
            out.print()
        looking = examine(found.settings, place)
    else:
        looking = examine_server(place)
    for each in looking:
        diagnoses.append(each)
        if not json:
            _say(each)
    if json:
        show_json([asdict(each) for each in diagnoses])
    if any(each.verdict == "bad" for each in diagnoses):
        raise typer.Exit(1)


def _say(found: Diagnosis) -> None:
    mark = MARKS[found.verdict]
    out.print(f"{mark} {found.what}: {escape(found.said)}", highlight=False, soft_wrap=True)
    if found.advice:
        out.print(f"  → {escape(found.advice)}", highlight=False, soft_wrap=True)


def examine(settings: Settings, place: Place) -> Iterator[Diagnosis]:
    """Look at everything here, one thing after another."""
    yield Diagnosis("Control Tower", "ok", package_version())
    yield Diagnosis("Python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield _sqlite()
    if settings.database_url is not None:
        yield examine_database(settings.database_url)
    if settings.redis_url is not None:
        yield examine_bus(settings.redis_url)
    yield from _data_folder(settings.data_dir)
    try:
        holder = holder_of(settings.data_dir)
    except DataFolderUnusable as error:
        yield Diagnosis("Server", "bad", str(error))
    else:
        if holder:
            yield Diagnosis("Server", "ok", f"process {holder.pid} serves this folder")
            yield from examine_server(place)
        else:
            yield _port(settings)
    yield _pages()
    yield from _models(settings)


def _sqlite() -> Diagnosis:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        advice = "Use a Python that comes with SQLite 3.35 or newer."
        return Diagnosis("SQLite", "bad", f"{version} is too old", advice)
    return Diagnosis("SQLite", "ok", version)


def _data_folder(folder: Path) -> Iterator[Diagnosis]:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        yield Diagnosis("Data folder", "bad", f"{existing.resolve()} is no folder", ELSEWHERE)
        return
    if not os.access(existing, os.W_OK):
        said = f"{folder.resolve()} can't be written to"
        yield Diagnosis("Data folder", "bad", said, ELSEWHERE)
        return
    made = "" if folder.exists() else " (will be made)"
    yield Diagnosis("Data folder", "ok", f"{folder.resolve()}{made}")
    free = shutil.disk_usage(existing).free
    verdict: Verdict = "ok" if free >= MIN_FREE_BYTES else "bad"
    least = f"Missions are refused below {MIN_FREE_BYTES // 2**20} MiB: make room."
    advice = "" if verdict == "ok" else least
    yield Diagnosis("Disk", verdict, f"{free // 2**20} MiB free", advice)


def _port(settings: Settings) -> Diagnosis:
    where = f"{settings.host}:{settings.port}"
    try:
        listen(settings.host, settings.port).close()
    except SettingsError as error:
        return Diagnosis("Server", "bad", str(error), "Choose another port: TOWER_PORT.")
    return Diagnosis("Server", "ok", f"none runs; {where} is free")


def _pages() -> Diagnosis:
    folder = static_dir()
    if not (folder / "index.html").is_file():
        return Diagnosis("Web pages", "note", f"{folder} has no index.html; / answers with JSON")
    return Diagnosis("Web pages", "ok", str(folder))


def _models(settings: Settings) -> Iterator[Diagnosis]:
    if settings.model is None:
        yield Diagnosis("Model", "note", "none is set (TOWER_MODEL); the demo agent serves")
    else:
        yield Diagnosis("Model", "ok", settings.model)
    has_extra = importlib.util.find_spec("pydantic_ai") is not None
    if has_extra:
        yield Diagnosis("Extra llm", "ok", "installed")
    else:
        advice = f"To use models: {install_command('llm')}"
        yield Diagnosis("Extra llm", "note", "not installed", advice)
    for name, problem in (
        ModelTable.from_settings(settings.model, os.environ).availability().items()
    ):
        yield Diagnosis(f"Provider {name}", "note" if problem else "ok", problem or "can be used")
