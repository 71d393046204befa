"""A client that never reads: the worst that a server that pushes can meet."""

import contextlib
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.faults.herd import HEAD, masked


@contextlib.contextmanager
def client_that_never_reads(url: str) -> Iterator[socket.socket]:
    """Upgrade, subscribe to everything, and never take a byte again."""
    address = urlsplit(url)
    assert address.hostname is not None
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address.hostname, address.port))
        client.sendall(HEAD)
        assert client.recv(1024).startswith(b"HTTP/1.1 101 ")
        call = {"topics": ["system"], "since": "start"}
        request = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": call}
        client.sendall(masked(json.dumps(request).encode()))
        yield client
