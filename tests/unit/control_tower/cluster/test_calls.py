"""Calls between nodes: once, with their replies and refusals, whatever letters are lost."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from control_tower import errors
from control_tower.cluster.calls import KEPT_S, TIMEOUT_S, Ack, Calls, NodeGone
from control_tower.cluster.ports import Node
from control_tower.cluster.refusals import NotAtHome
from control_tower.errors import Refusal, Unavailable
from control_tower.unit import StoreFailed
from events.payloads import JsonObject
from tests.rig.town import Town, TownPost
from tests.rig.virtual_loop import VirtualLoop, run

Scenario = Callable[[Town, Calls, Calls], Coroutine[Any, Any, None]]


class Words(msgspec.Struct):
    """Arguments."""

    text: str


class Mouth:
    """Carries calls out, and counts them."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.takes_s = 0.01
        self.raises: Exception | None = None
        self.acks = False

    async def say(self, words: Words, ack: Ack | None) -> JsonObject:
        """Say it."""
        self.said.append(words.text)
        await asyncio.sleep(self.takes_s)
        if self.acks and ack is not None:
            ack({"acked": words.text})
            await asyncio.sleep(100)
        if self.raises is not None:
            raise self.raises
        return {"said": words.text}


def in_town(mouth: Mouth, scenario: Scenario) -> None:
    """Run a scenario with two nodes, of which the second has the mouth."""
    loop = VirtualLoop()

    async def main() -> None:
        town = Town()
        for token in (1, 2):
            town.seated[token] = Node(token, f"node-{token}", "", True, 0)
            post = TownPost(town, token)
            town.calls[token] = Calls(post, token, lambda: town.seated, post)
        town.calls[2].serve("say", Words, mouth.say)
        first, second = town.calls[1], town.calls[2]
        await scenario(town, first, second)
        await first.replied(0.0)
        await first.close()
        await second.close()

    run(main(), loop)


def test_a_call_is_carried_out_once_though_its_reply_comes_twice() -> None:
    """Once by the bus and once as a letter; the second is dropped."""
    mouth = Mouth()

    async def scenario(town: Town, first: Calls, _: Calls) -> None:
        assert await first.call(2, "say", Words("hello")) == {"said": "hello"}
        await asyncio.sleep(10)
        assert mouth.said == ["hello"]
        assert len(town.letters) == 2

    in_town(mouth, scenario)


@pytest.mark.parametrize("bus", [True, False])
def test_a_call_that_acknowledges_returns_then(bus: bool) -> None:
    """``ack`` is called once, with what was acknowledged, before the call returns."""
    mouth = Mouth()
    mouth.acks = True

    async def scenario(town: Town, first: Calls, _: Calls) -> None:
        town.bus = bus
        acked: list[JsonObject] = []
        began = asyncio.get_running_loop().time()
        assert await first.call(2, "say", Words("x"), ack=acked.append) == {"acked": "x"}
        assert acked == [{"acked": "x"}]
        assert asyncio.get_running_loop().time() - began < 1
        await asyncio.sleep(200)
        assert acked == [{"acked": "x"}]

    in_town(mouth, scenario)


def test_what_is_not_acknowledged_there_is_not_acknowledged_here() -> None:
    """A repeated submit is answered by its return: its events are replayed, not to come."""

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        acked: list[JsonObject] = []
        assert await first.call(2, "say", Words("x"), ack=acked.append) == {"said": "x"}
        assert acked == []

    in_town(Mouth(), scenario)


REFUSALS: list[Refusal] = [
    errors.InvalidParams("No.", field="mission"),
    errors.NotFound("No such mission."),
    errors.Forbidden("You may not."),
    errors.Conflict("It has ended."),
    errors.Expired("Too late."),
    errors.Busy("Busy."),
    errors.QuotaRefused("Full.", retry_after_s=5.5, resource="missions a day", used=3, limit=3),
    errors.RateLimited("Slowly.", retry_after_s=2),
    Unavailable("Away.", outcome="rejected"),
    Unavailable("No room.", outcome="unknown", disk_full=True),
    NotAtHome("Elsewhere."),
    Refusal("Something.", errors=[{"field": "a", "message": "b"}]),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: type(each).__name__)
def test_a_refusal_is_raised_here_as_it_was_there(refusal: Refusal) -> None:
    """Its class, words, details and attributes."""
    mouth = Mouth()
    mouth.raises = refusal

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        with pytest.raises(Refusal) as caught:
            await first.call(2, "say", Words("x"))
        assert type(caught.value) is type(refusal)
        assert vars(caught.value) == vars(refusal)

    in_town(mouth, scenario)


def test_every_refusal_of_the_kernel_travels() -> None:
    """A class that is added must be added to the table."""
    kernels = {each for each in vars(errors).values() if isinstance(each, type)}
    leaves = {each for each in kernels if issubclass(each, Refusal)}
    assert leaves <= {type(each) for each in REFUSALS}


def test_a_refusal_of_a_private_class_is_what_its_code_says() -> None:
    """Nobody else can know the class."""

    class Mine(errors.Conflict):
        """A conflict."""

    mouth = Mouth()
    mouth.raises = Mine("Meanwhile.")

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        with pytest.raises(errors.Conflict, match=r"Meanwhile\."):
            await first.call(2, "say", Words("x"))

    in_town(mouth, scenario)


def test_what_the_store_refused_is_unavailable() -> None:
    """With the outcome that it said."""
    mouth = Mouth()
    mouth.raises = StoreFailed("away", outcome="rejected")

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        with pytest.raises(Unavailable) as caught:
            await first.call(2, "say", Words("x"))
        assert caught.value.outcome == "rejected"

    in_town(mouth, scenario)


def test_a_node_that_is_not_ready_yet_has_done_nothing() -> None:
    """It may be somebody's home before it can carry anything out; who asked looks again."""

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        with pytest.raises(NotAtHome):
            await first.call(2, "nothing", Words("x"))

    in_town(Mouth(), scenario)


@pytest.mark.parametrize("arguments", [Words("x"), 5])
def test_a_bug_there_is_unknown_here(arguments: object) -> None:
    """Its message stays there."""
    mouth = Mouth()
    mouth.raises = RuntimeError("the inside")

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        with pytest.raises(Unavailable) as caught:
            await first.call(2, "say", arguments)
        assert caught.value.outcome == "unknown"
        assert "inside" not in caught.value.message

    in_town(mouth, scenario)


def test_a_call_that_was_lost_goes_out_again() -> None:
    """The other node says that it never came; then it is carried out, once."""
    mouth = Mouth()

    async def scenario(town: Town, first: Calls, _: Calls) -> None:
        town.lost = lambda *_: len(town.letters) == 1
        assert await first.call(2, "say", Words("x")) == {"said": "x"}
        assert mouth.said == ["x"]

    in_town(mouth, scenario)


def test_a_reply_that_was_lost_is_sent_again() -> None:
    """The call is not carried out a second time for it."""
    mouth = Mouth()

    async def scenario(town: Town, first: Calls, _: Calls) -> None:
        town.bus = False
        town.lost = lambda sender, *_: sender == 2 and len(town.letters) == 2
        assert await first.call(2, "say", Words("x")) == {"said": "x"}
        assert mouth.said == ["x"]

    in_town(mouth, scenario)


def test_a_call_is_waited_for_as_long_as_it_takes() -> None:
    """Being asked what became of it, a node that is still at it does not begin again."""
    mouth = Mouth()
    mouth.takes_s = TIMEOUT_S - 1

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        assert await first.call(2, "say", Words("x")) == {"said": "x"}
        assert mouth.said == ["x"]

    in_town(mouth, scenario)


def test_nobody_waits_for_ever() -> None:
    """What may have happened is unknown; the reply that comes late is dropped."""
    mouth = Mouth()
    mouth.takes_s = TIMEOUT_S + 1

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        with pytest.raises(Unavailable) as caught:
            await first.call(2, "say", Words("x"))
        assert caught.value.outcome == "unknown"
        await asyncio.sleep(10)

    in_town(mouth, scenario)


def test_a_node_that_is_buried_meanwhile_has_not_answered() -> None:
    """It is known soon, and that the outcome is not."""
    mouth = Mouth()
    mouth.takes_s = 20

    async def scenario(town: Town, first: Calls, _: Calls) -> None:
        asyncio.get_running_loop().call_later(3, town.bury, 2)
        with pytest.raises(NodeGone) as caught:
            await first.call(2, "say", Words("x"))
        assert caught.value.outcome == "unknown"
        assert asyncio.get_running_loop().time() < 4

    in_town(mouth, scenario)


def test_a_cancelled_wait_withdraws_nothing() -> None:
    """It is carried out, and its reply is dropped; a refusal too."""
    mouth = Mouth()
    mouth.takes_s, mouth.acks, mouth.raises = 1, True, errors.Conflict("No.")

    async def scenario(_town: Town, first: Calls, _: Calls) -> None:
        acked: list[JsonObject] = []
        waiting = asyncio.create_task(first.call(2, "say", Words("x"), ack=acked.append))
        await asyncio.sleep(0.5)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        await asyncio.sleep(5)
        assert acked == []
        assert mouth.said == ["x"]

    in_town(mouth, scenario)


def test_replies_are_not_kept_for_ever() -> None:
    """Nor are they forgotten while they may be asked for."""
    mouth = Mouth()

    async def scenario(_town: Town, first: Calls, second: Calls) -> None:
        for _ in range(10):
            await first.call(2, "say", Words("x"))
        assert len(second._served) == 10
        await asyncio.sleep(KEPT_S + 1)
        await first.call(2, "say", Words("x"))
        assert len(second._served) == 1

    in_town(mouth, scenario)


def test_a_call_whose_reply_is_forgotten_is_not_carried_out_again() -> None:
    """Who asks too late what became of it learns that nobody knows."""
    mouth = Mouth()

    async def scenario(town: Town, first: Calls, _: Calls) -> None:
        deaf = [True]
        town.bus = False
        town.lost = lambda sender, *_: sender == 2 and deaf[0]
        asking = asyncio.create_task(first.call(2, "say", Words("x"), 10 * KEPT_S))
        await asyncio.sleep(KEPT_S + 1)
        other = asyncio.create_task(first.call(2, "say", Words("y"), 10 * KEPT_S))
        await asyncio.sleep(1)
        deaf[0] = False
        with pytest.raises(Unavailable) as caught:
            await asking
        assert caught.value.outcome == "unknown"
        assert await other == {"said": "y"}
        assert mouth.said == ["x", "y"]

    in_town(mouth, scenario)


def test_all_are_asked_and_some_answer() -> None:
    """One that does not answer in time, or refuses, is left out."""

    async def scenario(town: Town, first: Calls, _: Calls) -> None:
        town.seated[3] = Node(3, "deaf", "", True, 0)
        assert await first.ask_all([2, 3], "say", Words("x"), 1.0) == {2: {"said": "x"}}

    in_town(Mouth(), scenario)


def test_what_is_told_to_all_is_carried_out_by_all_others() -> None:
    """Nobody answers, also not to what fails."""
    mouth = Mouth()

    async def scenario(town: Town, first: Calls, _: Calls) -> None:
        first.tell_all("say", Words("x"))
        first.tell_all("nothing", Words("x"))
        await asyncio.sleep(1)
        mouth.raises = RuntimeError("a bug")
        first.tell_all("say", Words("y"))
        await asyncio.sleep(1)
        assert mouth.said == ["x", "y"]
        assert {sender for sender, _, _ in town.letters} == {1}

    in_town(mouth, scenario)


@pytest.mark.parametrize(
    "letter", [b"", b"{", b"[]", b'{"type":"new"}', b'{"type":"reply"}', b"\xff"]
)
def test_a_letter_that_is_none_is_dropped(letter: bytes) -> None:
    """Of a newer version, perhaps; everything else goes on."""

    async def scenario(_town: Town, first: Calls, second: Calls) -> None:
        second.take(1, letter)
        second.take_reply("1.1", letter)
        assert await first.call(2, "say", Words("x")) == {"said": "x"}

    in_town(Mouth(), scenario)
