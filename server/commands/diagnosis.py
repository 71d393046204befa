"""One thing that `tower doctor` looked at, and what it says of it."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Verdict: TypeAlias = Literal["ok", "note", "bad"]

MARKS: Final[dict[Verdict, str]] = {
    "ok": "[green]✓[/]",
    "note": "[yellow]![/]",
    "bad": "[red]✗[/]",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A finding.

    Attributes:
        what: was looked at.
        verdict: ``bad`` keeps a server from working, or us from it.
        said: what was found.
        advice: what to do about it; nothing where nothing is to be done.
    """

    what: str
    verdict: Verdict
    said: str
    advice: str = ""
