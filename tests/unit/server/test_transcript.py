"""A session as a text: whole, in order, each message once."""

import json

import msgspec
import pytest

from control_tower.records import MessageRecord, SessionRecord
from server.transcript import PAGE, Kind, every_message, written

SESSION = SessionRecord(
    session_id="s_1", user_id="ada", title="plans\n# b", created_at=0.0, last_activity=9.0
)


def said(number: int, role: str = "user") -> MessageRecord:
    """A message."""
    return MessageRecord(
        message_id=f"msg_{number}",
        session_id="s_1",
        role=role,
        content=f"word {number}",
        created_at=float(number),
    )


class Table:
    """A session's messages, some of which somebody deletes while they are read."""

    def __init__(self, count: int, deleted_after_each_page: int = 0) -> None:
        self.messages = [said(number) for number in range(count)]
        self._deleted = deleted_after_each_page

    async def read(self, limit: int, offset: int) -> list[MessageRecord]:
        """Return a page, then delete."""
        page = self.messages[offset : offset + limit]
        self.messages = self.messages[self._deleted :]
        return page


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 7])
async def test_every_message_is_there_once(count: int) -> None:
    """However many pages they fill."""
    found = [message.message_id async for message in every_message(Table(count).read)]
    assert found == [f"msg_{number}" for number in range(count)]


async def test_pages_fit_the_messages() -> None:
    """Many short ones at a time, few long ones."""
    table = Table(3_000)
    for number in range(1_000, 2_000):
        table.messages[number] = msgspec.structs.replace(said(number), content="x" * 50_000)
    limits: list[int] = []

    async def read(limit: int, offset: int) -> list[MessageRecord]:
        limits.append(limit)
        return await table.read(limit, offset)

    found = [message.message_id async for message in every_message(read)]
    assert found == [f"msg_{number}" for number in range(3_000)]
    assert max(limits) > 4 * PAGE
    assert min(limits) < PAGE // 2


async def test_deletions_meanwhile_take_nothing_else_away() -> None:
    """Those behind the deleted ones move up, and are not skipped."""
    table = Table(6 * PAGE, deleted_after_each_page=20)
    found = [message.message_id async for message in every_message(table.read)]
    assert found == [f"msg_{number}" for number in range(6 * PAGE)]


async def whole(kind: Kind, count: int) -> str:
    """A session's text."""
    return b"".join([piece async for piece in written(kind, SESSION, Table(count).read)]).decode()


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_json_is_json(count: int) -> None:
    """With the session and its messages as REST shows them."""
    text = json.loads(await whole("json", count))
    assert (text["format"], text["version"]) == ("control-tower/session", 1)
    assert text["session"]["title"] == "plans\n# b"
    assert [each["content"] for each in text["messages"]] == [f"word {n}" for n in range(count)]


async def test_texts_for_people_say_who_and_when() -> None:
    """A title cannot make a heading of its own."""
    markdown, plain = await whole("md", 2), await whole("txt", 2)
    assert markdown.startswith("# plans # b\n")
    assert "## You, 1970-01-01T00:00:01.000Z\n\nword 1\n" in markdown
    assert "[1970-01-01T00:00:01.000Z] You:\nword 1\n" in plain
