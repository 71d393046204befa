"""The governance page: what waits is decided there, what was decided is found there."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.rest_calls import submit
from tests.browser.test_console import APP
from tests.browser.tokens import token
from tests.browser.tower_process import TowerProcess


def deletion(tower: TowerProcess, name: str, **fields: Any) -> str:
    """Submit a mission that asks before it deletes; return its id."""
    mission = f"write {name}: hello then delete {name}"
    return str(submit(tower, mission, **fields)["request_id"])


@pytest.fixture(scope="module")
def showcase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """Run a server with the agents of ``showcase_app``."""
    process = TowerProcess(tmp_path_factory.mktemp("governance"), TOWER_APPS=APP)
    process.start()
    yield process
    process.stop()


def asked(page: Page, name: str) -> Locator:
    """Return the line of what waits about ``name``, opened."""
    line = page.locator("details.asked", has_text=name)
    expect(line).to_have_count(1)
    if line.get_attribute("open") is None:
        line.locator("summary").click()
    return line


def test_what_waits_is_approved_and_refused(showcase: TowerProcess, open_page: OpenPage) -> None:
    """One is approved, one refused with a note; both stand among the decisions at once."""
    page = open_page(showcase, "/governance")
    expect(page.locator("ct-status .status")).to_contain_text("live")
    deletion(showcase, "one.txt", user_id="ana")
    deletion(showcase, "two.txt", user_id="bo")
    expect(page.get_by_role("status").last).to_have_text("2 questions wait for a person")
    asked(page, "one.txt").get_by_role("button", name="Approve").click()
    two = asked(page, "two.txt")
    two.get_by_label("Note (optional)").fill("keep it")
    two.get_by_role("button", name="Refuse").click()
    rows = page.locator("ct-decisions tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("refused")
    expect(rows.first).to_contain_text("keep it")
    expect(rows.nth(1)).to_contain_text("approved")
    expect(rows.nth(1)).to_contain_text("local")
    expect(rows.nth(1)).to_contain_text("ana")
    page.get_by_role("button", name="Refused", exact=True).click()
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(2)


def test_decisions_are_taken_along(showcase: TowerProcess, open_page: OpenPage) -> None:
    """As CSV and as JSON, each with everything that is shown."""
    page = open_page(showcase, "/governance")
    deletion(showcase, "three.txt")
    asked(page, "three.txt").get_by_role("button", name="Approve").click()
    expect(page.locator("ct-decisions tbody tr", has_text="three.txt")).to_contain_text("approved")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    with Path(download.value.path()).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert table[0]["decision"] == "approved"
    assert table[0]["by"] == "local"
    assert json.loads(table[0]["arguments"]) == {"name": "three.txt"}
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    assert len(json.loads(Path(download.value.path()).read_text())) == len(table)


def test_the_log_is_searched(showcase: TowerProcess, open_page: OpenPage) -> None:
    """Words lead to events, each with all it says; what was found is taken along."""
    submit(showcase, "calculate 123456*2")
    page = open_page(showcase, "/governance")
    expect(page.locator("ct-status .status")).to_contain_text("live")
    audit = page.get_by_role("region", name="Audit")
    audit.get_by_label("Words").fill("123456*2")
    audit.get_by_label("What").select_option("mission")
    audit.get_by_role("button", name="Search").click()
    expect(audit.get_by_role("status")).to_contain_text("the whole log")
    found = audit.locator("li", has_text="mission.submitted")
    expect(found).to_contain_text("demo: calculate 123456*2")
    found.locator("summary").click()
    expect(found.locator("pre")).to_contain_text('"offset"')
    with page.expect_download() as download:
        audit.get_by_role("button", name="Export").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert all("123456*2" in line and json.loads(line)["offset"] for line in lines)


def test_the_dashboard_says_how_everything_is(showcase: TowerProcess, open_page: OpenPage) -> None:
    """At its own address, too: promises, seven layers of memory, tools and spending."""
    submit(showcase, "fetch", agent="fetcher", user_id="chi")
    page = open_page(showcase, "/api/v1/governance/dashboard")
    promises = page.get_by_role("region", name=re.compile("Promises"))
    expect(promises).to_contain_text("Every tool call is in the journal.")
    layers = page.get_by_role("region", name="Memory layers").locator("li .level")
    expect(layers).to_have_text(["L1", "L2", "L3", "L4", "L5", "L6", "L7"])
    tools = page.get_by_role("region", name="Tools")
    flaky = tools.locator("li.item", has_text="flaky")
    expect(flaky).to_contain_text("breaker open")
    flaky.get_by_text("Latest errors").click()
    expect(flaky).to_contain_text("The host did not answer.")
    flaky.get_by_role("button", name="Reset").click()
    expect(page.locator(".toast")).to_contain_text("is closed")
    spending = page.get_by_role("region", name="Spending by user")
    expect(spending.locator("li", has_text="chi")).to_contain_text("tool calls")
    spending.get_by_label("Day (UTC)").fill("2020-02-02")
    expect(spending).to_contain_text("Nobody spent anything on this day.")


def test_only_operators_are_offered_what_only_they_may(
    guarded: TowerProcess, open_page: OpenPage
) -> None:
    """Anybody sees that a breaker is open; a user's or a viewer's click would be refused."""

    def opened(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["tools"][0]["breaker"] = "open"
        route.fulfill(response=answer, json=body)

    for role, offered in (("operator", 1), ("user", 0), ("viewer", 0)):
        page = open_page(guarded, "/governance", token=token("chi", role))
        page.route("**/api/v1/governance/dashboard", opened)
        page.reload()
        tools = page.get_by_role("region", name="Tools")
        expect(tools).to_contain_text("breaker open")
        expect(tools.get_by_role("button", name="Reset")).to_have_count(offered)


def test_a_broken_promise_names_what_breaks_it(showcase: TowerProcess, open_page: OpenPage) -> None:
    """The page shows a violation as one, with the records at fault; here the server lies."""
    page = open_page(showcase, "/governance")
    expect(page.locator("ct-status .status")).to_contain_text("live")

    def broken(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["alignment"][0] |= {
            "status": "violated",
            "violations": 1,
            "violators": [{"mission_id": "m_42", "step": "3"}],
        }
        route.fulfill(response=answer, json=body)

    page.route("**/api/v1/governance/dashboard", broken)
    page.reload()
    promise = page.locator("ct-governance main").locator(
        "li", has_text="Every tool call is in the journal."
    )
    expect(promise).to_contain_text("1 broken")
    promise.get_by_text("Which").click()
    expect(promise).to_contain_text("m_42")


def test_people_see_what_is_theirs(guarded: TowerProcess, open_page: OpenPage) -> None:
    """A user sees and decides their own; a viewer sees all and decides nothing."""
    deletion(guarded, "anas.txt", token=token("ana", "user"))
    deletion(guarded, "bos.txt", token=token("bo", "user"))
    viewer = open_page(guarded, "/governance", token=token("vera", "viewer"))
    expect(viewer.locator("details.asked")).to_have_count(2)
    expect(viewer.locator(".card")).to_contain_text("You may watch, not answer.")
    own = open_page(guarded, "/governance", token=token("ana", "user"))
    expect(own.locator("details.asked")).to_have_count(1)
    asked(own, "anas.txt").get_by_role("button", name="Approve").click()
    expect(own.locator("ct-decisions tbody tr")).to_contain_text("anas.txt")
    expect(viewer.locator("details.asked")).to_have_count(1)
    expect(viewer.locator("ct-decisions tbody tr")).to_contain_text("approved")
