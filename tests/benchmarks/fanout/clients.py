"""Many WebSocket clients in one process, as light as can be: they count bytes and nothing else.

Run as ``python -m tests.benchmarks.fanout.clients <port> <count> [<greeting> <answer>]``. Each
client shakes hands, says the greeting if there is one, and waits for what contains the answer.
Prints ``ready``, then answers each line on its standard input with the bytes received since then;
the end of input ends it.
"""

import resource
import select
import socket
import sys
from typing import Final

from tests.benchmarks.fanout.messages import masked_text

CONNECT_TIMEOUT_S: Final = 20.0
REQUEST: Final = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCEPTED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
)
"""What a server that serves none but these clients may answer without looking: the key above is
always the same."""


def connect(port: int, greeting: bytes = b"", answer: bytes = b"") -> socket.socket:
    """Open one connection, shake hands, and greet; it does not block afterwards."""
    client = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_TIMEOUT_S)
    client.sendall(REQUEST)
    seen = _read_until(client, b"\r\n\r\n", b"")
    if not seen.startswith(b"HTTP/1.1 101"):
        raise SystemExit(seen.decode(errors="replace"))
    if greeting:
        client.sendall(masked_text(greeting))
        _read_until(client, answer, seen.partition(b"\r\n\r\n")[2])
    client.setblocking(False)
    return client


def _read_until(client: socket.socket, wanted: bytes, seen: bytes) -> bytes:
    while wanted not in seen:
        got = client.recv(4096)
        if not got:
            raise SystemExit(f"closed before {wanted!r}: {seen!r}")
        seen += got
    return seen


def raise_file_limit() -> None:
    """Allow as many sockets as the machine lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main(port: int, count: int, greeting: bytes, answer: bytes) -> None:
    """Connect, then count until standard input ends."""
    raise_file_limit()
    poll = select.epoll()
    clients = {}
    for _ in range(count):
        client = connect(port, greeting, answer)
        clients[client.fileno()] = client
        poll.register(client.fileno(), select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    print("ready", flush=True)
    buffer = bytearray(1 << 20)
    received = 0
    while True:
        for file, _ in poll.poll():
            if file == sys.stdin.fileno():
                if not sys.stdin.readline():
                    return
                print(received, flush=True)
                continue
            size = clients[file].recv_into(buffer)
            received += size
            if not size:
                poll.unregister(file)


if __name__ == "__main__":
    greeting, answer = [one.encode() for one in (*sys.argv[3:5], "", "")][:2]
    main(int(sys.argv[1]), int(sys.argv[2]), greeting, answer)
