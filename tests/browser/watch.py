"""What a page must not do: complain, break its policy, or talk to anyone but its server."""

from playwright.sync_api import ConsoleMessage, Page, Request

_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("policy violated:", event.violatedDirective, event.blockedURI, event.sample));
"""

AWAY = "net::ERR_CONNECTION_"
"""What the browser itself says while the server is down: refused, or reset if it has just gone."""


class Watch:
    """Gathers faults of the pages it follows."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.expected: list[str] = []

    def expect(self, part: str) -> None:
        """Let console messages pass that contain ``part``."""
        self.expected.append(part)

    def follow(self, page: Page) -> None:
        """Watch a page from its first request on."""
        page.add_init_script(_REPORT_VIOLATIONS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        wanted = any(part in message.text for part in self.expected)
        if message.type in {"error", "warning"} and not wanted:
            self.faults.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.faults.append(f"left the machine: {request.url}")
