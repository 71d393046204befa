"""What may be run: agents, profiles, and tools with their schema and risk."""

from typing import Any

import msgspec
from starlette.responses import Response

from agents.tool_spec import ToolSpec
from control_tower.ports import Profile
from events.payloads import JsonObject
from server.endpoints import Call, Endpoint, Query, json_reply
from server.rest.shapes import Reply


class AgentReply(Reply):
    """An agent. ``default``: it serves a request that names none."""

    name: str
    description: str
    default: bool


class ProfileReply(Reply):
    """A preset of a request."""

    name: str
    agent: str
    model: str | None
    tools: list[str] | None
    quota: dict[str, Any] | None


class ToolReply(Reply):
    """A tool. ``confirm``: a person is asked before each call."""

    name: str
    description: str
    risk: str
    confirm: bool
    idempotent: bool
    timeout_s: float | None
    retries: int
    tags: list[str]
    parameters: dict[str, Any]


class CatalogReply(Reply):
    """Everything that may be run."""

    agents: list[AgentReply]
    profiles: list[ProfileReply]
    tools: list[ToolReply]


async def catalog(call: Call[None, Query]) -> Response:
    """Return the agents, the profiles, and the tools with their schema and risk."""
    found = call.services.catalog
    agents = [
        {
            "name": program.name,
            "description": program.description,
            "default": program.name == found.default_agent,
        }
        for program in call.services.registry.agents.values()
    ]
    return json_reply(
        {
            "agents": agents,
            "profiles": [_profile_json(each) for each in found.profiles.values()],
            "tools": [tool_json(each) for each in call.services.registry.tools.values()],
        }
    )


def _profile_json(profile: Profile) -> JsonObject:
    return {
        "name": profile.name,
        "agent": profile.agent,
        "model": profile.model,
        "tools": None if profile.tools is None else list(profile.tools),
        "quota": None if profile.quota is None else msgspec.to_builtins(profile.quota),
    }


def tool_json(tool: ToolSpec) -> JsonObject:
    """Return a tool as the outside sees it."""
    return {
        "name": tool.name,
        "description": tool.description,
        "risk": tool.risk,
        "confirm": tool.asks,
        "idempotent": tool.idempotent,
        "timeout_s": tool.timeout_s,
        "retries": tool.retries,
        "tags": list(tool.tags),
        "parameters": tool.schema.json_schema,
    }


ENDPOINTS = (Endpoint("GET", "/api/v1/agents", catalog, "Agents", CatalogReply),)
