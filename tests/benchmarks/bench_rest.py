"""What HTTP costs on top of the work: the time from a request to its answer at a steady pace.

    python -m tests.benchmarks.bench_rest [--rate 500] [--seconds 10]

A load generator in a process of its own sends at fixed instants, whether earlier answers have come
or not, and counts from the instant at which a request was due: a server that stalls is charged for
everybody who would have come meanwhile. The endpoints are those of a client at work; beside them
stands a server that answers from memory through the same uvicorn, as the floor.
"""

import argparse
import asyncio
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.integration.tower_process import TowerProcess

REACH_MS = 10.0
WARM_S = 1.0
CONNECTIONS = 16

READS = ("/health", "/api/v1/missions/{pid}", "/api/v1/chat/sessions", "/api/v1/interrupts")
SUBMIT = "POST /api/v1/requests"


class Load:
    """Keep-alive connections that take requests in turn.

    Args:
        address: host and port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )
        self.late_ms: list[float] = []
        self.failed = 0

    async def open(self) -> None:
        """Connect."""
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection(*self._address))

    async def send(self, request: bytes, due: float) -> None:
        """Send one, and note how long after ``due`` its answer was whole."""
        reader, writer = await self._free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        self._free.put_nowait((reader, writer))
        self.late_ms.append((asyncio.get_running_loop().time() - due) * 1000)
        self.failed += not head.startswith(b"HTTP/1.1 2")

    async def run(self, requests: list[bytes], rate: float, seconds: float) -> None:
        """Send ``rate`` a second, in turn."""
        loop = asyncio.get_running_loop()
        began = loop.time() + 0.05
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - loop.time()))
                tasks.create_task(self.send(requests[number % len(requests)], due))


def request_of(row: str, host: str, body: str = "") -> bytes:
    """Return a request as it goes over the socket."""
    method, _, path = row.rpartition(" ")
    head = [f"{method or 'GET'} {path} HTTP/1.1", f"Host: {host}"]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", body]).encode()


async def measured(host: str, requests: list[bytes], rate: float, seconds: float) -> dict[str, Any]:
    """Return percentiles in milliseconds."""
    name, _, port = host.partition(":")
    load = Load((name, int(port)))
    await load.open()
    await load.run(requests, rate, WARM_S)
    load.late_ms.clear()
    load.failed = 0
    await load.run(requests, rate, seconds)
    cuts = statistics.quantiles(load.late_ms, n=1000)
    return {
        "p50": cuts[499],
        "p99": cuts[989],
        "p99.9": cuts[998],
        "failed": load.failed,
        "sent": len(load.late_ms),
    }


def generate(arguments: argparse.Namespace) -> None:
    """Be the load generator: read what to send, print what was measured."""
    plan = json.loads(sys.stdin.read())
    requests = [request_of(row, plan["host"], body) for row, body in plan["rows"]]
    found = asyncio.run(measured(plan["host"], requests, arguments.rate, arguments.seconds))
    sys.stdout.write(json.dumps(found))


def in_a_process(host: str, rows: list[tuple[str, str]], arguments: argparse.Namespace) -> Any:
    """Run the load generator in a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.bench_rest",
            "--generate",
            f"--rate={arguments.rate}",
            f"--seconds={arguments.seconds}",
        ],
        input=json.dumps({"host": host, "rows": rows}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


async def _floor(scope: Any, receive: Any, send: Any) -> None:
    """Answer from memory."""
    if scope["type"] == "http":
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


def serve_floor() -> None:
    """Be the floor: uvicorn with an application of three lines; prints its port."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(_floor, loop="uvloop", log_level="error", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


def first_mission(host: str) -> str:
    """Make a mission to ask for; return its id."""
    connection = http.client.HTTPConnection(host, timeout=30)
    body = json.dumps({"user_message": "calculate 1 + 1"})
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/v1/requests?wait_s=10", body, headers)
    found = json.loads(connection.getresponse().read())
    connection.close()
    return str(found["pid"])


def cpu_s(pid: int) -> float:
    """Return how much CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--generate", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.generate:
        generate(arguments)
    elif arguments.floor:
        serve_floor()
    else:
        table(arguments)


def table(arguments: argparse.Namespace) -> None:
    """Measure the floor, reads, submits, and both; print them."""
    print(f"{arguments.rate:g} requests/s for {arguments.seconds:g} s, ms from due to answered")
    print(f"{'what':<34}{'p50':>8}{'p99':>8}{'p99.9':>8}{'failed':>8}{'CPU':>8}")
    command = [sys.executable, "-m", "tests.benchmarks.bench_rest", "--floor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as floor:
        assert floor.stdout is not None
        host = f"127.0.0.1:{floor.stdout.readline().strip()}"
        line("floor: uvicorn from memory", floor.pid, host, [("/", "")], arguments)
        floor.terminate()
    with tempfile.TemporaryDirectory() as folder:
        tower = TowerProcess(Path(folder) / "data", TOWER_RATE_LIMITS="off").start()
        try:
            measure(tower, arguments)
        finally:
            tower.end()
    print(f"to reach: p99 < {REACH_MS:g} ms. CPU: ms a request, which no load hides")


def measure(tower: TowerProcess, arguments: argparse.Namespace) -> None:
    """Print a line for each endpoint, and one for all in turn."""
    host = tower.url.removeprefix("http://").rstrip("/")
    pid = first_mission(host)
    rows = [(row.replace("{pid}", pid), "") for row in READS]
    submit = (SUBMIT, json.dumps({"user_message": "calculate 1 + 1"}))
    for row in rows:
        line(f"GET {row[0].replace(pid, '…')}", tower.pid, host, [row], arguments)
    line("all of these in turn", tower.pid, host, rows, arguments)
    line("one submit in seventeen", tower.pid, host, [*rows * 4, submit], arguments)


def line(
    what: str, pid: int, host: str, rows: list[tuple[str, str]], arguments: argparse.Namespace
) -> None:
    """Measure and print one."""
    before = cpu_s(pid)
    found = in_a_process(host, rows, arguments)
    requests = arguments.rate * (arguments.seconds + WARM_S)
    print(
        f"{what:<34}{found['p50']:>8.2f}{found['p99']:>8.2f}{found['p99.9']:>8.2f}"
        f"{found['failed']:>8}{(cpu_s(pid) - before) * 1000 / requests:>8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
