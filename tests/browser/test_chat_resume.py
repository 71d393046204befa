"""The chat page over reloads, restarts and lost servers: nothing lost, nothing twice."""

import re

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenChat, OpenPage
from tests.browser.tower_process import TowerProcess
from tests.browser.watch import AWAY, Watch

COUNTED = " ".join(str(number) for number in range(1, 201))


def test_a_reload_in_mid_stream_loses_nothing(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Reloaded while it counts, the page goes on counting, and ends with every number once."""
    chat = open_chat(tower)
    chat.send("count to 200")
    expect(chat.answer).to_contain_text(" 40 ")
    chat.page.reload()
    expect(chat.answer).to_contain_text("1 2 3 4 5")
    chat.wait_ended()
    expect(chat.answer).to_have_text(COUNTED)
    assert chat.messages() == ["count to 200"]
    expect(chat.missions).to_have_count(1)


def test_a_second_window_joins_in_mid_stream(tower: TowerProcess, open_chat: OpenChat) -> None:
    """A permalink opened while text streams shows it from its start, and both end alike."""
    one = open_chat(tower)
    one.send("count to 200")
    expect(one.answer).to_contain_text(" 40 ")
    two = open_chat(tower, f"/#/s/{one.session_id()}")
    expect(two.answer).to_contain_text("1 2 3 4 5")
    two.wait_ended()
    expect(two.answer).to_have_text(COUNTED)
    expect(one.answer).to_have_text(COUNTED)


def test_a_killed_server_loses_nothing_on_an_open_page(
    own_tower: TowerProcess, open_chat: OpenChat, watch: Watch
) -> None:
    """After kill -9 in mid-mission the page comes back by itself, with every step once."""
    watch.expect(AWAY)
    chat = open_chat(own_tower)
    chat.send("work 150 steps")
    expect(chat.steps.nth(20)).to_be_visible()
    own_tower.kill()
    expect(chat.status).to_contain_text("reconnecting")
    own_tower.start()
    chat.wait_live()
    chat.wait_ended()
    expect(chat.answer).to_have_text("I worked 150 steps.")
    chat.unfold()
    chat.press("Show 50 earlier steps")
    names = chat.steps.locator(".step-name").all_text_contents()
    assert names == [f"work {number} of 150" for number in range(1, 151)]
    assert chat.messages() == ["work 150 steps"]
    chat.page.reload()
    chat.wait_ended()
    chat.unfold()
    chat.press("Show 50 earlier steps")
    expect(chat.steps).to_have_count(150)


def test_what_is_sent_while_the_server_is_away_arrives_once(
    own_tower: TowerProcess, open_chat: OpenChat, watch: Watch
) -> None:
    """A message waits for the server, and is done once."""
    watch.expect(AWAY)
    watch.expect("Failed to load resource")
    chat = open_chat(own_tower)
    chat.send("calculate 1+1")
    chat.wait_ended()
    own_tower.kill()
    expect(chat.status).to_contain_text("reconnecting")
    chat.send("calculate 20+3")
    expect(chat.page.locator(".message-note")).to_contain_text("Sending")
    own_tower.start()
    expect(chat.missions).to_have_count(2)
    chat.wait_ended()
    expect(chat.answer).to_contain_text("23")
    assert chat.messages() == ["calculate 1+1", "calculate 20+3"]
    expect(chat.page.locator(".message-note")).to_have_count(0)


def test_a_question_survives_the_server(
    own_tower: TowerProcess, open_chat: OpenChat, watch: Watch
) -> None:
    """An approval asked for before a crash can be given after it, on the same page."""
    watch.expect(AWAY)
    chat = open_chat(own_tower)
    chat.send("write a.txt: hello then delete a.txt")
    expect(chat.card).to_be_visible()
    own_tower.kill()
    expect(chat.status).to_have_text(re.compile(r"reconnecting in \d+ s|reconnecting…"))
    own_tower.start()
    chat.wait_live()
    chat.press("Approve")
    chat.wait_ended()
    expect(chat.answer).to_contain_text("I deleted a.txt.")


def test_a_drained_server_is_waited_for(
    own_tower: TowerProcess, open_chat: OpenChat, watch: Watch
) -> None:
    """A server that ends as it should lets the page come back as if nothing had been."""
    watch.expect(AWAY)
    chat = open_chat(own_tower)
    chat.send("work 400 steps")
    expect(chat.steps.nth(5)).to_be_visible()
    own_tower.stop()
    own_tower.start()
    chat.wait_live()
    chat.wait_ended()
    chat.unfold()
    chat.press("Show 300 earlier steps")
    names = chat.steps.locator(".step-name").all_text_contents()
    assert names == [f"work {number} of 400" for number in range(1, 401)]


def test_a_page_that_was_offline_catches_up(own_tower: TowerProcess, open_page: OpenPage) -> None:
    """Without a network it says so; with one it has all that happened meanwhile, once."""
    page = open_page(own_tower, "/")
    chat = ChatPage(page)
    chat.send("work 200 steps")
    expect(chat.steps.nth(3)).to_be_visible()
    page.context.set_offline(offline=True)
    expect(chat.status).to_contain_text("offline", timeout=30_000)
    page.context.set_offline(offline=False)
    chat.wait_live()
    chat.wait_ended()
    chat.unfold()
    chat.press("Show 100 earlier steps")
    names = chat.steps.locator(".step-name").all_text_contents()
    assert names == [f"work {number} of 200" for number in range(1, 201)]
