"""Every example of docs/agents.md runs: its apps are loaded, its transcripts are played."""

import re
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agents.catalog import AgentCatalog
from agents.errors import AppLoadError
from agents.loading import load_app
from agents.mcp import McpServers
from agents.registry import Registry
from control_tower.commands import Answer, ClarificationAnswer, ConfirmationAnswer
from server.settings import load
from tests.rig.tower import ALICE
from tests.unit.agents.test_on_the_tower import Island

DOCS = Path(__file__).parents[3] / "docs" / "agents.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(DOCS.read_text())
PYTHON = [text for language, text in BLOCKS if language == "python"]
APPS = [text for text in PYTHON if text.startswith("# app.py")]
SERVERS = [text for text in PYTHON if text.startswith("# server.py")]
OTHER_AGENTS = """
class Agent:
    def __init__(self, name, instructions):
        self.name = name

class Runner:
    @staticmethod
    async def run(agent, text):
        class Result:
            final_output = f"{agent.name} read: {text}"
        return Result()
"""
"""Stands for openai-agents, which cannot be installed beside us; its names are the real ones."""


def transcripts() -> Iterator[tuple[int, str]]:
    """Yield each transcript with the number of the app above it."""
    app = -1
    for language, text in BLOCKS:
        app += text in APPS
        if language == "transcript":
            yield app, text


def answer_of(line: str) -> Answer:
    """Return what a line of a transcript answers."""
    verb, _, words = line.partition(": ")
    if verb == "answer":
        return ClarificationAnswer(answer=words)
    return ConfirmationAnswer(approved=verb == "approve", message=words or None)


@pytest.fixture
async def island(registry: Registry) -> AsyncIterator[Island]:
    """Return a started tower."""
    island = Island(registry)
    island.secrets["SHOP_KEY"] = "shop-key!"
    await island.tower.start()
    yield island
    await island.tower.stop(0)


def test_the_page_has_examples() -> None:
    """The patterns above find them, and there is no other kind of block."""
    assert len(APPS) >= 10
    assert len(SERVERS) == 1
    assert len(APPS) + len(SERVERS) == len(PYTHON)
    assert len(list(transcripts())) >= 11
    assert {language for language, _ in BLOCKS} == {"python", "transcript", "toml"}


@pytest.mark.parametrize(("app", "transcript"), list(transcripts()))
async def test_a_transcript_is_what_happens(
    island: Island, tmp_path: Path, app: int, transcript: str
) -> None:
    """Each question in its words, each result to the letter."""
    path = tmp_path / "app.py"
    path.write_text(APPS[app])
    load_app(path, island.registry)
    first, *lines = transcript.splitlines()
    agent, _, mission = first.removeprefix("mission to ").partition(": ")
    pid = await island.submit(mission, agent)
    answered: set[str] = set()
    while len(lines) > 1:
        asked, said, *lines = lines
        question = await island.question(pid, but=answered)
        record = await island.store.interrupt(question)
        assert record is not None
        assert f"asks: {record.message}" == asked
        await island.tower.answer(ALICE, question, answer_of(said))
        answered.add(question)
    result = (await island.ended(pid))["result"]
    assert f"result: {result}" == lines[0].replace("\\n", "\n")


@pytest.mark.parametrize("app", range(len(APPS)))
def test_every_app_can_be_loaded(registry: Registry, tmp_path: Path, app: int) -> None:
    """Those without a transcript, too."""
    path = tmp_path / "app.py"
    path.write_text(APPS[app])
    load_app(path, registry)


async def test_an_agent_behind_mcp_is_a_tool(registry: Registry, tmp_path: Path) -> None:
    """The server of the page runs, and its tool is called."""
    (tmp_path / "agents.py").write_text(OTHER_AGENTS)
    (tmp_path / "server.py").write_text(SERVERS[0])
    table = {"command": sys.executable, "args": [str(tmp_path / "server.py")]}
    async with McpServers({"triage": table}, registry) as servers:
        assert servers.problems() == {"triage": None}
        tool = registry.tools["mcp.triage.ask"]
        assert tool.asks
        assert "Triage read: hello" in str(await tool.function(arguments={"text": "hello"}))


def test_settings_are_right(registry: Registry, tmp_path: Path) -> None:
    """The settings' examples are read without a complaint, and make a catalog and servers."""
    for language, text in BLOCKS:
        if language == "toml":
            file = tmp_path / "tower.toml"
            file.write_text(text)
            assert load({"config": file}).warnings == ()
            tables = tomllib.loads(text)
            if "profiles" in tables:
                catalog = AgentCatalog(registry, tables["profiles"])
                assert catalog.profile("careful") is not None
            assert McpServers(tables.get("mcp", {}), registry) is not None


def test_a_broken_example_would_be_found(tmp_path: Path) -> None:
    """The check above can fail."""
    path = tmp_path / "app.py"
    path.write_text(APPS[0].replace("destructive", "dangerous"))
    with pytest.raises(AppLoadError):
        load_app(path, Registry())
