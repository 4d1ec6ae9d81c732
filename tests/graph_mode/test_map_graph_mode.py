"""Maps: one call for each position of iterables, bounded, in order (S13, S14, S15).

``go`` is the one place that says which engine runs a graph.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from cascade_compiler import graph_mode
from cascade_compiler.inputs import Param, gather
from cascade_compiler.mapping import common
from cascade_compiler.node_kinds import literal
from cascade_compiler.routing import Router
from cascade_compiler.task import task
from cascade_compiler.testing import run_virtual
from cascade_vm.caching import MemoryCache
from cascade_vm.errors import CompileError, TargetSkipped

HERE = "test_map_graph_mode.py"


def go(target: Any, params: Any = None, **options: Any) -> Any:
    """The value of ``target``, without an event loop where it needs none."""
    return graph_mode.run(target, params, **options)


def timed(target: Any, params: Any = None, **options: Any) -> Any:
    """The run in virtual time: ``value``, ``elapsed`` seconds."""
    return run_virtual(lambda: graph_mode.arun(target, params, **options))


@pytest.fixture
def log():
    return []


@task
def same(x):
    return x


@task
def add(x, y=10, *, z=0):
    return x + y + z


@task
async def later(x, seconds=1):
    await asyncio.sleep(seconds)
    return x


def notes_of(failure):
    return getattr(failure, "__notes__", [])


class TestValues:
    def test_one_call_for_each_position(self):
        assert go(add.map([1, 2], [3, 4])) == [4, 6]
        assert go(add.map(x=(1, 2), **common(y=5, z=same(1)))) == [7, 8]
        assert go(add.map([1, 2], z=[100, 200])) == [111, 212]
        assert go(add.map(range(3), y={1: "", 2: "", 3: ""})) == [1, 3, 5]

    def test_nothing(self, monkeypatch):
        monkeypatch.setattr(asyncio, "run", None)
        assert go([same.map([]), later.map(iter(())), add.map([], y=[], **common(z=1))]) == [[], [], []]

    def test_what_is_iterated_may_be_lazy(self):
        assert go(add.map(same([1, 2]), [same(3), 4])) == [4, 6]
        assert go(add.map(Param("xs", list[int]), **common(y=same(1)))[1], {"xs": ["1", "2"]}) == 3
        assert go(same.map(same.map([1, 2]))) == [1, 2]
        assert go(same.map(literal([same]))) == [same]

    def test_common_values_are_passed_as_they_are(self):
        rows: list[int] = []

        @task
        def extend(x, rows):
            rows.append(x)
            return rows

        assert all(one is rows for one in go(extend.map([1, 2], **common(rows=rows))))
        assert rows == [1, 2]

    def test_results_keep_the_order(self):
        run = timed(later.map([0, 1, 2], [3, 1, 2]))
        assert (run.value, run.elapsed) == ([0, 1, 2], 3)

    def test_a_map_is_a_value_like_others(self, log):
        values = add.map([1, 2])
        assert go([values[0], gather(values, 3), same(values).after(values), same.map(values)]) == [
            11,
            [[11, 12], 3],
            [11, 12],
            [11, 12],
        ]
        assert go(add.map([1]).run_if(0, otherwise=2)) == 2
        assert go(Router(1, {1: same.map([1]), 2: 2})) == [1]

    def test_wrong_calls_are_refused_before_anything_runs(self, log):
        for target in (add.map([1], [2], [3]), add.map([1], w=[2]), add.map(z=[1]), same.map([], **common(y=1))):
            with pytest.raises(CompileError, match="cannot be called like this"):
                go([task(log.append)(1), target])
        assert log == []


class TestLengths:
    def test_of_sized_iterables_are_compared_before_any_call(self, log):
        call = task(lambda x, y: log.append(x), name="call")
        with pytest.raises(ValueError, match="the iterables must have one length") as caught:
            go(same(call.map(same([1, 2]), y=[1])))
        assert str(caught.value).endswith(".call.map: the iterables must have one length, and argument 0 has 2, y has 1")
        (note,) = notes_of(caught.value)
        assert note.startswith("in ")
        assert f".call.map, written at {HERE}:" in note
        assert log == []

    def test_of_others_show_when_one_ends(self, log):
        call = task(lambda x, y: log.append(x), name="call")
        for xs, ys in (([1, 2], iter([1])), (iter([1]), [1, 2])):
            log.clear()
            with pytest.raises(
                ValueError, match=r"the iterables must have one length, and (y|argument 0) ended after 1"
            ) as caught:
                go(call.map(xs, y=ys))
            assert log == [1]
            assert f".call.map, written at {HERE}:" in notes_of(caught.value)[0]

    def test_what_cannot_be_iterated(self):
        with pytest.raises(TypeError, match="not iterable") as caught:
            go(same.map(same(3)))
        assert f".same.map, written at {HERE}:" in notes_of(caught.value)[0]

    def test_an_iterator_that_fails(self, log):
        def numbers():
            yield 1
            raise ArithmeticError("no more")

        with pytest.raises(ArithmeticError) as caught:
            go(task(log.append).map(numbers()))
        assert log == [1]
        assert ".map, written at " in notes_of(caught.value)[0]


class TestOrder:
    def test_a_synchronous_map_has_its_place_among_calls(self, log):
        """S6"""

        def note(x):
            log.append(x)
            return x

        call = task(note)
        go([call("a"), call.map([1, 2, call("argument")]), call("b"), call.map(x=[3])])
        assert log == ["a", "argument", 1, 2, "argument", "b", 3]

    def test_no_item_is_taken_before_it_can_start(self, log):
        def numbers():
            for n in range(4):
                log.append(f"take {n}")
                yield n

        go(task(lambda n: log.append(n)).map(numbers()))
        assert log == ["take 0", 0, "take 1", 1, "take 2", 2, "take 3", 3]
        log.clear()

        @task
        async def slow(n):
            log.append(n)
            await asyncio.sleep(1)
            log.append(-n)

        timed(slow.map(numbers(), max_concurrency=2))
        assert log == ["take 0", "take 1", 0, 1, 0, -1, "take 2", "take 3", 2, 3, -2, -3]

    def test_the_bound(self):
        now = most = 0

        @task
        async def count(n):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(1 + n % 3)
            now -= 1

        for bound, seconds in ((1, 19), (3, 7), (None, 3)):
            most = 0
            assert timed(count.map(range(10), max_concurrency=bound)).elapsed == seconds
            assert most == (bound or 10)

    def test_without_a_bound_it_is_a_thousand(self):
        now = most = 0

        @task
        async def count(_):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(1)
            now -= 1

        assert timed(count.map(range(1500))).elapsed == 2
        assert most == 1000

    def test_items_start_in_order_and_others_overlap(self, log):
        @task
        async def slow(n):
            log.append(f"+{n}")
            await asyncio.sleep(n)
            log.append(f"-{n}")

        sync = task(lambda: log.append("sync"))
        assert timed([sync(), slow.map([3, 1, 2]), slow(4)]).elapsed == 4
        assert log == ["+3", "+1", "+2", "+4", "sync", "-1", "-2", "-3", "-4"]

    def test_a_map_with_its_arguments_late(self):
        assert timed(later.map([later(1, 2), 5], **common(seconds=later(3, 4)))).elapsed == 7


class TestGoingOn:
    def test_items_may_go_on(self):
        @task
        def nest(n):
            return nest(same(n - 1)) if n else "end"

        assert go(nest.map([0, 3, 1])) == ["end"] * 3
        assert go([same(nest.map([0, 3, 1]))]) == [["end"] * 3]
        lazy = same(1)
        assert go(task(lambda x: literal(lazy)).map([1]))[0] is lazy

    def test_a_graph_of_an_item_comes_before_the_next_item(self, log):
        note = task(log.append)

        @task
        def nest(n):
            log.append(f"nest {n}")
            return same(note(n))

        go([nest.map([0, 1]), note("after")])
        assert log == ["nest 0", 0, "nest 1", 1, "after"]

    def test_a_blocked_item_does_not_hold_up_the_others(self, log):
        note = task(log.append)

        @task
        def nest(n):
            log.append(f"nest {n}")
            return note(later(n, 3 - n))

        assert timed([nest.map([0, 1, 2]), note("after")]).elapsed == 3
        assert log == ["nest 0", "nest 1", "nest 2", "after", 2, 1, 0]

    def test_graphs_of_items_count_for_the_bound(self, log):
        @task
        def nest(n):
            log.append(n)
            return later(n)

        assert timed(nest.map(range(4), max_concurrency=2)).elapsed == 2
        assert log == [0, 1, 2, 3]
        assert timed(nest.map(range(4), max_concurrency=1)).elapsed == 4

    def test_a_skipped_graph_of_an_item(self):
        @task
        def nest(n):
            return same(n).run_if(n)

        with pytest.raises(TargetSkipped) as caught:
            go(nest.map([1, 0]))
        (note,) = notes_of(caught.value)
        assert note.startswith("in task ")
        assert note.splitlines()[0].endswith(" (map item 1)")

    def test_a_map_that_a_task_returns(self):
        @task
        def fan(n):
            return same.map([fan(n - 1), n]) if n else 0

        assert go(fan(3)) == [[[0, 1], 2], 3]
        assert go([fan(2), 1]) == [[[0, 1], 2], 1]

    def test_deep_maps(self):
        @task
        def down(n):
            return down.map([n - 1]) if n else 0

        value = go([down(3_000)])[0]
        for _ in range(3_000):
            (value,) = value
        assert value == 0


class TestFailing:
    def test_an_item_fails(self, log):
        @task
        def call(n, k):
            log.append(n)
            if n == 1:
                raise ValueError("item")

        with pytest.raises(ValueError, match="item") as caught:
            go(call.map([0, 1, 2], **common(k=7)))
        assert log == [0, 1]
        (note,) = notes_of(caught.value)
        first, *rest = note.splitlines()
        assert first.startswith("in task ")
        assert f".call, called at {HERE}:" in first
        assert first.endswith(" (map item 1)")
        assert rest == ["  n = 1", "  k = 7"]

    def test_no_further_item_starts_and_others_are_cancelled(self, log):
        @task
        async def call(n):
            log.append(n)
            try:
                await asyncio.sleep(n)
            except asyncio.CancelledError:
                log.append(f"cancelled {n}")
                raise
            if n == 2:
                raise ValueError("item")

        with pytest.raises(ValueError, match="item") as caught:
            timed(call.map([9, 1, 2, 8, 7, 6], max_concurrency=3))
        assert log == [9, 1, 2, 8, "cancelled 9", "cancelled 8"]
        assert notes_of(caught.value)[0].splitlines()[0].endswith(" (map item 2)")

    def test_of_two_that_fail_together_the_lowest_index(self):
        @task
        async def call(n):
            await asyncio.sleep(1)
            raise ValueError(n)

        for seed in range(4):
            with pytest.raises(ValueError, match="0") as caught:
                run_virtual(lambda: graph_mode.arun(call.map([0, 1])), seed=seed)
            assert notes_of(caught.value)[1:] == ["another task of the run failed too: ValueError: '1'"]

    def test_a_failure_in_the_graph_of_an_item(self):
        @task
        def fail(n):
            raise ValueError(n)

        @task
        def nest(n):
            return same(fail(n))

        with pytest.raises(ValueError, match="3") as caught:
            go(nest.map([3]))
        (note,) = notes_of(caught.value)
        assert ".fail, called at " in note

    def test_a_refused_graph_of_an_item(self):
        @task
        def nest(n):
            return add()

        with pytest.raises(CompileError) as caught:
            go(nest.map([3]))
        assert notes_of(caught.value)[0].splitlines()[0].endswith(" (map item 0)")


class TestPolicies:
    """S14: they hold for each item"""

    def test_retry(self, log):
        @task
        def flaky(n):
            log.append(n)
            if log.count(n) <= n:
                raise ValueError(n)
            return n

        assert go(flaky.map([0, 1, 2]).with_retry(3)) == [0, 1, 2]
        assert log == [0, 1, 1, 2, 2, 2]
        log.clear()
        with pytest.raises(ValueError, match="3") as caught:
            go(flaky.map([0, 3, 2]).with_retry(2))
        assert notes_of(caught.value)[0].splitlines()[0].endswith(" (map item 1, attempt 2 of 2)")
        assert log == [0, 3, 3]

    def test_retry_with_a_delay_lets_others_go_on(self, log):
        @task
        def flaky(n):
            log.append(n)
            if log.count(n) <= n:
                raise ValueError(n)
            return n

        run = timed(flaky.map([2, 0, 1]).with_retry(3, delay=1, backoff=2))
        assert (run.value, run.elapsed) == ([2, 0, 1], 3)
        assert log == [2, 0, 1, 2, 1, 2]

    def test_seeded_jitter_differs_from_item_to_item(self):
        @task
        async def fail(n):
            if asyncio.get_running_loop().time() == 0:
                raise ValueError
            return asyncio.get_running_loop().time()

        call = fail.map([0, 1]).with_retry(2, delay=1, jitter=0.5, seed=3)
        retry = call.policy.retry
        assert timed(call).value == [retry.wait(1, 0), retry.wait(1, 1)]
        assert retry.wait(1, 0) != retry.wait(1, 1)

    def test_timeout(self):
        run = timed(later.map([1, 2], [1, 2]).with_timeout(3))
        assert run.elapsed == 2
        with pytest.raises(TimeoutError, match=r"later took longer than 1.5 seconds") as caught:
            timed(later.map([1, 2], [1, 2]).with_timeout(1.5))
        assert notes_of(caught.value)[0].splitlines()[0].endswith(" (map item 1)")

    @pytest.mark.parametrize("waits", [True, False])
    def test_cache(self, waits, log):
        cache = MemoryCache()

        @task
        async def slow(n):
            log.append(n)
            await asyncio.sleep(1)
            return [n]

        @task
        def quick(n):
            log.append(n)
            return [n]

        run = timed((slow if waits else quick).map([1, 2, 1, 1]).with_cache(cache))
        assert run.value == [[1], [2], [1], [1]]
        assert run.value[0] is run.value[2] is run.value[3]
        assert log == [1, 2]
        assert run.elapsed == (1 if waits else 0)
        assert go((slow if waits else quick).map([2, 1]).with_cache(cache)) == [[2], [1]]  # without a loop
        assert log == [1, 2]

    def test_constraints_and_rate(self):
        assert timed(later.map(range(6)).with_constraints(gpu=1), capacity={"gpu": 2}).elapsed == 3
        assert timed(later.map(range(6)).with_constraints(gpu=same(0.1)), capacity={"gpu": 0.3}).elapsed == 2
        assert timed(later.map(range(4)).with_rate_limit("api", 2)).elapsed == 2.5

    def test_synchronous_items_under_a_rate_limit(self, log):
        @task
        def call(n):
            log.append((n, asyncio.get_running_loop().time()))

        timed([call.map(range(3)).with_rate_limit("api", 1), call(9)])
        assert log == [(0, 0), (9, 0), (1, 1), (2, 2)]


class TestSize:
    def test_many_items(self):
        assert go(add.map(range(20_000)))[-1] == 20_009
        assert timed(later.map(range(20_000))).elapsed == 20

    def test_arguments_die_with_their_item(self):
        class Thing:
            pass

        refs: list[weakref.ref[Any]] = []

        def things():
            for _ in range(10):
                thing = Thing()
                refs.append(weakref.ref(thing))
                yield thing
                del thing

        @task
        def use(_):
            return sum(ref() is not None for ref in refs)

        gc.disable()
        try:
            assert max(go(use.map(things()))) <= 2
        finally:
            gc.enable()
