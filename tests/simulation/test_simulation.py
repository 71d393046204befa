"""The tower keeps its promises in every world that a seed makes.

``TOWER_SIM_SEEDS=200`` runs so many seeds instead of the 50 of CI, ``TOWER_SIM_FIRST`` says with
which to begin. A failing seed is looked at with ``python -m tests.simulation -v SEED``.
"""

import os

import pytest

from tests.simulation.days import live_through

SEEDS = int(os.environ.get("TOWER_SIM_SEEDS", "50"))
FIRST = int(os.environ.get("TOWER_SIM_FIRST", "0"))

TWICE = (1, 7, 23)
"""Seeds that are run twice: with crashes, drains, children, questions."""


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_every_promise_holds(seed: int) -> None:
    """No oracle finds a breach, while faults last or after them."""
    report = live_through(seed)
    assert not report.breaches, "\n".join(breach[:2000] for breach in report.breaches[:5])


@pytest.mark.parametrize("seed", TWICE)
def test_the_same_seed_makes_the_same_world(seed: int) -> None:
    """Every event, every delta and every touch of the world is the same, to the byte."""
    assert live_through(seed).trace == live_through(seed).trace
