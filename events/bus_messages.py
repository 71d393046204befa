"""The messages of the bus between processes: what a node says in one tick, as bytes.

A core. A node says events and replies to all nodes, and text to each node that wants it. A message
is a head (version, sender) and a body in MessagePack. What events have in common
is said once a message: types and scopes stand in tables, and events name their rows. A receiver
keeps the scopes that it made, since a mission's thousand events have one.

Whoever can write to the channel is trusted as the database is; but whatever comes, reading it does
no more than raise :class:`NotOurs`. Messages of another version are for other nodes: while a
cluster is brought up to date, these find the events in the log.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec

from events.types import Committed, Ephemeral, Scope

VERSION: Final = 2
PIECE_BYTES: Final = 256 << 10
"""About how large a message becomes: what a receiver takes in a few milliseconds."""

_MOST_SCOPES: Final = 10_000
_HEAD: Final = struct.Struct(">BQ")

_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Row = Annotated[int, msgspec.Meta(ge=0)]
_ScopeRow: TypeAlias = tuple[str | None, str | None, tuple[str, ...], str | None, str | None]
_EventRow: TypeAlias = tuple[_Row, _Row, bytes]
"""Its type and its scope, each a row of a table of the message; its body."""


class _Unit(msgspec.Struct, array_like=True, tag=0, frozen=True, gc=False):
    first: _Offset
    events: list[_EventRow]


class _Text(msgspec.Struct, array_like=True, tag=1, frozen=True, gc=False):
    reached: _Offset
    fresh: _Offset
    events: list[_EventRow]


class Reply(msgspec.Struct, array_like=True, tag=2, frozen=True, gc=False):
    """An answer to the node ``to``, whose call was ``call``."""

    to: int
    call: str
    body: bytes


class Ask(msgspec.Struct, array_like=True, tag=3, frozen=True, gc=False):
    """The node ``of`` is to say its whole interest again; 0: every node is."""

    of: int


class Interest(msgspec.Struct, array_like=True, tag=4, frozen=True, gc=False):
    """A change of what the sender wants text of; see :mod:`events.interest`.

    Attributes:
        number: of the change, from 1.
        came: topics that are wanted now.
        went: topics that are not any more.
        whole: nothing else is wanted than what came.
        missed: what streams in all of it is to be said again.
        answer: the sender waits until this was :class:`Heard`.
    """

    number: _Offset
    came: list[str]
    went: list[str]
    whole: bool
    missed: bool
    answer: bool


class Heard(msgspec.Struct, array_like=True, tag=5, frozen=True, gc=False):
    """To one node: its change of interest was heard of, and what streams in it was said before.

    Attributes:
        number: of the change.
        reached: an offset; with it all is there that the text before this waits for.
    """

    number: _Offset
    reached: _Offset


_Item: TypeAlias = _Unit | _Text | Reply | Ask | Interest | Heard


class _Body(msgspec.Struct, array_like=True, frozen=True, gc=False):
    number: _Offset
    reached: _Offset
    fresh: _Offset
    interest: _Offset
    types: list[str]
    scopes: list[_ScopeRow]
    items: list[_Item]


class NotOurs(Exception):
    """These bytes are no message of this version. ``version`` is theirs, if they have one."""

    def __init__(self, version: int | None) -> None:
        super().__init__(f"not a message of version {VERSION}")
        self.version = version


class UnitSaid(msgspec.Struct, frozen=True, gc=False):
    """Events of a unit, or a part of them."""

    events: Sequence[Committed]


class TextSaid(msgspec.Struct, frozen=True, gc=False):
    """An ephemeral event. For ``reached`` and ``fresh`` see :mod:`events.sequence`."""

    reached: int
    fresh: int
    event: Ephemeral


Item: TypeAlias = UnitSaid | TextSaid | Reply | Ask | Interest | Heard


class Message(msgspec.Struct, frozen=True, gc=False):
    """What a node says. For ``reached`` and ``fresh`` see :mod:`events.sequence`.

    ``number`` counts the sender's messages to all, from 1; it is 0 in one that is for us alone.
    ``interest`` is how many changes of its interest the sender had told before.
    """

    number: int
    reached: int
    fresh: int
    interest: int
    items: Sequence[Item]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


class Writing:
    """A message that is being written.

    Attributes:
        size_bytes: what it will be, about.
        durable: how many durable events are in it.
    """

    __slots__ = (
        "_fresh",
        "_interest",
        "_items",
        "_kept",
        "_reached",
        "_scope_rows",
        "_scopes",
        "_types",
        "durable",
        "size_bytes",
    )

    def __init__(self, reached: int, fresh: int, interest: int) -> None:
        self._reached = reached
        self._fresh = fresh
        self._interest = interest
        self._types: dict[str, int] = {}
        self._scopes: list[_ScopeRow] = []
        self._scope_rows: dict[int, int] = {}
        self._kept: list[Scope] = []
        self._items: list[_Item] = []
        self.size_bytes = 0
        self.durable = 0

    def unit(self, events: Sequence[Committed]) -> None:
        """Add events of one unit, which follow each other."""
        self.durable += len(events)
        self._items.append(_Unit(events[0].offset, [self._row(each) for each in events]))

    def text(self, reached: int, fresh: int, event: Ephemeral) -> None:
        """Add an ephemeral event."""
        last = self._items[-1] if self._items else None
        if isinstance(last, _Text) and last.reached == reached and last.fresh == fresh:
            last.events.append(self._row(event))
        else:
            self._items.append(_Text(reached, fresh, [self._row(event)]))

    def add(self, item: Reply | Ask | Interest | Heard) -> None:
        """Add a reply, or what nodes have to say of themselves."""
        self.size_bytes += 16
        if isinstance(item, Reply):
            self.size_bytes += len(item.body) + len(item.call)
        elif isinstance(item, Interest):
            self.size_bytes += sum(map(len, item.came)) + sum(map(len, item.went))
        self._items.append(item)

    def finish(self, sender: int, number: int) -> bytes:
        """Return the message."""
        body = _Body(
            number,
            self._reached,
            self._fresh,
            self._interest,
            list(self._types),
            self._scopes,
            self._items,
        )
        return _HEAD.pack(VERSION, sender) + _encode(body)

    def _row(self, event: Committed | Ephemeral) -> _EventRow:
        kind = self._types.setdefault(event.type, len(self._types))
        scope = event.scope
        # By identity: a scope is made once a mission, and this is asked for each event.
        row = self._scope_rows.get(id(scope))
        if row is None:
            row = self._scope_rows[id(scope)] = len(self._scopes)
            self._kept.append(scope)
            self._scopes.append(
                (scope.session_id, scope.user_id, scope.lineage, scope.agent, scope.priority)
            )
            self.size_bytes += 200
        self.size_bytes += len(event.body) + 8
        return kind, row, event.body


def sender_of(data: bytes) -> int:
    """Return who sent a message.

    Raises:
        NotOurs: if it is none, or of another version.
    """
    if len(data) < _HEAD.size:
        raise NotOurs(None)
    version, sender = _HEAD.unpack_from(data)
    if version != VERSION:
        raise NotOurs(version)
    return int(sender)


class Reader:
    """Reads messages; keeps the scopes that it made."""

    def __init__(self, most_scopes: int = _MOST_SCOPES) -> None:
        self._scopes: dict[_ScopeRow, Scope] = {}
        self._most_scopes = most_scopes

    def read(self, data: bytes) -> Message:
        """Return what a message says.

        Raises:
            NotOurs: if it can't be understood.
        """
        sender_of(data)
        try:
            body = _decode(memoryview(data)[_HEAD.size :])
            scopes = [self._scope(row) for row in body.scopes]
            items = [one for each in body.items for one in self._said(each, body.types, scopes)]
        # RecursionError and UnicodeDecodeError are no MsgspecError; a row may be out of its table.
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, IndexError) as error:
            raise NotOurs(VERSION) from error
        return Message(body.number, body.reached, body.fresh, body.interest, items)

    @staticmethod
    def _said(item: _Item, types: list[str], scopes: list[Scope]) -> Iterable[Item]:
        if isinstance(item, _Unit):
            events = [
                Committed(offset, types[kind], scopes[scope], body)
                for offset, (kind, scope, body) in enumerate(item.events, item.first)
            ]
            return (UnitSaid(events),)
        if isinstance(item, _Text):
            return [
                TextSaid(item.reached, item.fresh, Ephemeral(types[kind], scopes[scope], body))
                for kind, scope, body in item.events
            ]
        return (item,)

    def _scope(self, row: _ScopeRow) -> Scope:
        found = self._scopes.get(row)
        if found is None:
            if len(self._scopes) >= self._most_scopes:
                self._scopes.clear()
            found = self._scopes[row] = Scope(*row)
        return found
