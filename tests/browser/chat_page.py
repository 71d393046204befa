"""The chat page as a person uses it: what can be seen and what can be pressed."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect


class ChatPage:
    """Locators and gestures; no assertions but those that wait for something to show."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def box(self) -> Locator:
        """Where missions and answers are written."""
        return self.page.locator("#message")

    @property
    def status(self) -> Locator:
        """How the connection is."""
        return self.page.locator("ct-status .status")

    @property
    def missions(self) -> Locator:
        """The root missions of the open session."""
        return self.page.locator(".column > ct-mission")

    @property
    def mission(self) -> Locator:
        """The newest mission."""
        return self.missions.last

    @property
    def answer(self) -> Locator:
        """The newest mission's text."""
        return self.mission.locator(".answer")

    @property
    def steps(self) -> Locator:
        """The newest mission's steps."""
        return self.mission.locator("ct-step")

    @property
    def card(self) -> Locator:
        """The open question."""
        return self.page.locator(".card")

    def wait_live(self) -> None:
        """Wait until the connection is live."""
        expect(self.status).to_contain_text("live")

    def send(self, text: str) -> None:
        """Write and press Enter."""
        self.box.fill(text)
        self.box.press("Enter")

    def wait_ended(self, headline: str = "Completed") -> None:
        """Wait until the newest mission says how it ended."""
        expect(self.mission.locator(".headline").first).to_have_text(re.compile(headline))

    def unfold(self) -> None:
        """Show the newest mission's steps."""
        toggle = self.mission.locator(".mission-toggle").first
        if toggle.get_attribute("aria-expanded") == "false":
            toggle.click()

    def press(self, name: str) -> None:
        """Press the button called ``name``."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def messages(self) -> list[str]:
        """Return the texts of the person's own messages."""
        return self.page.locator(".bubble").all_inner_texts()

    def session_id(self) -> str:
        """Return the open session's id, from the address."""
        expect(self.page).to_have_url(re.compile("#/s/"))
        address: str = self.page.url
        return address.rsplit("/", 1)[1]

    def overflow(self) -> int:
        """Return how many pixels the page is wider than the window."""
        wider: Any = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return int(wider)
