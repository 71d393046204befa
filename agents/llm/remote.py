"""Models over the network, through ``pydantic-ai-slim`` (the extra ``llm``).

The library is imported when a turn is made, so that a server without such a model neither needs
it nor pays for it. It is reached by name only, since it may not be installed.
"""

import hashlib
import importlib
import importlib.util
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from agents.llm.provider import AskedCall, ProviderRequest, ProviderTurn, ToolOffer
from control_tower.errors import ModelFailed
from events.payloads import JsonObject

LIBRARY = "pydantic_ai"
TIMEOUT_S = 120.0
"""Bound of a turn that sets no ``timeout_s``."""

MAX_WIRE_NAME = 64

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
            return "the extra is not installed: pip install 'control-tower[llm]'"
        return None

    def price(self, model: str) -> tuple[float, float] | None:  # noqa: ARG002 - see the settings
        """Return None: prices of models are the settings' to say."""
        return None

    async def turn(self, request: ProviderRequest, delta: Callable[[str], None]) -> ProviderTurn:
        """Make a turn, streaming its text through ``delta``.

        Raises:
            ModelFailed: when the provider refused or did not answer; without its key.
        """
        try:
            return await self._turn(request, delta)
        except Exception as error:  # noqa: BLE001 - the clients have classes of their own
            raise ModelFailed(self._without_keys(f"{self.name}: {error}")) from None

    async def _turn(self, request: ProviderRequest, delta: Callable[[str], None]) -> ProviderTurn:
        names = {_wire_name(tool.name): tool.name for tool in request.tools}
        async with self._stream(request) as stream:
            async for text in stream_texts(stream):
                delta(text)
            answer = stream.get()
        calls = [part for part in answer.parts if part.part_kind == "tool-call"]
        return ProviderTurn(
            text="".join(part.content for part in answer.parts if part.part_kind == "text"),
            calls=[
                AskedCall(names.get(part.tool_name, part.tool_name), _arguments(part.args))
                for part in calls
            ],
            finish_reason=answer.finish_reason or ("tool_calls" if calls else "stop"),
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
        )

    def _stream(self, request: ProviderRequest) -> AbstractAsyncContextManager[Any]:
        if request.model not in self._models:
            self._models[request.model] = self.make_model(self.environ, request.model)
        direct = importlib.import_module(f"{LIBRARY}.direct")
        models = importlib.import_module(f"{LIBRARY}.models")
        opened: AbstractAsyncContextManager[Any] = direct.model_request_stream(
            self._models[request.model],
            library_messages(request.messages),
            model_settings=_library_settings(request.settings),
            model_request_parameters=models.ModelRequestParameters(
                function_tools=_library_tools(request.tools)
            ),
        )
        return opened

    def _without_keys(self, said: str) -> str:
        for variable in self.needs:
            value = self.environ.get(variable, "")
            if variable.endswith("_KEY") and value:
                said = said.replace(value, f"[{variable}]")
        return said[:500]


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


async def stream_texts(stream: AsyncIterator[Any]) -> AsyncIterator[str]:
    """Yield the pieces of text among a stream's events; thoughts are not part of the answer."""
    async for event in stream:
        if event.event_kind == "part_start" and event.part.part_kind == "text":
            yield event.part.content
        elif event.event_kind == "part_delta" and event.delta.part_delta_kind == "text":
            yield event.delta.content_delta


def library_messages(messages: Iterable[JsonObject]) -> list[Any]:
    """Return messages as the library has them."""
    module = importlib.import_module(f"{LIBRARY}.messages")
    made: list[Any] = []
    for message in messages:
        content = message["content"]
        match message["role"]:
            case "system":
                part = module.SystemPromptPart(content)
            case "user":
                part = module.UserPromptPart(content)
            case "tool":
                part = module.ToolReturnPart(
                    _wire_name(str(message.get("name", "tool"))),
                    content,
                    str(message.get("tool_call_id", "")),
                )
            case _:
                made.append(module.ModelResponse(parts=_said(module, message)))
                continue
        if made and isinstance(made[-1], module.ModelRequest):
            made[-1].parts = [*made[-1].parts, part]
        else:
            made.append(module.ModelRequest(parts=[part]))
    return made


def _said(module: Any, message: JsonObject) -> list[Any]:
    """Return the parts of what a model said before."""
    calls = [
        module.ToolCallPart(_wire_name(call["name"]), call["arguments"], call["id"])
        for call in message.get("tool_calls", [])
    ]
    text = [module.TextPart(message["content"])] if message["content"] or not calls else []
    return text + calls


def _library_tools(offers: Sequence[ToolOffer]) -> list[Any]:
    module = importlib.import_module(f"{LIBRARY}.tools")
    return [
        module.ToolDefinition(
            name=_wire_name(offer.name),
            description=offer.description,
            parameters_json_schema=offer.schema,
        )
        for offer in offers
    ]


def _library_settings(settings: JsonObject) -> JsonObject:
    """Return settings under the library's names."""
    names = {"stop": "stop_sequences", "timeout_s": "timeout"}
    made = {names.get(name, name): value for name, value in settings.items()}
    if isinstance(made.get("stop_sequences"), str):
        made["stop_sequences"] = [made["stop_sequences"]]
    return {"timeout": TIMEOUT_S} | made


def _wire_name(tool: str) -> str:
    """Return a tool's name as providers take it: without dots, of 64 characters at most."""
    name = tool.replace(".", "__")
    if len(name) <= MAX_WIRE_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_WIRE_NAME - 9]}_{digest}"


def _arguments(args: object) -> JsonObject:
    """Return a call's arguments; what is no JSON object becomes none, and the tool complains."""
    if isinstance(args, str):
        try:
            args = json.loads(args)
        except ValueError:
            return {}
    return args if isinstance(args, dict) else {}
