"""REST calls to the server that holds a data folder, as its operator.

For commands that have to do something to the data whether or not a server runs over it: while one
does, only it may write.
"""

import json
import urllib.error
import urllib.request
from typing import Any

from control_tower.store import Holder
from server.client import ClientError

TIMEOUT_S = 600
"""An erasure of much takes a while; whoever waits can press Ctrl-C, and it goes on."""


def call(holder: Holder, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Return the JSON of the answer; None where it has none.

    Raises:
        ClientError: if the server refuses, or does not answer.
    """
    request = urllib.request.Request(  # noqa: S310 - the URL is our own lock file's
        holder.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {holder.token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise _refusal(error) from None
    except OSError as error:
        raise ClientError("disconnected", f"{holder.url} does not answer: {error}") from None
    return json.loads(text) if text else None


def _refusal(error: urllib.error.HTTPError) -> ClientError:
    try:
        problem = json.loads(error.read())
        return ClientError(problem["code"], problem["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        return ClientError("internal", f"The server answered {error.code}.")
