"""Calls with a cache: keys, hits, what is not stored, single flight (S19, R11)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import Any

import pytest

from cascade_compiler import Jump, arun, bind, cache_clear, common, gather, inject, resource, subscribe, task
from cascade_compiler import run as run_any
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm import flights as flights_module
from cascade_vm.caching import Hit, MemoryCache, NotCacheable, SqliteCache

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture(params=["memory", "sqlite"])
def cache(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    if request.param == "memory":
        yield MemoryCache()
        return
    made = SqliteCache(tmp_path / "cache.db")
    yield made
    close = getattr(made, "close", None)
    if close is not None:
        close()


class Plain:
    """A cache of the user's own: a dict, and a record of what it was asked."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Any] = {}
        self.asked: list[str] = []

    def get(self, key: bytes) -> Hit | None:
        assert type(key) is bytes
        self.asked.append("get")
        return Hit(self.kept[key]) if key in self.kept else None

    def put(self, key: bytes, value: Any) -> None:
        self.asked.append("put")
        self.kept[key] = value


@task
def note(x: Any, y: Any = 1, *rest: Any, **named: Any) -> Any:
    calls.append(x)
    return x


@task
async def wait(seconds: float, value: Any = None) -> Any:
    calls.append(value)
    await asyncio.sleep(seconds)
    return value


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: arun(target, engine=engine, **options))


class TestHits:
    def test_a_second_call_is_not_made(self, run, cache):
        for _ in range(3):
            assert run(note(5).with_cache(cache)) == 5
        assert calls == [5]

    def test_in_one_run_too(self, run, cache):
        assert run(gather(*(note(5).with_cache(cache) for _ in range(3)))) == [5, 5, 5]
        assert calls == [5]

    def test_without_a_cache_the_call_is_made(self, run, cache):
        run(note(5).with_cache(cache))
        run(note(5))
        assert calls == [5, 5]

    @pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
    def test_falsy_values_are_hits(self, run, cache, value):
        for _ in range(2):
            assert run(note(value).with_cache(cache)) == value
        assert len(calls) == 1

    def test_one_key_however_it_is_called(self, run, cache):
        """Arguments are bound first, with their defaults"""
        for target in (note(1), note(x=1), note(1, 1), note(1, y=1), note(y=1, x=1)):
            assert run(target.with_cache(cache)) == 1
        assert calls == [1]

    def test_types_are_told_apart(self, run, cache):
        for x in (1, True, 1.0, "1", b"1", (1,), [1], None, 0.0, -0.0):
            run(note(x).with_cache(cache))
        assert len(calls) == 10

    def test_more_arguments(self, run, cache):
        for target in (note(1, 2), note(1, 2, 3), note(1, 2, z=3), note(1, 2, (3,)), note(1, 2, z=3, w=4), note(1, 2, w=4, z=3)):
            run(target.with_cache(cache))
        assert len(calls) == 5

    def test_arguments_are_resolved_first(self, run, cache):
        """The key is of values; what gives them runs"""
        assert run(note([note(1), {"k": note(2)}]).with_cache(cache)) == [1, {"k": 2}]
        assert run(note([1, {"k": 2}]).with_cache(cache)) == [1, {"k": 2}]
        assert calls == [1, 2, [1, {"k": 2}]]

    def test_versions(self, run, cache):
        def make(version):
            @task(version=version, name="same")
            def same(x):
                calls.append(version)
                return version

            return same

        assert [run(make(v)(1).with_cache(cache)) for v in ("1", "2", "1", "2")] == ["1", "2", "1", "2"]
        assert calls == ["1", "2"]

    def test_two_tasks(self, run, cache):
        @task
        def other(x, y=1):
            return "other"

        assert run(note(1).with_cache(cache)) == 1
        assert run(other(1).with_cache(cache)) == "other"

    def test_two_caches(self, run, cache):
        second = MemoryCache()
        run(gather(note(1).with_cache(cache), note(1).with_cache(second)))
        assert calls == [1, 1]
        run(gather(note(1).with_cache(cache), note(1).with_cache(second)))
        assert calls == [1, 1]

    def test_alternating_caches_through_the_cache_of_shapes(self):
        """P10: a blueprint holds a cache; another graph with another cache must not use it"""
        one, two = Plain(), Plain()
        for _ in range(3):
            for kept in (one, two, None):
                target = note(1) if kept is None else note(1).with_cache(kept)
                run_any(target, engine="interpreter")
        assert calls == [1] + [1, 1] + [1] * 2
        assert one.asked == two.asked == ["get", "put", "get", "get"]

    def test_a_users_own_cache(self, run):
        cache = Plain()
        run(note(1).with_cache(cache))
        run(note(1).with_cache(cache))
        assert cache.asked == ["get", "put", "get"]
        assert list(cache.kept.values()) == [1]

    def test_map_items(self, run, cache):
        """S14"""
        assert run(note.map([1, 2, 1, 2]).with_cache(cache)) == [1, 2, 1, 2]
        assert calls == [1, 2]
        assert run(gather(note(1).with_cache(cache), note.map([2, 3], **common(y=1)).with_cache(cache))) == [1, [2, 3]]
        assert calls == [1, 2, 3]

    def test_a_cached_call_in_a_route_that_is_not_taken(self, run):
        cache = Plain()
        run(note(1).with_cache(cache).run_if(0, "other"))
        assert cache.asked == []

    def test_a_cached_loop(self, run, cache):
        @task
        def loop(n):
            calls.append(n)
            return loop(n - 1) if n else "end"

        assert run(loop(3).with_cache(cache)) == "end"
        assert run(loop(3).with_cache(cache)) == "end"
        assert calls == [3, 2, 1, 0] * 2


class TestNotStored:
    def test_failures(self, run, cache):
        tries = 0

        @task
        def work(x):
            nonlocal tries
            tries += 1
            if tries == 1:
                raise ValueError("first")
            return x

        with pytest.raises(ValueError, match="first"):
            run(work(1).with_cache(cache))
        assert run(work(1).with_cache(cache)) == 1
        assert run(work(1).with_cache(cache)) == 1
        assert tries == 2

    def test_a_retried_call_stores_the_value(self, run, cache):
        tries = 0

        @task
        def work(x):
            nonlocal tries
            tries += 1
            if tries < 3:
                raise ValueError
            return x

        for _ in range(2):
            assert run(work(1).with_cache(cache).with_retry(3)) == 1
        assert tries == 3

    def test_continuations(self, run, cache):
        @task
        def go(x):
            calls.append("go")
            return note(x)

        for _ in range(2):
            assert run(gather(go(1).with_cache(cache))) == [1]
            assert run(go(1).with_cache(cache)) == 1
        assert calls == ["go", 1] * 4

    def test_a_timeout(self, engine, cache):
        got = capture_virtual(lambda: arun(wait(10, "x").with_cache(cache).with_timeout(1), engine=engine))
        assert type(got.error) is TimeoutError
        got = virtual(engine, wait(10, "x").with_cache(cache))
        assert got.elapsed == 10
        assert len(calls) == 2

    def test_an_argument_that_is_no_data(self, run, cache):
        with pytest.raises(NotCacheable) as caught:
            run(note(object()).with_cache(cache))
        text = str(caught.value)
        assert note.task.label in text
        assert "argument x" in text
        assert "leave the cache off" in text
        assert caught.value.__notes__[0].startswith(f"in task {note.task.label}, called at ")
        assert calls == []

    def test_a_value_that_is_no_data(self, run, tmp_path):
        @task
        def work(x):
            return object()

        assert type(run(work(1).with_cache(MemoryCache()))) is object
        cache = SqliteCache(tmp_path / "c.db")
        with pytest.raises(NotCacheable) as caught:
            run(work(1).with_cache(cache))
        assert caught.value.__notes__[0].startswith(f"in task {work.task.label}, called at ")

    def test_a_cache_that_fails(self, run):
        class Bad(Plain):
            def put(self, key, value):
                raise OSError("disk full")

        class Worse(Plain):
            def get(self, key):
                raise OSError("no disk")

        for bad, text in ((Bad(), "disk full"), (Worse(), "no disk")):
            with pytest.raises(OSError, match=text) as caught:
                run(note(1).with_cache(bad))
            assert caught.value.__notes__[0].startswith(f"in task {note.task.label}, called at ")

    def test_a_bad_call_fails_as_it_does_without_a_cache(self, run, cache):
        """A call that the signature refuses is the compiler's to refuse"""
        with pytest.raises(Exception, match="x"):
            run(note().with_cache(cache))

    def test_nothing_is_held_once_the_run_is_over(self):
        """S4: neither the arguments nor the call"""

        class Thing(list):
            pass

        @task
        def work(x):
            return len(x)

        thing = Thing([1])
        gone = weakref.ref(thing)
        cache = MemoryCache()
        with contextlib.suppress(NotCacheable):
            run_any(work(thing).with_cache(cache), engine="interpreter")
        del thing
        gc.collect()
        assert gone() is None


class TestSingleFlight:
    def test_one_call_for_all_who_want_it(self, engine, cache):
        """R11"""
        got = virtual(engine, gather(*(wait(5, "x").with_cache(cache) for _ in range(4)), wait(5, "y").with_cache(cache)))
        assert got.value == ["x"] * 4 + ["y"]
        assert got.elapsed == 5
        assert sorted(calls) == ["x", "y"]

    def test_map_items(self, engine, cache):
        got = virtual(engine, wait.map([5, 5, 5], ["x", "x", "y"]).with_cache(cache))
        assert got.value == ["x", "x", "y"]
        assert sorted(calls) == ["x", "y"]
        assert got.elapsed == 5

    def test_one_that_waits_takes_no_capacity(self, engine, cache):
        """R12: the look-up comes first"""
        targets = [wait(5, "x").with_cache(cache).with_constraints(a=1) for _ in range(3)] + [wait(5, "y").with_constraints(a=1)]
        got = virtual(engine, gather(*targets), capacity={"a": 2})
        assert got.elapsed == 5
        assert calls == ["x", "y"]

    def test_a_hit_takes_no_capacity_and_no_rate(self, engine, cache):
        """R11"""
        virtual(engine, wait(1, "x").with_cache(cache))
        targets = [wait(1, "x").with_cache(cache).with_constraints(a=1).with_rate_limit("r", 1, 10) for _ in range(3)]
        assert virtual(engine, gather(wait(3).with_constraints(a=1), *targets), capacity={"a": 1}).elapsed == 3

    def test_the_retry_of_the_first_is_waited_for(self, engine, cache):
        tries = 0

        @task
        async def work(x):
            nonlocal tries
            tries += 1
            await asyncio.sleep(1)
            if tries == 1:
                raise ValueError
            return x

        got = virtual(engine, gather(*(work(1).with_cache(cache).with_retry(2, delay=3) for _ in range(3))))
        assert got.value == [1, 1, 1]
        assert tries == 2
        assert got.elapsed == 5

    def test_a_failure_of_the_first_fails_the_run(self, engine, cache):
        @task
        async def work(x):
            calls.append(x)
            await asyncio.sleep(1)
            raise ValueError("first")

        got = capture_virtual(lambda: arun(gather(work(1).with_cache(cache), work(1).with_cache(cache)), engine=engine))
        assert isinstance(got.error, ValueError)
        assert calls == [1]
        assert not got.leaks
        assert got.elapsed == 1

    def test_a_first_that_goes_on_with_a_graph(self, engine, cache):
        """R11: nothing is stored, so the next one makes the call itself"""

        @task
        async def go(x):
            calls.append("go")
            await asyncio.sleep(1)
            return wait(2, "end")

        got = virtual(engine, gather(*(go(1).with_cache(cache) for _ in range(3))))
        assert got.value == ["end"] * 3
        assert calls.count("go") == 3
        assert got.elapsed == 5

    def test_cancelled_at_every_moment(self, engine):
        for at in range(1, 40):
            cache = MemoryCache()
            got = capture_virtual(
                lambda: arun(gather(*(wait(1, "x").with_cache(cache) for _ in range(3))), engine=engine),  # noqa: B023
                cancel_at=at,
            )
            assert not got.leaks
            if got.error is None:
                break

    def test_sync_calls_in_their_order(self, run, cache):
        run(gather(note("a"), note("b").with_cache(cache), note("c"), note("b").with_cache(cache), note("d")))
        assert calls == ["a", "b", "c", "d"]

    def test_many_items_of_one_key(self, run, cache):
        """Hits that follow each other do not recurse"""
        assert run(note.map([1] * 3_000).with_cache(cache)) == [1] * 3_000
        assert calls == [1]

    def test_a_thousand_that_wait_for_one(self, engine):
        cache = MemoryCache()
        got = virtual(engine, wait.map([1] * 900, ["x"] * 900).with_cache(cache))
        assert got.value == ["x"] * 900
        assert calls == ["x"]

    def test_a_thousand_that_each_go_on(self, engine):
        """R11: they are woken one after the other"""
        cache = MemoryCache()

        @task
        async def go(x):
            calls.append(x)
            await asyncio.sleep(1)
            return note("end")

        got = virtual(engine, go.map([1] * 50).with_cache(cache))
        assert got.value == ["end"] * 50
        assert got.elapsed == 50


@task
async def steady(x: Any) -> Any:
    """Takes a second, and says whether it came to its end."""
    calls.append("begin")
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        calls.append("cancelled")
        await asyncio.sleep(1)
        raise
    calls.append("end")
    return x


class TestSingleFlightOfRuns:
    """N46: runs of one event loop wait for each other."""

    def several(self, *starts: Any) -> Any:
        """The outcomes of runs, each begun so many seconds after the one before; and how long all took."""

        async def main():
            runs = []
            for pause, start in starts:
                await asyncio.sleep(pause)
                runs.append(asyncio.get_running_loop().create_task(start()))
            return await asyncio.gather(*runs, return_exceptions=True)

        return run_virtual(main)

    def test_one_call_for_all(self, engine, cache):
        got = self.several(*((0.25, lambda: arun(note(steady(1).with_cache(cache)), engine=engine)) for _ in range(4)))
        assert got.value == [1] * 4
        assert calls == ["begin", "end", 1, 1, 1, 1]
        assert got.elapsed == 1.25

    @pytest.mark.parametrize("engines", [("interpreter", "graph"), ("graph", "interpreter")])
    def test_both_engines(self, cache, engines):
        got = self.several(*((0, lambda e=e: arun(gather(steady(1).with_cache(cache), note(2)), engine=e)) for e in engines))
        assert got.value == [[1, 2]] * 2
        assert calls.count("begin") == 1

    def test_items_and_several_in_each(self, engine, cache):
        def start():
            return arun(gather(steady.map([1, 1]).with_cache(cache), steady(1).with_cache(cache), note("s")), engine=engine)

        got = self.several(*((0, start) for _ in range(3)))
        assert got.value == [[[1, 1], 1, "s"]] * 3
        assert calls.count("begin") == 1
        assert got.elapsed == 1

    def test_caches_and_keys_are_told_apart(self, engine):
        one, two = MemoryCache(), MemoryCache()
        targets = [steady(1).with_cache(one), steady(1).with_cache(two), steady(2).with_cache(one)]
        assert self.several(*((0, lambda t=t: arun(t, engine=engine)) for t in targets)).value == [1, 1, 2]
        assert calls.count("begin") == 3

    def test_what_a_run_waits_for_is_in_flight(self, engine, cache):
        """S7: the rest goes on meanwhile"""
        target = gather(steady(1).with_cache(cache), wait(1, "beside"), note("sync"))
        got = self.several((0, lambda: arun(target, engine=engine)), (0.5, lambda: arun(target, engine=engine)))
        assert got.value == [[1, "beside", "sync"]] * 2
        assert got.elapsed == 1.5

    def test_a_failure_is_of_its_run_alone(self, engine, cache):
        """The next one makes the call itself"""
        tries = 0

        @task
        async def flaky(x):
            nonlocal tries
            tries += 1
            mine = tries
            await asyncio.sleep(1)
            if mine == 1:
                raise ValueError("first")
            return mine

        got = self.several(*((0, lambda: arun(flaky(1).with_cache(cache), engine=engine)) for _ in range(3)))
        assert [type(got.value[0]), *got.value[1:]] == [ValueError, 2, 2]
        assert got.elapsed == 2

    def test_what_goes_on_with_a_graph_is_not_shared(self, engine, cache):
        @task
        async def go(x):
            calls.append("go")
            await asyncio.sleep(1)
            return note("end")

        got = self.several(*((0, lambda: arun(go(1).with_cache(cache), engine=engine)) for _ in range(3)))
        assert got.value == ["end"] * 3
        assert calls.count("go") == 3

    def test_whoever_makes_it_is_cancelled(self, engine, cache):
        """The flight goes to the next, as soon as the call has ended"""

        async def main():
            loop = asyncio.get_running_loop()
            first, *others = [loop.create_task(arun(steady(1).with_cache(cache), engine=engine)) for _ in range(4)]
            await asyncio.sleep(0.5)
            first.cancel()
            got = await asyncio.gather(*others)
            assert first.cancelled()
            return got

        got = run_virtual(main)
        assert got.value == [1, 1, 1]
        assert calls == ["begin", "cancelled", "begin", "end"]
        assert got.elapsed == 2.5

    def test_whoever_waits_is_cancelled(self, engine, cache):
        async def main():
            loop = asyncio.get_running_loop()
            runs = [loop.create_task(arun(steady(1).with_cache(cache), engine=engine)) for _ in range(3)]
            await asyncio.sleep(0.5)
            runs[1].cancel()
            return await asyncio.gather(*runs, return_exceptions=True)

        got = run_virtual(main)
        assert [got.value[0], type(got.value[1]), got.value[2]] == [1, asyncio.CancelledError, 1]
        assert calls == ["begin", "end"]
        assert got.elapsed == 1

    @pytest.mark.parametrize("victims", [(0,), (1,), (0, 1), (0, 2)])
    def test_cancelled_at_every_moment(self, engine, victims):
        for at in (0, 0.5, 1, 1.5):
            calls.clear()
            cache = MemoryCache()

            async def main(cache=cache, at=at):
                loop = asyncio.get_running_loop()
                runs = [loop.create_task(arun(note(steady(1).with_cache(cache)), engine=engine)) for _ in range(3)]
                await asyncio.sleep(at)
                for one in victims:
                    runs[one].cancel()
                return await asyncio.gather(*runs, return_exceptions=True)

            got = run_virtual(main).value
            for number, value in enumerate(got):
                assert value == 1 or (number in victims and type(value) is asyncio.CancelledError)
            # Cancelled in the very moment in which the call has ended, the run has its value no more.
            assert calls.count("end") in ((1, 2) if at == 1 else (1,))

    def test_another_failure_in_the_run_that_makes_it(self, engine, cache):
        @task
        async def fail():
            await asyncio.sleep(0.5)
            raise ValueError("other")

        got = self.several(
            (0, lambda: arun(gather(steady(1).with_cache(cache), fail()), engine=engine)),
            (0, lambda: arun(steady(1).with_cache(cache), engine=engine)),
        )
        assert [type(got.value[0]), got.value[1]] == [ValueError, 1]
        assert calls == ["begin", "cancelled", "begin", "end"]

    @pytest.mark.parametrize("gathered", [False, True])
    def test_a_call_does_not_wait_for_itself(self, engine, cache, gathered):
        """A run within the call, that asks for the same call, makes it"""

        @task
        async def deep(x):
            calls.append("deep")
            if len(calls) > 2:
                return x
            inner = arun(deep(x).with_cache(cache), engine=engine)
            return await (asyncio.gather(inner) if gathered else inner)

        got = run_virtual(lambda: arun(note(deep(1).with_cache(cache)), engine=engine))
        assert got.value == ([[1]] if gathered else 1)
        assert calls[:3] == ["deep"] * 3

    def test_a_run_within_waits_for_another(self, engine, cache):
        """It is not in the way of others that it runs within a call of its own"""
        other = MemoryCache()

        @task
        async def outer(x):
            return await arun(steady(x).with_cache(cache), engine=engine)

        got = self.several(
            (0, lambda: arun(steady(1).with_cache(cache), engine=engine)),
            (0.5, lambda: arun(outer(1).with_cache(other), engine=engine)),
        )
        assert got.value == [1, 1]
        assert calls == ["begin", "end"]
        assert got.elapsed == 1

    def test_sync_calls_in_a_loop(self, engine, cache):
        """They end before anybody else has a turn"""
        target = gather(note(1).with_cache(cache), wait(1))
        assert self.several(*((0, lambda: arun(target, engine=engine)) for _ in range(3))).value == [[1, None]] * 3
        assert calls.count(1) == 1

    def test_nothing_is_left_over(self, engine):
        """A flight is gone when it has landed, and so is its cache"""
        cache = MemoryCache()
        gone = weakref.ref(cache)
        self.several(*((0, lambda c=cache: arun(steady(1).with_cache(c), engine=engine)) for _ in range(3)))
        assert all(not flights for flights in flights_module._OF_LOOPS.values())
        del cache
        cache_clear()
        gc.collect()
        assert gone() is None

    def test_a_thread_is_waited_for_too(self, engine, cache):
        @task(mode="thread")
        def thread(x):
            calls.append(x)
            return x

        got = self.several(*((0, lambda: arun(thread(1).with_cache(cache), engine=engine)) for _ in range(3)))
        assert got.value == [1, 1, 1]
        assert calls == [1]

    def test_events(self, engine, cache):
        """Who waited has a hit"""
        told: list[Any] = []
        with subscribe(told.append):
            self.several(*((0, lambda: arun(steady(1).with_cache(cache), engine=engine)) for _ in range(2)))
        kinds = {number: [type(one).__name__ for one in told if one.run == number] for number in {one.run for one in told}}
        assert sorted(kinds.values()) == [
            ["RunStarted", "CacheHit", "RunFinished"], ["RunStarted", "TaskStarted", "TaskFinished", "RunFinished"],
        ]  # fmt: skip


class Connection:
    """Nothing of which a key can be made."""


class TestResources:
    """N43: what a resource gives is not an argument of the call; its name is in the key."""

    @pytest.fixture
    def links(self, engine) -> tuple[Any, Any]:
        @resource
        def link():
            calls.append("+link")
            yield Connection()

        @resource(scope="step")
        def other():
            yield Connection()

        return link, other

    def test_as_a_default(self, run, cache, links):
        @task
        def fetch(x, c=inject(links[0])):
            calls.append(x)
            return type(c).__name__

        for _ in range(2):
            assert run(gather(fetch(1).with_cache(cache), fetch(x=1).with_cache(cache))) == ["Connection"] * 2
        assert calls == ["+link", 1, "+link"]
        run(fetch(2).with_cache(cache))
        assert calls[3:] == ["+link", 2]

    def test_as_an_argument_and_in_more(self, run, cache, links):
        one, other = links
        same = [note(1, inject(one)), note(1, y=inject(one)), note(y=inject(one), x=1)]
        for target in (*same, note(1, inject(other)), note(1, 2, inject(one)), note(1, 2, inject(other)), note(1, 2, z=inject(one))):
            assert run(target.with_cache(cache)) == 1
        assert [one for one in calls if one != "+link"] == [1] * 5
        for target in (note(1, 2, inject(one)), note(1, 2, 3, inject(one)), note(1, 2, inject(one), 3), note(1, 2, 3, 3)):
            assert run(target.with_cache(cache)) == 1
        assert [one for one in calls if one != "+link"] == [1] * 8

    def test_its_name_is_no_text(self, run, cache, links):
        """Nothing that can be passed has the key of a resource"""
        symbol = links[0].symbol
        for target in (note(1, inject(links[0])), note(1, symbol), note(1, [symbol]), note(1)):
            run(target.with_cache(cache))
        assert calls.count(1) == 4

    def test_a_value_in_its_place(self, run, cache, links):
        """The run gives another: the key is the same"""
        target = note(1, inject(links[0])).with_cache(cache)
        assert run(target) == run(target, resources={"link": 5}) == 1
        assert calls.count(1) == 1

    def test_under_other_policies(self, run, cache, links):
        """Amounts and retries stand before the arguments of an instruction"""

        @task
        def fetch(x, *, c=inject(links[0])):
            calls.append(x)
            return x

        for _ in range(2):
            target = fetch(note(3)).with_cache(cache).with_constraints(a=note(1), b=1).with_retry(2)
            assert run(target, capacity={"a": 1, "b": 1}) == 3
        assert (calls.count(3), calls.count(1)) == (3, 2)  # the call itself once

    def test_in_a_map(self, run, cache, links):
        @task
        def fetch(x, y=0, c=inject(links[0])):
            calls.append((x, y))
            return x

        for _ in range(2):
            assert run(fetch.map(x=[1, 2], **common(y=5)).with_cache(cache)) == [1, 2]
            assert run(note.map(x=["a", "b"], **common(y=inject(links[0]))).with_cache(cache)) == ["a", "b"]
        assert [one for one in calls if one != "+link"] == [(1, 5), (2, 5), "a", "b"]

    def test_the_items_of_what_a_resource_gives(self, run, cache):
        """They are arguments: each has its key"""

        @resource
        def rows():
            yield ["r1", "r2"]

        for _ in range(2):
            assert run(note.map(inject(rows)).with_cache(cache)) == ["r1", "r2"]
            assert run(note.map(x=inject(rows)).with_cache(cache)) == ["r1", "r2"]
        assert calls == ["r1", "r2"]

    def test_a_container_with_one(self, run, cache, links):
        with pytest.raises(NotCacheable, match="argument y"):
            run(note(1, [inject(links[0])]).with_cache(cache))

    def test_of_a_task_that_jumps(self, run, cache, links):
        @task
        def step(n, c=inject(links[0])):
            calls.append(n)
            return Jump("again", n - 1) if n > 2 else n

        for _ in range(2):
            assert run(bind(step(3).with_cache(cache), {"again": step(0).with_cache(cache)})) == 2
        assert [one for one in calls if one != "+link"] == [3, 2, 3]

    def test_single_flight(self, engine, cache, links):
        @task
        async def fetch(x, c=inject(links[0])):
            calls.append(x)
            await asyncio.sleep(1)
            return x

        got = virtual(engine, gather(*(fetch(1).with_cache(cache) for _ in range(3))))
        assert got.value == [1, 1, 1]
        assert calls == ["+link", 1]

    def test_both_engines_make_the_same_key(self, links):
        kept = Plain()
        for engine in ("interpreter", "graph"):
            for target in (note(1, inject(links[0])), note(1, 2, inject(links[0]), z=inject(links[1]))):
                run_any(target.with_cache(kept), engine=engine)
        assert len(kept.kept) == 2
