"""The list of sessions: found, renamed, archived, deleted and brought back, exported."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenChat
from tests.browser.tokens import token
from tests.browser.tower_process import TowerProcess


@pytest.fixture
def chat(guarded: TowerProcess, open_chat: OpenChat, request: pytest.FixtureRequest) -> ChatPage:
    """A chat with two sessions, the second one open, of a user who has no others."""
    page = open_chat(guarded, token=token(request.node.name, "user"))
    page.send("calculate 40+2")
    page.wait_ended()
    page.page.get_by_role("button", name="New mission").click()
    page.send("write zebra.txt: stripes")
    page.wait_ended()
    expect(listed(page)).to_have_count(2)
    return page


def listed(chat: ChatPage) -> Locator:
    """Return the rows of the list."""
    return chat.page.get_by_role("navigation", name="Sessions").get_by_role("link")


def choose(chat: ChatPage, item: str) -> None:
    """Choose from the open session's menu."""
    chat.press("What to do with this session")
    chat.page.get_by_role("menuitem", name=item).click()


def test_sessions_are_listed_by_date(chat: ChatPage) -> None:
    """The newest is first, the open one is marked, and the other opens with all it had."""
    expect(chat.page.get_by_role("heading", name="Today")).to_be_visible()
    expect(listed(chat).first).to_contain_text("write zebra.txt")
    expect(listed(chat).first).to_have_attribute("aria-current", "page")
    listed(chat).last.click()
    expect(chat.answer).to_contain_text("42")
    listed(chat).first.focus()
    chat.page.keyboard.press("ArrowDown")
    expect(listed(chat).last).to_be_focused()


def test_a_session_is_renamed(chat: ChatPage) -> None:
    """The new name stands above, in the list, and after a reload."""
    choose(chat, "Rename")
    chat.page.get_by_label("Name").fill("Animals")
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_role("heading", level=1)).to_have_text("Animals")
    expect(listed(chat).first).to_have_text("Animals")
    chat.page.reload()
    expect(listed(chat).first).to_have_text("Animals")


def test_a_session_is_archived_and_brought_back(chat: ChatPage) -> None:
    """Archived it leaves the list, is found among the archived, and comes back by Undo."""
    choose(chat, "Archive")
    expect(listed(chat)).to_have_count(1)
    chat.press("Archived")
    expect(listed(chat)).to_have_text(["write zebra.txt: stripes"])
    chat.press("Back to all")
    chat.press("Undo")
    expect(listed(chat)).to_have_count(2)


def test_a_deletion_can_be_undone(chat: ChatPage) -> None:
    """Deleted it is gone, also from its link; Undo brings back all of it."""
    choose(chat, "Delete")
    expect(listed(chat)).to_have_count(1)
    expect(chat.page.get_by_role("heading", level=1)).to_have_text("What should be done?")
    chat.press("Undo")
    expect(listed(chat)).to_have_count(2)
    expect(chat.answer).to_contain_text("zebra.txt")


def test_words_are_found(chat: ChatPage) -> None:
    """A word of a message leads to its session; no word, back to the list."""
    chat.page.get_by_label("Search messages").fill("stripes")
    expect(listed(chat).first.locator("mark").first).to_have_text("stripes")
    expect(listed(chat).first).to_contain_text("write zebra.txt")
    chat.page.get_by_label("Search messages").fill("nothing of the kind")
    expect(chat.page.get_by_text("Nothing found.")).to_be_visible()
    chat.page.get_by_label("Search messages").fill("")
    expect(listed(chat)).to_have_count(2)


def test_a_word_leads_to_its_message(chat: ChatPage) -> None:
    """However far back it was said: it is marked and in sight, and the end is a press away."""
    for number in (30, 31):
        chat.send(f"count to {number}; work 40 steps; help; help; help; help")
        chat.wait_ended()
    chat.page.get_by_label("Search messages").fill("stripes")
    listed(chat).locator("mark", has_text="stripes").first.click()
    expect(chat.page.locator("[aria-current=true]:is(.message, ct-mission)")).to_be_in_viewport()
    expect(chat.page.locator(".bubble", has_text="stripes")).to_be_in_viewport()
    chat.page.get_by_role("button", name="Latest").click()
    expect(chat.answer).to_be_in_viewport()


def test_a_session_is_exported(chat: ChatPage) -> None:
    """As Markdown and as JSON, with what was said."""
    for item, ending in (("Export as Markdown", ".md"), ("Export as JSON", ".json")):
        with chat.page.expect_download() as download:
            choose(chat, item)
        assert download.value.suggested_filename.endswith(ending)
        assert "zebra.txt" in Path(download.value.path()).read_text()


def test_a_question_elsewhere_is_marked(chat: ChatPage) -> None:
    """A session that waits for a person is marked in the list, until it is answered."""
    chat.send("ask me my name")
    expect(chat.card).to_be_visible()
    listed(chat).last.click()
    expect(listed(chat).first).to_contain_text("waits for you")
    listed(chat).first.click()
    chat.send("Ada")
    chat.wait_ended()
    expect(chat.page.get_by_text("waits for you")).to_have_count(0)
