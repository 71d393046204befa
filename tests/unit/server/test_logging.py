"""Logs: readable, machine-readable, and without secrets."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from server.logging import MASK, Redactor, configure


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(monkeypatch: pytest.MonkeyPatch, style: str, *secrets: str) -> io.StringIO:
    """Configure logging into a buffer."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure("info", style, secrets)
    return out


def test_json_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is JSON where nobody looks: one object a line."""
    out = written(monkeypatch, "auto")
    structlog.get_logger("x").info("mission.ended", pid="m_1", n=3)
    logging.getLogger("uvicorn.error").warning("lib %s", "said")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["event"], first["pid"], first["n"], first["level"]) == (
        "mission.ended",
        "m_1",
        3,
        "info",
    )
    assert (second["event"], second["logger"]) == ("lib said", "uvicorn.error")


def test_console_is_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """No JSON, values as key=value."""
    out = written(monkeypatch, "console")
    structlog.get_logger("x").info("mission.ended", pid="m_1")
    assert "mission.ended" in out.getvalue()
    assert "pid=m_1" in out.getvalue()


def test_below_the_level_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """`info` hides debug."""
    out = written(monkeypatch, "json")
    structlog.get_logger("x").debug("noise")
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "CANARY"},
        {"Authorization": "CANARY"},
        {"set-cookie": "CANARY"},
        {"user_api_key": "CANARY"},
        {"jwt_secret": b"CANARY"},
        {"password": {"deep": "CANARY"}},
        {"body": {"access_token": ["CANARY"]}},
        {"headers": [{"x-api-key": "CANARY"}]},
        {"header": "Bearer CANARY"},
        {"url": "postgresql://me:CANARY@db/x"},
        {"url": "/ws?ticket=CANARY&x=1"},
        {"text": "it was sk-CANARYCANARYCANARY1 I think"},
        {"text": "my known-secret-CANARY here"},
        {"exc": ValueError("known-secret-CANARY")},
    ],
)
def test_secrets_are_masked(fields: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the key, by shape, and by value."""
    out = written(monkeypatch, "json", "known-secret-CANARY")
    structlog.get_logger("x").info("happened", **fields)
    assert "CANARY" not in out.getvalue()
    assert MASK in out.getvalue()


def test_secrets_in_tracebacks_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback is text by the time it is redacted."""
    out = written(monkeypatch, "json", "known-secret-CANARY")
    try:
        raise ValueError("known-secret-CANARY")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "ValueError" in out.getvalue()
    assert "CANARY" not in out.getvalue()


@pytest.mark.parametrize("fields", [{"n": 1, "ok": True, "x": None}, {"mission_id": "m_1"}])
def test_ordinary_values_stay(fields: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Redaction is no shredder."""
    out = written(monkeypatch, "json")
    structlog.get_logger("x").info("happened", **fields)
    assert fields.items() <= json.loads(out.getvalue()).items()


def test_short_secrets_are_not_searched_for() -> None:
    """Masking every `a` would make logs useless."""
    assert Redactor(["a", "abc"]).text("a cab abc") == "a cab abc"


@given(st.text(), st.text(alphabet="abcdefgh0123456789", min_size=6))
def test_a_known_secret_never_survives(around: str, secret: str) -> None:
    """Wherever it stands."""
    assert secret not in Redactor([secret]).text(around + secret + around).replace(MASK, "\0")
