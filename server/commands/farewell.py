"""What to say to a person who leaves a mission: how it goes on, and what they can do."""

from events.payloads import JsonObject

ANSWERS = {
    "confirmation": "tower approve {id}{again} (or --no)",
    "clarification": 'tower approve {id} --answer "…"{again}',
    "resource_exhausted": (
        "tower approve {id} --answer finish|cancel{again} (or --answer extend --add AMOUNT)"
    ),
    "unknown_outcome": "tower approve {id} --answer retry|it_happened|fail{again}",
}
"""The command that answers, by the question's kind."""


def left(mission_id: str, pending: JsonObject | None, *, ours: bool, again: str = "") -> str:
    """Return one line about a mission that nobody follows any more.

    Args:
        mission_id: the mission.
        pending: the ``data`` of its open question, if it has one.
        ours: whether its server ends with this process, so that commands need another.
        again: options that the commands need to find the same server, from a space on.
    """
    cancel = f"to cancel: tower cancel {mission_id}{again}"
    if pending is not None:
        serve = f"start tower serve{again}, then " if ours else ""
        answer = f"{serve}{how_to_answer(pending, again)}"
        return f"The mission {mission_id} waits for an answer: {answer}; {cancel}"
    where = f"at the next tower serve{again}" if ours else "at the server"
    return f"The mission {mission_id} goes on {where}; {cancel}"


def how_to_answer(question: JsonObject, again: str = "") -> str:
    """Return the command that answers an interrupt."""
    pattern = ANSWERS.get(question["kind"], "open the chat (question {id})")
    return pattern.format(id=question["interrupt_id"], again=again)
