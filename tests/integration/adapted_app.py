"""Agents of two other frameworks, each served by a few lines; their model is at ``MODEL_URL``.

What they pay is written to the file ``PAID``, outside of anything that the server rolls back.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, ToolMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from agents import adapt, agent

URL = os.environ["MODEL_URL"]
PRICED = "gpt-4o"


def paid(euros: int) -> str:
    """Pay, in the world outside."""
    with Path(os.environ["PAID"]).open("a") as ledger:
        ledger.write(f"{euros}\n")
    return f"paid {euros}"


assistant = Agent(
    OpenAIChatModel(PRICED, provider=OpenAIProvider(base_url=URL, api_key="none")),
    name="assistant",
)


@assistant.tool_plain(requires_approval=True)
def pay(euros: int) -> str:
    """Pay."""
    return paid(euros)


agent("assistant")(adapt(assistant))


class Model(BaseChatModel):
    """A chat model of LangChain's kind that asks the same server."""

    @property
    def _llm_type(self) -> str:
        return "tiny"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(
        self, messages: list[Any], *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with AsyncOpenAI(base_url=URL, api_key="none", max_retries=0) as client:
            stream: Any = await client.chat.completions.create(
                model=PRICED,
                messages=convert_to_openai_messages(messages),  # type: ignore[arg-type]
                max_tokens=100,
                stream=True,
            )
            async for chunk in stream:
                yield ChatGenerationChunk(message=_chunk(chunk))


def _chunk(chunk: Any) -> AIMessageChunk:
    if not chunk.choices:
        used = chunk.usage
        counts: Any = {
            "input_tokens": used.prompt_tokens,
            "output_tokens": used.completion_tokens,
            "total_tokens": used.total_tokens,
        }
        told = {"model_name": PRICED}
        return AIMessageChunk(content="", usage_metadata=counts, response_metadata=told)
    delta = chunk.choices[0].delta
    calls: Any = [
        {
            "index": call.index,
            "id": call.id,
            "name": call.function.name,
            "args": call.function.arguments,
        }
        for call in delta.tool_calls or []
    ]
    return AIMessageChunk(content=delta.content or "", tool_call_chunks=calls)


async def talk(state: MessagesState) -> Any:
    """Ask the model."""
    return {"messages": [await Model().ainvoke(state["messages"])]}


def act(state: MessagesState) -> Any:
    """Pay, if a person approves."""
    call = state["messages"][-1].tool_calls[0]  # type: ignore[union-attr]
    request = {"action_requests": [{"name": call["name"], "args": call["args"]}]}
    verdict = interrupt(request)["decisions"][0]["type"]
    said = paid(call["args"]["euros"]) if verdict == "approve" else "refused"
    return {"messages": [ToolMessage(said, tool_call_id=call["id"])]}


def onward(state: MessagesState) -> str:
    """Go on with what the model asks for."""
    return "act" if getattr(state["messages"][-1], "tool_calls", None) else END


graph = StateGraph(MessagesState)
graph.add_node(talk)
graph.add_node(act)
graph.add_edge(START, "talk")
graph.add_conditional_edges("talk", onward)
graph.add_edge("act", "talk")

agent("graph")(adapt(graph.compile(), idempotent=["talk"]))
