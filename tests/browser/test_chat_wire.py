"""The chat page when the wire says something rare, which a proxy in the browser says for it."""

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.browser.axe import serious_faults
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenChat
from tests.browser.tower_process import TowerProcess
from tests.browser.watch import Watch

Message = dict[str, Any]


class Proxy:
    """Stands between page and server, and may answer or change messages."""

    def __init__(self) -> None:
        self.connections = 0
        self.live: WebSocketRoute | None = None
        self.on_request: Callable[[Message], Message | None] = lambda _: None
        self.on_message: Callable[[Message], Message] = lambda message: message

    def attach(self, page: Page) -> None:
        """Route the page's socket through here."""
        page.route_web_socket(re.compile("/ws$"), self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        self.connections += 1
        self.live = socket
        server = socket.connect_to_server()

        def up(text: str | bytes) -> None:
            request = json.loads(text)
            reply = self.on_request(request)
            if reply is None:
                server.send(json.dumps(request))
            else:
                socket.send(json.dumps(reply))

        socket.on_message(up)
        server.on_message(lambda text: socket.send(json.dumps(self.on_message(json.loads(text)))))


def open_through(
    browser: Browser, watch: Watch, tower: TowerProcess, proxy: Proxy, path: str = "/"
) -> ChatPage:
    """Open the chat through a proxy."""
    page = browser.new_page()
    page.set_default_timeout(15_000)
    watch.follow(page)
    proxy.attach(page)
    page.goto(tower.url + path)
    return ChatPage(page)


def refusal(request: Message, code: str, text: str) -> Message:
    """Return an error reply."""
    error = {"code": -32001, "message": text, "data": {"code": code, "details": {}}}
    return {"jsonrpc": "2.0", "id": request["id"], "error": error}


def without_epoch(request: Message) -> None:
    """Take out the epoch that only the page was told of."""
    request.get("params", {}).pop("epoch", None)


def test_a_token_is_asked_for(browser: Browser, watch: Watch, tower: TowerProcess) -> None:
    """Without one the page asks; with a wrong one it says so; with the right one it goes on."""
    proxy = Proxy()

    def hello(request: Message) -> Message | None:
        if request["method"] == "hello" and request["params"].get("token") != "right":
            return refusal(request, "unauthenticated", "Credentials are needed.")
        return None

    proxy.on_request = hello
    chat = open_through(browser, watch, tower, proxy)
    dialog = chat.page.get_by_role("dialog", name="Sign in")
    expect(dialog).to_be_visible()
    assert serious_faults(chat.page) == []
    dialog.get_by_label("Token").fill("wrong")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_contain_text("not valid")
    dialog.get_by_label("Token").fill("right")
    dialog.get_by_label("Token").press("Enter")
    expect(dialog).not_to_be_visible()
    chat.wait_live()
    chat.send("calculate 6*7")
    chat.wait_ended()
    chat.page.reload()
    chat.wait_live()
    assert chat.page.evaluate("sessionStorage.getItem('tower.token')") == "right"
    assert chat.page.evaluate("localStorage.getItem('tower.token')") is None


def test_a_slow_page_comes_back_where_it_was(
    browser: Browser, watch: Watch, tower: TowerProcess
) -> None:
    """Closed as too slow in mid-stream, it resumes; nothing is lost or twice."""
    proxy = Proxy()
    chat = open_through(browser, watch, tower, proxy)
    chat.send("count to 200")
    expect(chat.answer).to_contain_text(" 30 ")
    assert proxy.live is not None
    proxy.live.close(code=4413, reason="too much was waiting")
    expect(chat.status).to_contain_text("reconnecting")
    chat.wait_ended()
    expect(chat.answer).to_have_text(" ".join(str(number) for number in range(1, 201)))
    assert proxy.connections == 2


def test_a_page_signed_out_stays_away(browser: Browser, watch: Watch, tower: TowerProcess) -> None:
    """A token revoked under an open page asks for another, and what was shown stays."""
    proxy = Proxy()
    chat = open_through(browser, watch, tower, proxy)
    chat.send("calculate 6*7")
    chat.wait_ended()
    assert proxy.live is not None
    proxy.live.close(code=4401, reason="revoked")
    expect(chat.page.get_by_role("dialog", name="Sign in")).to_be_visible()
    expect(chat.answer).to_contain_text("42")
    assert proxy.connections == 1


def test_a_gap_is_filled_from_the_list_of_messages(
    browser: Browser, watch: Watch, tower: TowerProcess, open_chat: OpenChat
) -> None:
    """A session whose events are gone still shows what was said."""
    before = open_chat(tower)
    before.send("calculate 6*7")
    before.wait_ended()
    proxy = Proxy()
    topic = f"session:{before.session_id()}"

    def gap(message: Message) -> Message:
        result = message.get("result")
        if isinstance(result, dict) and topic in result.get("topics", []):
            lost = {"recovered": False, "reason": "history_gap", "floor": result["offset"]}
            return {**message, "result": {**result, **lost}}
        return {} if message.get("params", {}).get("mission_id") else message

    proxy.on_message = gap
    chat = open_through(browser, watch, tower, proxy, f"/#/s/{before.session_id()}")
    expect(chat.page.locator(".message.assistant")).to_contain_text("42")
    assert chat.messages() == ["calculate 6*7"]


def test_a_replaced_log_is_loaded_anew(browser: Browser, watch: Watch, tower: TowerProcess) -> None:
    """Another epoch after a reconnect: nothing of before is kept, all of it comes again once."""
    proxy = Proxy()
    chat = open_through(browser, watch, tower, proxy)
    chat.send("calculate 6*7")
    chat.wait_ended()

    def other_epoch(message: Message) -> Message:
        result = message.get("result")
        if isinstance(result, dict) and "epoch" in result:
            return {**message, "result": {**result, "epoch": "another"}}
        return message

    proxy.on_message = other_epoch
    proxy.on_request = without_epoch
    assert proxy.live is not None
    proxy.live.close(code=1012, reason='{"retry_after_ms": 100}')
    expect(chat.page.locator(".toast")).to_contain_text("history was replaced")
    chat.wait_live()
    expect(chat.answer).to_contain_text("42")
    expect(chat.missions).to_have_count(1)
    chat.send("calculate 2+3")
    expect(chat.missions).to_have_count(2)
    chat.wait_ended()
    expect(chat.answer).to_contain_text("5")


def test_a_message_lost_on_its_way_is_sent_again_after_a_reload(
    browser: Browser, watch: Watch, tower: TowerProcess
) -> None:
    """What the server never got goes out again with the next page."""
    proxy = Proxy()
    proxy.on_request = lambda request: {} if request["method"] == "message.send" else None
    chat = open_through(browser, watch, tower, proxy)
    chat.wait_live()
    chat.send("calculate 6*7")
    expect(chat.page.locator(".message-note")).to_contain_text("Sending")
    proxy.on_request = lambda _: None
    chat.page.reload()
    chat.wait_ended()
    assert chat.messages() == ["calculate 6*7"]


def test_a_message_whose_answer_was_lost_counts_once(
    browser: Browser, watch: Watch, tower: TowerProcess
) -> None:
    """The server did it, the page does not know, reloads and sends again: it is done once."""
    proxy = Proxy()

    def without_answer(message: Message) -> Message:
        return {} if "message_id" in (message.get("result") or {}) else message

    proxy.on_message = without_answer
    chat = open_through(browser, watch, tower, proxy)
    chat.wait_live()
    chat.send("write once.txt: x")
    expect(chat.page.get_by_role("navigation").get_by_role("link").first).to_contain_text("once")
    proxy.on_message = lambda message: message
    chat.page.reload()
    chat.wait_ended()
    expect(chat.missions).to_have_count(1)
    assert chat.messages() == ["write once.txt: x"]
    listed = chat.page.get_by_role("navigation").get_by_role("link", name="write once.txt")
    expect(listed).to_have_count(1)
