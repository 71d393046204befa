"""The chat page against the real server, in a real browser."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenChat
from tests.browser.tower_process import TowerProcess

DELETE = "write a.txt: hello then read a.txt then delete a.txt"


def test_a_mission_runs_and_shows_its_steps(tower: TowerProcess, open_chat: OpenChat) -> None:
    """The first mission to try gives 42, by one step that says what it was asked and gave."""
    chat = open_chat(tower)
    chat.page.get_by_role("button", name=re.compile("calculate")).click()
    chat.wait_ended()
    expect(chat.answer).to_contain_text("42")
    expect(chat.steps).to_have_count(0)
    chat.unfold()
    expect(chat.steps).to_have_count(1)
    chat.steps.locator("summary").click()
    expect(chat.steps).to_contain_text("calculator")
    expect(chat.steps.locator("figure").first).to_contain_text("6*7")
    expect(chat.steps.locator("figure").last).to_contain_text("42")
    assert chat.messages() == ["calculate 6*7"]


def test_an_approved_deletion_runs(tower: TowerProcess, open_chat: OpenChat) -> None:
    """The card says exactly what will run; approved, it runs, and the line says who decided."""
    chat = open_chat(tower)
    chat.send(DELETE)
    expect(chat.card).to_contain_text("workspace.delete")
    expect(chat.card.locator(".call-arguments")).to_contain_text('"name": "a.txt"')
    expect(chat.card.locator(".chip")).to_have_text("destructive")
    expect(chat.card.get_by_role("timer")).to_have_text(re.compile(r"\d+:\d\d"))
    chat.press("Approve")
    chat.wait_ended()
    expect(chat.answer).to_contain_text("I deleted a.txt.")
    expect(chat.mission.locator(".verdict")).to_contain_text("Approved by local")
    expect(chat.card).to_have_count(0)


def test_a_refused_deletion_does_not_run(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Refused with a note, the file stays, and the note is shown with the decision."""
    chat = open_chat(tower)
    chat.send(DELETE)
    chat.card.get_by_label("Note (optional)").fill("keep it")
    chat.press("Refuse")
    chat.wait_ended()
    expect(chat.answer).to_contain_text("I kept a.txt")
    expect(chat.mission.locator(".verdict")).to_contain_text("Refused by local")
    expect(chat.mission.locator(".verdict")).to_contain_text("keep it")
    chat.send("list files")
    expect(chat.missions).to_have_count(2)
    chat.wait_ended()
    expect(chat.answer).to_contain_text("a.txt")


def test_arguments_can_be_edited_before_approval(tower: TowerProcess, open_chat: OpenChat) -> None:
    """What runs is what was edited; what is not JSON is not sent."""
    chat = open_chat(tower)
    chat.send("write a.txt: one then write b.txt: two then delete a.txt")
    chat.press("Edit arguments")
    field = chat.card.get_by_label("Arguments as JSON")
    field.fill('{"name": ')
    chat.press("Approve as edited")
    expect(chat.card.get_by_role("alert")).to_contain_text("not a JSON object")
    field.fill('{"name": "b.txt"}')
    chat.press("Approve as edited")
    chat.wait_ended()
    expect(chat.answer).to_contain_text("b.txt")
    expect(chat.mission.locator(".verdict")).to_contain_text("with edited arguments")


def test_arguments_that_the_tool_refuses_leave_the_card_open(
    tower: TowerProcess, open_chat: OpenChat
) -> None:
    """The server's reason is shown on the card, which can then be answered properly."""
    chat = open_chat(tower)
    chat.send(DELETE)
    chat.press("Edit arguments")
    chat.card.get_by_label("Arguments as JSON").fill('{"nom": 3}')
    chat.press("Approve as edited")
    expect(chat.card.get_by_role("alert")).to_be_visible()
    chat.press("Undo edits")
    chat.press("Approve")
    chat.wait_ended()


def test_a_question_is_answered_on_its_card(tower: TowerProcess, open_chat: OpenChat) -> None:
    """A mission that asks waits, takes the answer, and goes on with it."""
    chat = open_chat(tower)
    chat.send("ask me my name")
    chat.card.get_by_label("What is your name?").fill("Ada")
    chat.card.get_by_role("button", name="Answer").click()
    chat.wait_ended()
    expect(chat.answer).to_contain_text("Ada")
    expect(chat.mission.locator(".verdict")).to_contain_text("“Ada”")


def test_a_question_is_answered_by_a_message(tower: TowerProcess, open_chat: OpenChat) -> None:
    """The composer says that it answers, and what is sent is the answer, not a new mission."""
    chat = open_chat(tower)
    chat.send("ask me to choose red or green")
    expect(chat.card.get_by_role("button", name="red")).to_be_visible()
    expect(chat.box).to_have_attribute("placeholder", "Answer the question above")
    chat.send("green")
    chat.wait_ended()
    expect(chat.answer).to_contain_text("green")
    expect(chat.missions).to_have_count(1)


def test_an_option_is_picked(tower: TowerProcess, open_chat: OpenChat) -> None:
    """One press on an option answers."""
    chat = open_chat(tower)
    chat.send("ask me to choose red or green")
    chat.card.get_by_role("button", name="red").click()
    chat.wait_ended()
    expect(chat.answer).to_contain_text("red")


def test_a_running_mission_is_stopped(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Stop ends it, and the page says who did."""
    chat = open_chat(tower)
    chat.send("work 2000 steps")
    expect(chat.steps.nth(3)).to_be_visible()
    chat.press("Stop")
    chat.wait_ended("Stopped by local")


def test_a_mission_is_run_again_and_edited(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Run again sends the same; Edit puts it into the composer."""
    chat = open_chat(tower)
    chat.send("calculate 1+1")
    chat.wait_ended()
    chat.press("Run again")
    expect(chat.missions).to_have_count(2)
    chat.wait_ended()
    chat.mission.get_by_role("button", name="Edit", exact=True).click()
    expect(chat.box).to_have_value("calculate 1+1")
    expect(chat.box).to_be_focused()


def test_text_of_a_model_is_only_ever_text(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Markdown is drawn, HTML is shown as it was written, remote images become links."""
    chat = open_chat(tower)
    chat.send("write m.md: **bold** <img src=x onerror=alert(1)> ![p](https://example.org/p.png)")
    chat.wait_ended()
    chat.send("read m.md")
    expect(chat.missions).to_have_count(2)
    chat.wait_ended()
    expect(chat.answer.locator("strong")).to_have_text("bold")
    expect(chat.answer).to_contain_text("<img src=x onerror=alert(1)>")
    expect(chat.answer.locator("img")).to_have_count(0)
    expect(chat.answer.get_by_role("link")).to_have_text("Image: p")


def test_enter_that_ends_a_composition_does_not_send(
    tower: TowerProcess, open_chat: OpenChat
) -> None:
    """Who writes with an input method confirms a word with Enter; Shift+Enter breaks the line."""
    chat = open_chat(tower)
    chat.wait_live()
    chat.box.fill("にほん")
    chat.box.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    chat.box.press("Shift+Enter")
    chat.box.press_sequentially("x")
    expect(chat.box).to_have_value("にほん\nx")
    expect(chat.page.locator(".bubble")).to_have_count(0)


def test_drafts_are_kept_for_each_session(tower: TowerProcess, open_chat: OpenChat) -> None:
    """What was being written is there again after a reload, in its own session."""
    chat = open_chat(tower)
    chat.send("calculate 2+2")
    chat.wait_ended()
    chat.box.fill("half a thought")
    chat.page.get_by_role("button", name="New mission").click()
    expect(chat.box).to_have_value("")
    chat.box.fill("another")
    chat.page.go_back()
    expect(chat.box).to_have_value("half a thought")
    chat.page.reload()
    expect(chat.box).to_have_value("half a thought")


def test_a_decision_shows_in_every_window(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Two windows on one session show the same; what one decides, the other sees."""
    one = open_chat(tower)
    one.send(DELETE)
    expect(one.card).to_be_visible()
    two = open_chat(tower, f"/#/s/{one.session_id()}")
    expect(two.card).to_contain_text("workspace.delete")
    two.press("Approve")
    one.wait_ended()
    expect(one.mission.locator(".verdict")).to_contain_text("Approved by local")


def test_an_unknown_session_says_so(tower: TowerProcess, open_chat: OpenChat) -> None:
    """A link to what does not exist leads to words, not to an empty page."""
    chat = open_chat(tower, "/#/s/s_01AAAAAAAAAAAAAAAAAAAAAAAA")
    expect(chat.page.get_by_role("heading", level=1)).to_contain_text("no such mission")
