"""Whatever a client sends, the session answers it or closes with a listed code; it never raises."""

from typing import cast

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from server.services import Services
from server.wire.close_codes import Close
from server.wire.rpc import MethodTable
from server.wire.rpc_session import MAX_STRIKES, Received, RpcSession

TABLE = MethodTable(
    cast("Services", type("NoServices", (), {"tower": 0, "sessions": 0, "eraser": 0}))
)
THEIRS = {-32700, -32600, -32601, -32602}
"""What a client can be told about what it sent, when it is known and not too fast."""

WORDS = st.sampled_from(
    ['"jsonrpc"', '"2.0"', '"id"', '"method"', '"params"', '"topics"', '"system"', '"mission"']
    + [f'"{name}"' for name in TABLE.methods]
)
SCALARS = st.one_of(
    WORDS,
    st.integers().map(str),
    st.sampled_from(["null", "true", "1e400", "-0", "1" * 400, '""', "NaN", "01", "+1", "1."]),
    st.sampled_from([r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'"\\u0000"', '"\x00"', r'"\x"']),
    st.floats().map(str),
    st.text(max_size=20).map(
        lambda text: msgspec.json.encode(text.encode(errors="replace").decode()).decode()
    ),
)


def _objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    # Pairs, not a mapping: keys may stand twice, and need not be texts.
    pairs = st.lists(st.tuples(WORDS | inner, inner), max_size=5)
    return pairs.map(lambda found: "{" + ",".join(f"{key}:{value}" for key, value in found) + "}")


TEXTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda each: f"[{','.join(each)}]") | _objects(inner)
    ),
    max_leaves=12,
)
DEEP = st.tuples(
    st.sampled_from(["[", '{"a":', '{"params":', "[{}, ["]), st.integers(1, 3_000)
).map(lambda pair: pair[0] * pair[1])


def check(received: Received) -> None:
    """One thing follows from a message, and it is well formed."""
    assert (received.reply is not None) + (received.call is not None) <= 1
    assert received.reply or received.call or received.close
    if received.reply is not None:
        reply = msgspec.json.decode(received.reply)
        assert set(reply) == {"jsonrpc", "id", "error"}
        assert reply["error"]["code"] in THEIRS
        assert reply["id"] is None or isinstance(reply["id"], str | int)
    if received.close is not None:
        assert received.close[0] is Close.UNPARSABLE


def session() -> RpcSession:
    """Return a session of the real methods."""
    return RpcSession(TABLE, 0.0, admitted=True, rate=None)


@given(text=st.text() | TEXTS | DEEP | st.binary().map(lambda raw: raw.decode(errors="replace")))
@example(text="[" * 60_000)
@example(text='{"params":' * 6_000)
@example(text='{"id":' + "9" * 60_000 + "}")
def test_whatever_is_sent_has_one_consequence(text: str) -> None:
    """Never an exception, never ``internal``."""
    check(session().receive(text, 0.0))


@given(
    name=st.sampled_from(sorted(TABLE.methods)),
    params=TEXTS | DEEP,
    given_id=TEXTS,
    behind=st.sampled_from(["", ",", "}", ',"id":2', ',"params":{}', "\x00", " " * 50]),
)
def test_a_request_with_anything_in_it_has_one_consequence(
    name: str, params: str, given_id: str, behind: str
) -> None:
    """The envelope is good, and what is in it is not; or it is good twice."""
    text = f'{{"jsonrpc":"2.0","id":{given_id},"method":"{name}","params":{params}{behind}}}'
    check(session().receive(text, 0.0))


@given(texts=st.lists(TEXTS | DEEP | st.text(), min_size=1, max_size=12))
def test_only_three_strikes_close(texts: list[str]) -> None:
    """Other errors never do, however many there are."""
    it, strikes = session(), 0
    for text in texts:
        received = it.receive(text, 0.0)
        if received.reply is not None:
            strikes += msgspec.json.decode(received.reply)["error"]["code"] == -32700
        if received.close is not None:
            assert strikes == MAX_STRIKES
            return
    assert strikes < MAX_STRIKES
