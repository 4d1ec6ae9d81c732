"""Caches of calls: the protocol, and the two that there are (each in a module of its own, brought in when it is used)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from cascade_vm.errors import CascadeError

if TYPE_CHECKING:
    from cascade_vm.memory_cache import MemoryCache
    from cascade_vm.sqlite_cache import SqliteCache

__all__ = ["CacheFileError", "CacheInfo", "CachePolicy", "Hit", "MemoryCache", "NotCacheable", "SqliteCache"]


class Hit:
    """What a cache has for a key: ``value``, which may be None."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


@runtime_checkable
class CachePolicy(Protocol):
    """Where the values of calls are kept (S19). Keys are bytes, the same in every process for the same call."""

    def get(self, key: bytes) -> Hit | None:
        """The value stored under ``key``, or None where there is none (or none any more)."""

    def put(self, key: bytes, value: Any) -> None:
        """Store ``value``, which may be None."""


class NotCacheable(CascadeError, TypeError):
    """An argument of which no key can be made, or a value that a cache cannot keep, because it is no plain data."""


class CacheFileError(CascadeError):
    """A file that is no cache, cannot be opened, or is damaged."""


class CacheInfo(msgspec.Struct, frozen=True):
    """What a cache has done since it was made or cleared, and how many entries it has (such as are out of date, but still there, too)."""

    hits: int
    misses: int
    size: int


def checked_ttl(who: str, ttl: float | None) -> float | None:
    """``ttl`` in seconds, or None: for ever.

    :raises TypeError, ValueError: it is no number, not finite, or not above 0.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise TypeError(f"{who}: ttl must be a number of seconds, or None, not {ttl!r}")
    try:
        seconds = float(ttl)
    except OverflowError:
        seconds = math.inf
    if not 0 < seconds < math.inf:
        raise ValueError(f"{who}: ttl must be a finite number of seconds, more than 0, not {ttl!r}; None keeps entries for ever")
    return seconds


def checked_maxsize(who: str, maxsize: int) -> int:
    """``maxsize``, a number of entries.

    :raises TypeError, ValueError: it is no int, or less than 1.
    """
    if type(maxsize) is not int:
        raise TypeError(f"{who}: maxsize must be a number of entries, not {maxsize!r}")
    if maxsize < 1:
        raise ValueError(f"{who}: maxsize must be at least 1, not {maxsize!r}; to keep nothing, leave the cache off")
    return maxsize


def __getattr__(name: str) -> Any:
    if name == "MemoryCache":
        from cascade_vm.memory_cache import MemoryCache

        return MemoryCache
    if name == "SqliteCache":
        from cascade_vm.sqlite_cache import SqliteCache

        return SqliteCache
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
