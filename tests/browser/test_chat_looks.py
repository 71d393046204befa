"""The chat page for everyone: assistive technology, small screens, dark rooms."""

import pytest
from playwright.sync_api import expect

from tests.browser.axe import serious_faults
from tests.browser.conftest import OpenChat
from tests.browser.tower_process import TowerProcess

SCHEMES = ("light", "dark")
NARROW = {"width": 360, "height": 740}
DELETE = "write a.txt: hello then read a.txt then delete a.txt"


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    """Each colour scheme."""
    return str(request.param)


def test_axe_finds_nothing_serious(tower: TowerProcess, open_chat: OpenChat, scheme: str) -> None:
    """Empty, asking for approval while editing, with steps open, and finished."""
    chat = open_chat(tower, color_scheme=scheme)
    chat.wait_live()
    assert serious_faults(chat.page) == []
    chat.send(DELETE)
    expect(chat.card).to_be_visible()
    assert serious_faults(chat.page) == []
    chat.press("Edit arguments")
    assert serious_faults(chat.page) == []
    chat.press("Approve as edited")
    chat.wait_ended()
    chat.unfold()
    for summary in chat.steps.locator("summary").all():
        summary.click()
    assert serious_faults(chat.page) == []


def test_axe_finds_nothing_serious_on_other_cards(
    tower: TowerProcess, open_chat: OpenChat, scheme: str
) -> None:
    """A question with options, and a session's menu."""
    chat = open_chat(tower, color_scheme=scheme, viewport=NARROW)
    chat.send("ask me to choose red or green")
    expect(chat.card).to_be_visible()
    assert serious_faults(chat.page) == []
    chat.press("What to do with this session")
    expect(chat.page.get_by_role("menu")).to_be_visible()
    assert serious_faults(chat.page) == []
    chat.page.keyboard.press("Escape")
    chat.press("List of missions")
    assert serious_faults(chat.page) == []


def test_it_is_usable_at_360_px(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Nothing is wider than the window, everything can be pressed, the list opens and closes."""
    chat = open_chat(tower, viewport=NARROW)
    chat.wait_live()
    assert chat.overflow() <= 0
    chat.send(DELETE)
    expect(chat.card).to_be_visible()
    assert chat.overflow() <= 0
    card = chat.card.bounding_box()
    assert card is not None
    assert card["x"] >= 0
    assert card["x"] + card["width"] <= NARROW["width"]
    chat.press("Approve")
    chat.wait_ended()
    chat.unfold()
    assert chat.overflow() <= 0
    chat.press("List of missions")
    session = chat.page.get_by_role("navigation").get_by_role("link").first
    expect(session).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(session).not_to_be_visible()


def test_targets_are_24_px(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Everything that can be pressed is at least 24 px high and wide."""
    chat = open_chat(tower)
    chat.send(DELETE)
    expect(chat.card).to_be_visible()
    small = chat.page.evaluate(
        """() => [...document.querySelectorAll("button, summary, input, a.session")]
          .map((e) => [e.outerHTML.slice(0, 120), e.getBoundingClientRect()])
          .filter(([, box]) => box.width > 0 && (box.height < 24 || box.width < 24))
          .map(([html]) => html)"""
    )
    assert small == []


def test_the_theme_can_be_chosen_and_stays(tower: TowerProcess, open_chat: OpenChat) -> None:
    """The toggle goes through light and dark, and a reload keeps what was chosen."""
    chat = open_chat(tower, color_scheme="light")
    ground = "getComputedStyle(document.querySelector('.main')).backgroundColor"
    light = chat.page.evaluate(ground)
    toggle = chat.page.locator("ct-theme button")
    toggle.click()
    assert chat.page.evaluate(ground) == light
    toggle.click()
    dark = chat.page.evaluate(ground)
    assert dark != light
    chat.page.reload()
    expect(toggle).to_be_visible()
    assert chat.page.evaluate(ground) == dark


def test_it_works_by_keyboard_alone(tower: TowerProcess, open_chat: OpenChat) -> None:
    """Skip to the box, send, and reach the steps; what streams never takes the focus away."""
    chat = open_chat(tower)
    chat.wait_live()
    chat.page.keyboard.press("Tab")
    expect(chat.page.get_by_role("link", name="Skip to the message box")).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(chat.box).to_be_focused()
    chat.page.keyboard.type("count to 100")
    chat.page.keyboard.press("Enter")
    chat.wait_ended()
    expect(chat.box).to_be_focused()


def test_a_screen_reader_hears_boundaries_only(tower: TowerProcess, open_chat: OpenChat) -> None:
    """The announcer says how a mission stands; the transcript itself is not live."""
    chat = open_chat(tower)
    chat.send("write a.txt: hello then delete a.txt")
    expect(chat.page.locator("ct-app > [role=status]")).to_contain_text("approval is needed")
    chat.press("Approve")
    expect(chat.page.locator("ct-app > [role=status]")).to_have_text("Mission completed.")
    log = chat.page.get_by_role("log")
    expect(log).to_have_attribute("aria-live", "off")


def test_motion_is_reduced_for_those_who_asked(tower: TowerProcess, open_chat: OpenChat) -> None:
    """No transition runs where the system says so."""
    chat = open_chat(tower, reduced_motion="reduce")
    chat.wait_live()
    style = "getComputedStyle(document.querySelector('.button')).transitionDuration"
    assert chat.page.evaluate(style) == "0s"
