"""The files of a session, kept as rows of the store.

Reading sees what is committed, and what this attempt has staged before. Changes are staged as
writes of the step and committed in the same unit as its result, so that a change is never in
doubt: either the step completed and the file is there, or neither.
"""

import re
import unicodedata
from typing import Protocol

from agents.errors import ToolDeclined
from control_tower.records import FileRecord
from control_tower.unit import DeleteFile, SaveFile, Write

MAX_SESSION_BYTES = 16 * 1024 * 1024
MAX_FILES = 1_000
MAX_NAME_CHARACTERS = 120
_NAME = re.compile(r"\w[\w .,()+@=#~-]*", re.UNICODE)


class Files(Protocol):
    """The part of the store that a workspace reads."""

    async def files(self, session_id: str) -> list[FileRecord]:
        """Return the files by name, without content."""

    async def file(self, session_id: str, name: str) -> FileRecord | None:
        """Return a file with its content."""


def plain_name(name: str) -> str:
    """Return ``name`` in its one spelling (NFC).

    Raises:
        ToolDeclined: for anything but a plain file name: no folders, no control characters.
    """
    spelled = unicodedata.normalize("NFC", name).strip()
    if not _NAME.fullmatch(spelled) or len(spelled) > MAX_NAME_CHARACTERS or spelled.endswith("."):
        raise ToolDeclined(
            f"{name[:MAX_NAME_CHARACTERS]!r} is not a plain file name: use letters, digits, "
            "spaces, dots, dashes and underscores, and no folders."
        )
    return spelled


class Workspace:
    """One attempt's view of a session's files."""

    def __init__(self, files: Files, session_id: str, now: float, writes: list[Write]) -> None:
        self._files = files
        self._session_id = session_id
        self._now = now
        self._writes = writes

    async def list(self) -> list[FileRecord]:
        """Return the files by name, without their content."""
        found = {file.name: file for file in await self._files.files(self._session_id)}
        for write in self._writes:
            if isinstance(write, SaveFile):
                found[write.file.name] = write.file
            elif isinstance(write, DeleteFile):
                found.pop(write.name, None)
        return [found[name] for name in sorted(found)]

    async def read(self, name: str) -> FileRecord:
        """Return a file with its content.

        Raises:
            ToolDeclined: if there is none of that name.
        """
        spelled = plain_name(name)
        for write in reversed(self._writes):
            if isinstance(write, SaveFile) and write.file.name == spelled:
                return write.file
            if isinstance(write, DeleteFile) and write.name == spelled:
                raise _missing(spelled)
        found = await self._files.file(self._session_id, spelled)
        if found is None:
            raise _missing(spelled)
        return found

    async def write(
        self, name: str, content: bytes, media_type: str = "text/plain; charset=utf-8"
    ) -> FileRecord:
        """Stage a file, new or replaced.

        Raises:
            ToolDeclined: for a bad name, or when the session's room is used up.
        """
        spelled = plain_name(name)
        others = [file for file in await self.list() if file.name != spelled]
        if sum(file.size for file in others) + len(content) > MAX_SESSION_BYTES:
            raise ToolDeclined("This session's files may take 16 MiB together; delete some first.")
        if len(others) >= MAX_FILES:
            raise ToolDeclined(f"A session may have {MAX_FILES} files; delete some first.")
        file = FileRecord(
            session_id=self._session_id,
            name=spelled,
            media_type=media_type,
            size=len(content),
            content=content,
            updated_at=self._now,
        )
        self._writes.append(SaveFile(file))
        return file

    async def delete(self, name: str) -> str:
        """Stage the removal of a file; return its name.

        Raises:
            ToolDeclined: if there is none of that name.
        """
        spelled = plain_name(name)
        if all(file.name != spelled for file in await self.list()):
            raise _missing(spelled)
        self._writes.append(DeleteFile(self._session_id, spelled))
        return spelled


def _missing(name: str) -> ToolDeclined:
    return ToolDeclined(f"There is no file called {name}.")
