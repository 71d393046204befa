"""A LangGraph checkpointer of ours: in memory, to be taken into the journal and given back.

It is the library's own, of which the newest checkpoint (with all before it where a channel keeps
only differences) is packed as text. What the journal has is unpacked by the library's serializer.
"""

import base64
import importlib
from typing import Any

import msgspec


def new_memory() -> Any:
    """Return an empty checkpointer."""
    return importlib.import_module("langgraph.checkpoint.memory").InMemorySaver()


def keeps_differences(graph: Any) -> bool:
    """Whether a graph's state is in all of its checkpoints together, not in the newest alone."""
    return any(type(channel).__name__ == "DeltaChannel" for channel in graph.channels.values())


def packed(memory: Any, *, within: bool, history: bool) -> str:
    """Return what a checkpointer holds, as text.

    Args:
        memory: of :func:`new_memory`.
        within: with the checkpoints of graphs within the graph; they matter while it waits.
        history: with the checkpoints before the newest.
    """
    rows: list[Any] = []
    for thread, spaces in memory.storage.items():
        for space, checkpoints in spaces.items():
            if within or not space:
                kept = sorted(checkpoints) if history else [max(checkpoints)]
                rows += [_row(memory, thread, space, each, history) for each in kept]
    return base64.b64encode(msgspec.msgpack.encode(rows)).decode()


def _row(memory: Any, thread: str, space: str, identity: str, history: bool) -> list[Any]:
    checkpoint, metadata, parent = memory.storage[thread][space][identity]
    versions = memory.serde.loads_typed(checkpoint)["channel_versions"]
    blobs = [
        [channel, version, memory.blobs[thread, space, channel, version]]
        for channel, version in versions.items()
        if (thread, space, channel, version) in memory.blobs
    ]
    writes = list(memory.writes.get((thread, space, identity), {}).items())
    entry = [checkpoint, metadata, parent if history else None]
    return [thread, space, identity, entry, writes, blobs]


def unpack(memory: Any, text: str) -> None:
    """Let a checkpointer hold exactly what :func:`packed` returned."""
    for held in (memory.storage, memory.writes, memory.blobs):
        held.clear()
    for row in msgspec.msgpack.decode(base64.b64decode(text)):
        thread, space, identity, (checkpoint, metadata, parent), writes, blobs = row
        memory.storage[thread][space][identity] = (tuple(checkpoint), tuple(metadata), parent)
        memory.writes[thread, space, identity] = {
            tuple(key): (task, channel, tuple(typed), path)
            for key, (task, channel, typed, path) in writes
        }
        for channel, version, blob in blobs:
            memory.blobs[thread, space, channel, version] = tuple(blob)
