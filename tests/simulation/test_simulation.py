"""The tower keeps its promises in every world that a seed makes.

CI runs 50 seeds, ``make soak`` 200. ``TOWER_SIM_SEEDS=1000`` runs so many at once and
``TOWER_SIM_FIRST`` says with which to begin. A failing seed is looked at with
``python -m tests.simulation -v SEED``.
"""

import os

import pytest

from tests.simulation.days import live_through

IN_CI = 50
SOAKED = 200

SEEDS = int(os.environ.get("TOWER_SIM_SEEDS", "0"))
FIRST = int(os.environ.get("TOWER_SIM_FIRST", "0"))

TWICE = (1, 7, 23)
"""Seeds that are run twice: with crashes, drains, children, questions."""


def _seeds() -> list[object]:
    if SEEDS:
        return list(range(FIRST, FIRST + SEEDS))
    soaked = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(IN_CI, SOAKED)]
    return [*range(IN_CI), *soaked]


@pytest.mark.parametrize("seed", _seeds())
def test_every_promise_holds(seed: int) -> None:
    """No oracle finds a breach, while faults last or after them."""
    report = live_through(seed)
    assert not report.breaches, "\n".join(breach[:2000] for breach in report.breaches[:5])


@pytest.mark.parametrize("seed", TWICE)
def test_the_same_seed_makes_the_same_world(seed: int) -> None:
    """Every event, every delta and every touch of the world is the same, to the byte."""
    assert live_through(seed).trace == live_through(seed).trace
