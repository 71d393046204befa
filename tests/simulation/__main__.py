"""``python -m tests.simulation SEED [SEED …]``: run seeds and say what they came to."""

import re
import sys
import time

from tests.simulation.days import live_through


def main(arguments: list[str]) -> int:
    """Run the seeds; ``A-B`` is a range, ``-v`` shows the commits of accused missions."""
    verbose = "-v" in arguments
    bad = 0
    for seed in _seeds([each for each in arguments if each != "-v"]):
        began = time.perf_counter()
        report = live_through(seed)
        took_s = time.perf_counter() - began
        if verbose:
            pids = set(re.findall(r"m_\d+", " ".join(report.breaches[:3])))
            for line in report.history:
                if not pids or any(pid in line for pid in pids):
                    sys.stdout.write(line + "\n")
        sys.stdout.write(
            f"seed {seed}: {took_s:.2f} s, {report.lives} lives, {report.missions} missions, "
            f"{report.events} events, {report.executions} touches, {report.requests} requests, "
            f"{report.virtual_s:.0f} virtual s, {report.outcomes}\n"
        )
        for breach in report.breaches[:10]:
            sys.stdout.write(f"    {breach[:3000]}\n")
        sys.stdout.flush()
        bad += bool(report.breaches)
    return min(bad, 1)


def _seeds(arguments: list[str]) -> list[int]:
    seeds: list[int] = []
    for argument in arguments:
        first, _, last = argument.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
