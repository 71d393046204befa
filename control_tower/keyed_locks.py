"""One lock for each key that somebody holds or waits for: what concerns one key goes in turn."""

import asyncio
from weakref import WeakValueDictionary


class KeyedLocks:
    """Locks by key; one that nobody uses is forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._locks)

    def of(self, key: str) -> asyncio.Lock:
        """Return the lock of ``key``; those who come first have it first."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
