"""An event as one line for people: when, whose, what, and the one or two fields that tell."""

import msgspec

from server.client import Event
from server.commands.terminal import printable

SHOWN_CHARACTERS = 100
TELLING = {
    "session": ("title",),
    "message": ("role", "content"),
    "mission.submitted": ("agent", "mission"),
    "mission.queued": ("position", "cause"),
    "mission.progress": ("name",),
    "mission.completed": ("duration_ms", "result"),
    "mission": ("cause", "error", "reason", "replayed_steps"),
    "step.started": ("name", "input"),
    "step.completed": ("name", "output"),
    "step.failed": ("name", "error"),
    "llm": ("text",),
    "interrupt.raised": ("interrupt_id", "message"),
    "interrupt": ("interrupt_id", "approved", "answer", "decision"),
    "quota": ("resource", "used", "limit"),
    "artifact": ("name", "size"),
    "breaker": ("tool", "failures"),
    "replay": ("offset",),
}
"""The fields to show, by an event's type or by what stands before its dot."""


def event_line(event: Event) -> str:
    """Return the line; ``--json`` is for who wants everything."""
    kind, data = event.type, event.data
    group = kind.partition(".")[0]
    for wrapped in ("session", "message"):
        if isinstance(inner := data.get(wrapped), dict):
            data = inner
    names = TELLING.get(kind) or TELLING.get(group) or tuple(data)
    fields = [_text(data[name]) for name in names if data.get(name) is not None][:2]
    where = _short_id(event.mission_id or event.session_id or "")
    return f"{event.at[11:19]} {where:<10} {kind:<19} {'  '.join(fields)}".rstrip()


def _short_id(full: str) -> str:
    """Return an id's kind and its end, which differs even between ids of one moment."""
    kind, _, rest = full.partition("_")
    return f"{kind}…{rest[-6:]}" if rest else full


def _text(value: object) -> str:
    if isinstance(value, dict) and "message" in value:
        value = value["message"]
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = printable(" ".join(text.split()))
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
