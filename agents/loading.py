"""Imports the files and modules in which developers register their agents and tools."""

import contextlib
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from agents import namesake
from agents.defaults import current_registry, recording
from agents.errors import AppLoadError, RegistrationError
from agents.program import AgentProgram
from agents.registry import FILE_MODULE, Registry

ENTRY_POINTS = "control_tower.agents"


@dataclass(slots=True, frozen=True)
class LoadedApp:
    """What a file or module registered, by name."""

    source: str
    agents: tuple[str, ...]
    tools: tuple[str, ...]


def load_app(path_or_module: str | Path, registry: Registry | None = None) -> LoadedApp:
    """Import a file (``app.py``) or a module (``package.module``) for what it registers.

    Loading a file again replaces what it registered before. A file's folder joins the end of
    ``sys.path``, so that it can import its neighbours and shadows nothing of the server.

    Raises:
        AppLoadError: if there is no such file or module, or it raises. What it has registered
            by then, and what modules have that it imported, is dropped.
    """
    target = registry if registry is not None else current_registry()
    agents, tools = dict(target.agents), dict(target.tools)
    with _all_or_nothing(target), recording(target):
        if _is_path(path_or_module):
            _import_file(Path(path_or_module), target)
        else:
            _import_module(str(path_or_module))
    return LoadedApp(
        source=str(path_or_module),
        agents=tuple(name for name, one in target.agents.items() if one is not agents.get(name)),
        tools=tuple(name for name, one in target.tools.items() if one is not tools.get(name)),
    )


def load_entry_points(registry: Registry | None = None) -> list[str]:
    """Import what installed packages offer in the entry point group ``control_tower.agents``.

    An entry point names a module that registers by decorators, or a callable agent, which is
    registered under the entry point's name. Return their names.

    Raises:
        AppLoadError: if one raises.
    """
    target = registry if registry is not None else current_registry()
    loaded = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        with _all_or_nothing(target), recording(target):
            try:
                found = entry.load()
            except Exception as error:  # whatever the import raised, it names the culprit
                raise AppLoadError(_said(f"the entry point {entry.name}", error)) from error
        if not isinstance(found, ModuleType) and not _is_registered(target, found):
            target.add_agent(AgentProgram(entry.name, found, "", entry.module))
        loaded.append(entry.name)
    return loaded


@contextlib.contextmanager
def _all_or_nothing(registry: Registry) -> Iterator[None]:
    """Leave the registry as it was if an import fails, what its neighbours registered included.

    Modules that registered something and are forgotten are so as modules, too: imported again,
    they must register again.
    """
    kept, modules = registry.kept(), sys.modules.copy()
    try:
        yield
    except BaseException:
        for name in registry.restore(kept) & (sys.modules.keys() - modules.keys()):
            del sys.modules[name]
        raise


def _is_registered(registry: Registry, function: object) -> bool:
    return any(program.function is function for program in registry.agents.values())


def _is_path(source: str | Path) -> bool:
    return isinstance(source, Path) or source.endswith(".py") or "/" in source


def _import_file(path: Path, registry: Registry) -> None:
    if not path.is_file():
        raise AppLoadError(f"There is no file {path}.")
    path = path.resolve()
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AppLoadError(f"{path.name} is not a Python file.")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    registry.forget(name)
    module = importlib.util.module_from_spec(spec)
    before, sys.modules[name] = sys.modules.get(name), module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, Exception | SystemExit):
            raise AppLoadError(_said(path.name, error)) from error
        raise


def _import_module(name: str) -> None:
    if (here := str(Path.cwd())) not in sys.path and "" not in sys.path:
        # A console script does not look where it was started; people expect it to.
        sys.path.append(here)
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever the import raised, it names the culprit
        raise AppLoadError(_said(f"the module {name}", error)) from error


def _module_name(path: Path) -> str:
    """Return a module name for a file: stable, and distinct for two files called alike."""
    stem = re.sub(r"\W", "_", path.stem)
    return f"{FILE_MODULE}{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _said(what: str, error: BaseException) -> str:
    if isinstance(error, RegistrationError):
        return f"{what}: {error}"
    if namesake.means_the_other(error):
        return f"{what} could not be imported. {namesake.NO_ROOM}"
    return f"{what} could not be imported: {type(error).__name__}: {error}"
