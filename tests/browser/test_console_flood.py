"""The console in a flood of events."""

from statistics import median

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.flood import CATCH_SOCKET, flood
from tests.browser.tower_process import TowerProcess
from tests.browser.watch import Watch


@pytest.mark.parametrize("seconds", [5, pytest.param(20, marks=pytest.mark.soak)])
def test_5000_events_a_second_leave_the_page_answering(
    browser: Browser, watch: Watch, tower: TowerProcess, seconds: int
) -> None:
    """Each key is answered at once, each event counted, and only rows in sight are drawn."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(CATCH_SOCKET)
    watch.follow(page)
    page.goto(tower.url + "/operator")
    expect(page.locator("ct-status .status")).to_contain_text("live")
    page.locator("#processes").focus()
    measured = flood(page, per_second=5_000, seconds=seconds)
    assert measured["sent"] == 5_000 * seconds
    assert median(measured["delays"]) < 100
    assert measured["rows"] < 200
    running = page.get_by_role("button", name="running")
    expect(running.locator(".count")).to_have_text("300")
    page.close()
