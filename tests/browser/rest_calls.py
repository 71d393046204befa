"""What a test gives the server over REST, beside the page."""

import json
import urllib.request
from typing import Any

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
