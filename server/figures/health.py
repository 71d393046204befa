"""Liveness and readiness: whether the loop answers, and whether the parts below it work.

Liveness touches nothing. Readiness asks each part, each within a bound; a part that is down makes
the server not ready, a degraded one is only said.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from events.payloads import JsonObject
from events.times import rfc3339

Status: TypeAlias = Literal["up", "down", "degraded"]

CHECK_TIMEOUT_S = 2.0
MIN_FREE_BYTES = 64 * 1024 * 1024
LAG_DEGRADED_MS = 250.0
LAG_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    status: Status
    message: str


Check: TypeAlias = Callable[[], Awaitable[Finding]]


async def check_disk(data_dir: Path) -> Finding:
    """Tell whether the data folder's disk has room for new missions."""
    found = await asyncio.to_thread(os.statvfs, data_dir)
    free = found.f_bavail * found.f_frsize
    megabytes = free // (1024 * 1024)
    if free < MIN_FREE_BYTES:
        return Finding("degraded", f"{megabytes} MiB free: new missions are refused")
    return Finding("up", f"{megabytes} MiB free")


class LoopLag:
    """Measures how late the event loop runs its timers; keeps the worst of the last 30 s."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin measuring, on the running loop."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + LAG_EVERY_S
        self._timer = loop.call_at(self._due, self._sample)

    def stop(self) -> None:
        """Stop measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sample(self) -> None:
        now = asyncio.get_running_loop().time()
        self._samples.append((now, max(0.0, now - self._due)))
        self._samples = [sample for sample in self._samples if now - sample[0] <= 30]
        self.start()

    @property
    def worst_ms(self) -> float:
        """The worst lag of the last 30 s."""
        return max((late for _, late in self._samples), default=0.0) * 1000

    async def check(self) -> Finding:
        """Tell whether the loop is late."""
        status: Status = "degraded" if self.worst_ms > LAG_DEGRADED_MS else "up"
        return Finding(status, f"at most {self.worst_ms:.0f} ms late in the last 30 s")


async def readiness(checks: Mapping[str, Check], now: float) -> tuple[bool, JsonObject]:
    """Run every check at once; return whether the server is ready, and the components."""
    names = list(checks)
    results = await asyncio.gather(*(_run(checks[name], now) for name in names))
    components = dict(zip(names, results, strict=True))
    return all(each["status"] != "down" for each in results), components


async def _run(check: Check, now: float) -> JsonObject:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            finding = await check()
    except TimeoutError:
        finding = Finding("down", f"no answer within {CHECK_TIMEOUT_S:g} s")
    except Exception:  # noqa: BLE001 - whatever a broken part raises, it is down; no inside is told
        finding = Finding("down", "the check failed")
    return {
        "status": finding.status,
        "message": finding.message,
        "latency_ms": round((time.perf_counter() - began) * 1000, 2),
        "last_check": rfc3339(now),
    }
