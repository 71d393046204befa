"""The server against its own document: what it describes is what it does.

Requests that fit the document and requests that do not, made up by schemathesis, over a real
socket. It must never meet an error of ours, a status or a body that the document does not have,
a refusal of what the document allows, or a welcome for what it forbids.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from events.times import instant_of
from server.reference import openapi
from server.rest import ENDPOINTS
from tests.integration.tower_process import TowerProcess

PATIENCE_S = 0.1
DOCUMENT = openapi.document(ENDPOINTS, "0")
schema = schemathesis.openapi.from_dict(DOCUMENT)


UNSAID = (
    "must be the id of the last one of the page before.",
    "integers have at most 64 bits.",
    "at most 64 levels deep.",
)
"""How refusals end that rest on what no schema can say."""


def only_unsaid(problem: dict[str, Any]) -> bool:
    """Whether a request was refused for nothing that the document could have told."""
    return all(
        each["message"].endswith(UNSAID) for each in problem.get("errors", [{"message": ""}])
    )


def impatient(case: Case[Any]) -> None:
    """Have an operation that waits for a mission answer soon, if it would answer at all."""
    query = dict(case.query or {})
    patience = query.get("wait_s", 60 if case.operation.path == "/api/v1/execute" else 0)
    if type(patience) in {int, float} and patience > PATIENCE_S:
        case.query = query | {"wait_s": PATIENCE_S}
    start = case.body.get("start_at") if isinstance(case.body, dict) else None
    if isinstance(start, str) and isinstance(case.body, dict):
        with contextlib.suppress(ValueError):
            instant_of(start)
            case.body = case.body | {"start_at": "2026-11-21T20:12:03Z"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """A server that nothing but this module talks to."""
    process = TowerProcess(
        tmp_path_factory.mktemp("schemathesis") / "data",
        TOWER_RATE_LIMITS="off",
        TOWER_LOG_FORMAT="json",
    ).start()
    yield process
    process.end()


def examples(number: int) -> settings:
    """Hypothesis without a clock or a memory: the same requests each time."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )


def conforms(case: Case[Any], server: TowerProcess) -> None:
    """Make a call, and hold the answer against the document."""
    impatient(case)
    response = case.call(base_url=server.url)
    unsaid = response.status_code == 422 and only_unsaid(response.json())
    case.validate_response(response, excluded_checks=[positive_data_acceptance] if unsaid else [])
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"]
        assert [response.json()["request_id"]] == response.headers["x-request-id"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@schema.parametrize()
@examples(25)
def test_it_does_what_it_says(case: Case[Any], server: TowerProcess) -> None:
    """All checks of schemathesis, and every refusal is a problem with a request id."""
    conforms(case, server)


@pytest.mark.soak
@schema.parametrize()
@examples(200)
def test_it_does_what_it_says_at_length(case: Case[Any], server: TowerProcess) -> None:
    """The same with more of them."""
    conforms(case, server)
