"""Which modules a page runs, so that the browser can fetch them all at once.

The pages are modules that nobody bundles. A browser would learn of each one from the module that
imports it, a level of the graph after the other; told the whole list by ``modulepreload`` links it
asks for all of them in the same moment.
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_ENTRY: Final = re.compile(r'<script type="module" src="(/static/[^"]+)">')
_MAP: Final = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)
# What is imported by a call is wanted later, if at all; types in comments are written as calls too.
_IMPORT: Final = re.compile(r"""\b(?:from|import)\s*["']([^"'\n]+)["']""")


def with_preloads(html: bytes, static: Path) -> bytes:
    """Return a page whose modules are announced; one without a module script is as it was.

    The links stand behind the import map: it must come before anything that is a module.
    """
    text = html.decode()
    entry = _ENTRY.search(text)
    if entry is None:
        return html
    found = _MAP.search(text)
    names: Mapping[str, str] = json.loads(found[1])["imports"] if found else {}
    links = "".join(
        f'<link rel="modulepreload" href="{url}" />\n    '
        for url in modules_of(entry[1], names, static)
    )
    return (text[: entry.start()] + links + text[entry.start() :]).encode()


def modules_of(entry: str, names: Mapping[str, str], static: Path) -> list[str]:
    """Return the paths of all modules that ``entry`` needs to start, itself first.

    Args:
        entry: a path under ``/static/``.
        names: the page's import map.
        static: the folder that is served as ``/static/``.
    """
    found: dict[str, None] = {}
    waiting = [entry]
    while waiting:
        url = waiting.pop(0)
        file = static / url.removeprefix("/static/")
        if url not in found and file.is_file():
            found[url] = None
            waiting += _imports(url, file.read_text("utf-8"), names)
    return list(found)


def _imports(url: str, source: str, names: Mapping[str, str]) -> Iterator[str]:
    for match in _IMPORT.finditer(source):
        wanted = match[1]
        if wanted.startswith("."):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(url), wanted))
        else:
            yield _mapped(wanted, names)


def _mapped(wanted: str, names: Mapping[str, str]) -> str:
    """Resolve a name as import maps do: the whole name, else its longest known folder."""
    if wanted in names:
        return names[wanted]
    folders = [name for name in names if name.endswith("/") and wanted.startswith(name)]
    longest = max(folders, key=len, default="")
    return names[longest] + wanted.removeprefix(longest) if longest else wanted
