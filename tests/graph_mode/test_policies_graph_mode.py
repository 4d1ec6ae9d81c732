"""Calls that were told more than their arguments: retry, timeout, cache, constraints, rate limits (S16, S17, S19, S22).

``go`` is the one place that says which engine runs a graph.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cascade_compiler import graph_mode
from cascade_compiler.inputs import gather
from cascade_compiler.mapping import common
from cascade_compiler.node_kinds import literal
from cascade_compiler.routing import Router
from cascade_compiler.task import task
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm.caching import Hit, MemoryCache, NotCacheable
from cascade_vm.errors import CapacityError

HERE = "test_policies_graph_mode.py"


def go(target: Any, params: Any = None, **options: Any) -> Any:
    """The value of ``target``, without an event loop where it needs none."""
    return graph_mode.run(target, params, **options)


def timed(target: Any, params: Any = None, **options: Any) -> Any:
    """The run in virtual time: ``value``, ``elapsed`` seconds."""
    return run_virtual(lambda: graph_mode.arun(target, params, **options))


@pytest.fixture
def log():
    return []


@pytest.fixture
def no_loop(monkeypatch):
    """Any attempt to make an event loop fails."""
    monkeypatch.setattr(asyncio, "run", None)
    monkeypatch.setattr(asyncio, "new_event_loop", None)


def now():
    return asyncio.get_running_loop().time()


def failing(log, times, error=ValueError, waits=0.0, name="flaky"):
    """Tasks (sync, async) that fail so many times."""

    def sync(*args):
        log.append(name)
        if log.count(name) <= times:
            raise error(f"attempt {log.count(name)}")
        return name

    async def later(*args):
        await asyncio.sleep(waits)
        return sync(*args)

    return task(name=name)(sync), task(name=name)(later)


@task
def same(x):
    return x


@task
async def later(x, seconds=1):
    await asyncio.sleep(seconds)
    return x


def notes_of(failure):
    return getattr(failure, "__notes__", [])


def first_line(failure):
    return notes_of(failure)[0].splitlines()[0]


class TestRetry:
    @pytest.mark.usefixtures("no_loop")
    def test_synchronous_attempts_follow_each_other(self, log):
        flaky, _ = failing(log, 2)
        assert go([task(log.append)("a"), flaky().with_retry(3), task(log.append)("b")])[1] == "flaky"
        assert log == ["a", "flaky", "flaky", "flaky", "b"]

    @pytest.mark.parametrize("kind", [0, 1])
    def test_the_last_failure_is_raised_and_says_which_attempt_it_was(self, kind, log):
        flaky = failing(log, 9)[kind]
        with pytest.raises(ValueError, match="attempt 3") as caught:
            timed(same(flaky(5).with_retry(3)))
        assert len(log) == 3
        (note,) = notes_of(caught.value)
        first, *rest = note.splitlines()
        assert first.startswith(f"in task {__name__}.flaky, called at {HERE}:")
        assert first.endswith(" (attempt 3 of 3)")
        assert rest == ["  args = (5,)"]
        log.clear()
        with pytest.raises(ValueError, match="attempt 1") as caught:
            timed(flaky().with_retry(1))
        assert "attempt" not in first_line(caught.value)

    @pytest.mark.parametrize("kind", [0, 1])
    def test_other_exceptions_fail_at_once(self, kind, log):
        flaky = failing(log, 1)[kind]
        with pytest.raises(ValueError, match="attempt 1") as caught:
            timed(flaky().with_retry(3, on=(KeyError, TypeError)))
        assert first_line(caught.value).endswith(" (attempt 1 of 3)")
        log.clear()
        assert timed(flaky().with_retry(3, on=(KeyError, ValueError))).value == "flaky"

    @pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt])
    @pytest.mark.parametrize("kind", [0, 1])
    def test_what_ends_a_run_is_never_retried(self, kind, error, log):
        flaky = failing(log, 1, error)[kind]
        with pytest.raises(error):
            go([flaky().with_retry(3)])
        assert log == ["flaky"]

    def test_waits_do_not_hold_up_others(self, log):
        flaky, _ = failing(log, 2)

        @task
        def at(name):
            log.append((name, now()))

        run = timed([flaky().with_retry(3, delay=1, backoff=2), at("a"), same(later(1, 2)), at(later("b", 2))])
        assert run.elapsed == 3
        assert log == ["flaky", ("a", 0), "flaky", ("b", 2), "flaky"]

    def test_after_a_wait_a_synchronous_call_waits_for_its_turn(self, log):
        flaky, _ = failing(log, 1)
        note = task(log.append)
        timed([note(later("low")), flaky().with_retry(2, delay=1), note(later("high"))])
        assert log == ["flaky", "low", "flaky", "high"]

    def test_the_waits_are_those_of_the_policy(self, log):
        _, flaky = failing(log, 4)
        call = flaky().with_retry(5, delay=1, backoff=10, max_delay=50, jitter=0.5, seed=7)
        assert timed(call).elapsed == pytest.approx(sum(call.policy.retry.wait(n) for n in range(1, 5)))

    def test_a_call_with_a_delay_is_begun_early_and_its_items_too(self, log):
        class Loud(list):
            def __getitem__(self, at):
                log.append(f"item {at}")
                return list.__getitem__(self, at)

        flaky, _ = failing(log, 0)
        box = same(literal(Loud("ab")))
        go([box, task(log.append)("sync"), flaky(box[0]).with_retry(2, delay=1), flaky(box[1]).with_retry(2)])
        assert log == ["item 0", "sync", "flaky", "item 1", "flaky"]

    def test_a_graph_that_the_call_returned_is_not_covered(self, log):
        flaky, _ = failing(log, 1)

        @task
        def nest():
            log.append("nest")
            return flaky()

        for target in (nest().with_retry(3), same(nest().with_retry(3)), gather(nest().with_retry(3))):
            log.clear()
            with pytest.raises(ValueError, match="attempt 1") as caught:
                go(target)
            assert log == ["nest", "flaky"]
            assert "attempt" not in first_line(caught.value)

    @pytest.mark.usefixtures("no_loop")
    def test_stop_iteration(self, log):
        flaky, _ = failing(log, 1, StopIteration)
        assert go(flaky().with_retry(2)) == "flaky"

    def test_a_retried_failure_ties_with_a_real_one(self, log):
        """S15"""
        _, flaky = failing(log, 1, waits=1)
        _, fails = failing([], 9, waits=1, name="fails")
        with pytest.raises(ValueError, match="attempt 1") as caught:
            timed([flaky().with_retry(2), fails()])
        assert first_line(caught.value).startswith(f"in task {__name__}.fails, ")
        assert len(notes_of(caught.value)) == 1

    @pytest.mark.parametrize("kind", [0, 1])
    def test_cancelled_at_every_moment(self, kind):
        """S18"""
        at = 1
        while True:
            flaky = failing([], 2, waits=1)[kind]
            call = flaky().with_retry(3, delay=1).with_constraints(gpu=1).with_rate_limit("r", 1)
            run = capture_virtual(
                lambda call=call: graph_mode.arun([call, call.after(), later.map([1, 2])], capacity={"gpu": 1}), cancel_at=at
            )
            assert run.leaks == ()
            if run.error is None:
                break
            assert isinstance(run.error, asyncio.CancelledError)
            at += 1
        assert at > 5


class TestTimeout:
    def test_it_holds_for_each_attempt(self, log):
        @task
        async def slow(_):
            log.append(now())
            try:
                await asyncio.sleep(10 if len(log) < 3 else 1)
            finally:
                log.append("ended")
            return "value"

        assert timed(slow(1).with_timeout(2).with_retry(3)).value == "value"
        assert log == [0, "ended", 2, "ended"]
        log.clear()
        with pytest.raises(TimeoutError) as caught:
            timed(same(slow(1).with_timeout(0.5)))
        assert str(caught.value) == f"{slow.task.label} took longer than 0.5 seconds"
        assert first_line(caught.value).startswith(f"in task {slow.task.label}, called at {HERE}:")
        assert log == [0, "ended"]

    def test_on_tells_whether_it_is_tried_again(self, log):
        @task
        async def slow():
            log.append(now())
            await asyncio.sleep(10)

        with pytest.raises(TimeoutError):
            timed(slow().with_timeout(2).with_retry(3, on=ValueError))
        assert log == [0]
        with pytest.raises(TimeoutError) as caught:
            timed(slow().with_timeout(2).with_retry(2, delay=1, on=TimeoutError))
        assert log == [0, 0, 3]
        assert first_line(caught.value).endswith(" (attempt 2 of 2)")

    def test_a_timeout_of_the_tasks_own_comes_out_as_it_is(self):
        own = TimeoutError("own")

        @task
        async def fail():
            raise own

        @task
        async def fail_in_clean_up():
            try:
                await asyncio.sleep(10)
            finally:
                raise own

        for call in (fail(), fail_in_clean_up()):
            with pytest.raises(TimeoutError) as caught:
                timed(call.with_timeout(2))
            assert caught.value is own

    def test_what_swallows_its_cancellation_has_its_value(self):
        @task
        async def stubborn():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                return "stubborn"

        assert timed([stubborn().with_timeout(2)]).value == ["stubborn"]

    def test_waits_and_graphs_do_not_count(self):
        @task
        async def nest():
            return later(1, 5)

        assert timed(same(nest().with_timeout(1))).elapsed == 5
        assert timed([later(1).with_timeout(1.5).with_constraints(gpu=1) for _ in range(3)], capacity={"gpu": 1}).elapsed == 3


class TestCache:
    @pytest.mark.usefixtures("no_loop")
    def test_a_hit_is_no_call(self, log):
        cache = MemoryCache()

        @task
        def note(x, y=1):
            log.append(x)
            return None

        @task
        async def waits(x):
            raise AssertionError

        assert go([note(1).with_cache(cache), note(x=1, y=same(1)).with_cache(cache), note(1, 2).with_cache(cache)]) == [None] * 3
        assert go(note(1).with_cache(cache)) is None
        assert log == [1, 1]
        from cascade_vm.call_key import call_key

        cache.put(call_key(waits.task.symbol, "1", None, waits.fn, (3,), {}), "known")
        assert go([waits(3).with_cache(cache).with_constraints(gpu=9).with_rate_limit("r", 1)], capacity={"gpu": 9}) == ["known"]

    def test_a_failure_is_not_stored(self, log):
        cache = MemoryCache()
        flaky, _ = failing(log, 2)
        with pytest.raises(ValueError, match="attempt 1"):
            go(flaky().with_cache(cache))
        assert cache.info().size == 0
        assert go(flaky().with_cache(cache).with_retry(2)) == "flaky"
        assert cache.info().size == 1

    def test_a_graph_is_not_stored(self, log):
        cache = MemoryCache()

        @task
        def nest(x):
            log.append(x)
            return same(x)

        call = nest(1).with_cache(cache)
        assert go([call, nest(1).with_cache(cache), nest(2).with_cache(cache)]) == [1, 1, 2]
        assert sorted(log) == [1, 1, 2]
        assert cache.info().size == 0

    def test_one_call_at_a_time_is_made_for_one_value(self, log):
        cache = MemoryCache()

        @task
        async def slow(x):
            log.append((x, now()))
            await asyncio.sleep(2)
            return object()

        a, b, c = timed([slow(1).with_cache(cache), slow(later(1)).with_cache(cache), slow(2).with_cache(cache)]).value
        assert a is b is not c
        assert log == [(1, 0), (2, 0)]
        log.clear()
        one, other = MemoryCache(), MemoryCache()
        timed([slow(1).with_cache(one), slow(1).with_cache(other), slow(1)])
        assert len(log) == 3

    def test_who_waits_for_a_value_takes_it_from_the_call(self, log):
        class Forgetful:
            def get(self, key):
                log.append("get")
                return None

            def put(self, key, value):
                log.append("put")

        cache = Forgetful()
        assert timed([later(1).with_cache(cache), later(1).with_cache(cache), later(later(1)).with_cache(cache)]).value == [
            1,
            1,
            1,
        ]
        assert log == ["get", "get", "put", "get", "put"]

    def test_the_look_up_comes_as_soon_as_the_arguments_are_there(self, log):
        class Loud:
            def get(self, key):
                log.append("get")
                return Hit("known")

            def put(self, key, value): ...

        assert go([task(log.append)("a"), same(1).with_cache(Loud())]) == [None, "known"]
        assert log == ["get", "a"]

    def test_what_has_no_key(self):
        with pytest.raises(NotCacheable) as caught:
            go(same(literal(object())).with_cache(MemoryCache()).with_retry(2))
        assert first_line(caught.value).startswith(f"in task {__name__}.same, called at {HERE}:")

    def test_a_cache_that_fails(self):
        class Broken:
            def __init__(self, what):
                self.what = what

            def get(self, key):
                if self.what == "get":
                    raise OSError("broken")
                return None

            def put(self, key, value):
                raise OSError("broken")

        for what in ("get", "put"):
            for call in (same(1), later(1)):
                with pytest.raises(OSError, match="broken") as caught:
                    timed([call.with_cache(Broken(what)).with_retry(3)])
                assert first_line(caught.value).startswith("in task ")

    def test_a_hit_takes_no_capacity(self):
        cache = MemoryCache()
        go(later(1, 0).with_cache(cache))
        hog = later(2, 5).with_constraints(gpu=1)
        known = later(1, 0).with_cache(cache).with_constraints(gpu=1)
        assert timed([hog, later(known, 1)], capacity={"gpu": 1}).elapsed == 5


class TestConstraints:
    def test_all_or_nothing_first_come_first_served(self, log):
        @task
        async def use(name, seconds):
            log.append((name, now()))
            await asyncio.sleep(seconds)

        calls = [
            use("a", 3).with_constraints(cpu=1),
            use("b", 1).with_constraints(cpu=2, gpu=1),  # waits for a, and keeps those behind it from both
            use("c", 1).with_constraints(gpu=1),
            use("d", 1).with_constraints(cpu=1),
            use("e", 1).with_constraints(disk=1),
        ]
        assert timed(calls, capacity={"cpu": 2, "gpu": 1, "disk": 1}).elapsed == 5
        assert log == [("a", 0), ("e", 0), ("b", 3), ("c", 4), ("d", 4)]

    def test_no_capacity_waits_for_no_one_and_zero_is_nothing(self):
        calls = [later(1, 1).with_constraints(gpu=1), later(2, 1).with_constraints(gpu=0), later(3, 1)]
        assert timed(calls, capacity={"gpu": 1}).elapsed == 1

    def test_it_is_held_through_all_attempts_and_waits(self, log):
        _, flaky = failing(log, 2, waits=1)
        target = [flaky().with_retry(3, delay=1).with_constraints(gpu=1), later(1, 1).with_constraints(gpu=1)]
        assert timed(target, capacity={"gpu": 1}).elapsed == 6

    def test_it_is_given_back_when_the_call_ends(self, log):
        @task
        async def nest():
            return later(1, 9)

        run = timed([nest().with_constraints(gpu=1), later(1, 1).with_constraints(gpu=1)], capacity={"gpu": 1})
        assert run.elapsed == 9
        assert go(same(same(1).with_constraints(gpu=1)).with_constraints(gpu=1), capacity={"gpu": 1}) == 1

    @pytest.mark.usefixtures("no_loop")
    def test_synchronous_calls(self, log):
        note = task(log.append)
        go([note(n).with_constraints(gpu=1) for n in range(3)], capacity={"gpu": 1})
        assert log == [0, 1, 2]

    def test_a_synchronous_call_waits_for_capacity_and_then_for_its_turn(self, log):
        note = task(log.append)
        hog = later("hog", 1).with_constraints(gpu=1)
        timed([hog, note("waits").with_constraints(gpu=1), note("b"), note(later("c", 1))], capacity={"gpu": 1})
        assert log == ["b", "waits", "c"]

    def test_too_much_is_an_error_before_anything_runs(self, log):
        note = task(log.append)
        for amounts, text in (
            ({"gpu": 3}, "3 of 'gpu' is more than the whole run has, which is 2"),
            ({"disk": 1}, "the run has no capacity 'disk': give it with run(..., capacity={'disk': ...}); it has 'gpu'"),
            ({"gpus": 0}, "the run has no capacity 'gpus': give it with run(..., capacity={'gpus': ...}); did you mean 'gpu'?"),
        ):
            for make in (lambda x: x, lambda x: x.run_if(0, otherwise=1), lambda x: Router(0, {0: 0, 1: x}), same):
                with pytest.raises(CapacityError) as caught:
                    go([note("a"), make(same(1).with_constraints(**amounts))], capacity={"gpu": 2})
                assert str(caught.value) == text
                (told,) = notes_of(caught.value)
                assert "same, written at " in told
        with pytest.raises(CapacityError, match="no capacity 'gpu'"):
            go(same.map([]).with_constraints(gpu=1))
        assert log == []

    def test_else_it_is_a_failure_of_the_call(self):
        @task
        def nest():
            return same(1).with_constraints(gpu=3)

        for target in (same(1).with_constraints(gpu=same(3)), nest(), [nest()], same.map([1]).with_constraints(gpu=same(3))):
            with pytest.raises(CapacityError, match="of 'gpu' is more than the whole run has, which is 2") as caught:
                go(target, capacity={"gpu": 2})
            assert first_line(caught.value).startswith(f"in task {__name__}.same, called at {HERE}:")

    @pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "1", None, True])
    def test_amounts_that_are_none(self, amount):
        with pytest.raises(ValueError, match="the amount of 'gpu' must be a ") as caught:
            go(same(1).with_constraints(gpu=same(amount)), capacity={"gpu": 2})
        assert first_line(caught.value).startswith("in task ")

    def test_amounts_add_up_as_they_are_written(self):
        calls = [later(1, 1).with_constraints(gpu=0.1) for _ in range(10)]
        assert timed(calls, capacity={"gpu": 1}).elapsed == 1
        assert timed([*calls, later(1, 1).with_constraints(gpu=0.1)], capacity={"gpu": 1}).elapsed == 2

    def test_amounts_may_be_lazy(self):
        calls = [later(1, 1).with_constraints(gpu=later(n, n)) for n in (1, 2)]
        assert timed(calls, capacity={"gpu": 2}).elapsed == 3

    @pytest.mark.parametrize("capacity", [3, {"gpu": -1}, {"gpu": "2"}, {"gpu": float("nan")}])
    def test_what_is_no_capacity(self, capacity):
        with pytest.raises((TypeError, ValueError), match="capacity"):
            go(same(1), capacity=capacity)


class TestRateLimit:
    def test_starts_are_spaced(self, log):
        @task
        async def call(name):
            log.append((name, now()))
            await asyncio.sleep(5)

        calls = [call(n).with_rate_limit("api", 2, 1) for n in "abc"]
        assert timed([*calls, call("d"), call("e").with_rate_limit("other", 1)]).elapsed == 6
        assert log == [("a", 0), ("d", 0), ("e", 0), ("b", 0.5), ("c", 1)]

    def test_what_was_not_used_is_not_saved_up(self):
        times = timed([task(lambda _: now(), name="at")(later(1, wait)).with_rate_limit("api", 1) for wait in (0, 5, 5)]).value
        assert times == [0, 5, 6]

    def test_each_attempt_is_a_start(self, log):
        @task
        def fails():
            log.append(now())
            if len(log) < 3:
                raise ValueError
            return 1

        assert timed([fails().with_retry(3).with_rate_limit("api", 1)]).value == [1]
        assert log == [0, 1, 2]
        log.clear()
        timed([fails().with_retry(3, delay=1.5).with_rate_limit("api", 1)])
        assert log == [0, 1.5, 3]

    @pytest.mark.usefixtures("no_loop")
    def test_the_first_needs_no_loop(self):
        assert go(same(1).with_rate_limit("api", 1)) == 1

    def test_capacity_comes_first(self, log):
        @task
        async def call(name):
            log.append((name, now()))
            await asyncio.sleep(3)

        calls = [call(n).with_rate_limit("api", 1).with_constraints(gpu=1) for n in "ab"]
        timed([*calls, call("c").with_rate_limit("api", 1)], capacity={"gpu": 1})
        assert log == [("a", 0), ("c", 1), ("b", 3)]

    def test_others_go_on_meanwhile(self, log):
        note = task(log.append)
        timed([note("a").with_rate_limit("api", 1), note("b").with_rate_limit("api", 1), note("c"), note(later("d", 0.5))])
        assert log == ["a", "c", "d", "b"]

    def test_one_name_has_one_limit(self):
        with pytest.raises(ValueError, match="two calls have a rate limit 'api' with different numbers") as caught:
            go([same(1).with_rate_limit("api", 1), same(1).with_rate_limit("api", 2)])
        assert first_line(caught.value).startswith("in task ")


class TestTogether:
    def test_all_of_them(self, log):
        cache = MemoryCache()
        _, flaky = failing(log, 1, waits=1)
        call = flaky(1).with_retry(2, delay=1).with_timeout(5).with_cache(cache).with_constraints(gpu=1).with_rate_limit("api", 1)
        run = timed([call, flaky(1).with_cache(cache), same(call)], capacity={"gpu": 1})
        assert run.value == ["flaky"] * 3
        assert run.elapsed == 3
        assert go(call, capacity={"gpu": 1}) == "flaky"

    def test_a_skipped_call_takes_nothing(self):
        call = same(1).with_cache(MemoryCache()).with_constraints(gpu=same(7)).run_if(0, otherwise=3)
        assert go(call, capacity={"gpu": 1}) == 3

    def test_a_target_under_a_policy_makes_tail_calls(self):
        """S24"""

        @task
        def loop(n, _=0):
            return loop(n - 1, same(n)).with_retry(2).with_constraints(gpu=1) if n else "end"

        assert go(loop(3_000), capacity={"gpu": 1}) == "end"

    def test_a_map_under_all_of_them(self, log):
        _, flaky = failing(log, 1)
        call = flaky.map(range(3)).with_retry(2).with_cache(MemoryCache()).with_constraints(gpu=1).with_rate_limit("api", 1)
        assert timed(same(call), capacity={"gpu": 2}).elapsed == 3
        assert timed(later.map([1, 2], **common(seconds=1)).with_constraints(gpu=1).after(call), capacity={"gpu": 2}).value == [
            1,
            2,
        ]
