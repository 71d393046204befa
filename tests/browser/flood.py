"""A flood of events into an open console, and how long the page takes to answer keys in it.

The events come out of the page's own socket, in the page, so that what is measured is the page:
parsing, the tables, the drawing, and not how fast this machine can also commit and send.
"""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

CATCH_SOCKET = """
const Native = globalThis.WebSocket;
globalThis.WebSocket = class extends Native {
  constructor(...rest) {
    super(...rest);
    globalThis.caughtSocket = this;
  }
};
"""
"""Run before the page's own scripts."""

FLOOD = Path(__file__).with_name("flood.js").read_text()


def flood(page: Page, per_second: int, seconds: int) -> dict[str, Any]:
    """Flood an open console while keys are pressed; return what the page measured.

    Args:
        page: opened with :data:`CATCH_SOCKET` as an init script, live, its table focused.
        per_second: events.
        seconds: how long.

    Returns:
        ``delays`` and ``painted``: milliseconds from each key to its handling and to its frame;
        ``rows``: the most that were in the document; ``sent``, ``seconds``, ``frames``.
    """
    page.evaluate(f"void (globalThis.flooding = ({FLOOD})([{per_second}, {seconds}]))")
    for number in range(seconds * 8):
        page.keyboard.press("ArrowDown" if number % 6 else "Home")
        page.wait_for_timeout(100)
    measured: dict[str, Any] = page.evaluate("globalThis.flooding")
    return measured
