"""One client of the whole log, which notes when what arrives.

Run as ``python -m tests.benchmarks.log.reader <port>``. Subscribes to everything from now on and
prints ``ready``. The line ``last`` is answered with the last offset; any other is a path, to which
the instants of arrival since the last time are written.
"""

import select
import sys
from pathlib import Path
from time import monotonic
from typing import Final

from tests.benchmarks.fanout.clients import connect
from tests.benchmarks.log.instants import Instants

SUBSCRIBE: Final = b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"topics":["system"]}}'
HEAD: Final = b'"method":"event","params":{"offset":'
END: Final = b"}}"
CARRIED_BYTES: Final = 1024
"""More than an event, so that one that was cut is seen whole with the next piece."""


def last_offset(data: bytes) -> int:
    """Return the offset of the last event that is whole in ``data``, 0 if none is.

    Of an event whose end was cut off, the next piece tells: never too early.
    """
    at = data.rfind(HEAD) + len(HEAD)
    end = data.find(b",", at)
    if at < len(HEAD) or end < 0:
        return 0
    offset = int(data[at:end])
    return offset if data.endswith(END) else offset - 1


def main(port: int) -> None:
    """Note arrivals until standard input ends."""
    client = connect(port, SUBSCRIBE, b'"result"')
    arrivals = Instants()
    poll = select.epoll()
    poll.register(client.fileno(), select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    print("ready", flush=True)
    last, carried = 0, b""
    while True:
        for file, _ in poll.poll():
            if file != sys.stdin.fileno():
                data = carried + client.recv(1 << 18)
                carried = data[-CARRIED_BYTES:]
                offset = last_offset(data)
                if offset > last:
                    last = offset
                    arrivals.note(offset, monotonic())
            elif not (line := sys.stdin.readline().strip()):
                return
            elif line == "last":
                print(last, flush=True)
            else:
                arrivals.write(Path(line))
                arrivals = Instants()
                print("written", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
