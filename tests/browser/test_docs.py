"""The pages about the API, in a real browser under their policies."""

import pytest
from playwright.sync_api import Browser, expect

from server.rest import ENDPOINTS
from tests.browser.tower_process import TowerProcess
from tests.browser.watch import Watch


def test_docs_show_every_operation(browser: Browser, watch: Watch, tower: TowerProcess) -> None:
    """Swagger UI works offline and without a word on the console."""
    page = browser.new_page()
    watch.follow(page)
    page.goto(tower.url + "/docs")
    expect(page.locator(".opblock")).to_have_count(len(ENDPOINTS))
    page.close()


def test_docs_can_be_tried(browser: Browser, watch: Watch, tower: TowerProcess) -> None:
    """An operation is run from the page."""
    page = browser.new_page()
    watch.follow(page)
    page.goto(tower.url + "/docs")
    operation = page.locator("#operations-Health-get_health")
    operation.click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".responses-table.live-responses-table")).to_contain_text("healthy")
    page.close()


@pytest.mark.parametrize("path", ["/docs/ws"])
def test_the_page_of_the_wire(
    path: str, browser: Browser, watch: Watch, tower: TowerProcess
) -> None:
    """Readable, styled, no script."""
    page = browser.new_page()
    watch.follow(page)
    page.goto(tower.url + path)
    expect(page.get_by_role("heading", name="Close codes")).to_be_visible()
    assert page.evaluate("document.styleSheets.length") == 1
    page.close()
