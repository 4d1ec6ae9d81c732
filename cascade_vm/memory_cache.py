"""A cache in the memory of this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from cascade_vm.caching import CacheInfo, Hit, checked_maxsize, checked_ttl, register_cache


class MemoryCache:
    """Keeps the values of the last calls, in this process.

    A hit gives the very object that was stored, not a copy: whoever changes it changes it for all others. When there are more than
    ``maxsize`` entries, the one that was used longest ago is thrown out. Several threads, and several runs, may share one.

    :param maxsize: the most entries that are kept, at least 1.
    :param ttl: seconds for which an entry is good, counted from when it was stored; None: for ever.
    :param clock: gives the time in seconds.
    :param name: under which a saved program finds it in the process that runs it.
    :raises TypeError, ValueError: ``maxsize``, ``ttl`` or ``name`` is none.
    """

    def __init__(
        self, maxsize: int = 1024, ttl: float | None = None, clock: Callable[[], float] = time.monotonic, name: str | None = None
    ) -> None:
        self._maxsize = checked_maxsize("MemoryCache", maxsize)
        self._ttl = checked_ttl("MemoryCache", ttl)
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[Any, float]] = OrderedDict()  # value, time of storing; used longest ago first
        self._hits = self._misses = 0
        # Reentrant: dropping a value may run code of its own (``__del__``), and that may use this cache.
        self._lock = threading.RLock()
        self.name = register_cache(self, name)

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name}"
        return f"<MemoryCache{name}: {len(self._entries):,} of {self._maxsize:,} entries>"

    def get(self, key: bytes) -> Hit | None:
        """The value stored under ``key``, the same object; None where there is none, or it is out of date."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and (self._ttl is None or self._clock() - entry[1] < self._ttl):
                self._entries.move_to_end(key)
                self._hits += 1
                return Hit(entry[0])
            if entry is not None:
                del self._entries[key]
            self._misses += 1
            return None

    def put(self, key: bytes, value: Any) -> None:
        """Store ``value`` under ``key``, in place of what was there."""
        now = self._clock() if self._ttl is not None else 0.0
        with self._lock:
            old = self._entries.pop(key, None)  # held until the end, so that no code of its own runs in between
            self._entries[key] = (value, now)
            if len(self._entries) > self._maxsize:
                self._entries.popitem(last=False)
        del old

    def clear(self) -> None:
        """Forget everything, the counts too."""
        with self._lock:
            self._entries.clear()
            self._hits = self._misses = 0

    def info(self) -> CacheInfo:
        """Hits, misses and entries so far."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._entries))
