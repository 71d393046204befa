"""Apps: files, modules and entry points that register agents and tools."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from agents.defaults import builtin_registry
from agents.errors import AppLoadError
from agents.loading import LoadedApp, load_app, load_entry_points
from agents.registry import Registry

APP = '''
"""An app."""
from agents import Context, agent, tool

@tool(risk="low")
async def greet(name: str) -> str:
    """Greet."""
    return f"hello {name}"

@agent("greeter", description="Greets.")
async def greeter(ctx: Context) -> str:
    return await ctx.tool(greet, name="you")
'''


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave sys.path as it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_file_is_loaded(tmp_path: Path) -> None:
    """It registers in the registry that is asked for, and nowhere else."""
    app = tmp_path / "app.py"
    app.write_text(APP)
    registry = builtin_registry()
    loaded = load_app(app, registry)
    assert loaded == LoadedApp(str(app), ("greeter",), ("greet",))
    assert registry.agents["greeter"].description == "Greets."


def test_a_file_can_be_loaded_again(tmp_path: Path) -> None:
    """What it registered before is replaced."""
    app = tmp_path / "app.py"
    app.write_text(APP)
    registry = Registry()
    load_app(str(app), registry)
    app.write_text(APP.replace("Greets.", "Greets again.").replace('"low"', '"high"'))
    assert load_app(str(app), registry).agents == ("greeter",)
    assert registry.agents["greeter"].description == "Greets again."
    assert registry.tools["greet"].risk == "high"


def test_a_file_may_import_its_neighbours_and_shadows_nothing(tmp_path: Path) -> None:
    """Its folder is the last place that is looked at."""
    (tmp_path / "neighbour_of_the_app.py").write_text("VALUE = 1\n")
    (tmp_path / "events.py").write_text("raise RuntimeError('shadowed')\n")
    app = tmp_path / "app.py"
    app.write_text("import events.types\nfrom neighbour_of_the_app import VALUE\n" + APP)
    assert load_app(app, Registry()).agents == ("greeter",)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "app.py could not be imported: ZeroDivisionError"),
        ("def broken(:", "app.py could not be imported: SyntaxError"),
        ("raise SystemExit(3)", "could not be imported: SystemExit: 3"),
        ("import there_is_no_such_module", "No module named"),
        (
            "from agents import tool\n@tool(risk='huge')\ndef f() -> None: ...",
            "app.py: The tool f has risk 'huge'",
        ),
    ],
)
def test_a_file_that_raises_leaves_nothing(tmp_path: Path, source: str, said: str) -> None:
    """The error names the file and the cause."""
    app = tmp_path / "app.py"
    app.write_text(APP + source + "\n")
    registry = Registry()
    modules = set(sys.modules)
    with pytest.raises(AppLoadError, match=said):
        load_app(app, registry)
    assert not registry.agents
    assert not registry.tools
    assert not [name for name in set(sys.modules) - modules if name.startswith("tower_app_")]


@pytest.mark.parametrize("source", ["half_loaded", "half_loaded.py", "point"])
def test_what_fails_half_way_registers_nothing_and_can_be_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """A module, a file whose neighbour has registered, an entry point: mended, each is whole."""
    whole, imports = tmp_path / "half_loaded.py", "import part_of_the_half\n"
    (tmp_path / "part_of_the_half.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("point", "half_loaded", "control_tower.agents")
    monkeypatch.setattr("agents.loading.entry_points", lambda group: [point])
    registry = builtin_registry()
    before, modules = (dict(registry.agents), dict(registry.tools)), set(sys.modules)

    def load() -> None:
        if source == "point":
            load_entry_points(registry)
        else:
            load_app(tmp_path / source if source.endswith(".py") else source, registry)

    own = APP.replace("greet", "own_greet")
    try:
        for broken in ("1 / 0\n", "def\n"):
            whole.write_text(own + imports + broken)
            with pytest.raises(AppLoadError, match="could not be imported"):
                load()
            assert (dict(registry.agents), dict(registry.tools)) == before
        whole.write_text(imports + own)
        load()
        assert registry.agents.keys() - before[0].keys() == {"greeter", "own_greeter"}
    finally:
        for name in set(sys.modules) - modules:
            del sys.modules[name]


def test_a_missing_file_is_named() -> None:
    """As is a missing module."""
    with pytest.raises(AppLoadError, match=r"There is no file nowhere/app\.py"):
        load_app("nowhere/app.py")
    with pytest.raises(AppLoadError, match="the module nowhere_at_all could not be imported"):
        load_app("nowhere_at_all")


def test_a_module_is_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As TOWER_APPS names it."""
    (tmp_path / "module_of_agents.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry()
    try:
        assert load_app("module_of_agents", registry).tools == ("greet",)
    finally:
        sys.modules.pop("module_of_agents", None)


def test_entry_points_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module registers by itself; a callable is registered under the entry point's name."""
    source = "async def other(ctx):\n    return 1\n"
    (tmp_path / "installed_agents.py").write_text(APP + source)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint("b", "installed_agents", "control_tower.agents"),
        EntryPoint("a", "installed_agents:other", "control_tower.agents"),
        EntryPoint("c", "installed_agents:greeter", "control_tower.agents"),
    ]
    monkeypatch.setattr("agents.loading.entry_points", lambda group: points)
    registry = Registry()
    try:
        assert load_entry_points(registry) == ["a", "b", "c"]
    finally:
        sys.modules.pop("installed_agents", None)
    assert set(registry.agents) == {"a", "greeter"}


def test_an_entry_point_that_raises_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the package at fault can be found."""
    points: list[Any] = [EntryPoint("bad", "there_is_no_such_module", "control_tower.agents")]
    monkeypatch.setattr("agents.loading.entry_points", lambda group: points)
    with pytest.raises(AppLoadError, match="the entry point bad"):
        load_entry_points(Registry())


def test_an_app_that_wants_the_other_agents_package_is_told_so(
    tmp_path: Path, registry: Registry
) -> None:
    """openai-agents has our import name."""
    app = tmp_path / "app.py"
    app.write_text("from agents import Agent, Runner\n")
    with pytest.raises(AppLoadError, match="openai-agents cannot run in this process"):
        load_app(app, registry)


def test_a_name_that_is_taken_names_the_file(tmp_path: Path) -> None:
    """Not the module that was made of it, which its developer never saw."""
    registry = builtin_registry()
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(APP)
    load_app(tmp_path / "one.py", registry)
    with pytest.raises(AppLoadError, match=r"a tool called greet, from one\.py; choose"):
        load_app(tmp_path / "two.py", registry)
