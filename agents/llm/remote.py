"""Models over the network, through ``pydantic-ai-slim`` (the extra ``llm``).

The library is imported when the first turn is made, in a thread, so that a server without such a
model neither needs it nor pays for it. A turn is one request: trying again is the kernel's, which
journals each attempt and shows it.
"""

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from agents.extras import install_command
from agents.llm import prices
from agents.llm.failures import failure_of
from agents.llm.library import (
    LIBRARY,
    asked_call,
    finish_of,
    library_messages,
    library_settings,
    library_tools,
    stream_texts,
    wire_name,
)
from agents.llm.provider import ProviderRequest, ProviderTurn
from control_tower.errors import ModelFailed

MakeModel = Callable[[Mapping[str, str], str], Any]
"""Returns the library's model, given the environment and the model's name."""


@dataclass(slots=True)
class RemoteProvider:
    """Implements :class:`agents.llm.provider.Provider`.

    Attributes:
        needs: variables without which it cannot be used.
        package: the client that the library needs for it.
    """

    name: str
    environ: Mapping[str, str]
    needs: tuple[str, ...]
    package: str
    make_model: MakeModel
    _models: dict[str, Any] = field(default_factory=dict)
    _opened: bool = False

    @property
    def configured(self) -> bool:
        """Whether any of what it needs is set: somebody means to use it."""
        return any(self.environ.get(variable) for variable in self.needs)

    @property
    def problem(self) -> str | None:
        """Why it cannot be used; None when it can."""
        missing = [variable for variable in self.needs if not self.environ.get(variable)]
        if missing:
            return f"{' and '.join(missing)} must be set"
        if not all(importlib.util.find_spec(each) for each in (LIBRARY, self.package)):
            return f"the extra is not installed: {install_command('llm')}"
        return None

    def price(self, model: str) -> tuple[float, float] | None:
        """Return the price in the maker's list, if it has the model."""
        return prices.per_million(self.name, model)

    async def turn(self, request: ProviderRequest, delta: Callable[[str], None]) -> ProviderTurn:
        """Make a turn, streaming its text through ``delta``.

        Raises:
            ModelFailed: when the provider refused or did not answer; without its key.
            ModelBusy: when another attempt may end otherwise.
        """
        await self.open()
        limit = asyncio.timeout(request.settings.get("timeout_s"))
        try:
            async with limit:
                return await self._turn(request, delta)
        except Exception as error:  # noqa: BLE001 - the clients have classes of their own
            if limit.expired():
                raise ModelFailed(f"{self.name} did not answer in time.") from None
            raise failure_of(self.name, error, self._keys()) from None

    async def open(self) -> None:
        """Import what a turn needs, once, beside the loop: it takes seconds."""
        if not self._opened:
            for module in (LIBRARY, f"{LIBRARY}.direct", self.package, prices.LIST):
                await asyncio.to_thread(importlib.import_module, module)
            self._opened = True

    async def _turn(self, request: ProviderRequest, delta: Callable[[str], None]) -> ProviderTurn:
        names = {wire_name(tool.name): tool.name for tool in request.tools}
        async with self._stream(request) as stream:
            async for text in stream_texts(stream):
                delta(text)
            answer = stream.get()
        return ProviderTurn(
            text="".join(part.content for part in answer.parts if part.part_kind == "text"),
            calls=[
                asked_call(names.get(part.tool_name, part.tool_name), part.args)
                for part in answer.parts
                if part.part_kind == "tool-call"
            ],
            finish_reason=finish_of(answer),
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            cost_usd=prices.of_turn(self.name, request.model, answer.usage),
        )

    def _stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[Any]:
        if request.model not in self._models:
            self._models[request.model] = self.make_model(self.environ, request.model)
        direct = importlib.import_module(f"{LIBRARY}.direct")
        models = importlib.import_module(f"{LIBRARY}.models")
        opened: AbstractAsyncContextManager[Any] = direct.model_request_stream(
            self._models[request.model],
            library_messages(request.messages),
            model_settings=library_settings(request.settings),
            model_request_parameters=models.ModelRequestParameters(
                function_tools=library_tools(request.tools)
            ),
        )
        return opened

    def _keys(self) -> dict[str, str]:
        """Return the keys that no message may show, by their variables."""
        return {
            variable: value
            for variable in self.needs
            if variable.endswith("_KEY") and (value := self.environ.get(variable))
        }


def remote_providers(environ: Mapping[str, str]) -> list[RemoteProvider]:
    """Return every provider that there is, whether or not it can be used."""
    azure = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_API_VERSION")
    return [
        RemoteProvider("openai", environ, ("OPENAI_API_KEY",), "openai", _openai),
        RemoteProvider("anthropic", environ, ("ANTHROPIC_API_KEY",), "anthropic", _anthropic),
        RemoteProvider("azure", environ, azure, "openai", _azure),
        RemoteProvider("llamacpp", environ, ("TOWER_LLAMACPP_URL",), "openai", _llamacpp),
    ]


def _openai(environ: Mapping[str, str], model: str) -> Any:
    provider = importlib.import_module(f"{LIBRARY}.providers.openai").OpenAIProvider(
        api_key=environ["OPENAI_API_KEY"], base_url=environ.get("OPENAI_BASE_URL")
    )
    return _chat_model(model, provider)


def _llamacpp(environ: Mapping[str, str], model: str) -> Any:
    # Such a server asks for no key, but the client will not start without one.
    provider = importlib.import_module(f"{LIBRARY}.providers.openai").OpenAIProvider(
        api_key=environ.get("TOWER_LLAMACPP_KEY", "none"), base_url=environ["TOWER_LLAMACPP_URL"]
    )
    return _chat_model(model, provider)


def _azure(environ: Mapping[str, str], model: str) -> Any:
    provider = importlib.import_module(f"{LIBRARY}.providers.azure").AzureProvider(
        azure_endpoint=environ["AZURE_OPENAI_ENDPOINT"],
        api_key=environ["AZURE_OPENAI_API_KEY"],
        api_version=environ["AZURE_OPENAI_API_VERSION"],
    )
    return _chat_model(model, provider)


def _anthropic(environ: Mapping[str, str], model: str) -> Any:
    provider = importlib.import_module(f"{LIBRARY}.providers.anthropic").AnthropicProvider(
        api_key=environ["ANTHROPIC_API_KEY"], base_url=environ.get("ANTHROPIC_BASE_URL")
    )
    module = importlib.import_module(f"{LIBRARY}.models.anthropic")
    return module.AnthropicModel(model, provider=provider)


def _chat_model(model: str, provider: Any) -> Any:
    module = importlib.import_module(f"{LIBRARY}.models.openai")
    return module.OpenAIChatModel(model, provider=provider)
