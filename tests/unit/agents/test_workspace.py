"""The workspace: plain names, staged changes, bounded room; and the tools over it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import ToolDeclined, ToolFailed
from agents.workspace import MAX_FILES, MAX_SESSION_BYTES, Workspace, plain_name
from control_tower.records import FileRecord
from control_tower.unit import DeleteFile, SaveFile, Write

MakeContext = Callable[..., Any]


def row(name: str, size: int = 1, session: str = "s_1") -> FileRecord:
    """Return a file's row."""
    return FileRecord(
        session_id=session,
        name=name,
        media_type="text/plain",
        size=size,
        content=b"x",
        updated_at=1.0,
    )


@pytest.mark.parametrize(
    "name", ["a.txt", "Über uns (2).md", "1", "_x", "a b-c,d+e@f=g#h~i", "日本.txt"]
)
def test_plain_names_are_taken(name: str) -> None:
    """Letters of any script, digits, spaces and harmless signs."""
    assert plain_name(f" {name} ") == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "../a", "a\\b", "a\0", "a\nb", "x" * 121, "a.", "C:a", "-a"],
)
def test_other_names_are_declined(name: str) -> None:
    """Nothing that a file system, a shell or an archive would take for more than a name."""
    with pytest.raises(ToolDeclined, match="not a plain file name"):
        plain_name(name)


@given(st.text())
def test_a_name_has_one_spelling(name: str) -> None:
    """Spelling it again changes nothing, and no folder comes through."""
    try:
        spelled = plain_name(name)
    except ToolDeclined:
        return
    assert plain_name(spelled) == spelled
    assert not set(spelled) & set("/\\:\0\n\r\t")


async def test_changes_are_staged_and_seen_by_the_attempt(files: Any) -> None:
    """Reading sees what was staged before; the store is not touched."""
    files.rows["s_1", "old.txt"] = row("old.txt")
    writes: list[Write] = []
    workspace = Workspace(files, "s_1", 5.0, writes)
    await workspace.write("new.txt", b"hello")
    assert (await workspace.read("new.txt")).content == b"hello"
    assert await workspace.delete("old.txt") == "old.txt"
    with pytest.raises(ToolDeclined, match=r"no file called old\.txt"):
        await workspace.read("old.txt")
    with pytest.raises(ToolDeclined):
        await workspace.delete("old.txt")
    assert [file.name for file in await workspace.list()] == ["new.txt"]
    assert set(files.rows) == {("s_1", "old.txt")}
    saved, deleted = writes
    assert isinstance(saved, SaveFile)
    assert saved.file.size == 5
    assert saved.file.updated_at == 5.0
    assert deleted == DeleteFile("s_1", "old.txt")


async def test_sessions_do_not_share_files(files: Any) -> None:
    """Another session's file is not there."""
    files.rows["s_2", "a.txt"] = row("a.txt", session="s_2")
    workspace = Workspace(files, "s_1", 5.0, [])
    assert await workspace.list() == []
    with pytest.raises(ToolDeclined):
        await workspace.read("a.txt")


async def test_room_is_bounded(files: Any) -> None:
    """16 MiB a session; replacing a file frees its own room."""
    files.rows["s_1", "big"] = row("big", MAX_SESSION_BYTES - 10)
    workspace = Workspace(files, "s_1", 5.0, [])
    await workspace.write("a", b"x" * 10)
    with pytest.raises(ToolDeclined, match="16 MiB"):
        await workspace.write("b", b"x")
    await workspace.write("big", b"x" * 100)
    await workspace.write("b", b"x")


async def test_the_number_of_files_is_bounded(files: Any) -> None:
    """Empty files take rows, too."""
    for number in range(MAX_FILES):
        files.rows["s_1", f"{number}"] = row(f"{number}", 0)
    workspace = Workspace(files, "s_1", 5.0, [])
    with pytest.raises(ToolDeclined, match="1000 files"):
        await workspace.write("one-more", b"")
    await workspace.write("7", b"replaced")


async def test_the_tools_write_list_read_and_delete(make_ctx: MakeContext, files: Any) -> None:
    """Each change is committed with its call."""
    ctx = make_ctx("x", approvals=[True])
    assert await ctx.tool("workspace.write", name="a.txt", text="héllo") == {
        "name": "a.txt",
        "size_bytes": 6,
        "replaced": False,
    }
    assert (await ctx.tool("workspace.write", name=" a.txt ", text="2"))["replaced"] is True
    assert await ctx.tool("workspace.list") == [
        {
            "name": "a.txt",
            "size_bytes": 1,
            "media_type": "text/plain; charset=utf-8",
            "updated_at": "2027-01-15T08:00:00.000Z",
        }
    ]
    assert await ctx.tool("workspace.read", name="a.txt") == "2"
    assert await ctx.tool("workspace.delete", name="a.txt") == {"deleted": "a.txt"}
    assert files.rows == {}


async def test_reading_bytes_that_are_no_text_is_declined(
    make_ctx: MakeContext, files: Any
) -> None:
    """The tool says so instead of guessing an encoding."""
    ctx = make_ctx("x")
    files.apply([SaveFile(row("a.bin"))])
    files.rows["s_1", "a.bin"] = FileRecord(
        session_id="s_1", name="a.bin", media_type="x/y", size=1, content=b"\xff", updated_at=1.0
    )
    with pytest.raises(ToolFailed, match="not a text file"):
        await ctx.tool("workspace.read", name="a.bin")


@pytest.mark.parametrize(
    ("name", "risk", "confirm", "staged", "idempotent"),
    [
        ("workspace.list", "read_only", False, False, True),
        ("workspace.read", "read_only", False, False, True),
        ("workspace.write", "write", False, True, False),
        ("workspace.delete", "destructive", True, True, False),
    ],
)
def test_only_deleting_asks(
    *, executor: Any, name: str, risk: str, confirm: bool, staged: bool, idempotent: bool
) -> None:
    """Changes are staged, so that none is ever in doubt."""
    arguments = {"name": "a", "text": "b"}
    wanted = executor._planner.find(name).schema.json_schema["properties"]
    plan = executor.plan(name, {key: arguments[key] for key in wanted})
    assert (plan.risk, plan.confirm, plan.staged, plan.idempotent) == (
        risk,
        confirm,
        staged,
        idempotent,
    )
