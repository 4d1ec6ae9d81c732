"""Caches of calls: the protocol, and the two that there are (each in a module of its own, brought in when it is used)."""

from __future__ import annotations

import math
import re
import weakref
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from cascade_vm.errors import CascadeError

if TYPE_CHECKING:
    from cascade_vm.memory_cache import MemoryCache
    from cascade_vm.sqlite_cache import SqliteCache

__all__ = ["CacheFileError", "CacheInfo", "CachePolicy", "Hit", "MemoryCache", "NotCacheable", "SqliteCache", "register_cache"]


class Hit:
    """What a cache has for a key: ``value``, which may be None."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


@runtime_checkable
class CachePolicy(Protocol):
    """Where the values of calls are kept (S19). Keys are bytes, the same in every process for the same call.

    One that has a ``name`` (an attribute, of letters, digits, ``_``, ``.`` and ``-``) can be meant by a saved program: the process that
    runs it gives it a cache for this name, or has one entered under it (``register_cache``).
    """

    def get(self, key: bytes) -> Hit | None:
        """The value stored under ``key``, or None where there is none (or none any more)."""

    def put(self, key: bytes, value: Any) -> None:
        """Store ``value``, which may be None."""


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_NAMED: weakref.WeakValueDictionary[str, CachePolicy] = weakref.WeakValueDictionary()


def is_cache_name(name: object) -> bool:
    """Is it a text that can name a cache: letters, digits, ``_``, ``.`` and ``-``, at most 100?"""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def register_cache(cache: CachePolicy, name: str | None) -> str | None:
    """Enter ``cache`` under ``name``, where programs from artifacts look for it, as long as it lives; a later one of that name replaces it.

    :raises TypeError, ValueError: that is no name, or nothing can refer to the cache weakly. None is no name, and enters nothing.
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"{type(cache).__name__}: name must be a str, not {name!r}")
    if not is_cache_name(name):
        raise ValueError(f"{type(cache).__name__}: a name has letters, digits, '_', '.' and '-', and at most 100 of them; not {name!r}")
    _NAMED[name] = cache
    return name


def name_of(cache: CachePolicy) -> str | None:
    """The name of a cache: its attribute ``name``, if that can be one."""
    name = getattr(cache, "name", None)
    return name if is_cache_name(name) else None


def cache_named(name: str) -> CachePolicy | None:
    """The cache of that name in this process."""
    return _NAMED.get(name)


def cache_names() -> list[str]:
    """The names of all caches that have one."""
    return sorted(_NAMED)


class NotCacheable(CascadeError, TypeError):
    """An argument of which no key can be made, or a value that a cache cannot keep, because it is no plain data."""

    code = "R08"


class CacheFileError(CascadeError):
    """A file that is no cache, cannot be opened, or is damaged."""

    code = "R09"


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
