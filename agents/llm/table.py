"""The table of models: names resolved, turns planned, made and charged."""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.bounds import OutOfBounds, check_inside, clean_text, encoded, jsonable, storable
from agents.defaults import default_registry
from agents.llm import prices
from agents.llm.mock import MockProvider
from agents.llm.provider import AskedCall, Provider, ProviderRequest, ProviderTurn, ToolOffer
from agents.llm.remote import remote_providers
from agents.llm.tokens import count_tokens
from agents.llm.turns import MODEL_RETRIES, Brought, BroughtTurn, PlannedTurn
from agents.registry import Registry
from agents.tool_spec import ToolSpec
from control_tower.errors import AgentError, ModelFailed
from control_tower.ports import EffectContext, ModelRequest, ModelTurn
from control_tower.quota.quotas import ResourceUsage
from events.payloads import JsonObject

DEFAULT_OUTPUT_TOKENS = 1_024
"""Reserved for a turn that sets no ``max_tokens``."""
MAX_MESSAGES_BYTES = 8 * 1024 * 1024
MAX_ERROR_CHARACTERS = 500
_DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")
"""What makers add to a model's name for one of its versions."""
ROLES = frozenset({"system", "user", "assistant", "tool"})
SETTINGS = frozenset({"temperature", "top_p", "max_tokens", "seed", "stop", "timeout_s"})


class ModelTable:
    """Implements :class:`control_tower.ports.Models` over providers.

    Attributes:
        default_model: ``provider:model`` for a call that names none; None without one.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        default_model: str | None = None,
        registry: Registry | None = None,
        prices: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Take providers.

        Args:
            providers: each with a name of its own.
            default_model: as ``provider:model``.
            registry: whose tools models are offered; the default one by default.
            prices: US dollars for a million input and output tokens, by ``provider:model``.
        """
        self._prices = dict(prices or {})
        self._providers = {provider.name: provider for provider in providers}
        self.default_model = default_model
        self._registry = registry

    @classmethod
    def from_settings(
        cls,
        model: str | None,
        environ: Mapping[str, str],
        registry: Registry | None = None,
        prices: Mapping[str, tuple[float, float]] | None = None,
    ) -> "ModelTable":
        """Return the table that the environment configures.

        Args:
            model: the default model (``TOWER_MODEL``), as ``provider:model``.
            environ: where providers look for keys and addresses.
            registry: whose tools models are offered; the default one by default.
            prices: US dollars for a million input and output tokens, by ``provider:model``.
        """
        return cls([MockProvider(), *remote_providers(environ)], model, registry, prices)

    def provider(self, name: str) -> Provider | None:
        """Return the provider called ``name``."""
        return self._providers.get(name)

    def availability(self) -> dict[str, str | None]:
        """Return the problem of each provider that is meant to be used; None for one that can."""
        wanted = (self.default_model or "").partition(":")[0]
        return {
            name: provider.problem
            for name, provider in self._providers.items()
            if provider.configured or name == wanted
        }

    async def open(self) -> None:
        """Make the default model's provider ready, if it can be used."""
        provider = self._providers.get((self.default_model or "").partition(":")[0])
        if provider is not None and provider.problem is None:
            with contextlib.suppress(ImportError):  # a broken library fails turns, not the start
                await provider.open()

    def priced(self, model: str) -> bool:
        """Whether the cost of ``model`` is known, so that ``max_cost_usd`` can be kept."""
        return self._price(model) is not None

    def turn_usage(self, model: str, input_tokens: int, output_tokens: int) -> ResourceUsage:
        """Return what a turn used that a library made; ``model`` may lack its provider."""
        return self.usage(self._full_name(model), input_tokens, output_tokens)

    def _full_name(self, model: str) -> str:
        """Return the name that the settings have a price for: of a dated model, its family's."""
        family = _DATED.sub("", model)
        for wanted in (model, family):
            for priced in self._prices:
                if wanted in (priced, priced.partition(":")[2]):
                    return priced
        return model

    def plan(
        self,
        messages: Sequence[JsonObject],
        model: str | None,
        tools: Sequence[object],
        settings: Mapping[str, object],
    ) -> ModelRequest:
        """Resolve a turn's model and tools.

        Args:
            messages: as ``ctx.llm`` takes them.
            model: ``provider:model``; the default by default.
            tools: names, registered functions, or a :class:`ToolSpec` that is only offered.
            settings: of the turn.

        Raises:
            ModelFailed: when no such model is configured, the messages are none, or a tool is
                not registered.
        """
        chosen = model or self.default_model
        if chosen is None:
            raise ModelFailed("No model is configured: set TOWER_MODEL=provider:model.")
        self._resolve(chosen)
        unknown = sorted(set(settings) - SETTINGS)
        if unknown:
            raise ModelFailed(
                f"A model turn has no setting {unknown[0]}; it has {', '.join(sorted(SETTINGS))}."
            )
        offers = tuple(self._offer(tool) for tool in tools)
        return PlannedTurn(
            model=chosen,
            messages=_messages(messages),
            tools=tuple(offer.name for offer in offers),
            settings=_plain({**settings}),
            retries=MODEL_RETRIES,
            offers=offers,
        )

    def estimate(self, request: ModelRequest) -> ResourceUsage:
        """Return what the turn may use at most, as far as can be told."""
        offered = [offer.schema for offer in _offers(request)]
        asked = request.settings.get("max_tokens", DEFAULT_OUTPUT_TOKENS)
        output = asked if isinstance(asked, int) and asked >= 0 else DEFAULT_OUTPUT_TOKENS
        read = count_tokens([list(request.messages), offered])
        return self.usage(request.model, read, output)

    async def run(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
        """Make the turn, streaming its text through ``effect.delta``.

        Raises:
            ModelFailed: when the provider failed for good.
        """
        if isinstance(request, BroughtTurn):
            brought = await request.make(effect)
            return ModelTurn(brought.output, self._used(request.model, brought))
        provider, name = self._resolve(request.model)
        asked = ProviderRequest(name, request.messages, _offers(request), request.settings)
        try:
            turn = await provider.turn(asked, lambda text: effect.delta(clean_text(text)))
        except AgentError:
            raise
        except Exception as error:  # a provider's library may raise anything: it failed
            said = clean_text(f"{type(error).__name__}: {error}")[:MAX_ERROR_CHARACTERS]
            raise ModelFailed(f"{provider.name} failed: {said}") from error
        output = _output(turn, request.model, effect.step)
        return ModelTurn(output, self._used(request.model, turn))

    def _resolve(self, model: str) -> tuple[Provider, str]:
        provider_name, colon, name = model.partition(":")
        provider = self._providers.get(provider_name)
        if not colon or not name or provider is None:
            known = ", ".join(sorted(self._providers))
            raise ModelFailed(
                f"There is no model {model[:100]}: name it provider:model, with one of the "
                f"providers {known}."
            )
        if provider.problem is not None:
            raise ModelFailed(f"{provider_name} cannot be used: {provider.problem}")
        return provider, name

    def _price(self, model: str) -> tuple[float, float] | None:
        provider, _, name = model.partition(":")
        found = self._providers.get(provider)
        if model in self._prices:
            return self._prices[model]
        if found is not None:
            return found.price(name)
        return prices.per_million(provider, name) if name else prices.per_million(None, model)

    def _tools_registry(self) -> Registry:
        return self._registry if self._registry is not None else default_registry()

    def _offer(self, tool: object) -> ToolOffer:
        registered = self._tools_registry().find_tool(tool)
        spec = tool if isinstance(tool, ToolSpec) else registered
        if spec is None:
            name = tool if isinstance(tool, str) else getattr(tool, "__name__", "a tool")
            raise ModelFailed(f"{name} cannot be offered to a model: it is not registered.")
        return ToolOffer(spec.name, spec.description, spec.schema.json_schema)

    def _used(self, model: str, turn: ProviderTurn | Brought) -> ResourceUsage:
        return self.usage(model, turn.input_tokens, turn.output_tokens, listed_usd=turn.cost_usd)

    def usage(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        *,
        listed_usd: float | None = None,
    ) -> ResourceUsage:
        """Return what one turn used.

        Args:
            model: ``provider:model``.
            input_tokens: that it read.
            output_tokens: that it wrote.
            listed_usd: its cost by the provider's list; a price in the settings goes before it.
        """
        price = self._price(model) or (0.0, 0.0)
        cost_usd = (input_tokens * price[0] + output_tokens * price[1]) / 1_000_000
        if listed_usd is not None and model not in self._prices:
            cost_usd = listed_usd
        return ResourceUsage(
            llm_calls=1, input_tokens=input_tokens, output_tokens=output_tokens, cost_usd=cost_usd
        )


def _offers(request: ModelRequest) -> tuple[ToolOffer, ...]:
    return request.offers if isinstance(request, PlannedTurn) else ()


def _messages(messages: Sequence[JsonObject] | str) -> list[JsonObject]:
    """Return messages as JSON objects with a role and a content; a text is the user's.

    Raises:
        ModelFailed: for anything else.
    """
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    plain = _plain(list(messages))
    for message in plain:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ModelFailed(f"A message needs a role, one of {', '.join(sorted(ROLES))}.")
        if not isinstance(message.get("content"), str):
            raise ModelFailed("A message needs a content that is text.")
    return list(plain)


def _plain(value: object) -> Any:
    try:
        plain = jsonable(value)
        check_inside(plain)
        encoded(plain, MAX_MESSAGES_BYTES)
    except OutOfBounds as error:
        raise ModelFailed(f"This cannot be sent to a model: {error}.") from error
    return plain


def _output(turn: ProviderTurn, model: str, step: str) -> JsonObject:
    """Return a turn as the journal keeps it."""
    return {
        "text": clean_text(turn.text),
        "tool_calls": [
            _asked(call, f"call_{step.replace('.', '_')}_{number}")
            for number, call in enumerate(turn.calls, 1)
        ],
        "model": model,
        "finish_reason": turn.finish_reason,
    }


def _asked(call: AskedCall, identity: str) -> JsonObject:
    """Return a call that a model asks for.

    Its id derives from the step, so that a provider's random ones never make a replay diverge.
    Arguments that no tool could be given are none, and said to be malformed.
    """
    asked: JsonObject = {"id": identity, "name": clean_text(call.name), "arguments": {}}
    try:
        plain = storable(call.arguments)
    except OutOfBounds as error:
        return asked | {"malformed": f"({error})"}
    if call.malformed is not None or not isinstance(plain, dict):
        said = clean_text(call.malformed or str(plain))[:MAX_ERROR_CHARACTERS]
        return asked | {"malformed": said}
    return asked | {"arguments": plain}
