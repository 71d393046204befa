"""The operators' console as an operator uses it, over a server with two slots and more to do."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.rest_calls import submit
from tests.browser.tokens import token
from tests.browser.tower_process import TowerProcess
from tests.browser.watch import AWAY, Watch

APP = str(Path(__file__).with_name("showcase_app.py"))


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """Run a server whose two slots are taken for minutes."""
    process = TowerProcess(
        tmp_path_factory.mktemp("busy"), TOWER_APPS=APP, TOWER_MAX_RUNNING="2", TOWER_DRAIN_S="1"
    )
    process.start()
    for place in ("north", "south"):
        submit(process, place, agent="digger", priority="realtime")
    yield process
    process.stop()


@pytest.fixture(scope="module")
def showcase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """Run a server that has room."""
    process = TowerProcess(tmp_path_factory.mktemp("showcase"), TOWER_APPS=APP)
    process.start()
    yield process
    process.stop()


def row(page: Page, text: str) -> Locator:
    """Return the table's row of a mission."""
    return page.locator("#processes ct-rows [role=row]", has_text=text)


def wait_live(page: Page) -> None:
    """Wait until the table is filled and followed."""
    expect(page.locator("ct-status .status")).to_contain_text("live")
    expect(page.locator("#processes ct-rows [role=row]").first).to_be_visible()


def test_why_it_waits_is_found_raised_and_five_are_cancelled(
    busy: TowerProcess, open_page: OpenPage
) -> None:
    """The operator's story, by keys alone once the table has the focus."""
    for number in range(6):
        submit(busy, f"calculate {number}+1", user_id="bo")
    page = open_page(busy, "/operator")
    wait_live(page)
    table = page.locator("#processes")
    row(page, "calculate 0+1").click()
    panel = page.get_by_role("region", name="Why")
    expect(panel).to_contain_text("Every slot is taken")
    expect(panel).to_contain_text("number 1 in the queue")
    table.focus()
    table.press("]")
    expect(row(page, "calculate 0+1").locator(".priority")).to_have_text("high")
    table.press("Home")
    for _ in range(5):
        table.press("Space")
    expect(page.locator(".chosen")).to_have_text("5 tagged")
    table.press("k")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel 5 missions?")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("not needed any more")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Cancelled 5 missions.")
    expect(page.locator("#processes ct-rows [role=row]", has_text="calculate")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^ended")).click()
    gone = row(page, "calculate 5+1")
    expect(gone.locator(".state").first).to_contain_text("cancelled")
    expect(gone.locator(".mission")).to_have_attribute("title", re.compile("not needed any more"))


def test_a_mission_is_paused_resumed_and_given_more(
    busy: TowerProcess, open_page: OpenPage
) -> None:
    """`p` pauses and resumes; its quota is extended beside it."""
    submit(busy, "calculate 70+7", user_id="chi", quota={"max_tool_calls": 3})
    page = open_page(busy, "/operator")
    wait_live(page)
    waits = row(page, "calculate 70+7")
    waits.click()
    page.locator("#processes").focus()
    page.keyboard.press("p")
    expect(waits.locator(".state").first).to_contain_text("paused")
    expect(page.get_by_role("region", name="Why")).to_contain_text("It was paused")
    page.keyboard.press("p")
    expect(waits.locator(".state").first).to_contain_text("ready")
    quota = page.get_by_role("region", name="Quota")
    quota.get_by_label("What to extend").select_option("max_tool_calls")
    quota.get_by_label("Amount to add").fill("4")
    quota.get_by_role("button", name="Extend").click()
    expect(quota.locator("li", has_text="tool calls")).to_contain_text("0 of 7")


def test_the_table_is_searched_filtered_and_sorted(busy: TowerProcess, open_page: OpenPage) -> None:
    """`/` searches, the states filter, a heading sorts, Escape brings all back."""
    submit(busy, "calculate 1000+1", user_id="dora", priority="low")
    page = open_page(busy, "/operator")
    wait_live(page)
    rows = page.locator("#processes ct-rows [role=row]")
    page.keyboard.press("/")
    expect(page.get_by_label("Search processes")).to_be_focused()
    page.keyboard.type("dora low")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("calculate 1000+1")
    page.keyboard.press("Escape")
    expect(page.locator("#processes")).to_be_focused()
    for state in ("running", "waiting", "blocked", "paused"):
        page.get_by_role("button", name=re.compile(f"^{state}")).click()
    expect(row(page, "north")).to_have_count(0)
    page.get_by_role("button", name=re.compile("^running")).click()
    page.get_by_role("button", name="Priority").click()
    expect(rows.first.locator(".priority")).to_have_text("realtime")
    page.get_by_role("button", name="Priority").click()
    expect(rows.first.locator(".priority")).to_have_text("low")


def test_children_stand_under_their_parent(showcase: TowerProcess, open_page: OpenPage) -> None:
    """`t` shows the tree."""
    page = open_page(showcase, "/operator")
    expect(page.locator("ct-status .status")).to_contain_text("live")
    family = submit(showcase, "add up", agent="parent")["session_id"]
    page.get_by_label("Search processes").fill(family)
    page.get_by_role("button", name=re.compile("^ended")).click()
    rows = page.locator("#processes ct-rows [role=row]")
    expect(rows).to_have_count(3)
    page.locator("#processes").focus()
    page.keyboard.press("t")
    expect(rows.first.locator(".mission")).to_have_text("add up")
    expect(rows.nth(1).locator(".mission")).to_have_text(re.compile(r"└ calculate \d\+\d"))
    expect(rows.nth(2).locator(".twig")).to_have_count(1)


def test_the_feed_stands_still_while_it_is_read(
    showcase: TowerProcess, open_page: OpenPage
) -> None:
    """Paused it counts what came; filtered it shows one kind, and only rows in sight are drawn."""
    page = open_page(showcase, "/operator")
    expect(page.locator("ct-status .status")).to_contain_text("live")
    feed = page.get_by_role("region", name="Live feed")
    submit(showcase, "work 60 steps")
    ended = feed.locator(".event", has_text="I worked 60 steps.").first
    expect(ended).to_be_visible()
    assert page.locator(".event").count() < 100
    feed.get_by_role("button", name="Pause").click()
    submit(showcase, "calculate 2+2")
    expect(feed.get_by_role("button", name=re.compile(r"\d+ new"))).to_be_visible()
    later = feed.locator(".event", has_text="calculate 2+2")
    expect(later).to_have_count(0)
    feed.get_by_role("button", name="Go on").click()
    expect(later.first).to_be_visible()
    feed.get_by_role("button", name="message").click()
    expect(feed.locator(".event").first).to_contain_text("message.created")
    expect(feed.locator(".event", has_text="step.")).to_have_count(0)
    feed.get_by_label("Filter the feed").fill("no such word")
    expect(feed).to_contain_text("No event fits the filter.")


def test_reading_further_down_holds_the_feed(showcase: TowerProcess, open_page: OpenPage) -> None:
    """Scrolled away from its top the feed waits, and goes on from the top."""
    page = open_page(showcase, "/operator")
    expect(page.locator("ct-status .status")).to_contain_text("live")
    submit(showcase, "work 60 steps")
    rows = page.locator("ct-feed ct-rows")
    expect(page.locator("ct-feed .event", has_text="I worked 60 steps.").first).to_be_visible()
    rows.evaluate("(element) => (element.scrollTop = 900)")
    fresh = page.get_by_role("button", name=re.compile(r"\d+ new"))
    submit(showcase, "calculate 2+2")
    expect(fresh).to_be_visible()
    fresh.click()
    expect(fresh).to_have_count(0)
    assert rows.evaluate("(element) => element.scrollTop") == 0


def test_an_open_breaker_is_reset(showcase: TowerProcess, open_page: OpenPage) -> None:
    """The tool that rests is marked, says why, and is closed from there."""
    page = open_page(showcase, "/operator")
    submit(showcase, "fetch", agent="fetcher")
    expect(row(page, "fetch").locator(".state").first).to_contain_text("blocked")
    row(page, "fetch").click()
    expect(page.get_by_role("region", name="Why")).to_contain_text("rests after failures")
    page.get_by_role("tab", name=re.compile("Tools")).click()
    tool = page.get_by_role("tabpanel").locator("li", has_text="flaky")
    expect(tool).to_contain_text("breaker open")
    tool.get_by_role("button", name="Reset").click()
    expect(page.locator(".toast")).to_contain_text("The breaker of flaky is closed.")


def test_clients_and_nodes_are_listed(busy: TowerProcess, open_page: OpenPage) -> None:
    """This page is among the clients, up to date; the server is the one node."""
    page = open_page(busy, "/operator")
    wait_live(page)
    page.get_by_role("tab", name=re.compile("Clients")).click()
    mine = page.get_by_role("tabpanel").locator("li", has_text="this page")
    expect(mine).to_contain_text("system")
    expect(mine).to_contain_text("up to date")
    page.get_by_role("tab", name=re.compile("Clients")).press("ArrowRight")
    expect(page.get_by_role("tab", name=re.compile("Nodes"))).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_contain_text("2 of 2 slots taken")


def test_the_console_survives_the_server(
    own_tower: TowerProcess, open_page: OpenPage, watch: Watch
) -> None:
    """Killed under an open page, the server comes back and the table with it."""
    watch.expect(AWAY)
    watch.expect("Failed to load resource")
    page = open_page(own_tower, "/operator")
    expect(page.locator("ct-status .status")).to_contain_text("live")
    submit(own_tower, "ask me my name")
    expect(row(page, "ask me").locator(".state").first).to_contain_text("waiting")
    own_tower.kill()
    expect(page.locator("ct-status .status")).to_contain_text("reconnecting")
    own_tower.start()
    expect(page.locator("ct-status .status")).to_contain_text("live")
    submit(own_tower, "calculate 8*8")
    expect(page.locator(".event", has_text="→ 64").first).to_be_visible()
    row(page, "ask me").click()
    card = page.locator("ct-mission-panel .card")
    card.get_by_role("textbox").fill("Ada")
    card.get_by_role("button", name="Answer").click()
    expect(row(page, "ask me")).to_have_count(0)


def test_a_viewer_looks_and_a_user_is_sent_on(guarded: TowerProcess, open_page: OpenPage) -> None:
    """A viewer sees all and can change nothing; a user is told where their own things are."""
    mission = "write a.txt: hello then delete a.txt"
    submit(guarded, mission, token=token("ana", "user"))
    page = open_page(guarded, "/operator", token=token("vera", "viewer"))
    wait_live(page)
    row(page, mission).click()
    expect(page.get_by_role("region", name="Why")).to_contain_text("approve")
    expect(page.locator(".card")).to_contain_text("You may watch, not answer.")
    expect(page.get_by_role("group", name="Commands")).to_have_count(0)
    expect(page.get_by_role("button", name="Extend")).to_have_count(0)
    page.locator("#processes").focus()
    page.keyboard.press("k")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).not_to_contain_text("Cancel")
    own = open_page(guarded, "/operator", token=token("ana", "user"))
    expect(own.get_by_role("heading", level=1)).to_have_text("The console is for operators")
    expect(own.get_by_role("navigation").get_by_role("link")).to_have_text(["Chat", "Governance"])
