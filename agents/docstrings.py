"""Reads Google-style docstrings: what a function does and what its arguments mean."""

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?|Attributes|Todo|"
    r"See Also|Warnings?|References):\s*$"
)
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_ARGUMENTS = frozenset({"Args", "Arguments", "Parameters"})


@dataclass(slots=True, frozen=True)
class Docstring:
    """What a docstring says.

    Attributes:
        summary: its first line.
        description: everything before the first section, joined into paragraphs.
        arguments: each argument's text, by name.
    """

    summary: str = ""
    description: str = ""
    arguments: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Docstring:
    """Return what ``text`` says; never raises, whatever its format."""
    lines = inspect.cleandoc(text or "").splitlines()
    head: list[str] = []
    argument_lines: list[str] = []
    section: str | None = None
    for line in lines:
        found = _SECTION.match(line)
        if found:
            section = found.group(1)
        elif section is None:
            head.append(line)
        elif section in _ARGUMENTS:
            argument_lines.append(line)
    description = _paragraphs(head)
    return Docstring(
        summary=description.split("\n", 1)[0],
        description=description,
        arguments=_entries(argument_lines),
    )


def _paragraphs(lines: list[str]) -> str:
    blocks = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks if block.strip())


def _entries(lines: list[str]) -> dict[str, str]:
    """Read ``name (type): text`` entries; a deeper line goes on with the one before."""
    found: dict[str, str] = {}
    margin = min((_indent(line) for line in lines if line.strip()), default=0)
    name: str | None = None
    for line in lines:
        if not line.strip():
            continue
        entry = _ENTRY.match(line.strip()) if _indent(line) == margin else None
        if entry:
            name = entry.group(1)
            found[name] = entry.group(2).strip()
        elif name is not None:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
