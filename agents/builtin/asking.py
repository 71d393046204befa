"""Turns what a person wants to be asked into a question, and their reply into a sentence."""

import re
from dataclasses import dataclass

_FLAGS = re.IGNORECASE | re.DOTALL
_CHOICE = re.compile(
    r"(?:to\s+(?:choose|pick|decide)(?:\s+(?:between|from|one\s+of))?|which\s+of)[\s:]+(?P<list>.+)",
    _FLAGS,
)
_MINE = re.compile(r"(?:(?:for|about)\s+|what\s+)?my\s+(?P<thing>.+?)(?:\s+(?:is|are))?", _FLAGS)
_WHETHER = re.compile(r"(?:if|whether)\s+i\s+(?P<rest>.+)", _FLAGS)
_FOR = re.compile(r"for\s+(?P<thing>.+)", _FLAGS)
_ABOUT = re.compile(r"about\s+(?P<thing>.+)", _FLAGS)
_BE = {"am": "Are", "was": "Were", "can": "Can", "should": "Should", "will": "Will", "have": "Have"}
_PRONOUNS = {"my": "your", "mine": "yours", "me": "you", "i": "you", "myself": "yourself"}
_PRONOUN = re.compile(r"\b(?:my|mine|me|i|myself)\b", re.IGNORECASE)
MAX_OPTIONS = 20


@dataclass(frozen=True, slots=True)
class Question:
    """A question in words, with what may be answered if that is given."""

    text: str
    options: tuple[str, ...] | None = None
    thing: str | None = None

    def answered(self, reply: str) -> str:
        """Return a sentence that has the reply in it."""
        said = reply.strip()
        if self.thing is not None:
            return _ended(f"Your {self.thing} is {said}")
        return _ended(f"You answered: {said}")


def question_about(about: str) -> Question:
    """Return the question that ``ask me <about>`` asks for."""
    wanted = " ".join(about.split()).rstrip(".!?, ")
    if not wanted:
        return Question("What would you like to tell me?")
    if about.rstrip().endswith("?"):
        return Question(wanted[:1].upper() + wanted[1:] + "?")
    if found := _CHOICE.fullmatch(wanted):
        options = _options(found["list"])
        if len(options) > 1:
            return Question(f"Which do you choose: {_listed(options)}?", options)
    if found := _MINE.fullmatch(wanted):
        thing = _turned(found["thing"])
        return Question(f"What is your {thing}?", thing=thing)
    if found := _WHETHER.fullmatch(wanted):
        return Question(_whether(found["rest"]))
    if found := _FOR.fullmatch(wanted):
        return Question(f"Please give me {_turned(found['thing'])}.")
    if found := _ABOUT.fullmatch(wanted):
        return Question(f"What would you like to say about {_turned(found['thing'])}?")
    return Question(f"You wanted to be asked: {_turned(wanted)}. What is your answer?")


def _whether(rest: str) -> str:
    first, _, others = rest.partition(" ")
    verb = _BE.get(first.lower())
    if verb is not None:
        return f"{verb} you {_turned(others)}?"
    return f"Do you {_turned(rest)}?"


def _options(text: str) -> tuple[str, ...]:
    parts = re.split(r"\s*,\s*(?:(?:or|and)\s+)?|\s+(?:or|and)\s+", text, flags=re.IGNORECASE)
    unique = dict.fromkeys(part.strip() for part in parts if part.strip())
    return tuple(unique)[:MAX_OPTIONS]


def _listed(options: tuple[str, ...]) -> str:
    return f"{', '.join(options[:-1])} or {options[-1]}"


def _turned(text: str) -> str:
    """Return ``text`` as said to the other: my becomes your."""
    # Where case is ignored the Turkish capital I with a dot is an i, too, and no pronoun.
    return _PRONOUN.sub(lambda found: _PRONOUNS.get(found[0].lower(), found[0]), text)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?", "…")) else f"{sentence}."
