"""What nodes tell each other of, beside commands: what each of them must do for itself."""

import msgspec

from control_tower.cluster.calls import Ack, Calls, Nothing
from events.payloads import JsonObject
from server.services import Services

FORGET_RECENT = "log.forget_recent"
RESET_BREAKER = "breaker.reset"
FORGET_KEYS = "keys.forget"


class Tool(msgspec.Struct):
    """A tool."""

    name: str


def hear(calls: Calls, services: Services) -> None:
    """Do what other nodes tell of: forget what was erased, close breakers, look keys up again."""

    async def forget_recent(_: Nothing, _ack: Ack | None) -> JsonObject:
        services.hub.forget_recent()
        return {}

    async def forget_keys(_: Nothing, _ack: Ack | None) -> JsonObject:
        services.keyring.forget()
        return {}

    async def reset_breaker(tool: Tool, _ack: Ack | None) -> JsonObject:
        if tool.name in services.registry.tools:
            services.tools.reset(tool.name)
        return {}

    calls.serve(FORGET_RECENT, Nothing, forget_recent)
    calls.serve(FORGET_KEYS, Nothing, forget_keys)
    calls.serve(RESET_BREAKER, Tool, reset_breaker)
