"""What only other agents show: doubt, quotas, children, artifacts, failures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenChat
from tests.browser.rest_calls import submit
from tests.browser.tower_process import TowerProcess


@pytest.fixture(scope="module")
def showcase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """Run a server with the agents of ``showcase_app``."""
    app = Path(__file__).with_name("showcase_app.py")
    process = TowerProcess(
        tmp_path_factory.mktemp("showcase"), TOWER_APPS=str(app), TOWER_CONFIRMATION_TTL_S="5"
    )
    process.start()
    yield process
    process.stop()


def follow(
    tower: TowerProcess, open_chat: OpenChat, agent: str, mission: str = "go", **fields: Any
) -> ChatPage:
    """Submit to an agent, and open the session that this made."""
    answer = submit(tower, mission, agent=agent, **fields)
    return open_chat(tower, f"/#/s/{answer['session_id']}")


def test_an_agent_is_chosen(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """A mission goes to the picked agent, and so do the next one and another run of it."""
    chat = open_chat(showcase)
    chat.page.get_by_label("Agent").select_option("breaker")
    chat.send("go")
    chat.wait_ended("Failed")
    expect(chat.mission).to_contain_text("breaker")
    expect(chat.page.get_by_label("Agent")).to_have_value("breaker")
    chat.press("Run again")
    expect(chat.page.locator("ct-mission", has_text="breaker")).to_have_count(2)


def test_a_doubtful_effect_is_confirmed(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """A payment that timed out is a question; that it happened, with a result, goes on."""
    chat = follow(showcase, open_chat, "payer")
    expect(chat.card).to_contain_text("Did it happen?")
    expect(chat.card.locator(".call-arguments")).to_contain_text("A-17")
    chat.card.get_by_label(re.compile("what did it give")).fill("paid, says the bank")
    chat.press("It happened")
    chat.wait_ended()
    expect(chat.answer).to_contain_text("paid, says the bank")
    expect(chat.mission.locator(".verdict")).to_contain_text("Confirmed that it happened by local")


def test_a_doubtful_effect_is_tried_again(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """Told to try again it does, is in doubt again, and can be given up on."""
    chat = follow(showcase, open_chat, "payer")
    chat.press("It did not: try again")
    expect(chat.mission.locator(".verdict")).to_have_count(1)
    chat.press("Give up on it")
    chat.wait_ended("Failed")


def test_a_quota_is_extended(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """At its limit a mission asks; extended, it goes on with the call it was about to make."""
    chat = follow(showcase, open_chat, "spender", quota={"max_tool_calls": 2})
    expect(chat.card).to_contain_text("tool calls")
    expect(chat.card.locator("meter")).to_have_attribute("value", "2")
    chat.card.get_by_label("Amount to add").fill("5")
    chat.press("Extend")
    chat.wait_ended()
    expect(chat.answer).to_have_text("spent")
    chat.unfold()
    expect(chat.steps).to_have_count(4)


def test_a_mission_is_cancelled_at_its_quota(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """Cancelled there, it ends as over its quota."""
    chat = follow(showcase, open_chat, "spender", quota={"max_tool_calls": 1})
    chat.press("Cancel the mission")
    chat.wait_ended("Ended at its quota")


def test_children_are_nested(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """Sub-missions stand inside their parent with their own steps and answers."""
    chat = follow(showcase, open_chat, "parent", "add up")
    chat.wait_ended()
    expect(chat.missions).to_have_count(1)
    chat.unfold()
    children = chat.mission.locator("ct-mission")
    expect(children).to_have_count(2)
    expect(children.first).to_contain_text("calculate 2+2")
    expect(children.last.locator(".answer")).to_contain_text("6")


def test_a_report_streams_as_markdown(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """Code is coloured and can be copied, tables are tables, artifacts can be fetched."""
    chat = follow(showcase, open_chat, "reporter", "report")
    chat.wait_ended()
    expect(chat.answer.get_by_role("heading")).to_have_text("Report")
    expect(chat.answer.locator("code .hljs-keyword").first).to_have_text("def")
    expect(chat.answer.get_by_role("cell", name="12")).to_be_visible()
    chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    chat.answer.get_by_role("button", name="Copy").click()
    expect(chat.answer.get_by_role("button", name="Copied")).to_be_visible()
    assert "return n * 2  # twice" in chat.page.evaluate("navigator.clipboard.readText()")
    chat.unfold()
    expect(chat.mission.locator(".notes")).to_contain_text("reading · pages 3")
    with chat.page.expect_download() as download:
        chat.mission.get_by_role("button", name="report.md").click()
    assert download.value.suggested_filename == "report.md"
    assert Path(download.value.path()).read_text().startswith("# Report")


def test_a_failure_says_why(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """What went wrong is shown with the mission, and it can be run again."""
    chat = follow(showcase, open_chat, "breaker")
    chat.wait_ended("Failed")
    expect(chat.mission.locator(".failure")).to_contain_text("The shelf is empty.")
    expect(chat.page.get_by_role("button", name="Run again")).to_be_visible()


def test_an_expired_approval_counts_as_refused(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """The card counts down, then says that time refused; the file is still there."""
    chat = follow(showcase, open_chat, "demo", "write a.txt: hello then delete a.txt")
    expect(chat.card.get_by_role("timer")).to_have_text(re.compile(r"0:0\d left"))
    chat.wait_ended()
    expect(chat.mission.locator(".verdict")).to_contain_text("Expired, which counts as refused")
    expect(chat.card).to_have_count(0)
    chat.send("read a.txt")
    expect(chat.missions).to_have_count(2)
    chat.wait_ended()
    expect(chat.answer).to_contain_text("hello")


HOSTILE = """<script>document.title = "taken"</script><img src=x onerror="document.title='taken'">
<svg onload="document.title='taken'"></svg><style>body { display: none }</style>
[a](javascript:document.title='taken') [b](data:text/html,<script>1</script>)
<form action="/x"><input name="q"></form> <iframe src="https://example.org"></iframe>
![c](https://example.org/c.png "c") [d]: //example.org

| <b onmouseover=alert(1)>x</b> | `<script>` |
|--|--|
| [e](vbscript:x) | <a href="https://example.org" onclick="x()">f</a> |
"""


def test_hostile_text_is_shown_not_obeyed(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """Scripts, styles, forms, frames and remote images of an answer are words or links."""
    chat = follow(showcase, open_chat, "echo", HOSTILE)
    chat.wait_ended()
    expect(chat.answer).to_contain_text("onerror=")
    inside = "script, style, svg:not(.icon), iframe, form, input, img, [onclick], [onmouseover]"
    expect(chat.answer.locator(inside)).to_have_count(0)
    hrefs = chat.answer.locator("a[href]").evaluate_all("links => links.map((a) => a.protocol)")
    assert set(hrefs) <= {"https:", "http:"}
    assert chat.page.title().startswith("<script>")


def test_a_mission_of_2000_steps_stays_light(showcase: TowerProcess, open_chat: OpenChat) -> None:
    """Its newest steps are drawn, and all of them for whoever wants them."""
    chat = follow(showcase, open_chat, "wide")
    chat.wait_ended()
    expect(chat.mission.locator(".facts").first).to_contain_text("2,000 steps")
    chat.unfold()
    assert chat.steps.count() == 100
    chat.press("Show 1,900 earlier steps")
    expect(chat.steps).to_have_count(2000)
    expect(chat.steps.last.locator(".step-name")).to_have_text(re.compile(r"part \d+ of 100"))
