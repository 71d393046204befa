"""The post over a real PostgreSQL: letters between nodes, and what they do on a lost connection."""

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import pytest

from control_tower.store import DatabaseUnusable, outbox, post
from control_tower.store.database import DatabaseAway
from control_tower.store.post import PostgresPost
from tests.rig.postgres import OwnServer, emptied_database, run


@pytest.fixture
def database(postgres: str) -> str:
    """Return the URL of a database that no other worker's letters go through."""
    return emptied_database(postgres)


class Node:
    """A post, and the letters that came."""

    def __init__(self, url: str, token: int) -> None:
        self.post = PostgresPost(url, token)
        self.letters: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    def take(self, sender: int, letter: bytes) -> None:
        """Take a letter."""
        self.letters.put_nowait((sender, letter))


@asynccontextmanager
async def nodes(url: str, count: int = 2) -> AsyncIterator[list[Node]]:
    """Run nodes with tokens from 1."""
    made = [Node(url, token) for token in range(1, count + 1)]
    try:
        for node in made:
            await node.post.start(node.take)
        yield made
    finally:
        for node in made:
            await node.post.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "tower-post"]


async def heard_of(speaker: Node, listener: Node, token: int) -> None:
    """Wait until letters arrive, sending them again and again; drop all of them."""
    for turn in itertools.count():
        while listener.letters.empty():
            speaker.post.send(token, b"are you there?")
            await asyncio.sleep(0.05)
        last = b"good, %d" % turn
        speaker.post.send(token, last)
        with suppress(TimeoutError):  # lost: one of them made its connection anew
            async with asyncio.timeout(2):
                while (await listener.letters.get())[1] != last:
                    pass
            return


async def test_letters_of_all_sizes_arrive_in_order(database: str) -> None:
    """From nothing to a mebibyte, any bytes."""
    sizes = [0, 1, 5_924, 5_925, 5_926, 20_000, 1 << 20, 0, 3]
    sent = [os.urandom(size) for size in sizes]
    async with nodes(database) as (one, two):
        for letter in sent:
            one.post.send(2, letter)
        assert [await two.letters.get() for _ in sent] == [(1, letter) for letter in sent]


async def test_letter_to_all_goes_to_all_others(database: str) -> None:
    """Not to who sends it; and it keeps its place among the letters to one."""
    async with nodes(database, 3) as (one, two, three):
        one.post.send(2, b"a")
        one.post.send(None, b"b")
        one.post.send(2, b"c")
        two.post.send(1, b"d")
        assert [await two.letters.get() for _ in range(3)] == [(1, b"a"), (1, b"b"), (1, b"c")]
        assert await three.letters.get() == (1, b"b")
        assert await one.letters.get() == (2, b"d")
        assert three.letters.empty()


async def test_flood_arrives_whole(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand letters each way at once, in order."""
    monkeypatch.setattr(outbox, "LIFE_S", 60)  # however busy the machine is
    async with nodes(database) as (one, two):
        for number in range(10_000):
            one.post.send(2, b"%d" % number)
            two.post.send(1, b"%d" % number)
        for node, sender in ((two, 1), (one, 2)):
            for number in range(10_000):
                assert await node.letters.get() == (sender, b"%d" % number)


async def test_last_letters_are_sent(database: str) -> None:
    """A node that ends sends what waits first."""
    async with nodes(database) as (one, two):
        for number in range(500):
            one.post.send(2, b"%d" % number)
        await one.post.close()
        one.post.send(2, b"after the end")
        assert [await two.letters.get() for _ in range(500)][-1] == (1, b"499")


async def test_failing_receiver_misses_one_letter(database: str) -> None:
    """A fault in taking one letter costs none of those behind it."""
    two = Node(database, 2)

    def take(sender: int, letter: bytes) -> None:
        if letter == b"bad":
            raise RuntimeError("a fault")
        two.take(sender, letter)

    async with nodes(database, 1) as (one,):
        await two.post.start(take)
        one.post.send(2, b"bad")
        one.post.send(2, b"good")
        assert await two.letters.get() == (1, b"good")
        await two.post.close()


async def test_foreign_notifications_are_ignored(database: str) -> None:
    """Whoever may use the database may say anything on our channels."""
    async with nodes(database) as (one, two):
        channel = two.post._channel(2)
        for text in ("", "nonsense", "1.1.0.1.???"):
            run(database, f"SELECT pg_notify('{channel}', '{text}')")
        one.post.send(2, b"good")
        assert await two.letters.get() == (1, b"good")


async def test_schemas_of_a_database_are_apart(database: str) -> None:
    """Two towers in one database have the same tokens and don't hear each other."""
    run(database, "CREATE SCHEMA IF NOT EXISTS other_tower")
    async with nodes(database) as (one, two):
        stranger = Node(f"{database}&options=-csearch_path%3Dother_tower", 1)
        await stranger.post.start(stranger.take)
        stranger.post.send(2, b"for somebody else")
        stranger.post.send(None, b"for all of mine")
        await stranger.post.close()
        one.post.send(2, b"for you")
        assert await two.letters.get() == (1, b"for you")
    run(database, "DROP SCHEMA other_tower")


async def test_deaf_connection_is_made_anew(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not hear itself though its connection works, as behind a pooler, listens again."""
    monkeypatch.setattr(post, "CHECK_S", 0.05)
    monkeypatch.setattr(post, "DEAF_S", 0.1)
    monkeypatch.setattr(post, "RETRY_S", 0.05)
    async with nodes(database) as (one, two):
        channel = two.post._channel(2)
        # From here on it asks itself where it does not listen, until it listens there.
        for node in (one, two):
            monkeypatch.setattr(node.post, "_channel", lambda _: f"{channel}_moved")
        await heard_of(one, two, 2)


async def test_a_start_waits_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it must be tried; given up, it leaves no thread."""
    tried = threading.Semaphore(0)

    def connect(url: str) -> NoReturn:
        tried.release()
        raise DatabaseAway(url)

    monkeypatch.setattr(post, "RETRY_S", 0.01)
    monkeypatch.setattr(post, "connect", connect)
    node = Node("postgresql://nobody@127.0.0.1:1/nothing", 1)
    starting = asyncio.create_task(node.post.start(node.take))
    for _ in range(5):
        await asyncio.to_thread(tried.acquire)
    assert not starting.done()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not [thread for thread in threading.enumerate() if thread.name == "tower-post"]


async def test_a_start_is_refused_by_a_database_that_lets_nobody_listen(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is no matter of time."""
    monkeypatch.setattr(post, "_BEGIN", b"SELECT 1 / 0")
    node = Node(database, 1)
    with pytest.raises(DatabaseUnusable, match="division by zero"):
        await node.post.start(node.take)
    assert not [thread for thread in threading.enumerate() if thread.name == "tower-post"]


async def test_close_before_start_is_harmless(database: str) -> None:
    """An application that fails to start closes what it has made."""
    await PostgresPost(database, 1).close()


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """Return a server that may be stopped."""
    own = OwnServer()
    yield own
    own.close()


async def test_letters_go_on_after_a_restart(server: OwnServer) -> None:
    """Both ways, by themselves; of a letter that was being sent no half is kept."""
    async with nodes(server.url) as (one, two):
        one.post.send(2, b"x" * (8 << 20))
        await asyncio.to_thread(server.restart)
        await heard_of(one, two, 2)
        await heard_of(two, one, 1)
        one.post.send(2, b"y" * 50_000)
        assert await two.letters.get() == (1, b"y" * 50_000)


async def test_close_does_not_wait_for_a_server_that_hangs(
    server: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that was suspended in the middle is left behind."""
    monkeypatch.setattr(post, "CLOSE_S", 0.1)
    async with nodes(server.url, 1) as (one,):
        raw = one.post._raw
        assert raw is not None
        backend = raw.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            one.post.send(2, b"nobody takes it")
            await one.post.close()
        finally:
            os.kill(backend, signal.SIGCONT)


async def test_lost_connection_is_replaced(server: OwnServer) -> None:
    """One that an operator ends, too."""
    async with nodes(server.url) as (one, two):
        run(
            server.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND application_name = 'control-tower'",
        )
        await heard_of(one, two, 2)


async def test_nothing_comes_twice_or_out_of_order_over_restarts(server: OwnServer) -> None:
    """Whatever is lost while the server crashes under a stream of letters, long and short."""
    async with nodes(server.url) as (one, two):
        sent, talking = 0, True

        async def talk() -> None:
            nonlocal sent
            while talking:
                sent += 1
                one.post.send(2, b"%d." % sent + b"x" * (20_000 if sent % 10 == 0 else 10))
                await asyncio.sleep(0.001)

        talker = asyncio.create_task(talk())
        for _ in range(2):
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.restart)
        await heard_again(two)
        talking = False
        await talker
        one.post.send(2, b"0.")
        numbers = []
        while (letter := (await two.letters.get())[1]) != b"0.":
            number, _, rest = letter.partition(b".")
            assert set(rest) == {ord("x")}
            assert len(rest) == (20_000 if int(number) % 10 == 0 else 10)
            numbers.append(int(number))
        assert len(numbers) > 100
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == sent


async def heard_again(node: Node) -> None:
    """Wait until letters arrive that were not here yet."""
    already = node.letters.qsize()
    while node.letters.qsize() <= already + 50:
        await asyncio.sleep(0.02)
