"""Clients that come back all at once and resume, as after an outage.

Run as ``python -m tests.benchmarks.log.crowd <port> <count>``. Shakes hands and prints ``ready``.
The line ``<topic> <since>`` makes all of them subscribe from there; once each has read everything
it answers with the seconds that it took, from the first subscribe to the last ``replay.done``, and
the bytes received.
"""

import select
import socket
import sys
from time import monotonic
from typing import Final

from tests.benchmarks.fanout.clients import connect, raise_file_limit
from tests.benchmarks.fanout.messages import masked_text

SUBSCRIBE: Final = (
    '{{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{{"topics":["{0}"],"since":{1}}}}}'
)
DONE: Final = b'"replay.done"'
OVERLAP: Final = len(DONE) - 1


def resume(clients: dict[int, socket.socket], topic: str, since: int) -> tuple[float, int]:
    """Let all resume; return the seconds that it took and the bytes received."""
    poll = select.epoll()
    began = monotonic()
    frame = masked_text(SUBSCRIBE.format(topic, since).encode())
    for file, client in clients.items():
        client.sendall(frame)
        poll.register(file, select.EPOLLIN)
    buffer = bytearray(1 << 18)
    tails = dict.fromkeys(clients, b"")
    received = 0
    while tails:
        for file, _ in poll.poll():
            size = clients[file].recv_into(buffer)
            received += size
            if not size:
                raise SystemExit("a client was closed before it had resumed")
            start = bytes(buffer[: min(size, OVERLAP)])
            if buffer.find(DONE, 0, size) >= 0 or DONE in tails.get(file, b"") + start:
                # It reads on, since what is live goes on, but is not waited for.
                tails.pop(file, None)
            elif file in tails:
                tails[file] = (tails[file] + bytes(buffer[max(0, size - OVERLAP) : size]))[
                    -OVERLAP:
                ]
    return monotonic() - began, received


def main(port: int, count: int) -> None:
    """Obey until standard input ends."""
    raise_file_limit()
    clients = {}
    for _ in range(count):
        client = connect(port)
        clients[client.fileno()] = client
    print("ready", flush=True)
    for line in sys.stdin:
        topic, since = line.split()
        print(*resume(clients, topic, int(since)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
