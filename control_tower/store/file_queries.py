"""Reads of workspace files and artifacts, each a function of a reading connection."""

from sqlalchemy import bindparam, literal, select

from control_tower.records import FileRecord
from control_tower.store import numbers
from control_tower.store.statements import Connection, Query, Row
from control_tower.store.tables import artifacts, files, sessions

_FILES = Query(
    select(files.c.name, files.c.media_type, files.c.size, literal(b""), files.c.updated_at)
    .where(files.c.session_no == bindparam("session_no"))
    .order_by(files.c.name)
)
_FILE = Query(
    select(
        files.c.name, files.c.media_type, files.c.size, files.c.content, files.c.updated_at
    ).where(files.c.session_no == bindparam("session_no"), files.c.name == bindparam("name"))
)
_OF_MISSION = (
    select(
        artifacts.c.name,
        artifacts.c.media_type,
        artifacts.c.size,
        literal(b""),
        artifacts.c.updated_at,
        sessions.c.session_id,
    )
    .join(sessions, sessions.c.no == artifacts.c.session_no)
    .where(artifacts.c.mission_no == bindparam("mission_no"))
)
_ARTIFACTS = Query(_OF_MISSION.order_by(artifacts.c.name))
_ARTIFACT = Query(
    _OF_MISSION.with_only_columns(
        artifacts.c.name,
        artifacts.c.media_type,
        artifacts.c.size,
        artifacts.c.content,
        artifacts.c.updated_at,
        sessions.c.session_id,
    ).where(artifacts.c.name == bindparam("name"))
)


def _file_record(session_id: str, row: Row) -> FileRecord:
    name, media_type, size, content, updated_at = row[:5]
    return FileRecord(
        session_id=session_id,
        name=name,
        media_type=media_type,
        size=size,
        content=content,
        updated_at=updated_at,
    )


def list_files(connection: Connection, session_id: str) -> list[FileRecord]:
    """Return a session's files by name, without their content."""
    number = numbers.session_no(connection, session_id)
    return [_file_record(session_id, row) for row in _FILES.all(connection, session_no=number)]


def file(connection: Connection, session_id: str, name: str) -> FileRecord | None:
    """Return a file with its content."""
    number = numbers.session_no(connection, session_id)
    row = _FILE.one(connection, session_no=number, name=name)
    return None if row is None else _file_record(session_id, row)


def list_artifacts(connection: Connection, pid: str) -> list[FileRecord]:
    """Return a mission's named results by name, without their content."""
    number = numbers.mission_no(connection, pid)
    return [_file_record(row[5], row) for row in _ARTIFACTS.all(connection, mission_no=number)]


def artifact(connection: Connection, pid: str, name: str) -> FileRecord | None:
    """Return a mission's named result with its content."""
    number = numbers.mission_no(connection, pid)
    row = _ARTIFACT.one(connection, mission_no=number, name=name)
    return None if row is None else _file_record(row[5], row)
