"""Where Chromium is, and how it is started."""

import os
import shutil

import pytest

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""No sandbox, as CI runs as root; nothing that talks to the network by itself."""


def find_chromium() -> str:
    """Return the path of a Chromium; skip where there is none and none is required."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        message = "no chromium on this machine (TOWER_REQUIRE_ALL=1 makes this a failure)"
        if os.environ.get("TOWER_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found
