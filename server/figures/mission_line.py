"""The one line of the log that each mission gets, when it has ended."""

import msgspec
import structlog

from control_tower.quota.quotas import ResourceUsage
from events.types import Committed

log = structlog.get_logger(__name__)


class _Error(msgspec.Struct):
    code: str | None = None


class _Data(msgspec.Struct):
    usage: ResourceUsage = ResourceUsage()
    duration_ms: float | None = None
    reason: str | None = None
    error: _Error | None = None


class _Params(msgspec.Struct):
    data: _Data


class _Message(msgspec.Struct):
    params: _Params


_decode = msgspec.json.Decoder(_Message).decode


def say_ended(event: Committed) -> None:
    """Write the line of the mission whose terminal event this is.

    What it was asked and what it answered are its user's business and not the log's.
    """
    scope, data = event.scope, _decode(event.body).params.data
    log.info(
        "mission.ended",
        pid=scope.mission_id,
        session_id=scope.session_id,
        user_id=scope.user_id,
        agent=scope.agent,
        parent_pid=scope.lineage[-2] if len(scope.lineage) > 1 else None,
        outcome=event.type.removeprefix("mission."),
        error=None if data.error is None else data.error.code,
        duration_ms=data.duration_ms,
        running_s=round(data.usage.elapsed_seconds, 3),
        llm_calls=data.usage.llm_calls,
        tool_calls=data.usage.tool_calls,
        tokens=data.usage.input_tokens + data.usage.output_tokens,
        cost_usd=data.usage.cost_usd,
        events=data.usage.events,
    )
