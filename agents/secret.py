"""A secret as an argument: a name that only the executor turns into its value.

In the journal, in events and in confirmations a secret stands as its name and the head of a
digest; what a program asked is identified by the name alone, so that a rotated key does not make
a replay diverge. The shown form is reserved: arguments that arrive in it from elsewhere (a model,
say) are refused, else they would name secrets that nobody passed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from control_tower.errors import ToolFailed, ToolInvalid
from events.payloads import JsonObject

DIGEST_CHARACTERS = 12
SHOWN_KEYS = frozenset({"secret", "sha256"})
SHORTEST_REDACTED = 4
"""Shorter values are not searched for in outputs: they would mangle ordinary text."""


@dataclass(frozen=True, slots=True)
class Secret:
    """An argument of a tool that is known by its name only: ``ctx.tool(pay, key=Secret("KEY"))``.

    Attributes:
        name: of an environment variable or setting, read when the tool is called.
    """

    name: str


def is_shown(value: object) -> bool:
    """Whether ``value`` has the shape in which a secret is shown."""
    return isinstance(value, dict) and value.keys() == SHOWN_KEYS


def shown(name: str, value: str) -> JsonObject:
    """Return the form in which a secret is journaled and shown."""
    digest = hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
    return {"secret": name, "sha256": digest[:DIGEST_CHARACTERS]}


def look_up(secret: Secret, secrets: Mapping[str, str]) -> str:
    """Return the secret's value.

    Raises:
        ToolInvalid: when it is not set; the message has its name only.
    """
    value = secrets.get(secret.name)
    if value is None:
        raise ToolInvalid(f"The secret {secret.name} is not set.")
    return value


def replace(value: object, swap: Callable[[Secret], object]) -> object:
    """Return ``value`` with ``swap`` applied to each secret inside its mappings and lists."""
    if isinstance(value, Secret):
        return swap(value)
    if isinstance(value, Mapping):
        return {key: replace(inner, swap) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [replace(inner, swap) for inner in value]
    return value


def mark(dumped: object, asked: object, swap: Callable[[Secret], object]) -> object:
    """Return ``dumped`` with ``swap`` of each secret of ``asked`` put at the same place.

    Raises:
        ToolInvalid: where validation moved it, so that its value could show.
    """
    if isinstance(asked, Secret):
        return swap(asked)
    if isinstance(asked, Mapping) and isinstance(dumped, dict):
        return {
            key: mark(inner, asked[key], swap) if key in asked else inner
            for key, inner in dumped.items()
        }
    if isinstance(asked, list | tuple) and isinstance(dumped, list) and len(asked) == len(dumped):
        return [mark(inner, was, swap) for inner, was in zip(dumped, asked, strict=True)]
    if contains(asked):
        raise ToolInvalid("A secret can stand only where its value is passed on as it is.")
    return dumped


def contains(value: object) -> bool:
    """Whether a secret stands anywhere in ``value``."""
    if isinstance(value, Mapping):
        return any(contains(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(contains(inner) for inner in value)
    return isinstance(value, Secret)


def reveal(value: object, secrets: Mapping[str, str], revealed: dict[str, str]) -> object:
    """Return ``value`` with the shown secrets replaced by their values.

    Args:
        value: arguments that came out of a plan.
        secrets: where values are found.
        revealed: filled with name and value of each, for :func:`redact`.

    Raises:
        ToolFailed: if a secret is gone, or is another one than was shown and approved.
    """
    if is_shown(value) and isinstance(value, dict):
        name = value["secret"]
        found = secrets.get(name)
        if found is None or shown(name, found) != value:
            raise ToolFailed(f"The secret {name} has changed since the call was planned.")
        revealed[name] = found
        return found
    if isinstance(value, dict):
        return {key: reveal(inner, secrets, revealed) for key, inner in value.items()}
    if isinstance(value, list):
        return [reveal(inner, secrets, revealed) for inner in value]
    return value


def redact(text: str, revealed: Mapping[str, str]) -> str:
    """Return ``text`` without the values of ``revealed``: a tool may say what it was given."""
    # The longest first: one that contains another is not to be left in pieces.
    for name, value in sorted(revealed.items(), key=lambda each: -len(each[1])):
        if len(value) >= SHORTEST_REDACTED:
            text = text.replace(value, f"[secret {name}]")
    return text
