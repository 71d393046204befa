"""The tables of endpoints that people read, walked against the document that programs read."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.reference import openapi
from server.rest import ENDPOINTS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "rest.md"
CONTRACT = os.environ.get("TOWER_TEST_CONTRACT")
"""A file with tables of endpoints to be held to, written as ``SAMPLE`` is."""

Operation = tuple[str, str]

METHODS = ("GET", "POST", "PATCH", "DELETE")
EVERYWHERE = {"400", "401", "422", "500", "503"}
UNSAFE = {"403", "507"}
WITH_BODY = {"413", "415"}

_ROW = re.compile(r"^\| `([A-Z]+)` \| `(/[^`]*)` \| ([0-9 ]+) \| (.+) \|$", re.MULTILINE)
_STATUS = re.compile(r"(?<![≤–] )(?<![–\d./])\b(200|201|202|204|404|409|410|503)\b(?![–\d])")


def documented() -> dict[Operation, dict[str, Any]]:
    """Every operation of the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = openapi.document(ENDPOINTS, "0")["paths"]
    return {
        (method.upper(), path): operation
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


DOCUMENTED = documented()


def common(operation: Operation) -> set[str]:
    """The statuses of an operation that the reference says once for all."""
    found = DOCUMENTED[operation]
    statuses = EVERYWHERE - ({"401"} if found.get("security") == [] else set())
    statuses |= UNSAFE if operation[0] != "GET" else set()
    return statuses | (WITH_BODY if "requestBody" in found else set())


def test_the_reference_lists_exactly_the_endpoints_with_their_statuses() -> None:
    """Both ways: nothing missing, nothing made up, no status left out."""
    rows = {(method, path): set(codes.split()) for method, path, codes, _ in _rows()}
    assert set(rows) == set(DOCUMENTED)
    for operation, statuses in rows.items():
        assert statuses | common(operation) == set(DOCUMENTED[operation]["responses"]), operation
        assert not statuses & common(operation), operation


def _rows() -> list[tuple[str, str, str, str]]:
    return _ROW.findall(REFERENCE.read_text(encoding="utf-8"))


def contract_rows(text: str) -> Iterator[tuple[list[Operation], set[str]]]:
    """Yield each row of the contract's tables: its operations, and the statuses that it names.

    A cell writes paths in short: ``…`` stands for what came before, a method alone for another
    one of the same path, ``cancel·pause`` for two paths, ``GET/PATCH`` for two methods.
    """
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.replace(r"\|", "¦").strip("| ").split(" | ", 1)]
        if line.startswith("| `") and len(cells) == 2:
            yield list(_operations(cells[0], cells[1])), set(_STATUS.findall(cells[1]))


def _operations(head: str, rest: str) -> Iterator[Operation]:
    methods, path = ["GET"], ""
    for code in re.findall(r"`([^`]+)`", head):
        words = code.split()
        if words[0].split("/")[0] in METHODS:
            methods = words.pop(0).split("/")
        path = words[0].partition("?")[0] if words else path
        yield from _resolved(methods, path)
    for code in re.findall(r"`((?:GET|POST|PATCH|DELETE) [/…][^`]*)`", rest):
        method, path = code.split()[:2]
        yield from _resolved([method], path.partition("?")[0])


def _resolved(methods: list[str], path: str) -> Iterator[Operation]:
    start, _, last = path.rpartition("/")
    for method in methods:
        for name in last.split("·"):
            yield _known(method, f"{start}/{name}")


def _known(method: str, path: str) -> Operation:
    """Return the operation that is meant; one that the document lacks is returned as written."""
    if (method, path) in DOCUMENTED:
        return method, path
    tail = path.lstrip("…")
    meant = [one for one in DOCUMENTED if one[0] == method and one[1].endswith(tail)]
    return min(meant, key=lambda one: len(one[1])) if meant else (method, path)


def test_the_contract_is_kept() -> None:
    """Every endpoint of its tables exists, and some operation of a row has each status it names."""
    text = Path(CONTRACT).read_text(encoding="utf-8") if CONTRACT else SAMPLE
    rows = list(contract_rows(text))
    assert rows
    for operations, statuses in rows:
        assert operations
        missing = [one for one in operations if one not in DOCUMENTED]
        assert not missing, missing
        answers = {code for one in operations for code in DOCUMENTED[one]["responses"]}
        assert statuses <= answers, (operations, statuses - answers)


SAMPLE = """
| `GET /` | the page, else JSON |
| `POST /api/v1/requests` | 202 at once |
| `GET /api/v1/missions`, `GET …/{pid}`, `POST …/{pid}/cancel·pause·resume` | list; PCB; 202 |
| `GET /api/v1/sessions` `POST` `GET …/{id}` | list; 201; 404; `limit` (≤ 200) |
| `GET /ready`, `/health/ready` | 200 or 503 |
| `GET/PATCH/DELETE /api/v1/chat/sessions/{id}` | 204 (`POST …/restore`) |
"""
"""Rows in the contract's manner, for a checkout that stands alone."""


@pytest.mark.parametrize(
    "row", ["| `GET /api/v1/nothing` | x |", "| `DELETE /api/v1/missions` | x |", "| `PUT` | 1 |"]
)
def test_an_endpoint_that_is_not_there_is_found_out(row: str) -> None:
    """The walk can fail."""
    (operations, _), *_ = contract_rows(row)
    assert not operations or any(one not in DOCUMENTED for one in operations)


def test_statuses_are_told_from_limits() -> None:
    """A bound such as ≤ 200 is no status."""
    ((_, statuses),) = contract_rows("| `GET /api/v1/sessions` | 201; (≤ 200), 1–500; `x` 404 |")
    assert statuses == {"201", "404"}
