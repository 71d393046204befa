"""The processes of a benchmark: their lines, their CPU time, their memory, and the machine's state.

One ruler for all: the kernel's own CPU clock of a process, read from outside, so that a server in
C, Go or JavaScript is measured as one in Python is.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

END_TIMEOUT_S: Final = 15.0
NAP_S: Final = 0.001
_SCHEDULED: Final = 2
"""``CPUCLOCK_SCHED`` of Linux: nanoseconds that the threads of a process were on a CPU."""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, user and system, to the nanosecond (Linux)."""
    return time.clock_gettime(((~pid) << 3) | _SCHEDULED)


def pss_bytes(pid: int) -> int:
    """Return a process's memory; pages that it shares with others count in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise ValueError(f"no Pss of process {pid}")


def synced_write_ms(folder: Path, count: int = 50) -> float:
    """Return the median time of a 4 KiB write with fsync in ``folder``, in ms."""
    times = []
    with (folder / "probe").open("wb") as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def surroundings(folder: Path | None = None) -> str:
    """Return a line on what the machine did meanwhile, and on its disk where ``folder`` is."""
    one, five, _ = os.getloadavg()
    text = f"{os.cpu_count()} CPUs, load average {one:.1f} (1 min) {five:.1f} (5 min)"
    if folder is not None:
        text += f", a synced write p50 {synced_write_ms(folder):.2f} ms"
    return text


class WakeUps:
    """How late a thread that has nothing to do is woken: the machine's own part in a latency.

    A context manager; ``p99_ms`` is there after it.
    """

    p99_ms: float = 0.0

    def __enter__(self) -> Self:
        self._late: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sleep)
        self._thread.start()
        return self

    def _sleep(self) -> None:
        while not self._over.is_set():
            began = time.perf_counter()
            time.sleep(NAP_S)
            self._late.append(time.perf_counter() - began - NAP_S)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.p99_ms = sorted(self._late)[len(self._late) * 99 // 100] * 1000


def wait_until(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until something holds, looking every 10 ms.

    Raises:
        SystemExit: if it does not hold in time; ``what`` names it.
    """
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.01)


class Child:
    """A process that answers lines with lines, and ends with its input.

    Attributes:
        first: the line with which it began.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.first = self.read()

    def read(self) -> str:
        """Return its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} ended early")
        return line.strip()

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        self.tell(line)
        return self.read()

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Close its input and wait; one that does not end is killed."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the benchmarks."""
    return [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]


@contextlib.contextmanager
def ending(children: list[Child]) -> Iterator[None]:
    """End all children, those added later too, the last one first."""
    try:
        yield
    finally:
        for child in reversed(children):
            child.end()
