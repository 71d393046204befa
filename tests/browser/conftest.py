"""A real server, a real Chromium, and a page that may not say a word on its console."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.chat_page import ChatPage
from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.browser.tokens import SECRET
from tests.browser.tower_process import TowerProcess
from tests.browser.watch import Watch
from tests.rig.coverage import unmeasured

OpenChat = Callable[..., ChatPage]
OpenPage = Callable[..., Page]

WAIT_MS = 15_000
"""How long anything may take to show, on a machine that is busy with other tests."""

expect.set_options(timeout=WAIT_MS)


_unmeasured = pytest.fixture(unmeasured, scope="package", autouse=True)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Run Chromium for this folder; its loop must be gone before other folders' async tests."""
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


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """Run a server that asks for tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    process = TowerProcess(folder, TOWER_AUTH="jwt", TOWER_JWT_SECRET=SECRET)
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
def open_page(browser: Browser, watch: Watch) -> Iterator[OpenPage]:
    """Open a page of a server; each call is another person's browser."""
    contexts = []

    def open_(tower: TowerProcess, path: str, token: str = "", **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        if token:
            context.add_init_script(f"sessionStorage.setItem('tower.token', {token!r})")
        page: Page = context.new_page()
        watch.follow(page)
        page.goto(tower.url + path)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def open_chat(open_page: OpenPage) -> OpenChat:
    """Open the chat of a server; each call is another person's browser."""

    def open_(tower: TowerProcess, path: str = "/", **options: object) -> ChatPage:
        return ChatPage(open_page(tower, path, **options))

    return open_
