"""What a test gives the server over REST, beside the page."""

import json
import os
import urllib.request
from typing import Any

import pytest

from tests.browser.tower_process import TowerProcess


def submit(
    tower: TowerProcess, mission: str, *, token: str = "", **fields: object
) -> dict[str, Any]:
    """Submit a request; return the answer."""
    body = json.dumps({"user_message": mission, **fields}).encode()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{tower.url}/api/v1/requests", body, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def need_endpoint(tower: TowerProcess, path: str) -> None:
    """Skip where the server does not document ``path``, unless everything is required."""
    with urllib.request.urlopen(f"{tower.url}/openapi.json", timeout=10) as response:
        documented = path in json.load(response)["paths"]
    if not documented and os.environ.get("TOWER_REQUIRE_ALL") != "1":
        pytest.skip(f"the server has no {path} (TOWER_REQUIRE_ALL=1 makes this a failure)")
