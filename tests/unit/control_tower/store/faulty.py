"""A connection whose disk can be made to fail."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, ClassVar


def engine_error(code: int) -> sqlite3.OperationalError:
    """Return the driver's error for an SQLite result code."""
    error = sqlite3.OperationalError(f"injected, code {code}")
    error.sqlite_errorcode = code
    return error


class FaultyConnection(sqlite3.Connection):
    """Asks ``fault`` before each statement; what it returns is raised.

    Tests subclass it, so that each has a ``fault`` of its own.
    """

    fault: ClassVar[Callable[[str], BaseException | None]] = staticmethod(lambda _: None)

    def _ask(self, statement: str) -> None:
        error = type(self).fault(statement)
        if error is not None:
            raise error

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute, or fail."""
        self._ask(statement)
        return super().execute(statement, parameters)

    def executemany(self, statement: str, parameters: Sequence[Any], /) -> sqlite3.Cursor:  # type: ignore[override]
        """Execute many, or fail."""
        self._ask(statement)
        return super().executemany(statement, parameters)


def failing_on(
    statement: str, *codes: int, after: int = 0
) -> tuple[type[FaultyConnection], list[str]]:
    """Return a connection type that fails on ``statement``.

    The first ``after`` times it works, then it fails once with each of ``codes``, then it works
    again. The list returned gets every statement that failed.
    """
    failed: list[str] = []
    seen = 0

    def fault(asked: str) -> BaseException | None:
        nonlocal seen
        if not asked.startswith(statement):
            return None
        seen += 1
        if after < seen <= after + len(codes):
            failed.append(asked)
            return engine_error(codes[seen - after - 1])
        return None

    class Failing(FaultyConnection):
        pass

    Failing.fault = staticmethod(fault)
    return Failing, failed
