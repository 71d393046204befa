"""Rates of ``tower.status``, under a clock of the test's own."""

from server.figures.throughput import WINDOW_S, Throughput


def test_rates_reach_back_over_the_window() -> None:
    """What happened before it does not count any more."""
    throughput = Throughput(0.0, {"events": 0})
    for second in range(1, 31):
        throughput.note(second, {"events": 100 * min(second, 10)})
    assert throughput.rates(10.0 + WINDOW_S, {"events": 1_000}) == {"events_per_s": 0.0}


def test_a_steady_flow_has_its_rate() -> None:
    """However often it is noted."""
    for every in (1, 2, 7):
        throughput = Throughput(0.0, {"events": 0, "deliveries": 0})
        for second in range(0, 60, every):
            throughput.note(second, {"events": 3 * second, "deliveries": 50 * second})
        assert throughput.rates(60.0, {"events": 180, "deliveries": 3_000}) == {
            "events_per_s": 3.0,
            "deliveries_per_s": 50.0,
        }


def test_the_first_moments_are_no_thousands() -> None:
    """One event just after the start is one in that second."""
    throughput = Throughput(0.0, {"events": 0})
    assert throughput.rates(0.001, {"events": 1}) == {"events_per_s": 1.0}


def test_notes_are_bounded() -> None:
    """Only those of the window are kept, and one before it."""
    throughput = Throughput(0.0, {"events": 0})
    for second in range(1_000):
        throughput.note(second, {"events": second})
    assert len(throughput._notes) <= WINDOW_S + 1
