"""What each user spent on each UTC day: added to in the units that spend, read for limits."""

from sqlalchemy import bindparam, select

from control_tower.quota.quotas import ResourceUsage
from control_tower.records import UserDay
from control_tower.store.statements import Connection, Query, conflicting
from control_tower.store.tables import user_usage, users

AMOUNTS = (
    "missions",
    "llm_calls",
    "tool_calls",
    "input_tokens",
    "output_tokens",
    "cost_usd",
)


ADD = conflicting(
    user_usage,
    ["user_no", "day"],
    ("user_no", "day", *AMOUNTS),
    AMOUNTS,
    lambda name, added: user_usage.c[name] + added,
)
"""Adds to a day, or begins it. A row is ``(user_no, day, *AMOUNTS)``."""

_DAYS = Query(
    select(users.c.user_id, *(user_usage.c[name] for name in AMOUNTS))
    .join(users, users.c.no == user_usage.c.user_no)
    .where(user_usage.c.day == bindparam("of_day"))
    .order_by(users.c.user_id)
    .limit(bindparam("most"))
    .offset(bindparam("skipped"))
)
_DAY = Query(
    select(users.c.user_id, *(user_usage.c[name] for name in AMOUNTS))
    .join(users, users.c.no == user_usage.c.user_no)
    .where(user_usage.c.day == bindparam("of_day"), users.c.user_id == bindparam("of_user"))
)


def user_day(connection: Connection, user_id: str, day: str) -> UserDay:
    """Return what a user spent on a day; nothing, if they did not."""
    row = _DAY.one(connection, of_day=day, of_user=user_id)
    return UserDay(user_id=user_id, day=day) if row is None else _user_day(row, day)


def user_days(connection: Connection, day: str, limit: int, offset: int) -> list[UserDay]:
    """Return a page of what everybody spent on a day, by user."""
    rows = _DAYS.all(connection, of_day=day, most=limit, skipped=offset)
    return [_user_day(row, day) for row in rows]


def _user_day(row: tuple[object, ...], day: str) -> UserDay:
    user_id, missions, *amounts = row
    usage = ResourceUsage(**dict(zip(AMOUNTS[1:], amounts, strict=True)))  # type: ignore[arg-type]
    return UserDay(user_id=str(user_id), day=day, missions=int(str(missions)), usage=usage)
