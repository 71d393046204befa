"""The console and governance for everyone: assistive technology, small screens, dark rooms."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import serious_faults
from tests.browser.conftest import OpenPage
from tests.browser.rest_calls import submit
from tests.browser.test_console import APP, row
from tests.browser.tower_process import TowerProcess

NARROW = {"width": 360, "height": 740}
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALL = """() => [...document.querySelectorAll("button, summary, input, select, nav a")]
  .map((e) => [e.outerHTML.slice(0, 120), e.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.height < 24 || box.width < 24))
  .map(([html]) => html)"""


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """Run a server on which some of everything has happened."""
    process = TowerProcess(tmp_path_factory.mktemp("lively"), TOWER_APPS=APP)
    process.start()
    submit(process, "write a.txt: hello then delete a.txt", user_id="ana")
    submit(process, "ask me to choose red or green")
    submit(process, "pay", agent="payer")
    submit(process, "spend", agent="spender", quota={"max_tool_calls": 2})
    submit(process, "fetch", agent="fetcher")
    submit(process, "add up", agent="parent")
    yield process
    process.stop()


def wait_live(page: Page) -> None:
    """Wait until the page is connected."""
    expect(page.locator("ct-status .status")).to_contain_text("live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_console(
    lively: TowerProcess, open_page: OpenPage, scheme: str
) -> None:
    """The table, a chosen mission with its card, each tab, and both dialogs."""
    page = open_page(lively, "/operator", color_scheme=scheme)
    wait_live(page)
    row(page, "delete a.txt").click()
    expect(page.locator("ct-mission-panel .card")).to_be_visible()
    assert serious_faults(page) == []
    assert page.evaluate(SMALL) == []
    for tab in ("Tools", "Clients", "Nodes"):
        page.get_by_role("tab", name=re.compile(tab)).click()
        assert serious_faults(page) == []
    page.locator("#processes").press("Space")
    page.locator("#processes").press("k")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    page.locator("#processes").press("?")
    assert serious_faults(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_governance(
    lively: TowerProcess, open_page: OpenPage, scheme: str
) -> None:
    """Every card opened, an audit with its results."""
    page = open_page(lively, "/governance", color_scheme=scheme)
    wait_live(page)
    expect(page.locator("details.asked")).to_have_count(4)
    closed = page.locator("details.asked:not([open]) > summary")
    for left in (3, 2, 1):
        expect(closed).to_have_count(left)
        closed.first.click()
    audit = page.get_by_role("region", name="Audit")
    audit.get_by_role("button", name="Search").click()
    audit.locator("summary").first.click()
    expect(page.get_by_role("region", name="Memory layers")).to_be_visible()
    assert serious_faults(page) == []
    assert page.evaluate(SMALL) == []


@pytest.mark.parametrize("path", ["/operator", "/governance"])
def test_pages_are_usable_at_360_px(lively: TowerProcess, open_page: OpenPage, path: str) -> None:
    """Nothing is wider than the window, and axe agrees."""
    page = open_page(lively, path, viewport=NARROW)
    wait_live(page)
    expect(page.locator("h1")).to_be_attached()
    if path == "/operator":
        row(page, "delete a.txt").click()
    expect(page.locator(".card").first).to_be_visible()
    assert page.evaluate(WIDER) <= 0
    assert serious_faults(page) == []


def test_pages_lead_to_each_other(lively: TowerProcess, open_page: OpenPage) -> None:
    """By the same three links on each."""
    page = open_page(lively, "/")
    for name, element in (("Console", "ct-console"), ("Governance", "ct-governance")):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        wait_live(page)
        expect(page.locator(element)).to_be_visible()
        here = page.get_by_role("navigation", name="Pages").locator("[aria-current=page]")
        expect(here).to_have_text(name)
    page.get_by_role("link", name="Chat").click()
    expect(page.locator("#message")).to_be_visible()
