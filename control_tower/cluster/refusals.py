"""Refusals that travel: raised where a command is carried out, raised again where it came in."""

import msgspec

from control_tower import errors
from control_tower.errors import Refusal, Unavailable
from control_tower.unit import StoreFailed
from events.payloads import JsonObject


class NotAtHome(Refusal):
    """A node was asked for a user who is not at home with it, or not for much longer.

    Never shown to a caller: the node that asked looks again who is.
    """

    code = "not_at_home"


class RefusalLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal as it travels. ``outcome`` and ``disk_full`` are an :class:`Unavailable`'s."""

    code: str
    message: str
    details: JsonObject = {}
    retry_after_s: float | None = None
    outcome: str | None = None
    disk_full: bool = False


_CLASSES: dict[str, type[Refusal]] = {
    leaf.code: leaf
    for leaf in (
        Refusal,
        errors.InvalidParams,
        errors.NotFound,
        errors.Forbidden,
        errors.Conflict,
        errors.Expired,
        errors.Busy,
        errors.QuotaRefused,
        errors.RateLimited,
        NotAtHome,
    )
}
"""By their code. :class:`Unavailable` is made of more, and stands for itself."""


def refusal_of(error: BaseException) -> Refusal | None:
    """Return what the caller may be told of ``error``; None when it is ours and a bug."""
    if isinstance(error, StoreFailed):
        return Unavailable(
            "The store can't take this now.", outcome=error.outcome, disk_full=error.disk_full
        )
    return error if isinstance(error, Refusal) else None


def letter_of(refusal: Refusal) -> RefusalLetter:
    """Return a refusal as it travels; one of a class of somebody's own as what its code says."""
    unavailable = refusal if isinstance(refusal, Unavailable) else None
    return RefusalLetter(
        code=refusal.code,
        message=refusal.message,
        details=refusal.details,
        retry_after_s=refusal.retry_after_s,
        outcome=None if unavailable is None else unavailable.outcome,
        disk_full=unavailable is not None and unavailable.disk_full,
    )


def refusal_in(letter: RefusalLetter) -> Refusal:
    """Return the refusal that travelled."""
    refusal: Refusal
    if letter.outcome is not None:
        refusal = Unavailable(letter.message, outcome=letter.outcome, disk_full=letter.disk_full)
    else:
        refusal = _CLASSES.get(letter.code, Refusal)(letter.message)
    refusal.details = letter.details
    refusal.retry_after_s = letter.retry_after_s
    return refusal
