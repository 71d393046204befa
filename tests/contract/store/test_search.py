"""Searching messages: words in, the best and newest first, and nothing that can fail."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_tower.records import MessageHit
from control_tower.store import InlineStore, search
from control_tower.store.search import snippet
from control_tower.unit import InsertMessage, InsertSession, SaveMessage, SaveSession, Unit
from tests.contract.store.kit import Recorder, StoreAndLog, commit, message, session
from tests.contract.store.test_log import now


async def said(store: StoreAndLog, *texts: str, user_id: str = "alice") -> None:
    """Say texts, each a message ``<user>-<n>``, in a session of the user's."""
    writes = [
        InsertMessage(message(f"{user_id}-{n}", f"s_{user_id}", text))
        for n, text in enumerate(texts, 1)
    ]
    await commit(store, InsertSession(session(f"s_{user_id}", user_id)), *writes)


async def found(
    store: StoreAndLog, text: str, user_id: str | None = "alice", limit: int = 10, offset: int = 0
) -> list[str]:
    """Return the ids of what is found, in order."""
    hits = await store.search_messages(text, user_id, limit, offset)
    return [hit.message_id for hit in hits]


async def test_every_word_must_be_there(store: StoreAndLog) -> None:
    """In any order, in any case, with or without diacritics."""
    await said(store, "The quick brown fox", "A quick one", "Příliš žluťoučký kůň")
    assert await found(store, "QUICK fox") == ["alice-1"]
    assert await found(store, "fox brown the") == ["alice-1"]
    assert await found(store, "quick cat") == []
    assert await found(store, "zlutoucky KUN") == ["alice-3"]


async def test_a_hit_says_what_it_is(store: StoreAndLog) -> None:
    """Message, session, title, role, time, and the words marked in escaped text."""
    titled = msgspec.structs.replace(session(), title="On foxes")
    await commit(store, InsertSession(titled), InsertMessage(message(content="a <b>fox</b> & co")))
    assert await store.search_messages("fox", "alice", 10, 0) == [
        MessageHit(
            message_id="msg_1",
            session_id="s_1",
            session_title="On foxes",
            role="user",
            snippet="a &lt;b&gt;<mark>fox</mark>&lt;/b&gt; &amp; co",
            created_at=100.0,
        )
    ]


async def test_rarer_and_more_frequent_words_come_first_then_the_newest(
    store: StoreAndLog,
) -> None:
    """Rank before age, age before nothing; pages go on where the last one ended."""
    await said(store, "tea", "tea tea tea", "tea", "coffee", "milk", "water")
    assert await found(store, "tea") == ["alice-2", "alice-3", "alice-1"]
    assert await found(store, "tea", limit=1, offset=1) == ["alice-3"]
    assert await found(store, "tea", offset=3) == []
    assert await found(store, "tea", offset=1_000_000) == []


async def test_a_user_finds_only_their_own(store: StoreAndLog) -> None:
    """Everybody's are found without a user, newest first across users."""
    await said(store, "secret plan", "plan", user_id="alice")
    await said(store, "secret garden", user_id="bob")
    assert await found(store, "secret", "alice") == ["alice-1"]
    assert await found(store, "secret", "bob") == ["bob-1"]
    assert await found(store, "secret", "nobody") == []
    assert await found(store, "secret", None) == ["bob-1", "alice-1"]


async def test_the_index_follows_edits_and_deletions(store: StoreAndLog) -> None:
    """Old words are gone with the old text; a restored text is found again."""
    await said(store, "apples and pears")
    old = message("alice-1", "s_alice", "apples and pears")
    edited = msgspec.structs.replace(old, content="plums", original_content=old.content)
    await commit(store, SaveMessage(edited))
    assert await found(store, "apples") == []
    assert await found(store, "plums") == ["alice-1"]
    await commit(store, SaveMessage(msgspec.structs.replace(edited, deleted_at=200.0)))
    assert await found(store, "plums") == []
    await commit(store, SaveMessage(old))
    assert await found(store, "pears") == ["alice-1"]


async def test_messages_of_a_deleted_session_are_hidden_until_it_is_restored(
    store: StoreAndLog,
) -> None:
    """However many of the best ones they are."""
    await said(store, *["tea tea"] * 120, user_id="gone")
    await said(store, "tea", user_id="kept")
    deleted = msgspec.structs.replace(session("s_gone", "gone"), deleted_at=200.0)
    await commit(store, SaveSession(deleted))
    assert await found(store, "tea", None) == ["kept-1"]
    await commit(store, SaveSession(session("s_gone", "gone")))
    assert len(await found(store, "tea", None, limit=200)) == 121


async def test_pages_go_on_among_messages_that_are_hidden(store: StoreAndLog) -> None:
    """Whatever stands between them, each of the others comes once, in one order."""
    for n in range(12):
        texts = [" ".join(["tea"] * (1 + n % 3))] * 10
        await said(store, *texts, user_id=f"u{n}")
        if n % 4:
            hidden = msgspec.structs.replace(session(f"s_u{n}", f"u{n}"), deleted_at=200.0)
            await commit(store, SaveSession(hidden))
    whole = await found(store, "tea", None, limit=100)
    assert {name.partition("-")[0] for name in whole} == {"u0", "u4", "u8"}
    assert len(whole) == len(set(whole)) == 30
    pages = [await found(store, "tea", None, limit=7, offset=at) for at in range(0, 35, 7)]
    assert [name for page in pages for name in page] == whole


async def test_of_too_common_words_the_newest_are_ranked(
    store: StoreAndLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest best message is not looked at; a rarer word still finds it."""
    monkeypatch.setattr(search, "MOST_RANKED", 10)
    await said(store, "tea tea tea rare", *["tea"] * 40)
    assert await found(store, "tea", limit=50) == [f"alice-{n}" for n in range(41, 31, -1)]
    assert await found(store, "tea rare") == ["alice-1"]


async def test_a_word_that_was_common_long_ago_is_found(
    store: StoreAndLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are the newest of those that hold it, not of all messages."""
    monkeypatch.setattr(search, "MOST_RANKED", 10)
    await said(store, *["tea"] * 40, *["milk"] * 200)
    assert await found(store, "tea", limit=50) == [f"alice-{n}" for n in range(40, 30, -1)]


async def test_the_newest_are_told_by_a_sample(
    store: StoreAndLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a user's own and of everybody's; as people and agents speak by turns, of one side's."""
    monkeypatch.setattr(search, "MOST_RANKED", 200)
    monkeypatch.setattr(search, "_SAMPLED", 20)
    await said(store, *["tea", "a cup of milk"] * 300, user_id="alice")
    await said(store, *["tea"] * 300, user_id="bob")
    for user_id, oldest in (("alice", 600 - 400), ("bob", 300 - 200), (None, 300 - 200)):
        names = await found(store, "tea", user_id, limit=1000)
        assert {name.partition("-")[0] for name in names} == {user_id or "bob"}
        numbers = sorted(int(name.partition("-")[2]) for name in names)
        step = 2 if user_id == "alice" else 1
        assert numbers == list(range(numbers[0], numbers[-1] + 1, step))
        assert abs(numbers[0] - oldest) <= 30 * step


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e-mail", ["alice-1"]),
        ("E-Mail you'll", ["alice-1"]),
        ('"e mail"', ["alice-4", "alice-2", "alice-1"]),
        ("mail", ["alice-4", "alice-3", "alice-2", "alice-1"]),
    ],
)
async def test_what_stands_together_is_found_together(
    store: StoreAndLog, text: str, expected: list[str]
) -> None:
    """Parts of one word follow each other; words of their own may stand anywhere, quoted or not."""
    await said(store, "an e-mail you'll get", "mail, then e", "the mailman's mail", "mail e")
    assert sorted(await found(store, text), reverse=True) == expected


@pytest.mark.parametrize(
    "text",
    ["", "   ", "!!!", '"', '""', "'", "()", "* - ^ :", "\x00", "…", "🐎", "_", '" OR "'],
)
async def test_a_text_without_a_word_of_the_message_finds_nothing(
    store: StoreAndLog, text: str
) -> None:
    """And is no error: there is no query syntax."""
    await said(store, "horses and carts")
    assert await found(store, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "carts AND",
        "NOT carts",
        "horses NEAR carts",
        "NEAR(carts horses)",
        "content:carts",
        "carts*",
        "car*",
        "^horses",
        "-carts",
        '"horses and',
        "hor\x00ses",
        "{carts}",
        "carts\ud800",
        "a " * 250,
    ],
)
async def test_query_syntax_is_only_words(store: StoreAndLog, text: str) -> None:
    """It neither fails nor does what the syntax says."""
    await said(store, "horses, carts", "nothing else")
    assert await found(store, text) in ([], ["alice-1"])
    assert await found(store, "car*") == [], "a star is no prefix search"
    assert await found(store, "content:carts") == [], "a column's name is a word"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_no_text_can_fail(content: str, text: str) -> None:
    """Whatever is said and whatever is asked; what is said as one word is found by it."""
    store = InlineStore.open(publish=Recorder(), auto=False)
    plain = content.encode("utf-8", "replace").decode()
    insert = InsertMessage(message(content=f"{plain} anchor"))
    store.submit(Unit([], [InsertSession(session()), insert]))
    store.step()
    now(store.search_messages(text, "alice", 10, 0))
    assert [hit.message_id for hit in now(store.search_messages("anchor", None, 10, 0))] == [
        "msg_1"
    ]


@pytest.mark.parametrize(
    ("content", "words", "shown"),
    [
        ("one two three", {"two"}, "one <mark>two</mark> three"),
        ("Café, CAFÉ!", {"cafe"}, "<mark>Café</mark>, <mark>CAFÉ</mark>!"),
        ("nothing here", {"else"}, "nothing here"),
        ("<script>", {"script"}, "&lt;<mark>script</mark>&gt;"),
        ("", {"x"}, ""),
    ],
)
def test_a_snippet_marks_the_words(content: str, words: set[str], shown: str) -> None:
    """The rest is escaped."""
    assert snippet(content, words) == shown


def test_a_snippet_is_cut_around_the_first_word_found() -> None:
    """Some words before it, some text after, ellipses where it was cut."""
    filler = " ".join(f"w{n}" for n in range(200))
    shown = snippet(f"{filler} needle {filler}", {"needle"})
    assert shown.startswith("…w192 w193 w194")
    assert "w199 <mark>needle</mark> w0" in shown
    assert shown.endswith("…")
    assert len(shown) < 300


def test_a_snippet_shows_the_word_behind_one_enormous_word() -> None:
    """A pasted blob before it does not push it out."""
    shown = snippet("x" * 5_000 + " needle", {"needle"})
    assert "<mark>needle</mark>" in shown
    assert len(shown) < 300
