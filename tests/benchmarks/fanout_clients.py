"""Many WebSocket clients in one process, as light as can be: they count bytes and nothing else.

Run as ``python -m tests.benchmarks.fanout_clients <port> <count>``. Prints ``ready``, then answers
each line on its standard input with the bytes received so far; the end of input ends it.
"""

import resource
import select
import socket
import sys

REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def connect(port: int) -> socket.socket:
    """Open one connection and shake hands."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(4096)
    if not answer.startswith(b"HTTP/1.1 101"):
        raise SystemExit(answer.decode())
    client.setblocking(False)
    return client


def main(port: int, count: int) -> None:
    """Connect, then count until standard input ends."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    clients = {}
    poll = select.epoll()
    for _ in range(count):
        client = connect(port)
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
    main(int(sys.argv[1]), int(sys.argv[2]))
