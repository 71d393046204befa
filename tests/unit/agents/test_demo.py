"""The demo agent: it does what it understood, says what it could not, and streams its answer."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.builtin.asking import question_about
from agents.builtin.demo import ABILITIES, MAX_COUNT, MAX_STEPS, demo
from agents.errors import QuotaExceeded

MakeContext = Callable[..., Any]


async def answer(ctx: Any) -> str:
    """Run the agent; what it streamed must be what it answers."""
    text = await demo(ctx)
    assert "".join(ctx.deltas) == text
    return text


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the paces out that are there for people's eyes."""
    monkeypatch.setattr("agents.builtin.demo.PAUSE_S", 0)
    monkeypatch.setattr("agents.builtin.demo.STEP_S", 0)


@pytest.mark.parametrize(
    ("mission", "said"),
    [
        ("calculate 6*7", "6*7 = 42"),
        ("calculate 1/0", "1/0 cannot be calculated: it divides by zero."),
        ("calculate", "cannot be calculated: there is no expression."),
        ("list files", "There are no files yet."),
        ("read missing.txt", "There is no file called missing.txt."),
        ("read ../x", "not a plain file name"),
        ("write a.txt: hello", "I wrote a.txt (5 bytes)."),
        ("write a.txt: hello then read a.txt", "I wrote a.txt (5 bytes).\nhello"),
        ("write a: 1; write a: 2; list files", "I replaced a (1 byte).\n1 file: a (1 byte)"),
        ("remind me in 5 seconds to drink", "Reminder: drink"),
        ("remind me in 40 days to drink", "within 30 days"),
        ("wait 2 seconds", "I waited 2 seconds."),
        ("wait 31 days", "30 days at most"),
        ("count to 3", "1 2 3"),
        ("count to 0", "from 1 to 10000, but not to 0"),
        (f"count to {MAX_COUNT + 1}", "but not to 10001"),
        ("work 1 step", "I worked 1 step."),
        (f"work {MAX_STEPS + 1} steps", "but not 5001"),
        ("what time is it", "It is 08:00 UTC on Friday, 2027-01-15."),
        ("search for milk", "This server has no search."),
        ("hello", ABILITIES),
        ("sing a song", "I do not understand “sing a song”."),
        (f"sing {'la' * 100}", "lala…"),
        ("calculate 6*7 then sing", "= 42\nI do not understand “sing”."),
    ],
)
async def test_commands_are_answered(make_ctx: MakeContext, mission: str, said: str) -> None:
    """One line for each command; what went wrong is said, not raised."""
    assert said in await answer(make_ctx(mission))


async def test_counting_streams_one_delta_a_number(make_ctx: MakeContext) -> None:
    """Also beyond the numbers that are paced, and behind another command."""
    ctx = make_ctx("count to 250")
    await answer(ctx)
    assert len(ctx.deltas) == 250
    ctx = make_ctx("calculate 1+1 then count to 5")
    assert await answer(ctx) == "1+1 = 2\n1 2 3 4 5"
    assert len(ctx.deltas) == 6


async def test_work_is_journaled_steps(make_ctx: MakeContext) -> None:
    """Each idempotent, named by its number."""
    ctx = make_ctx("work 3 steps")
    assert await answer(ctx) == "I worked 3 steps."
    assert ctx.calls == [("step", (f"work {number} of 3", True)) for number in (1, 2, 3)]


async def test_a_delete_is_asked_first(make_ctx: MakeContext, files: Any) -> None:
    """Refused, the file is kept and the answer says so; approved, it is gone."""
    await answer(make_ctx("write a.txt: x"))
    said = await answer(make_ctx("delete a.txt", approvals=["not today"]))
    assert said == "I kept a.txt: workspace.delete was refused: not today"
    assert len(files.rows) == 1
    assert await answer(make_ctx("delete a.txt", approvals=[True])) == "I deleted a.txt."
    assert files.rows == {}
    said = await answer(make_ctx("delete a.txt", approvals=[True]))
    assert said == "There is no file called a.txt."


async def test_a_question_is_asked_and_its_reply_used(make_ctx: MakeContext) -> None:
    """In a natural sentence."""
    ctx = make_ctx("ask me my name", replies=["Ada"])
    assert await answer(ctx) == "Your name is Ada."
    assert ctx.calls == [("clarify", ("What is your name?", None, False))]


async def test_a_question_that_expires_is_said(make_ctx: MakeContext) -> None:
    """And the next command is done all the same."""
    ctx = make_ctx("ask me my name then calculate 1+1", replies=[None])
    assert await answer(ctx) == "That did not work: nobody answered in time.\n1+1 = 2"


async def test_a_choice_has_options(make_ctx: MakeContext) -> None:
    """So that people may click."""
    ctx = make_ctx("ask me to choose between tea, coffee or water", replies=["tea"])
    assert await answer(ctx) == "You answered: tea."
    question = "Which do you choose: tea, coffee or water?"
    assert ctx.calls == [("clarify", (question, ("tea", "coffee", "water"), False))]


async def test_a_quota_ends_the_answer_with_what_there_is(make_ctx: MakeContext) -> None:
    """A person chose to finish: the mission completes."""
    quota = QuotaExceeded("2 tool calls are used.")
    ctx = make_ctx("calculate 1+1; calculate 2+2", quota=quota, quota_after=1)
    assert await answer(ctx) == "1+1 = 2\nI stopped here: 2 tool calls are used."


async def test_a_replay_does_not_pause(
    make_ctx: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses are for people who watch, and nobody watches a replay."""
    monkeypatch.setattr("agents.builtin.demo.PAUSE_S", 3600)
    assert await answer(make_ctx("count to 3", replaying=True)) == "1 2 3"


@pytest.mark.parametrize(
    ("about", "question", "said"),
    [
        ("my name", "What is your name?", "Your name is x."),
        ("what my favourite colour is", "What is your favourite colour?", None),
        ("for my age", "What is your age?", "Your age is x."),
        ("for a number", "Please give me a number.", "You answered: x."),
        ("about my day", "What is your day?", None),
        ("about the weather", "What would you like to say about the weather?", None),
        ("if I want tea", "Do you want tea?", None),
        ("whether I am happy with my tea", "Are you happy with your tea?", None),
        ("Which colour do you like?", "Which colour do you like?", "You answered: x."),
        ("a riddle", "You wanted to be asked: a riddle. What is your answer?", None),
        ("", "What would you like to tell me?", None),
        ("to choose one", "You wanted to be asked: to choose one. What is your answer?", None),
    ],
)
def test_questions_are_natural(about: str, question: str, said: str | None) -> None:
    """And their answers are sentences."""
    asked = question_about(about)
    assert asked.text == question
    if said is not None:
        assert asked.answered(" x ") == said


@given(st.text(), st.text())
@example("İ", "")
def test_any_question_can_be_asked_and_answered(about: str, reply: str) -> None:
    """The reply is in the answer; options come in two or more."""
    asked = question_about(about)
    assert asked.text
    assert reply.strip() in asked.answered(reply)
    assert asked.options is None or len(set(asked.options)) > 1
