"""Text that streams in as ``llm.delta``, put together. Sans I/O.

The rule is the wire's: ``text = text[:at] + delta``, and a lower attempt is dropped.
"""

from dataclasses import dataclass

from server.client.messages import Event


@dataclass(slots=True)
class _Text:
    attempt: int = 0
    text: str = ""


class Texts:
    """The text so far of each step of each mission."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str | None, str | None], _Text] = {}

    def take(self, event: Event) -> str | None:
        """Take any event; return the whole text so far if it was a delta, else None."""
        if event.type != "llm.delta":
            if event.type.startswith("mission.") and event.ends(event.mission_id or ""):
                self._forget(event.mission_id)
            return None
        data = event.data
        return self.add(event.mission_id, data["step"], data["attempt"], data["at"], data["text"])

    def add(
        self, mission_id: str | None, step: str | None, attempt: int, at: int, piece: str
    ) -> str:
        """Take one piece of a step's text; return the text so far."""
        text = self._texts.setdefault((mission_id, step), _Text())
        if attempt >= text.attempt:
            kept = text.text[:at] if attempt == text.attempt else ""
            text.attempt, text.text = attempt, kept + piece
        return text.text

    def _forget(self, mission_id: str | None) -> None:
        for key in [key for key in self._texts if key[0] == mission_id]:
            del self._texts[key]
