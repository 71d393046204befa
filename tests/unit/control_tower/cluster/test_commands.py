"""Commands travel as they were given: whatever a caller may ask arrives just so."""

from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from control_tower.cluster import commands
from control_tower.cluster.commands import Command, Passed, PassedOn, plain
from control_tower.commands import (
    Answer,
    Caller,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    QuotaIncrease,
    Submission,
)
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import InterruptKind, Priority
from server.access.auth import Credential

ids = st.text(min_size=1, max_size=20)
callers = st.builds(Caller, ids, st.sampled_from(["viewer", "user", "operator"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=8), json_values, max_size=4)
counts = st.integers(0, 1 << 40)
amounts = st.floats(0, 1e9)
increases = st.builds(
    QuotaIncrease,
    max_llm_calls=counts,
    max_tool_calls=counts,
    max_input_tokens=counts,
    max_output_tokens=counts,
    max_cost_usd=amounts,
    max_children=counts,
    max_events=counts,
    timeout_seconds=amounts,
)
submissions = st.builds(
    Submission,
    mission=st.text(min_size=1, max_size=200),
    agent=st.none() | ids,
    profile=st.none() | ids,
    session_id=st.none() | ids,
    inputs=objects,
    priority=st.sampled_from(Priority),
    quota=st.none() | st.builds(ResourceQuota, max_llm_calls=counts, max_cost_usd=amounts),
    deadline_s=st.none() | st.floats(0.001, 1e6),
    start_at=st.none() | st.text(max_size=40),
    on_busy=st.sampled_from(["enqueue", "reject", "interrupt", "parallel"]),
    idempotency_key=st.none() | ids,
)
answers = st.one_of(
    st.builds(
        ConfirmationAnswer,
        approved=st.booleans(),
        message=st.none() | st.text(max_size=50),
        arguments=st.none() | objects,
    ),
    st.builds(ClarificationAnswer, answer=st.text(min_size=1, max_size=50)),
    st.builds(
        DecisionAnswer,
        decision=st.sampled_from(["extend", "finish", "cancel", "it_happened", "retry", "fail"]),
        quota=st.none() | increases,
        result=json_values,
    ),
)
kinds = st.none() | st.frozensets(st.sampled_from(InterruptKind))
texts = st.none() | st.text(max_size=50)

EACH: dict[type[Passed], st.SearchStrategy[Passed]] = {
    commands.Submit: st.builds(
        commands.Submit, caller=callers, submission=submissions, body_sha256=ids
    ),
    commands.SendMessage: st.builds(
        commands.SendMessage,
        caller=callers,
        submission=submissions,
        body_sha256=ids,
        message=st.text(max_size=50),
    ),
    **{
        kind: st.builds(kind, caller=callers, pid=ids, reason=texts)
        for kind in (commands.Cancel, commands.Pause, commands.Resume)
    },
    commands.SetPriority: st.builds(
        commands.SetPriority, caller=callers, pid=ids, priority=st.sampled_from(Priority)
    ),
    commands.ExtendQuota: st.builds(commands.ExtendQuota, caller=callers, pid=ids, quota=increases),
    commands.Explain: st.builds(commands.Explain, caller=callers, pid=ids),
    commands.AnswerInterrupt: st.builds(commands.AnswerInterrupt.of, callers, ids, answers, kinds),
    commands.UpdateSession: st.builds(
        commands.UpdateSession,
        caller=callers,
        session_id=ids,
        title=texts,
        archived=st.none() | st.booleans(),
    ),
    **{
        kind: st.builds(kind, caller=callers, session_id=ids)
        for kind in (commands.DeleteSession, commands.RestoreSession, commands.EraseSession)
    },
    commands.EditMessage: st.builds(
        commands.EditMessage, caller=callers, message_id=ids, content=st.text(max_size=50)
    ),
    commands.DeleteMessage: st.builds(commands.DeleteMessage, caller=callers, message_id=ids),
    commands.EraseUser: st.builds(commands.EraseUser, user_id=ids),
    commands.FinishErasing: st.builds(commands.FinishErasing, session_id=ids),
}


def test_every_command_is_tried_below() -> None:
    """One that is added must be."""
    assert set(get_args(Command)) == set(EACH)


@given(user_id=ids, command=st.one_of(*EACH.values()))
def test_a_command_arrives_as_it_was_given(user_id: str, command: Command) -> None:
    """Its class and every field."""
    passed = PassedOn(user_id, command)
    arrived = msgspec.json.decode(msgspec.json.encode(passed), type=PassedOn)
    assert type(arrived.command) is type(command)
    assert arrived == passed


@given(answer=answers)
def test_an_answer_arrives_as_what_it_is(answer: Answer) -> None:
    """The three shapes have no tags."""
    command = commands.AnswerInterrupt.of(Caller("alice", "user"), "i_1", answer, None)
    arrived = msgspec.json.decode(msgspec.json.encode(command), type=commands.AnswerInterrupt)
    assert type(arrived.answer) is type(answer)
    assert arrived.answer == answer


def test_credentials_stay_where_they_were_shown() -> None:
    """Another node learns who asks, not by which key."""
    shown = Credential("alice", "user", expires_at=5.0, key_id="k_1")
    assert plain(shown) == Caller("alice", "user")
    assert type(plain(shown)) is Caller


def test_what_would_count_twice_is_not_made_again() -> None:
    """A submit is, under a key by which its second is known."""
    caller, words = Caller("alice", "user"), Submission(mission="go")
    keyed = msgspec.structs.replace(words, idempotency_key="k")
    assert not commands.Submit(caller=caller, submission=words, body_sha256="").repeatable
    assert commands.Submit(caller=caller, submission=keyed, body_sha256="").repeatable
    assert not commands.ExtendQuota(caller=caller, pid="m", quota=QuotaIncrease()).repeatable
