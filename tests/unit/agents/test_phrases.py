"""The demo's language: read as people mean it, whatever they type, and quickly."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.builtin.commands import (
    Ask,
    Calculate,
    Command,
    Count,
    Delete,
    Help,
    ListFiles,
    Read,
    Remind,
    Search,
    Time,
    Unknown,
    Wait,
    Work,
    Write,
    spell,
)
from agents.builtin.phrases import parse

TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60
)
NAME = st.from_regex(r"[a-z0-9_]{1,8}\.(txt|md)", fullmatch=True)
SECONDS = st.integers(0, 10**6).map(lambda tenths: tenths / 10)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(Calculate, st.from_regex(r"[0-9]{1,4} ?[-+*/] ?[0-9]{1,4}", fullmatch=True)),
    st.just(ListFiles()),
    st.builds(Read, NAME),
    st.builds(Write, NAME, TEXT),
    st.builds(Delete, NAME),
    st.builds(Remind, SECONDS, TEXT),
    st.builds(Wait, SECONDS),
    st.builds(Ask, TEXT),
    st.builds(Count, st.integers(0, 10**9)),
    st.builds(Work, st.integers(0, 10**9)),
    st.just(Time()),
    st.builds(Search, TEXT),
    st.just(Help()),
)


@pytest.mark.parametrize(
    ("mission", "commands"),
    [
        ("calculate 6*7", [Calculate("6*7")]),
        ("CALCULATE 6 * 7.", [Calculate("6 * 7")]),
        ("Calculate: 6*7?", [Calculate("6*7")]),
        ("What is 6 times 7?", [Calculate("6 * 7")]),
        ("what's 10 divided by 4", [Calculate("10 / 4")]),
        ("compute 3 x 4 plus 2 minus 1", [Calculate("3 * 4 + 2 - 1")]),
        ("(1 + 2) * 3", [Calculate("(1 + 2) * 3")]),
        ("please could you calculate 2+2 for me, thanks!", [Calculate("2+2")]),
        ("list files", [ListFiles()]),
        ("List the files, please!", [ListFiles()]),
        ("show me all my files", [ListFiles()]),
        ("read notes.txt", [Read("notes.txt")]),
        ("Read the file 'my notes.txt'.", [Read("my notes.txt")]),
        ("write notes.txt: buy milk", [Write("notes.txt", "buy milk")]),
        ("Write the file notes.txt: Hello, World!", [Write("notes.txt", "Hello, World!")]),
        ("write a.txt:", [Write("a.txt", "")]),
        ("write a.txt: see 10:30 and b:c", [Write("a.txt", "see 10:30 and b:c")]),
        ("write a.txt: first wash then dry", [Write("a.txt", "first wash then dry")]),
        (
            "write a.txt: hello world then read a.txt",
            [Write("a.txt", "hello world"), Read("a.txt")],
        ),
        (
            "write a.txt: salt, pepper, and then read a.txt",
            [Write("a.txt", "salt, pepper"), Read("a.txt")],
        ),
        ("write a.txt: Hello. Then read a.txt", [Write("a.txt", "Hello."), Read("a.txt")]),
        ("write a.txt: one; two", [Write("a.txt", "one"), Unknown("two")]),
        (
            'write a.txt: "one; two then read b"; read a.txt',
            [Write("a.txt", "one; two then read b"), Read("a.txt")],
        ),
        ('write a.txt: say "hi" then go', [Write("a.txt", 'say "hi" then go')]),
        ('write a.txt: "unclosed; read a.txt', [Write("a.txt", '"unclosed'), Read("a.txt")]),
        ("write a.txt: one\ntwo\nread a.txt", [Write("a.txt", "one\ntwo"), Read("a.txt")]),
        ("delete notes.txt", [Delete("notes.txt")]),
        ('Remove the file "old notes.txt"!', [Delete("old notes.txt")]),
        ("remind me in 10 seconds to stretch", [Remind(10, "stretch")]),
        ("Remind me in 1.5 minutes that tea is ready", [Remind(90, "tea is ready")]),
        ("remind me to call Bob in two hours.", [Remind(7200, "call Bob")]),
        ("remind me in 5s: tea then count to 3", [Remind(5, "tea"), Count(3)]),
        ("wait 250 ms", [Wait(0.25)]),
        ("ask me my name", [Ask("my name")]),
        ("ask me what then happened; list files", [Ask("what then happened"), ListFiles()]),
        ("count to 10", [Count(10)]),
        ("Count up to ten!", [Count(10)]),
        ("count to 1,000", [Count(1000)]),
        ("work 20 steps", [Work(20)]),
        ("do work for 3 steps", [Work(3)]),
        ("what time is it?", [Time()]),
        ("search for milk", [Search("milk")]),
        ("search my messages for oat milk", [Search("oat milk")]),
        ("hello", [Help()]),
        ("What can you do?", [Help()]),
        ("", [Help()]),
        (" ;\n; ", [Help()]),
        ("calculate 6*7 then list files", [Calculate("6*7"), ListFiles()]),
        ("calculate 6*7; then list files", [Calculate("6*7"), ListFiles()]),
        ("calculate 6*7, then list files", [Calculate("6*7"), ListFiles()]),
        ("Then list files", [ListFiles()]),
        ("work 2 steps THEN count to 2", [Work(2), Count(2)]),
        ("calculate 6*7 then dance", [Calculate("6*7"), Unknown("dance")]),
        ("make tea then drink it", [Unknown("make tea then drink it")]),
        ("book a flight to Rome", [Unknown("book a flight to Rome")]),
        ("reading is fun", [Unknown("reading is fun")]),
        ("thenceforth", [Unknown("thenceforth")]),
        ("2027", [Unknown("2027")]),
    ],
)
def test_sentences_are_read(mission: str, commands: list[Command]) -> None:
    """As a person would read them."""
    assert parse(mission) == commands


@given(COMMANDS)
def test_a_command_reads_back_from_its_sentence(command: Command) -> None:
    """Whatever text it holds."""
    assert parse(spell(command)) == [command]


@given(
    st.lists(COMMANDS, min_size=1, max_size=4), st.sampled_from(["; ", " then ", ";", ", then "])
)
def test_joined_commands_read_back(commands: list[Command], joint: str) -> None:
    """Either joint separates, also behind quoted texts."""
    assert parse(joint.join(spell(command) for command in commands)) == commands


@given(st.text(max_size=300))
def test_any_text_is_read(mission: str) -> None:
    """It never raises and always finds something to answer."""
    assert parse(mission)


SENTENCES = (
    'then and ; , : \n " \\ write read a.txt calculate 6*7 remind me in 5 seconds to ask '
    "search for count to ten list files please delete"
)
WORDS = st.sampled_from(SENTENCES.split(" "))


@given(st.lists(WORDS, max_size=40))
def test_any_words_of_the_language_are_read(words: list[str]) -> None:
    """Nor does it on what is nearly a command."""
    assert parse(" ".join(words))


@pytest.mark.parametrize(
    "mission",
    [
        " " * 9_990 + "x",
        "write " + " " * 9_990 + "x",
        "remind me to " + " " * 9_000 + "x",
        "remind me to " + "in 5 s " * 1_400,
        "remind me in " + "1 " * 4_000,
        "then " * 2_000,
        "write a: " + "then " * 1_990,
        "write a: " + "x\n" * 4_990,
        'write a: "' + '\\"' * 4_900,
        '"\\' * 5_000,
        "!" * 9_999 + "a",
        "1" * 10_000,
        "1*" * 5_000,
        "and " * 2_500,
        "ask me " + "then ask " * 1_100,
        "foo " + "then read " * 900,
        "calculate " + "x then " * 1_400,
        "search" + " for" * 2_400,
        "x\n" * 5_000,
        ";" * 10_000,
    ],
)
def test_no_mission_takes_long_to_read(mission: str) -> None:
    """It is read on the event loop, so its worst case must be small."""
    began = time.process_time()
    parse(mission)
    assert time.process_time() - began < 0.3
