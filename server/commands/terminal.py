"""What the commands share: the terminal, and how they end when something is wrong."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console

from agents.errors import AppLoadError, RegistrationError
from control_tower.errors import Refusal
from control_tower.store import (
    DatabaseUnusable,
    DataFolderLocked,
    DataFolderUnusable,
    SchemaTooNew,
    SeatTaken,
)
from server.client import ClientError
from server.settings import Loaded, SettingsError, load

P = ParamSpec("P")
R = TypeVar("R")

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

WIDE = 200
"""Columns where nobody looks: a row stays on one line for grep."""

_warned: ContextVar[set[str]] = ContextVar("warned")
"""What this command has warned of."""

out = Console(width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, width=None if sys.stderr.isatty() else WIDE)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what is wrong on standard error, and end."""
    err.print(f"[red]Error:[/red] {message}", highlight=False, markup=True)
    raise typer.Exit(code)


def plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command end with a sentence instead of a traceback where the cause is known."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        _warned.set(set())
        try:
            return command(*args, **kwargs)
        except (SettingsError, AppLoadError, RegistrationError, SchemaTooNew) as error:
            fail(_escaped(str(error)))
        except DataFolderUnusable as error:
            fail(_escaped(f"{error}. Mend it, or choose another with TOWER_DATA_DIR."))
        except DataFolderLocked as error:
            fail(_escaped(f"{error}. Stop it, or give this one its own TOWER_DATA_DIR."))
        except DatabaseUnusable as error:
            fail(_escaped(f"TOWER_DATABASE_URL can't be used: {error}"))
        except SeatTaken as error:
            fail(_escaped(f"{error}; ask that one, or run this where it runs."))
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except (ClientError, Refusal) as error:
            fail(_escaped(error.message))

    return run


def forever(command: Coroutine[object, object, None]) -> None:
    """Run what people leave with Ctrl-C: that is no failure."""
    try:
        asyncio.run(command)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def loaded(overrides: Mapping[str, object]) -> Loaded:
    """Return the settings, having said what is odd about them, each thing once a command."""
    found = load(overrides)
    said = _warned.get(set())
    for warning in found.warnings:
        if warning in said:
            continue
        said.add(warning)
        err.print(f"[yellow]Warning:[/yellow] {_escaped(warning)}", highlight=False)
    return found


def printable(text: str) -> str:
    """Return a text that can't move the cursor or recolour what a person decides by."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
