"""A cache in a file, for several processes and for the next time: an SQLite database."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from cascade_vm import constants
from cascade_vm.caching import CacheFileError, CacheInfo, Hit, NotCacheable, checked_maxsize, checked_ttl, register_cache
from cascade_vm.notes import short

_BUSY_SECONDS = 30.0  # how long is waited for another process that writes
_APPLICATION = 0x43534344  # "CSCD", in the header of the file: this database is a cache
_SCHEMA = 1  # the user_version of the file; entries of another are not read
_TABLES = ("entries", "counted")
_CREATE = (
    """CREATE TABLE entries (
        key BLOB NOT NULL PRIMARY KEY,
        value BLOB NOT NULL,   -- as constants are encoded
        digest BLOB NOT NULL,  -- of key and value: a damaged entry is a miss, and never another value
        made REAL NOT NULL,    -- seconds since 1970
        used INTEGER NOT NULL  -- grows with each use: the least was used longest ago
    )""",
    "CREATE INDEX entries_made ON entries (made)",
    "CREATE INDEX entries_used ON entries (used)",
    # SQLite counts rows by reading them all; a put must not take longer the more entries there are.
    "CREATE TABLE counted (size INTEGER NOT NULL)",
    "INSERT INTO counted VALUES (0)",
    "CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN UPDATE counted SET size = size + 1; END",
    "CREATE TRIGGER entry_gone AFTER DELETE ON entries BEGIN UPDATE counted SET size = size - 1; END",
)
_NEXT_USE = "(SELECT coalesce(max(used), 0) + 1 FROM entries)"
_READ = "SELECT value, digest, made FROM entries WHERE key = ?"
_USE = f"UPDATE entries SET used = {_NEXT_USE} WHERE key = ?"
_STORE = f"""INSERT INTO entries VALUES (?, ?, ?, ?, {_NEXT_USE}) ON CONFLICT (key)
    DO UPDATE SET value = excluded.value, digest = excluded.digest, made = excluded.made, used = excluded.used"""
_DROP_OLD = "DELETE FROM entries WHERE made <= ?"
_DROP_LEAST_USED = """DELETE FROM entries WHERE key IN
    (SELECT key FROM entries ORDER BY used LIMIT max(0, (SELECT size FROM counted) - ?))"""


class SqliteCache:
    """Keeps the values of calls in a file; a program finds them again when it runs the next time, and other processes find them too.

    Values must be plain data: numbers, text, bytes, dates, and lists, tuples, sets and dicts of such (docs/artifact-format.md has the
    table). Each hit gives a new object, equal to what was stored and of the same types. Nothing is pickled: reading a file runs no code.

    Several threads may share one, and several processes one file (not on a network drive). A process that forks need not care. An entry
    that is damaged, or was written by a version of Cascade that stores in another way, counts as missing.

    :param path: of the file, which is made if it is not there. Beside it are two more while it is open, ending in ``-wal`` and ``-shm``.
    :param ttl: seconds for which an entry is good, counted from when it was stored, by the wall clock; None: for ever. Whoever stores
        something deletes what is older than their own ttl: give one file one ttl.
    :param maxsize: the most entries that are kept, at least 1: those that were used longest ago are deleted. None: no bound.
    :param clock: gives the time in seconds since 1970.
    :param name: under which a saved program finds it in the process that runs it.
    :raises TypeError, ValueError: ``ttl``, ``maxsize`` or ``name`` is none, or there is no path.
    :raises CacheFileError: the file is there and is no cache, or it cannot be made or opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        ttl: float | None = None,
        maxsize: int | None = None,
        clock: Callable[[], float] = time.time,
        name: str | None = None,
    ) -> None:
        given = os.fsdecode(path)
        if given in ("", ":memory:"):
            raise ValueError(f"SqliteCache needs the path of a file, not {given!r}; MemoryCache() keeps values in memory")
        self.path = os.path.abspath(given)  # the working directory may change before the file is opened again
        self._ttl = checked_ttl("SqliteCache", ttl)
        self._maxsize = None if maxsize is None else checked_maxsize("SqliteCache", maxsize)
        self._clock = clock
        self._hits = self._misses = 0
        self._closed = False
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._close_connection: Callable[[], object] | None = None
        with self._connected():
            pass  # a file that will not do is better found now
        with _forking:
            _caches.add(self)
        self.name = register_cache(self, name)

    def get(self, key: bytes) -> Hit | None:
        """The value stored under ``key``, as a new object; None where there is none, or it is out of date or damaged.

        :raises CacheFileError: the file cannot be read (it is locked for too long, say).
        """
        with self._connected() as connection:
            try:
                hit = self._read(connection, key)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # damaged where this entry is
                hit = None
            if hit is None:
                self._misses += 1
            else:
                self._hits += 1
            return hit

    def put(self, key: bytes, value: Any) -> None:
        """Store ``value`` under ``key``, in place of what was there.

        :raises NotCacheable: it is no plain data, and nothing was stored.
        :raises CacheFileError: the file cannot be written.
        """
        try:
            encoded = constants.encode(value)
        except constants.NotEncodable as fault:
            raise NotCacheable(
                f"the value{fault.path} is {fault.what}, which a SqliteCache cannot store. Return plain data (numbers, text, bytes, dates, "
                f"and lists, tuples, sets and dicts of such), use a MemoryCache, which keeps any object, or leave the cache off"
            ) from None
        now = self._clock()
        with self._writing() as connection:
            if self._ttl is not None:
                connection.execute(_DROP_OLD, (now - self._ttl,))
            connection.execute(_STORE, (key, encoded, _digest(key, encoded), now))
            if self._maxsize is not None:
                connection.execute(_DROP_LEAST_USED, (self._maxsize,))

    def clear(self) -> None:
        """Delete all entries, for all processes, and forget the counts of this one."""
        with self._writing() as connection:
            connection.execute("DELETE FROM entries")
            self._hits = self._misses = 0

    def info(self) -> CacheInfo:
        """Hits and misses of this object, and entries in the file."""
        with self._connected() as connection:
            (size,) = connection.execute("SELECT size FROM counted").fetchone()
            return CacheInfo(self._hits, self._misses, size)

    def close(self) -> None:
        """Close the file. The cache cannot be used any more; closing it again does nothing."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def __enter__(self) -> SqliteCache:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SqliteCache({short(self.path)})"

    def _read(self, connection: sqlite3.Connection, key: bytes) -> Hit | None:
        row = connection.execute(_READ, (key,)).fetchone()
        if row is None:
            return None
        encoded, digest, made = row
        # An entry from the future is none either: the clock was set back, and nobody knows how old it is.
        if self._ttl is not None and not 0 <= self._clock() - made < self._ttl:
            return None
        if type(encoded) is not bytes or digest != _digest(key, encoded):
            return None
        try:
            hit = Hit(constants.decode_again(encoded))
        except ValueError:  # written by a version that knows more types
            return None
        if self._maxsize is not None:
            connection.execute(_USE, (key,))
        return hit

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._connected() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone; what SQLite raises becomes a CacheFileError."""
        with self._lock:
            if self._closed:
                raise ValueError(f"the cache {self.path} was closed")
            try:
                if self._connection is None:
                    self._connect()
                assert self._connection is not None
                yield self._connection
            except sqlite3.Error as fault:
                raise CacheFileError(f"{_why(self.path, fault)} ({fault})") from fault

    def _connect(self) -> None:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._close_connection = weakref.finalize(self, connection.close)

    def _disconnect(self) -> None:
        if self._close_connection is not None:
            self._close_connection()
        self._connection = self._close_connection = None


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the file a cache of this version if it is empty or a cache of another version; refuse it if it is something else."""
    ready = _is_ready(connection, path)
    with contextlib.suppress(sqlite3.OperationalError):  # another process is about it too; without, it works as well, only slower
        connection.execute("PRAGMA journal_mode = WAL")
    if not ready:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if not _is_ready(connection, path):
                for table in _TABLES:
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in _CREATE:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_SCHEMA}")
    # Not flushed after each put: what a power cut loses is the last entries, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")


def _is_ready(connection: sqlite3.Connection, path: str) -> bool:
    """Is it a cache of this version?"""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and tables:
        raise CacheFileError(f"{path} is no cache: it is an SQLite database of something else. Give the cache a file of its own")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(tables) and version == _SCHEMA


def _why(path: str, fault: sqlite3.Error) -> str:
    """What a fault means, and what to do."""
    name = getattr(fault, "sqlite_errorname", "")
    if name == "SQLITE_NOTADB":
        return f"{path} is no cache: it is no SQLite database. Give the cache a file of its own, or delete this one"
    if name.startswith("SQLITE_CORRUPT"):
        return f"the cache {path} is damaged. Delete it: it will be made anew"
    if name.startswith("SQLITE_CANTOPEN"):
        return f"the cache {path} cannot be opened. Does its folder exist, and may this process write there?"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"the cache {path} was locked by another process for more than {_BUSY_SECONDS:g} seconds"
    return f"the cache {path} cannot be used"


def _digest(key: bytes, encoded: bytes) -> bytes:
    return hashlib.blake2b(key + encoded, digest_size=16).digest()


# SQLite cannot take a connection across a fork, not even one that is only open in the parent. So none is open while a process forks;
# parent and child open the file again when they use it next.
_caches: weakref.WeakSet[SqliteCache] = weakref.WeakSet()
_forking = threading.RLock()  # taken first, then the locks of the caches
_held: list[SqliteCache] = []


def _before_fork() -> None:
    _forking.acquire()
    _held[:] = _caches
    for cache in _held:
        cache._lock.acquire()
        cache._disconnect()


def _after_fork() -> None:
    for cache in _held:
        cache._lock.release()
    _held.clear()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
