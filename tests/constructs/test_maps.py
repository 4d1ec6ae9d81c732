"""Maps: one call for each position, in order, bounded, lazily taken, and failing by index (S13, S14)."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import weakref
from typing import Any

import pytest

from cascade_compiler import (
    CompileError,
    Param,
    Router,
    TargetSkipped,
    arun,
    cache_info,
    common,
    cycle_id,
    gather,
    literal,
    task,
)
from cascade_compiler import run as run_any
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm.frame import Frame

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@task
def note(x: Any, *rest: Any, **named: Any) -> Any:
    calls.append(x)
    return x


@task
def give(x: Any, *rest: Any) -> Any:
    return x


@task
def add(x: Any, y: Any = 100) -> Any:
    calls.append((x, y))
    return x + y


@task
async def wait(seconds: float, value: Any = None) -> Any:
    calls.append(("start", value, asyncio.get_running_loop().time()))
    await asyncio.sleep(seconds)
    calls.append(("end", value, asyncio.get_running_loop().time()))
    return value


@task
def total(xs: Any, *rest: Any) -> Any:
    calls.append("total")
    return sum(xs)


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: arun(target, engine=engine, **options), budget=10_000_000)


class TestArguments:
    def test_positional_and_by_name(self, run):
        """R10"""
        assert run(add.map([1, 2], [10, 20])) == [11, 22]
        assert run(add.map([1, 2], y=[10, 20])) == [11, 22]
        assert run(add.map(x=[1, 2], y=[10, 20])) == [11, 22]
        assert run(add.map(y=[10, 20], x=[1, 2])) == [11, 22]
        assert run(add.map([1, 2])) == [101, 102]

    def test_common_values(self, run):
        """R10: they go to every call as they are"""
        assert run(add.map([1, 2], **common(y=5))) == [6, 7]
        assert run(add.map(y=[1, 2], **common(x=5))) == [6, 7]
        rows = [[1], [2]]

        @task
        def first(x, y):
            return y

        assert all(one is rows for one in run(first.map([1, 2], **common(y=rows))))

    def test_a_common_list_is_not_iterated_and_a_common_lazy_runs_once(self, run):
        @task
        def pair(x, y):
            return x, y

        assert run(pair.map([1, 2], **common(y=[8, 9]))) == [(1, [8, 9]), (2, [8, 9])]
        assert run(pair.map([1, 2], **common(y=note("once")))) == [(1, "once"), (2, "once")]
        assert calls == ["once"]

    def test_no_items(self, run):
        """R10"""
        for empty in ([], (), "", {}, set(), range(0), iter([]), give([])):
            assert run(add.map(empty)) == []
        assert run(add.map([], [])) == []
        assert run(add.map(iter(()), y=())) == []
        assert calls == []

    def test_everything_that_can_be_iterated(self, run):
        """R10"""

        class Old:
            def __getitem__(self, at):
                return [7, 8][at]

        for xs in ((1, 2), range(1, 3), {1: 0, 2: 0}, (i for i in (1, 2)), map(int, "12"), {1: 0, 2: 0}.keys()):
            assert run(give.map(xs)) == [1, 2]
        assert run(give.map("ab")) == ["a", "b"]
        assert run(give.map(b"ab")) == [97, 98]
        assert run(give.map(Old())) == [7, 8]

    def test_lazy_iterables(self, run):
        """R10"""
        assert run(add.map(give([1, 2]), y=give((10, 20)))) == [11, 22]
        assert run(add.map([give(1), note(2)], [10, 20])) == [11, 22]
        assert run(add.map((give(1), 2), y=[10, give(20)])) == [11, 22]
        assert run(give.map(Param("xs", list[int])), {"xs": ["1", 2]}) == [1, 2]
        assert run(give.map({give("k"): 1})) == ["k"]
        assert run(give.map(give([[5, 6]])[0])) == [5, 6]

    def test_a_literal_iterable_is_not_scanned(self, run):
        """R10, S3: its members are nodes"""
        node = give(1)
        assert run(give.map(literal([[node]])))[0][0] is node

    def test_an_iterable_that_gives_nodes_goes_on_with_them(self, run):
        """S25: an item's value that is a node is what the task returns, and so a nested graph"""
        assert run(give.map(literal([give(5), give(6)]))) == [5, 6]

    def test_the_iterable_itself_is_not_changed_and_the_result_is_new(self, run):
        xs = [1, 2]
        out = run(give.map(xs))
        assert out == xs == [1, 2]
        assert out is not xs

    def test_the_results_keep_their_order(self, engine):
        assert virtual(engine, wait.map([3, 1, 2], [0, 1, 2])).value == [0, 1, 2]

    def test_none_and_falsy_results(self, run):
        assert run(give.map([None, 0, False, (), []])) == [None, 0, False, (), []]

    def test_a_generator_is_used_up_by_the_first_run(self, run):
        xs = iter([1, 2])
        target = give.map(xs)
        assert run(target) == [1, 2]
        assert run(target) == []

    def test_the_same_map_node_used_twice_runs_once(self, run):
        """S2"""
        mapped = note.map([1, 2])
        assert run(gather(mapped, mapped)) == [[1, 2], [1, 2]]
        assert calls == [1, 2]

    def test_a_parameter_called_max_concurrency_or_self(self, run):
        @task
        def odd(task, self):
            return task, self

        assert run(odd.map(task=[1], self=[2])) == [(1, 2)]

    def test_a_call_that_does_not_fit_is_refused_before_anything_runs(self, engine):
        @task
        def one(x):
            return x

        for target in (lambda: one.map([1], [2]), lambda: one.map(y=[1]), lambda: one.map([1], **common(x=2))):
            with pytest.raises((CompileError, TypeError)) as caught:
                run_any(gather(note("before"), target()), engine=engine)
            assert one.task.label in str(caught.value) or "x" in str(caught.value)
        assert calls == []


class TestLengths:
    def test_sized_ones_are_compared_before_any_call(self, run):
        """R10"""
        with pytest.raises(ValueError, match=r"add\.map: the iterables must have one length, and .*2.*3") as caught:
            run(gather(note("other"), add.map(give([1, 2]), give([1, 2, 3]))))
        assert calls == ["other"] or calls == []
        assert [one.split(",")[0] for one in caught.value.__notes__] == [f"in {add.task.label}.map"]

    def test_written_down_they_are_refused_at_once(self):
        """S13"""
        with pytest.raises(ValueError, match=r"add\.map: the iterables must have one length, and argument 0 has 2, y has 3"):
            add.map([1, 2], y=[1, 2, 3])

    @pytest.mark.parametrize("form", ["first", "second", "both"])
    @pytest.mark.parametrize("ends", ["first", "second"])
    def test_unsized_ones_when_one_ends(self, run, form, ends):
        """R10: not before, and the calls that had both were made"""
        one, two = ([1, 2], [10, 20, 30]) if ends == "first" else ([1, 2, 3], [10, 20])
        xs: Any = iter(one) if form in ("first", "both") else one
        ys: Any = iter(two) if form in ("second", "both") else two
        with pytest.raises(ValueError, match=r"add\.map: the iterables must have one length, and") as caught:
            run(add.map(xs, ys))
        assert calls == [(1, 10), (2, 20)]
        assert len(caught.value.__notes__) == 1
        assert caught.value.__notes__[0].startswith(f"in {add.task.label}.map, written at ")

    def test_in_flight_calls_are_cancelled_when_one_ends(self, engine):
        """S15"""
        got = capture_virtual(lambda: arun(wait.map(iter([5, 5]), iter([1])), engine=engine))
        assert isinstance(got.error, ValueError)
        assert got.elapsed == 0
        assert not got.leaks

    def test_an_iterable_that_fails(self, run):
        """R10: the failure of a generator, with the note of the map"""

        def bad():
            yield 1
            raise KeyError("generator")

        with pytest.raises(KeyError, match="generator") as caught:
            run(give.map(bad()))
        assert caught.value.__notes__[0].startswith(f"in {give.task.label}.map, written at ")

    def test_what_cannot_be_iterated(self, run):
        with pytest.raises(TypeError) as caught:
            run(give.map(give(5)))
        assert caught.value.__notes__[0].startswith(f"in {give.task.label}.map, written at ")
        assert "int" in str(caught.value)

    def test_an_iter_that_raises(self, run):
        class Bad:
            def __iter__(self):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(give.map(Bad()))


class TestOrder:
    def test_items_of_a_sync_map_run_at_its_position(self, run):
        """R10: index order; no other sync call in between"""
        run(gather(note("a"), note.map([1, 2, 3]), note("b")))
        assert calls == ["a", 1, 2, 3, "b"]

    def test_two_sync_maps(self, run):
        run(gather(note.map([1, 2]), note.map([3, 4])))
        assert calls == [1, 2, 3, 4]

    def test_an_async_map_starts_before_sync_work(self, engine):
        """S7"""
        virtual(engine, gather(note("sync"), wait.map([1, 1], [1, 2])))
        names = [one if isinstance(one, str) else one[:2] for one in calls]
        assert names.index("sync") > names.index(("start", 1)) or names[0] == "sync"
        assert names.index("sync") < names.index(("end", 1))

    def test_a_sync_map_in_between_async_work(self, engine):
        assert virtual(engine, gather(wait(5, "x"), note.map(range(10)), wait(5, "y"))).elapsed == 5

    def test_a_map_of_a_map(self, run):
        """S13"""

        @task
        def rows(n):
            return list(range(n))

        @task
        def inner(xs):
            return note.map(xs)

        assert run(inner.map(rows.map([1, 2, 3]))) == [[0], [0, 1], [0, 1, 2]]
        assert calls == [0, 0, 1, 0, 1, 2]

    def test_a_map_over_the_result_of_a_map(self, run):
        assert run(add.map(add.map([1, 2], **common(y=1)), **common(y=10))) == [12, 13]

    def test_a_map_over_a_list_of_maps(self, run):
        assert run(total.map([give.map([1, 2]), give.map([3])])) == [3, 3]

    def test_after(self, run):
        """S8: the whole map comes after, and others after the whole map"""
        run(note("last").after(note.map([1, 2]).after(note("first"))))
        assert calls == ["first", 1, 2, "last"]


class TestItemsThatGoOn:
    def test_items_that_return_flow(self, run):
        """R10"""

        @task
        def go(n):
            return note(n * 10, note(n))

        assert run(go.map([1, 2, 3])) == [10, 20, 30]

    def test_sync_flow_of_items_need_no_loop(self, engine, monkeypatch):
        """R10, S9"""

        @task
        def go(n):
            return go(n - 1) if n > 3 else note(n, note("part"))

        monkeypatch.setattr(asyncio.events, "new_event_loop", lambda: pytest.fail("a loop was made"))
        if engine == "interpreter":
            assert run_any(go.map([1, 5, 2]), engine=engine) == [1, 3, 2]
            assert run_any(note.map(range(100)), engine=engine) == list(range(100))
            assert run_any(go.map([1, 5]).run_if(note.map([1])), engine=engine) == [1, 3]

    def test_a_sync_map_inside_a_running_loop(self, engine):
        """N20"""
        if engine == "interpreter":

            async def main():
                return run_any(note.map([1, 2]), engine=engine)

            assert asyncio.run(main()) == [1, 2]

    def test_flow_of_items_overlap(self, engine):
        """R10: other items go on meanwhile"""

        @task
        def go(n):
            return wait(n, n)

        got = virtual(engine, go.map([5, 4, 3]))
        assert got.value == [5, 4, 3]
        assert got.elapsed == 5

    def test_deep_flow_of_items(self, run):
        @task
        def down(n):
            return give(down(n - 1)) if n else 0

        assert run(down.map([2_000, 0, 1_000])) == [0, 0, 0]

    def test_long_loops_of_items_are_tail_calls_of_their_own(self, run):
        @task
        def loop(n):
            return loop(n - 1) if n else "end"

        assert run(loop.map([3_000] * 3)) == ["end"] * 3

    def test_a_skipped_flow_of_an_item(self, run):
        """R10: a failure of the item"""

        @task
        def go(n):
            return note(n).run_if(n != 2)

        with pytest.raises(TargetSkipped) as caught:
            run(go.map([0, 1, 2, 3]))
        assert "(map item 2)" in caught.value.__notes__[0]
        assert f"in task {go.task.label}, called at" in caught.value.__notes__[0]
        assert 3 not in calls

    def test_a_failing_flow_of_an_item(self, run):
        """S15: the note of the task that failed; inner first"""

        @task
        def bad(n):
            raise ValueError(n)

        @task
        def go(n):
            return bad(n) if n else note(n)

        with pytest.raises(ValueError, match="1") as caught:
            run(go.map([0, 1, 2]))
        assert caught.value.__notes__[0].startswith(f"in task {bad.task.label}, called at")
        assert calls == [0]

    def test_a_refused_flow_of_an_item(self, run):
        """N14: noted as a failure of the task that returned it"""

        @task
        def one(x):
            return x

        @task
        def go(n):
            return one() if n else one(n)

        with pytest.raises(CompileError) as caught:
            run(go.map([0, 1]))
        assert "(map item 1)" in caught.value.__notes__[0]

    def test_a_map_as_the_target_of_a_loop(self, run):
        """S24, S25"""

        @task
        def step(xs, n):
            return step(add.map(xs, **common(y=1)), n - 1) if n else xs

        assert run(step([0, 10], 50)) == [50, 60]


class TestBounds:
    @pytest.mark.parametrize("bound", [1, 2, 7, None])
    def test_at_most_so_many_in_progress(self, engine, bound):
        """R10"""
        now, most = 0, 0

        @task
        async def work(x):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(1)
            now -= 1
            return x

        got = virtual(engine, work.map(range(30), max_concurrency=bound))
        assert got.value == list(range(30))
        assert most == (bound or 30)
        assert got.elapsed == -(-30 // (bound or 30))

    def test_a_thousand_unless_told(self, engine):
        now, most = 0, 0

        @task
        async def work(x):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(1)
            now -= 1

        assert virtual(engine, work.map(range(2_500))).elapsed == 3
        assert most == 1_000

    def test_never_more_items_are_taken_than_may_start(self, engine):
        """R10"""
        taken = ended = 0

        @task
        async def slow(x):
            nonlocal ended
            assert taken <= ended + 3
            await asyncio.sleep(1 + x % 2)
            ended += 1

        def source():
            nonlocal taken
            for i in range(20):
                taken += 1
                assert taken <= ended + 3
                yield i

        virtual(engine, slow.map(source(), max_concurrency=3))
        assert ended == 20

    def test_an_endless_iterable_stops_at_the_failure(self, engine):
        """R10: lazily"""

        @task
        async def work(x):
            await asyncio.sleep(0)
            if x == 5:
                raise ValueError(x)

        got = capture_virtual(lambda: arun(work.map(itertools.count(), max_concurrency=2), engine=engine))
        assert isinstance(got.error, ValueError)

    def test_an_endless_iterable_of_a_sync_map(self, run):
        @task
        def work(x):
            if x == 5:
                raise ValueError(x)

        with pytest.raises(ValueError, match="5"):
            run(work.map(itertools.count()))

    def test_flow_of_items_count_as_in_progress(self, engine):
        """R10: at most max_concurrency items, their graphs with them"""
        now, most = 0, 0

        @task
        async def work(x):
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(1)
            now -= 1
            return x

        @task
        def go(x):
            return work(x)

        assert virtual(engine, go.map(range(12), max_concurrency=3)).elapsed == 4
        assert most == 3

    def test_a_hundred_thousand_sync_items_in_flat_memory(self):
        """S13: nothing but the results is held"""
        most = [0, 0]

        class Thing:
            alive = 0

            def __init__(self):
                Thing.alive += 1

            def __del__(self):
                Thing.alive -= 1

        @task
        def work(x, thing):
            most[0] = max(most[0], Thing.alive)

        out = run_any(work.map(range(100_000), (Thing() for _ in range(100_000))), engine="interpreter")
        assert len(out) == 100_000
        assert most[0] <= 3
        assert Thing.alive == 0

    def test_many_items_that_go_on_in_flat_memory(self):
        """S13: frames of items die with them"""
        most = [0]
        count = itertools.count()

        @task
        def leaf(x):
            if next(count) % 2_000 == 0:
                most[0] = max(most[0], sum(type(one) is Frame for one in gc.get_objects()))
            return x

        @task
        def go(x):
            return leaf(x)

        assert run_any(go.map(range(10_000)), engine="interpreter") == list(range(10_000))
        assert most[0] <= 5

    def test_many_async_items_in_flat_memory(self):
        """S13: no more asyncio tasks than may be in progress"""
        most = [0]

        @task
        async def work(x):
            if x % 5_000 == 0:
                most[0] = max(most[0], len(asyncio.all_tasks()))
            await asyncio.sleep(0)
            return x

        async def main():
            return await arun(work.map(range(30_000), max_concurrency=20), engine="interpreter")

        got = run_virtual(main, budget=10_000_000)
        assert got.value == list(range(30_000))
        assert most[0] <= 23

    def test_blocks_do_not_grow_with_async_items(self):
        """S13: beside the results"""
        blocks = {}

        @task
        async def work(x):
            if x in (10_000, 38_000):
                gc.collect()
                blocks[x] = sys.getallocatedblocks()
            await asyncio.sleep(0)

        run_virtual(lambda: arun(work.map(range(40_000), max_concurrency=10), engine="interpreter"), budget=10_000_000)
        assert blocks[38_000] - blocks[10_000] < 2_000

    def test_items_that_end_at_once_do_not_recurse(self, engine):
        """A long run of items that never suspend: nothing grows on Python's stack"""

        @task
        async def work(x):
            return x

        assert virtual(engine, work.map(range(5_000), max_concurrency=1)).value == list(range(5_000))

    def test_retried_sync_items_do_not_recurse(self, run):
        tries: dict[int, int] = {}

        @task
        def work(x):
            tries[x] = tries.get(x, 0) + 1
            if tries[x] < 2:
                raise ValueError(x)
            return x

        assert run(work.map(range(5_000)).with_retry(2)) == list(range(5_000))


class TestFailing:
    def test_a_sync_item(self, run):
        """R10, S15: its index, and no further item starts"""

        @task
        def work(x):
            calls.append(x)
            if x == 3:
                raise ValueError("three")
            return x

        with pytest.raises(ValueError, match="three") as caught:
            run(work.map(range(10)))
        assert calls == [0, 1, 2, 3]
        (text,) = caught.value.__notes__
        first, second = text.splitlines()
        assert first.startswith(f"in task {work.task.label}, called at ")
        assert first.endswith(" (map item 3)")
        assert second == "  x = 3"

    def test_an_async_item(self, engine):
        """R10: the others in flight are cancelled and awaited; nothing new starts"""
        ended = []

        @task
        async def work(x):
            calls.append(x)
            try:
                await asyncio.sleep(1 if x == 2 else 5)
                if x == 2:
                    raise ValueError("two")
            finally:
                ended.append(x)

        got = capture_virtual(lambda: arun(work.map(range(10), max_concurrency=4), engine=engine))
        assert isinstance(got.error, ValueError)
        assert got.elapsed == 1
        assert not got.leaks
        assert calls == [0, 1, 2, 3]
        assert sorted(ended) == [0, 1, 2, 3]
        assert "(map item 2)" in got.error.__notes__[0].splitlines()[0]

    def test_of_two_in_one_tick_the_lower_index(self, engine):
        """S15"""

        @task
        async def work(x):
            await asyncio.sleep(1)
            raise ValueError(x)

        for seed in range(5):
            got = capture_virtual(lambda: arun(work.map([0, 1, 2]), engine=engine), seed=seed)
            assert got.error.args == (0,)

    def test_with_a_retry(self, run):
        """R7: both, in one text"""

        @task
        def work(x):
            calls.append(x)
            if x == 1:
                raise ValueError
            return x

        with pytest.raises(ValueError) as caught:  # noqa: PT011
            run(work.map([0, 1, 2]).with_retry(3))
        assert caught.value.__notes__[0].splitlines()[0].endswith("(map item 1, attempt 3 of 3)")
        assert calls == [0, 1, 1, 1]

    def test_a_raw_generator_is_closed_or_let_go_after_a_failure(self, run):
        closed = []

        def source():
            try:
                yield from range(10)
            finally:
                closed.append(1)

        @task
        def work(x):
            raise ValueError(x)

        with pytest.raises(ValueError, match="0"):
            run(work.map(source()))
        gc.collect()
        assert closed == [1]

    def test_a_stop_iteration_of_an_item(self, run):
        """N18: not taken for the end of the iterable"""

        @task
        def work(x):
            raise StopIteration(x)

        with pytest.raises((StopIteration, RuntimeError)):
            run(work.map([1, 2]))

    def test_cancelled_everywhere(self, engine):
        """S18"""

        @task
        def go(n):
            return wait(n, n) if n % 2 else n

        seen = 0
        for at in range(1, 60):
            got = capture_virtual(
                lambda: arun(gather(go.map(range(6), max_concurrency=2), wait.map([1, 2])), engine=engine), cancel_at=at
            )
            assert not got.leaks
            if got.error is None:
                break
            assert isinstance(got.error, asyncio.CancelledError)
            seen += 1
        assert seen > 2


class TestWithOtherConstructs:
    def test_under_a_condition(self, run):
        """R10: conditions belong to the whole map"""
        assert run(note.map([1, 2]).run_if(give(1))) == [1, 2]
        assert calls == [1, 2]
        assert run(note.map([note("part")]).run_if(give(0), "other")) == "other"
        with pytest.raises(TargetSkipped, match=r"note\.map \(called at"):
            run(note.map([3]).run_if(give(0)))
        assert calls == [1, 2]

    def test_in_a_router(self, run):
        target = [Router(give(key), {"a": note.map([1, 2]), "b": note.map(give("xy"))}) for key in "ab"]
        assert run(target[0]) == [1, 2]
        assert run(target[1]) == ["x", "y"]
        assert calls == [1, 2, "x", "y"]

    def test_a_shared_map_of_two_routes(self, run):
        shared = note.map([1, 2])
        assert run(gather(Router("a", {"a": shared, "b": 1}), Router("a", {"a": total(shared), "b": 2}))) == [[1, 2], 3]
        assert calls == [1, 2, "total"]

    def test_a_skipped_iterable_or_common_value(self, run):
        """R3"""
        skipped = note("x").run_if(0)
        for target in (
            note.map(skipped), note.map([skipped, 1]), note.map([1], **common(y=skipped)), note.map([1]).after(skipped),
        ):  # fmt: skip
            with pytest.raises(TargetSkipped):
                run(total(target))
        assert calls == []

    def test_a_map_as_condition(self, run):
        assert run(note("x").run_if(give.map([]), "empty")) == "empty"
        assert run(note("x").run_if(give.map([0]), "empty")) == "x"

    def test_an_item_of_a_map(self, run):
        assert run(give.map([5, 6])[1]) == 6

    def test_per_item_policies(self, engine):
        """S14: a timeout and a retry hold for each item"""
        tries: dict[int, int] = {}

        @task
        async def work(x):
            tries[x] = tries.get(x, 0) + 1
            await asyncio.sleep(10 if tries[x] < 2 else 1)
            return x

        got = virtual(engine, work.map(range(5)).with_timeout(3).with_retry(2, delay=2))
        assert got.value == list(range(5))
        assert got.elapsed == 6

    def test_maps_of_different_forms_are_different_shapes(self):
        """S27, S28"""
        forms = [
            add.map([1], [2]), add.map([1], y=[2]), add.map(x=[1], y=[2]), add.map(y=[2], x=[1]), add.map([1], **common(y=[2])),
            add.map([1], [2], max_concurrency=1), add.map([1], [2], max_concurrency=2), add([1], [2]),
            add.map([1], [2]).with_retry(2),
        ]  # fmt: skip
        assert len({cycle_id(one) for one in forms}) == len(forms)

    def test_alternating_forms_through_the_cache(self):
        """P10"""
        make = {
            "common": (lambda: add.map([1, 2], **common(y=10)), [11, 12]),
            "iterated": (lambda: add.map([1, 2], y=[10, 20]), [11, 22]),
            "plain": (lambda: add.map([1, 2], [30, 20]), [31, 22]),
            "default": (lambda: add.map([1, 2]), [101, 102]),
            "bound": (lambda: add.map([1, 2], max_concurrency=1), [101, 102]),
            "call": (lambda: add([1], [2]), [1, 2]),
        }
        for _ in range(4):
            for form, want in make.values():
                assert run_any(form(), engine="interpreter") == want

    def test_other_literals_hit_the_cache(self):
        """S27"""
        for xs in ([1], [1, 2, 3], (4, 5), range(9), "abc", iter([1])):
            run_any(give.map(xs), engine="interpreter")
            if xs == [1]:
                before = cache_info().compiles
        assert cache_info().compiles == before

    def test_a_failed_map_lets_go_of_its_values(self):
        """S4"""

        class Thing:
            pass

        @task
        def work(x):
            raise ValueError

        thing = Thing()
        gone = weakref.ref(thing)
        with pytest.raises(ValueError):  # noqa: PT011
            run_any(work.map([thing]), engine="interpreter")
        del thing
        gc.collect()
        assert gone() is None
