"""Plans calls of tools: what is validated, what a person is shown, what the journal compares."""

from collections.abc import Mapping
from typing import TypeGuard

import msgspec

from agents import secret
from agents.bounds import OutOfBounds, check_inside, jsonable
from agents.registry import Registry
from agents.secret import Secret
from agents.tool_spec import ToolSpec
from control_tower.errors import ToolInvalid
from control_tower.ports import ToolPlan
from events.payloads import JsonObject
from events.types import Json

MAX_SHOWN_CHARACTERS = 200


class Planner:
    """Turns a tool and its arguments into a :class:`control_tower.ports.ToolPlan`."""

    def __init__(self, registry: Registry, secrets: Mapping[str, str]) -> None:
        self._registry = registry
        self._secrets = secrets

    def plan(self, tool: object, arguments: Mapping[str, object]) -> ToolPlan:
        """Validate a call. ``tool`` is a name or a registered function.

        Raises:
            ToolInvalid: for an unknown tool, arguments that do not fit, or a secret not set.
        """
        spec = self.find(tool)
        try:
            _refuse_shown(arguments)
            complete, given = self._validate(spec, arguments)
        except RecursionError:
            raise ToolInvalid(f"{spec.name} cannot take arguments nested so deep.") from None
        return _plan(spec, arguments=complete, identity=given)

    def edit(
        self, tool: str, proposed: Mapping[str, object], arguments: Mapping[str, object]
    ) -> ToolPlan:
        """Validate what a person made of a call's arguments.

        Args:
            tool: the tool's name.
            proposed: the arguments as they were planned and shown.
            arguments: what shall run instead. A secret may stay where the person saw one, in the
                form in which it was shown; no other can be named.

        Raises:
            ToolInvalid: if they do not fit, naming the argument.
        """
        restored = _restore(arguments, _secrets_in(proposed))
        return self.plan(tool, named_values(restored))

    def asked(self, arguments: Mapping[str, object]) -> Json:
        """Return what a program asked in a call that can't be planned, secrets by their names.

        For a tool that takes what it is given as it is, as those of MCP servers do, it is the
        plan's identity.
        """
        try:
            named = named_values(secret.replace(arguments, _named))
            plain = {name: jsonable(value) for name, value in named.items()}
            check_inside(plain)
        except (OutOfBounds, RecursionError):
            return sorted(arguments)
        return plain

    def find(self, tool: object) -> ToolSpec:
        """Return the tool called ``tool``, or whose function it is.

        Raises:
            ToolInvalid: if none is; with why, or the nearest name.
        """
        spec = self._registry.find_tool(tool)
        if spec is not None:
            return spec
        if not isinstance(tool, str):
            name = getattr(tool, "__name__", type(tool).__name__)
            raise ToolInvalid(f"{name} is not a registered tool; decorate it with @tool(...).")
        if why := self._registry.why_missing(tool):
            raise ToolInvalid(f"{tool[:MAX_SHOWN_CHARACTERS]} can't be called: {why}.")
        near = self._registry.nearest_tool(tool)
        hint = f" Did you mean {near}?" if near else ""
        raise ToolInvalid(f"There is no tool called {tool[:MAX_SHOWN_CHARACTERS]}.{hint}")

    def _validate(
        self, spec: ToolSpec, arguments: Mapping[str, object]
    ) -> tuple[JsonObject, JsonObject]:
        """Return the complete arguments and the given ones, secrets in their stead."""
        if not secret.contains(arguments):
            checked = spec.schema.check(arguments)
            return checked.complete, checked.given
        revealed: dict[str, str] = {}

        def value(one: Secret) -> str:
            revealed[one.name] = secret.look_up(one, self._secrets)
            return revealed[one.name]

        try:
            checked = spec.schema.check(named_values(secret.replace(arguments, value)))
        except ToolInvalid as error:
            raise ToolInvalid(secret.redact(error.message, revealed)) from None
        return (
            named_values(secret.mark(checked.complete, arguments, self._shown)),
            named_values(secret.mark(checked.given, arguments, _named)),
        )

    def _shown(self, one: Secret) -> JsonObject:
        return secret.shown(one.name, secret.look_up(one, self._secrets))


def _named(one: Secret) -> JsonObject:
    return {"secret": one.name}


def named_values(value: object) -> JsonObject:
    """Return ``value`` as arguments by name."""
    if not isinstance(value, dict):
        raise ToolInvalid("Arguments are named values.")
    return value


def _plan(spec: ToolSpec, arguments: JsonObject, identity: JsonObject) -> ToolPlan:
    return ToolPlan(
        name=spec.name,
        arguments=arguments,
        identity=identity,
        risk=spec.risk,
        confirm=spec.asks,
        idempotent=spec.idempotent,
        staged=spec.staged,
        timeout_s=spec.timeout_s,
        retries=spec.retries,
        on_open=spec.on_open,
        message=_question(spec, arguments),
    )


def _question(spec: ToolSpec, arguments: JsonObject) -> str:
    """Return what a person is asked before the call; the arguments stand beside it in full."""
    said = ", ".join(f"{name} = {_short(value)}" for name, value in arguments.items())
    call = f"Run {spec.name} with {said}?" if said else f"Run {spec.name}?"
    return f"{spec.summary} {call}" if spec.summary else call


def _short(value: object) -> str:
    if secret.is_shown(value) and isinstance(value, dict):
        return f"the secret {value['secret']}"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…"


def _refuse_shown(value: object) -> None:
    """Refuse the reserved form of a secret in arguments that are not a person's edit.

    Raises:
        ToolInvalid: if it stands anywhere.
    """
    if secret.is_shown(value):
        raise ToolInvalid('An object of "secret" and "sha256" is reserved for secrets.')
    if isinstance(value, Mapping):
        for inner in value.values():
            _refuse_shown(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_shown(inner)


def _secrets_in(value: object) -> list[JsonObject]:
    if secret.is_shown(value) and isinstance(value, dict):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [found for inner in value for found in _secrets_in(inner)] if _is_list(value) else []


def _is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return isinstance(value, list | tuple)


def _restore(value: object, offered: list[JsonObject]) -> object:
    """Return ``value`` with each shown secret that was offered as a :class:`Secret` again."""
    if isinstance(value, dict) and value in offered:
        return Secret(value["secret"])
    if isinstance(value, Mapping):
        return {key: _restore(inner, offered) for key, inner in value.items()}
    if _is_list(value):
        return [_restore(inner, offered) for inner in value]
    return value
