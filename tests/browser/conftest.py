"""A real server, a real Chromium, and a page that may not say a word on its console."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.chat_page import ChatPage
from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.browser.tower_process import TowerProcess
from tests.browser.watch import Watch

OpenChat = Callable[..., ChatPage]

WAIT_MS = 15_000
"""How long anything may take to show, on a machine that is busy with other tests."""

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Chromium for a module; its loop must be gone before the next module's async tests."""
    path = find_chromium()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """Run a server with a data folder of its own."""
    process = TowerProcess(tmp_path_factory.mktemp("tower"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_tower(tmp_path: Path) -> Iterator[TowerProcess]:
    """Run a server that a test may kill."""
    process = TowerProcess(tmp_path)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Fail the test on any console error, policy violation, or request that leaves the machine."""
    watching = Watch()
    yield watching
    assert not watching.faults


@pytest.fixture
def open_chat(browser: Browser, watch: Watch) -> Iterator[OpenChat]:
    """Open the chat of a server; each call is another person's browser."""
    contexts = []

    def open_(tower: TowerProcess, path: str = "/", **options: object) -> ChatPage:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page: Page = context.new_page()
        watch.follow(page)
        page.goto(tower.url + path)
        return ChatPage(page)

    yield open_
    for context in contexts:
        context.close()
