"""Search over 100 000 messages: how long a question takes, by how common its words are.

    python -m tests.benchmarks.bench_search [--messages 100000] [--questions 200]

The messages are of words drawn by rank as in a language (Zipf), with marker words that stand in a
known part of them. Asked straight at the store, and over HTTP through the whole server, as someone
who sees everybody's messages. It takes about a minute.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2

from control_tower.records import MessageRecord, SessionRecord
from control_tower.store import search
from control_tower.store.engine import DATABASE_NAME, connect_reader
from control_tower.unit import Commit, InsertMessage, InsertSession, Unit, UnitRefused
from server import interpreter, logging
from server.app import Running, running
from server.asgi import create_app
from server.serving import spare_the_collector
from server.settings import load
from tests.benchmarks.processes import surroundings

REACH_MS = 50.0
UNIT = 1_000
USERS = 20
VOCABULARY = 20_000
WORDS = 30
PARTS = (0.0001, 0.001, 0.01, 0.05, 0.10, 0.25, 0.50)
"""In which part of the messages each marker word stands."""

Ask = Callable[[str], Awaitable[Any]]


def marker(part: float) -> str:
    """The word that stands in this part of the messages."""
    return f"marker{str(part).replace('.', 'x')}"


def texts(count: int, chance: random.Random) -> Sequence[str]:
    """Messages of about thirty words."""
    vocabulary = [f"word{number}" for number in range(VOCABULARY)]
    weights = [1 / (rank + 10) for rank in range(VOCABULARY)]
    drawn = chance.choices(vocabulary, weights, k=count * WORDS)
    made = []
    for number in range(count):
        words = drawn[number * WORDS : (number + 1) * WORDS]
        words += [marker(part) for part in PARTS if chance.random() < part]
        made.append(" ".join(words))
    return made


async def fill(tower: Running, count: int) -> None:
    """Put the messages into the store, some sessions a user."""
    chance = random.Random(5)
    made = texts(count, chance)
    for start in range(0, count, UNIT):
        user, at = f"user{start // UNIT % USERS}", 1_000_000.0 + start
        session = SessionRecord(
            session_id=f"s_{start}", user_id=user, created_at=at, last_activity=at
        )
        messages = [
            InsertMessage(
                MessageRecord(
                    message_id=f"msg_{number}",
                    session_id=session.session_id,
                    role="user",
                    content=made[number],
                    created_at=at,
                )
            )
            for number in range(start, min(start + UNIT, count))
        ]
        await committed(tower, Unit(writes=[InsertSession(session), *messages], drafts=[]))


async def committed(tower: Running, unit: Unit) -> None:
    """Wait for a unit's commit."""
    done: asyncio.Future[Commit | UnitRefused] = asyncio.get_running_loop().create_future()
    unit.committed = unit.refused = done.set_result
    tower.services.store.submit(unit)
    assert isinstance(await done, Commit)


async def timed(ask: Ask, question: str, times: int) -> list[float]:
    """Ask; return how long each answer took, in milliseconds."""
    await ask(question)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await ask(question)
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


async def measure(arguments: argparse.Namespace) -> None:
    """Fill, ask, print."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"data_dir": Path(folder) / "data", "port": 0}).settings
        async with running(settings, url="http://127.0.0.1", on_fatal=_fatal) as tower:
            began = time.perf_counter()
            await fill(tower, arguments.messages)
            print(f"{arguments.messages} messages stored in {time.perf_counter() - began:.1f} s")
            interpreter.settle()  # as a server that serves does
            spare_the_collector()
            print(f"{surroundings()}; each question {arguments.questions} times")
            transport = httpx2.ASGITransport(app=create_app(tower))
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
                await table(tower, api, settings.data_dir / DATABASE_NAME, arguments.questions)


def cpu_ms(database: Path, question: str, times: int) -> list[float]:
    """Ask on a connection of our own; return the CPU time of each answer, which no load hides."""
    connection = connect_reader(database)
    taken = []
    for _ in range(times):
        began = time.thread_time()
        search.search(connection, question, None, 50, 0)
        taken.append((time.thread_time() - began) * 1000)
    connection.close()
    return sorted(taken[1:])


async def table(tower: Running, api: httpx2.AsyncClient, database: Path, times: int) -> None:
    """Print a line for each question."""

    async def of_everybody(question: str) -> object:
        return await tower.services.store.search_messages(question, None, 50, 0)

    async def of_a_user(question: str) -> object:
        return await tower.services.store.search_messages(question, "user3", 50, 0)

    async def over_http(question: str) -> object:
        answer = await api.get("/api/v1/chat/search", params={"query": question})
        assert answer.status_code == 200
        return answer

    print(
        f"{'words in':>10}{'everybody p50':>15}{'p99':>8}{'CPU p99':>9}{'a user p99':>12}"
        f"{'HTTP p50':>10}{'p99':>8}  ms"
    )
    questions = {f"{part:.2%}": marker(part) for part in PARTS}
    questions["two words"] = f"{marker(0.25)} {marker(0.10)}"
    for name, question in questions.items():
        everybody = await timed(of_everybody, question, times)
        user = await timed(of_a_user, question, times)
        http = await timed(over_http, question, times)
        cpu = await asyncio.to_thread(cpu_ms, database, question, times)
        print(
            f"{name:>10}{statistics.median(everybody):>15.2f}{p99(everybody):>8.2f}"
            f"{p99(cpu):>9.2f}{p99(user):>12.2f}{statistics.median(http):>10.2f}{p99(http):>8.2f}",
            flush=True,
        )
    print(f"to reach: p99 < {REACH_MS:g} ms for words in up to a quarter of the messages")
    print(surroundings())


def p99(taken: list[float]) -> float:
    """The 99th percentile of sorted figures."""
    return taken[min(len(taken) - 1, int(len(taken) * 0.99))]


def _fatal(error: BaseException) -> None:
    raise error


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    logging.configure("error")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
