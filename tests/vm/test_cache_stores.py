"""The two caches: what they have in common, and what each has alone (S19)."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import gc
import math
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_vm import caching, constants
from cascade_vm.caching import CacheFileError, CacheInfo, CachePolicy, Hit, MemoryCache, NotCacheable, SqliteCache
from cascade_vm.errors import CascadeError

ROOT = Path(__file__).parents[2]
quick = settings(max_examples=50, derandomize=True, database=None, deadline=None)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def make(request, tmp_path, clock):
    """Makes a cache of one kind."""
    with contextlib.ExitStack() as stack:

        def made(**options):
            if request.param == "memory":
                return MemoryCache(clock=clock, **options)
            return stack.enter_context(SqliteCache(tmp_path / "cache.db", clock=clock, **options))

        yield made


def has(cache, key):
    return cache.get(key) is not None


# --- both --------------------------------------------------------------------------------------------------------------------------


def test_what_was_put_is_got(make):
    cache = make()
    assert isinstance(cache, CachePolicy)
    assert cache.get(b"k") is None
    cache.put(b"k", {"a": [1, (2,)]})
    hit = cache.get(b"k")
    assert type(hit) is Hit
    assert hit.value == {"a": [1, (2,)]}
    assert cache.get(b"other") is None
    assert cache.info() == CacheInfo(hits=1, misses=2, size=1)


@pytest.mark.parametrize("value", [None, False, 0, "", []], ids=repr)
def test_a_value_that_is_nothing_is_a_hit(make, value):
    cache = make()
    cache.put(b"k", value)
    hit = cache.get(b"k")
    assert hit is not None
    assert hit.value == value
    assert type(hit.value) is type(value)


def test_the_later_value_replaces_the_earlier(make):
    cache = make()
    cache.put(b"k", 1)
    cache.put(b"k", 2)
    assert cache.get(b"k").value == 2
    assert cache.info().size == 1


def test_entries_get_out_of_date(make, clock):
    cache = make(ttl=10)
    cache.put(b"k", 1)
    clock.now += 9.5
    assert cache.get(b"k").value == 1
    clock.now += 0.5
    assert cache.get(b"k") is None
    cache.put(b"k", 2)
    clock.now += 9.5
    assert cache.get(b"k").value == 2, "counted from the last put"


def test_without_a_ttl_entries_stay(make, clock):
    cache = make()
    cache.put(b"k", 1)
    clock.now += 1e9
    assert has(cache, b"k")


def test_what_was_used_longest_ago_goes(make):
    cache = make(maxsize=2)
    cache.put(b"a", 1)
    cache.put(b"b", 2)
    assert has(cache, b"a")
    cache.put(b"c", 3)
    assert [has(cache, key) for key in (b"a", b"b", b"c")] == [True, False, True]
    cache.put(b"a", 4)
    cache.put(b"d", 5)
    assert [has(cache, key) for key in (b"a", b"c", b"d")] == [True, False, True]
    assert cache.info().size == 2


def test_a_cleared_cache_is_like_a_new_one(make):
    cache = make()
    cache.put(b"k", 1)
    cache.get(b"k")
    cache.clear()
    assert cache.info() == CacheInfo(0, 0, 0)
    assert cache.get(b"k") is None


@pytest.mark.parametrize("ttl", [0, -1, math.nan, math.inf, 10**400], ids=lambda ttl: str(ttl)[:4])
def test_a_ttl_is_finite_and_above_0(make, ttl):
    with pytest.raises(ValueError, match="ttl must be a finite number of seconds, more than 0"):
        make(ttl=ttl)


@pytest.mark.parametrize("ttl", [True, "1", datetime.timedelta(1)], ids=repr)
def test_a_ttl_is_a_number(make, ttl):
    with pytest.raises(TypeError, match="Cache: ttl must be a number of seconds, or None, not"):
        make(ttl=ttl)


def test_maxsize_is_a_number_of_entries(make):
    for bad in (0, -1):
        with pytest.raises(ValueError, match="maxsize must be at least 1"):
            make(maxsize=bad)
    for wrong in (1.0, True, "1"):
        with pytest.raises(TypeError, match="maxsize must be a number of entries"):
            make(maxsize=wrong)


def test_threads_share_a_cache(make):
    cache = make(maxsize=20)
    wrong = []

    def use(start):
        for i in range(100):
            key = bytes([(start + i) % 30])
            hit = cache.get(key)
            if hit is not None and hit.value != key:
                wrong.append(hit.value)
            cache.put(key, key)

    threads = [threading.Thread(target=use, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    info = cache.info()
    assert info.hits + info.misses == 400
    assert info.size == 20


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "get", "tick"]), st.integers(0, 5), st.integers(0, 9)),
    max_size=40,
)


@quick
@given(steps=STEPS, maxsize=st.integers(1, 4), ttl=st.none() | st.just(5.0))
def test_both_keep_the_same(steps, maxsize, ttl):
    """Whatever a model has, both have, as long as nothing is out of date; what is, they never give."""
    clock = Clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        SqliteCache(Path(folder) / "c", ttl=ttl, maxsize=maxsize, clock=clock) as in_file,
    ):
        in_memory = MemoryCache(maxsize, ttl, clock)
        made: dict[int, tuple[int, float]] = {}
        for what, key, value in steps:
            if what == "tick":
                clock.now += value
            elif what == "put":
                for cache in (in_memory, in_file):
                    cache.put(bytes([key]), value)
                made[key] = (value, clock.now)
                assert in_file.get(bytes([key])).value == in_memory.get(bytes([key])).value == value
            else:
                hits = [cache.get(bytes([key])) for cache in (in_memory, in_file)]
                if ttl is None:
                    assert (hits[0] is None) == (hits[1] is None)
                for hit in hits:
                    if hit is not None:
                        assert hit.value == made[key][0]
                        assert ttl is None or clock.now - made[key][1] < ttl
            assert in_memory.info().size <= maxsize
            assert in_file.info().size <= maxsize


# --- memory ------------------------------------------------------------------------------------------------------------------------


def test_memory_gives_the_object_itself():
    cache = MemoryCache()
    value = [object()]
    cache.put(b"k", value)
    assert cache.get(b"k").value is value


def test_memory_lets_go_of_what_it_throws_out():
    class Value:
        def __init__(self):
            self.gone = gone

        def __del__(self):
            self.gone.append(cache.info().size)  # code of a value may use the cache

    gone: list[int] = []
    cache = MemoryCache(maxsize=1)
    cache.put(b"a", Value())
    cache.put(b"a", Value())
    cache.put(b"b", Value())
    cache.clear()
    gc.collect()
    assert len(gone) == 3


def test_memory_by_default_keeps_1024():
    cache = MemoryCache()
    for i in range(1_030):
        cache.put(str(i).encode(), i)
    assert cache.info().size == 1_024


def test_the_caches_are_brought_in_when_they_are_used():
    code = (
        "import sys, cascade_vm, cascade_vm.caching; a = 'sqlite3' in sys.modules, 'cascade_vm.memory_cache' in sys.modules;"
        "from cascade_vm.caching import MemoryCache, SqliteCache; print(*a, 'sqlite3' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert shown.split() == ["False", "False", "True"]
    with pytest.raises(AttributeError, match="no attribute 'RedisCache'"):
        caching.RedisCache  # noqa: B018


# --- file --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.db"


VALUES = [
    (1, [2.5, None], {"a": {1, 2}}, frozenset({"x"})),
    {1: "one", (2, 3): b"bytes", None: bytearray(b"more")},
    decimal.Decimal("1.10"),
    uuid.UUID(int=5),
    datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    2**200,
    "ä\U0001f600",
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_file_keeps_values_and_their_types(path, value):
    with SqliteCache(path) as cache:
        cache.put(b"k", value)
    with SqliteCache(str(path)) as cache:
        hit = cache.get(b"k")
        assert constants.encode(hit.value) == constants.encode(value)
        assert type(hit.value) is type(value)
        assert cache.info() == CacheInfo(1, 0, 1)


def test_a_file_gives_a_new_object_each_time(path):
    with SqliteCache(path) as cache:
        cache.put(b"k", [1])
        cache.get(b"k").value.append(2)
        assert cache.get(b"k").value == [1]


class Order:
    pass


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Order(), f"the value is an instance of {__name__}.Order,"),
        ({"rows": [1, Order()]}, f"the value['rows'][1] is an instance of {__name__}.Order,"),
        (lambda: 1, "the value is an instance of function,"),
    ],
    ids=["object", "inside", "function"],
)
def test_a_value_that_cannot_be_written_is_named(path, value, what):
    with SqliteCache(path) as cache:
        with pytest.raises(NotCacheable) as caught:
            cache.put(b"k", value)
        assert cache.get(b"k") is None
    assert str(caught.value) == (
        f"{what} which a SqliteCache cannot store. Return plain data (numbers, text, bytes, dates, and lists, tuples, sets and dicts of "
        "such), use a MemoryCache, which keeps any object, or leave the cache off"
    )
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, CascadeError)


def test_a_closed_cache_says_so(path):
    cache = SqliteCache(path)
    cache.close()
    cache.close()
    for use in (lambda: cache.get(b"k"), lambda: cache.put(b"k", 1), cache.clear, cache.info):
        with pytest.raises(ValueError, match=r"the cache .*cache\.db was closed"):
            use()


def test_a_forgotten_cache_closes_its_file(path):
    """Python 3.13 warns of a connection that nobody closed, and warnings are errors here."""
    cache = SqliteCache(path)
    cache.put(b"k", 1)
    del cache
    gc.collect()
    assert not path.with_name("cache.db-wal").exists()


@pytest.mark.parametrize("nothing", ["", ":memory:"])
def test_a_file_is_needed(nothing):
    with pytest.raises(ValueError, match="needs the path of a file"):
        SqliteCache(nothing)


def test_the_working_directory_may_change(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with SqliteCache("cache.db") as cache:
        cache.put(b"k", 1)
        monkeypatch.chdir(tmp_path / "elsewhere")
        cache._disconnect()
        assert cache.get(b"k").value == 1


def test_writing_does_not_hold_up_reading(path):
    with SqliteCache(path) as cache, contextlib.closing(sqlite3.connect(path)) as other:
        cache.put(b"k", 1)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.execute("BEGIN IMMEDIATE")
        assert cache.get(b"k").value == 1
        other.rollback()


def test_a_lock_that_stays_is_an_error(path, monkeypatch):
    monkeypatch.setattr("cascade_vm.sqlite_cache._BUSY_SECONDS", 0.01)
    with SqliteCache(path) as cache, contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CacheFileError, match=r"was locked by another process for more than 0\.01 seconds"):
            cache.put(b"k", 1)
        other.rollback()
        cache.put(b"k", 1)
        assert cache.get(b"k").value == 1


def test_what_is_out_of_date_leaves_the_file(path, clock):
    with SqliteCache(path, ttl=10, clock=clock) as cache:
        cache.put(b"a", 1)
        clock.now += 5
        cache.put(b"b", 2)
        clock.now += 6
        cache.put(b"c", 3)
        assert cache.info().size == 2


def test_an_entry_from_the_future_is_a_miss(path, clock):
    with SqliteCache(path, ttl=10, clock=clock) as cache:
        cache.put(b"k", 1)
        clock.now -= 3600
        assert cache.get(b"k") is None
        cache.put(b"k", 2)
        assert cache.get(b"k").value == 2


def test_the_wall_clock_counts(path):
    before = time.time()
    with SqliteCache(path, ttl=1000) as cache:
        cache.put(b"k", 1)
        assert cache.get(b"k").value == 1
    with contextlib.closing(sqlite3.connect(path)) as db:
        ((made,),) = db.execute("SELECT made FROM entries")
    assert before <= made <= time.time()


def test_the_bound_holds_for_the_file_whoever_uses_it(path):
    with SqliteCache(path) as one, SqliteCache(path, maxsize=2) as other:
        for i in range(5):
            one.put(bytes([i]), i)
        assert other.info().size == 5
        other.put(b"k", 1)
        assert other.info().size == 2
        assert has(one, b"\x04")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE entries SET value = x'c1'",
        "UPDATE entries SET value = x''",
        "UPDATE entries SET value = 'text'",
        "UPDATE entries SET value = x'03'",
        "UPDATE entries SET value = 3",
        "UPDATE entries SET digest = x'00'",
        "UPDATE entries SET digest = 7",
        "UPDATE entries SET key = x'6c6c'",
    ],
)
def test_a_damaged_entry_is_a_miss(path, damage):
    with SqliteCache(path) as cache:
        cache.put(b"k", 1)
        cache.put(b"kk", 1)
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute(damage + " WHERE key = x'6b6b'")
        assert cache.get(b"kk") is None
        assert cache.get(b"ll") is None
        assert cache.get(b"k").value == 1
        cache.put(b"kk", 2)
        assert cache.get(b"kk").value == 2


def test_an_entry_of_a_type_that_is_not_known_yet_is_a_miss(path):
    from cascade_vm.sqlite_cache import _digest

    unknown = b"\x92\xa6matrix\x01"
    with SqliteCache(path) as cache:
        cache.put(b"k", 1)
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE entries SET value = ?, digest = ?", (unknown, _digest(b"k", unknown)))
        assert cache.get(b"k") is None


def test_a_file_of_another_schema_begins_anew(path):
    with SqliteCache(path) as cache:
        cache.put(b"k", 1)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version = 99")
        db.execute("ALTER TABLE entries RENAME COLUMN value TO worth")
    with SqliteCache(path) as cache:
        assert cache.get(b"k") is None
        assert cache.info().size == 0
        cache.put(b"k", 2)
        assert cache.get(b"k").value == 2
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_an_empty_file_becomes_a_cache(path):
    path.touch()
    with SqliteCache(path) as cache:
        cache.put(b"k", 1)


def test_a_file_that_is_no_database_is_refused_and_left_alone(path):
    path.write_bytes(b"my thesis, " * 500)
    with pytest.raises(
        CacheFileError, match=r"cache\.db is no cache: it is no SQLite database\. Give the cache a file of its own"
    ):
        SqliteCache(path)
    assert path.read_bytes() == b"my thesis, " * 500


def test_a_database_of_something_else_is_refused_and_left_alone(path):
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE entries (precious)")
    before = path.read_bytes()
    with pytest.raises(CacheFileError, match="is no cache: it is an SQLite database of something else"):
        SqliteCache(path)
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    for bad in (tmp_path, tmp_path / "missing" / "cache.db"):
        with pytest.raises(CacheFileError, match=r"cannot be opened\. Does its folder exist") as caught:
            SqliteCache(bad)
        assert isinstance(caught.value, CascadeError)
        assert isinstance(caught.value.__cause__, sqlite3.Error)


def test_a_file_that_is_damaged_later_is_a_miss_and_a_clear_error(path):
    with SqliteCache(path) as cache:
        for i in range(2_000):
            cache.put(i.to_bytes(2), "x" * 50)
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with SqliteCache(path) as cache:
        assert cache.get((1_500).to_bytes(2)) is None
        with pytest.raises(CacheFileError, match=r"the cache .* is damaged\. Delete it: it will be made anew"):
            cache.put((1_500).to_bytes(2), 1)


PUTS = """
import sys
from cascade_vm.caching import SqliteCache
with SqliteCache(sys.argv[1], maxsize=150) as cache:
    sys.stdin.read()  # both begin at once
    for i in range(100):
        cache.put(f"{sys.argv[2]} {i}".encode(), i)
        assert cache.get(f"{sys.argv[2]} {i}".encode()).value == i
"""


def test_two_processes_write_one_file(path):
    """They may even make it at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUTS, str(path), name], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    for process in processes:
        process.stdin.close()
    for process in processes:
        with process:
            assert process.wait() == 0, process.stderr.read()
    with SqliteCache(path) as cache:
        assert cache.info().size == 150
        assert cache.get(b"one 99").value == cache.get(b"two 99").value == 99


FORKS = """
import os, sys, threading
from cascade_vm.caching import SqliteCache
cache = SqliteCache(sys.argv[1])
cache.put(b"parent", 1)
assert cache._connection is not None
child = os.fork()
assert cache._connection is None  # in both: nothing that is open may be taken across
if not child:
    assert cache.get(b"parent").value == 1
    cache.put(b"child", 2)
    done = []
    thread = threading.Thread(target=lambda: done.append(cache.get(b"child").value))
    thread.start(); thread.join()
    os._exit(0 if done == [2] else 1)
_, status = os.waitpid(child, 0)
assert status == 0
assert cache.get(b"child").value == 2
cache.put(b"after", 3)
print(cache.info().size)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_forks_need_not_care(path):
    shown = subprocess.run([sys.executable, "-c", FORKS, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert (shown.stdout.strip(), shown.stderr) == ("3", "")


def put_one(path, name):
    with SqliteCache(path) as cache:
        cache.put(name, name)


def test_a_spawned_process_uses_the_same_file(path):
    process = multiprocessing.get_context("spawn").Process(target=put_one, args=(path, b"k"))
    process.start()
    process.join()
    assert process.exitcode == 0
    with SqliteCache(path) as cache:
        assert cache.get(b"k").value == b"k"


@quick
@given(
    st.dictionaries(
        st.binary(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=8,
    )
)
def test_all_that_was_put_is_there_after_a_restart(entries):
    with tempfile.TemporaryDirectory() as folder:
        with SqliteCache(Path(folder) / "c") as cache:
            for key, value in entries.items():
                cache.put(key, value)
        with SqliteCache(Path(folder) / "c") as cache:
            assert cache.info().size == len(entries)
            for key, value in entries.items():
                assert constants.encode(cache.get(key).value) == constants.encode(value)
