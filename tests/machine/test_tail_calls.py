"""Tail calls: constant memory for self, mutual and changing shapes (S24), and time slices (S9b), on each engine."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
from typing import Any

import pytest

from cascade_compiler import CompileError, arun, cache_info, cache_resize, gather, literal, task
from cascade_compiler import run as run_any
from cascade_compiler.testing import run_virtual


@task
def same(x):
    return x


@task
def add(x, y):
    return x + y


@task
async def later(x):
    await asyncio.sleep(0)
    return x


@task
def countdown(n):
    return "end" if n == 0 else countdown(n - 1)


class TestLoops:
    def test_no_rounds(self, run):
        """S24"""
        assert run(countdown(0)) == "end"

    def test_a_million_rounds_in_flat_memory(self):
        """S24: on the machine; graph mode does the same, more slowly"""
        blocks = {}

        @task
        def loop(n, total):
            if n in (900_000, 0):
                blocks[n] = sys.getallocatedblocks()
            return total if n == 0 else loop(n - 1, total + n)

        assert run_any(loop(1_000_000, 0)) == 1_000_000 * 1_000_001 // 2
        assert blocks[0] - blocks[900_000] < 500

    def test_a_loop_with_an_accumulator_and_calls(self, run):
        """S24"""

        @task
        def fib(n, a, b):
            return a if n == 0 else fib(n - 1, b, add(a, b))

        assert run(fib(300, 0, 1)) == functools.reduce(lambda ab, _: (ab[1], ab[0] + ab[1]), range(300), (0, 1))[0]

    def test_a_loop_to_another_graph_each_round(self, run):
        """S24, S28: the shape grows each round"""

        @task
        def loop(n, *values):
            return values if n == 0 else loop(n - 1, *(same(v + 1) for v in values), n)

        assert run(loop(4)) == (7, 5, 3, 1)
        assert run(loop(30)) == tuple(range(59, 0, -2))

    def test_a_loop_over_every_kind_of_target(self, run):
        """S24: a tail call to an item, a gather, a container's consumer, a literal, an input-free graph"""
        targets: dict[str, Any] = {
            "item": lambda: same([10, 20])[same(1)],
            "gather": lambda: gather(same(1), 2),
            "call": lambda: add(same(1), add(2, 3)),
            "async": lambda: later(later(7)),
            "after": lambda: same(8).after(same(1)),
        }
        expected = {"item": 20, "gather": [1, 2], "call": 6, "async": 7, "after": 8}

        @task
        def go(kind, depth):
            return targets[kind]() if depth == 0 else go(kind, depth - 1)

        for kind in targets:
            for depth in (0, 1, 5):
                assert run(go(kind, depth)) == expected[kind]

    def test_what_is_returned_in_a_container_is_a_value(self, run):
        """S24: a target task that *returns* a LazyResult goes on; a list that holds one is a list"""
        node = same(1)

        @task
        def give():
            return [node]

        assert run(give())[0] is node

    def test_a_literal_node_comes_back_as_a_tail_call(self, run):
        """S24, S3: what arrives raw by literal(), and is returned, is gone on with"""
        assert run(same(literal(same(5)))) == 5

    def test_going_on_with_a_node_that_has_run(self, run):
        """S2, S24: a new activation runs it again"""
        calls = []

        @task
        def note():
            calls.append(1)
            return len(calls)

        shared = note()

        @task
        def go(x):
            return add(shared, x)

        assert run(go(shared)) == 3
        assert len(calls) == 2

    def test_dependencies_run_in_each_round(self, run):
        """S2: a tail call begins a new activation"""
        calls = []

        @task
        def note():
            calls.append(1)
            return len(calls)

        shared = note()

        @task
        def loop(n, x):
            return x if n == 0 else loop(n - 1, shared)

        assert run(loop(5, shared)) == 6

    def test_a_node_that_goes_on_with_itself(self, run):
        """S24: the very same node, until the world has changed"""
        left = [5]

        @task
        def again():
            left[0] -= 1
            return node if left[0] else "end"

        node = again()
        assert run(node) == "end"

    def test_wrong_arguments_in_a_later_round(self, run):
        """A compile error of a graph that is met in the middle of a run says where it was written"""

        @task
        def loop(n):
            return loop(n - 1) if n else loop(1, 2, 3)

        with pytest.raises(CompileError, match=r"test_tail_calls\.py") as caught:
            run(loop(3))
        assert "loop(n)" in str(caught.value)

    def test_a_cycle_in_a_later_round(self, run):
        @task
        def loop(n):
            if n:
                return loop(n - 1)
            held: list[Any] = []
            lazy = same(held)
            held.append(lazy)
            return lazy

        with pytest.raises(CompileError, match="cycle"):
            run(loop(3))

    @pytest.mark.parametrize("kinds", [1, 2, 3, 7])
    def test_changing_shapes(self, run, kinds):
        """S24, S28: the shape of round n is that of n mod k"""
        shapes = [
            lambda n, x: [n, x],
            lambda n, x: [n, same(x)],
            lambda n, x: [same(n), x],
            lambda n, x: [same(n), {"k": same(x)}["k"]],
            lambda n, x: [n, same([x])[0]],
            lambda n, x: [n, add(same(x), 0)],
            lambda n, x: [same(same(n)), x],
        ]

        @task
        def loop(pair):
            n, x = pair
            if n == 0:
                return x
            return loop(shapes[n % kinds](n - 1, x + n))

        assert run(loop([100, 0])) == 5050

    def test_changing_shapes_stay_compiled(self):
        """S28: found again under their own cycle_id"""

        @task
        def loop(n, x):
            return x if n == 0 else loop(n - 1, same(n) if n % 2 else [same(n)])

        run_any(loop(10, 0))
        before = cache_info().compiles
        run_any(loop(1_001, 0))
        assert cache_info().compiles == before

    def test_a_bound_on_the_cache_does_not_change_meaning(self, engine):
        """S28: a loop of five shapes under a bound of one"""
        bound = cache_info().maxsize
        cache_resize(1)
        try:

            @task
            def loop(n, *extra):
                return sum(extra) if n == 0 else loop(n - 1, *[same(n)] * (n % 5))

            assert run_any(loop(41), engine=engine) == 1
        finally:
            cache_resize(bound)

    def test_mutual_recursion_of_parity(self, run):
        """S24"""

        @task
        def even(n):
            return True if n == 0 else odd(n - 1)

        @task
        def odd(n):
            return False if n == 0 else even(n - 1)

        assert [run(even(n)) for n in range(6)] == [True, False] * 3
        assert run(even(10_000)) is True

    def test_a_loop_of_async_tasks(self, run):
        """S24"""

        @task
        async def loop(n):
            await asyncio.sleep(0)
            return "end" if n == 0 else loop(n - 1)

        assert run(loop(1_000)) == "end"

    def test_a_loop_that_waits_for_io_in_each_round(self, engine):
        """S24, S7"""

        @task
        async def wait(x):
            await asyncio.sleep(1)
            return x

        @task
        def loop(n, *xs):
            return n if n == 0 else loop(n - 1, wait(n), wait(n))

        done = run_virtual(lambda: arun(loop(20), engine=engine))
        assert (done.value, done.elapsed) == (0, 20)

    def test_the_state_machine_of_a_parser(self, run):
        """S24: many tasks that go on with each other, on data"""

        @task
        def outside(text, at, words):
            if at == len(text):
                return words
            return outside(text, at + 1, words) if text[at] == " " else inside(text, at, words, "")

        @task
        def inside(text, at, words, word):
            if at == len(text) or text[at] == " ":
                return outside(text, at, [*words, word])
            return inside(text, same(at + 1), words, word + text[at])

        assert run(outside(" a bc  def ", 0, [])) == ["a", "bc", "def"]

    def test_a_gather_of_loops(self, run):
        """S24, S25: loops in nested positions, each in its own frame"""

        @task
        def down(n, mark):
            return mark if n == 0 else down(n - 1, mark)

        assert run(gather(*(down(100 + n, n) for n in range(20)))) == list(range(20))
        assert run([same(down(50, "a")), down(down(3, 7), "b")]) == ["a", "b"]


class TestTimeSlices:
    @pytest.mark.parametrize(("time_slice", "lively"), [(0, True), (1_000, False)])
    def test_a_heart_beats_during_a_long_loop(self, engine, time_slice, lively):
        """S9b: a used-up slice yields at a tail call; an unused one does not"""
        beats = []

        async def heart():
            while True:
                beats.append(1)
                await asyncio.sleep(0)

        async def main():
            beat = asyncio.ensure_future(heart())
            assert await arun(countdown(500), engine=engine, time_slice=time_slice) == "end"
            count = len(beats)
            beat.cancel()
            await asyncio.wait([beat])
            return count

        count = run_virtual(main).value
        assert count >= 500 if lively else count == 0

    def test_a_nested_loop_yields_too(self, engine):
        """S9b, S25: a loop in a nested position"""
        beats = []

        async def heart():
            while True:
                beats.append(1)
                await asyncio.sleep(0)

        async def main():
            beat = asyncio.ensure_future(heart())
            await arun(same(countdown(200)), engine=engine, time_slice=0)
            count = len(beats)
            beat.cancel()
            await asyncio.wait([beat])
            return count

        assert run_virtual(main).value >= 199  # the first step into the loop is no tail call

    def test_io_completes_during_a_loop_with_time_slices(self, engine):
        """S9b: what is in flight goes on while a loop runs beside it"""
        log = []

        @task
        async def io():
            for _ in range(5):
                await asyncio.sleep(0)
            log.append("io")

        @task
        def loop(n):
            if n == 0:
                log.append("loop")
                return "end"
            return loop(n - 1)

        run_virtual(lambda: arun(gather(io(), loop(100)), engine=engine, time_slice=0))
        assert log == ["io", "loop"]

    def test_two_loops_take_turns(self, engine):
        """S9b: two runs in one loop"""
        log = []

        @task
        def loop(name, n):
            log.append(name)
            return name if n == 0 else loop(name, n - 1)

        async def main():
            return await asyncio.gather(*(arun(loop(name, 50), engine=engine, time_slice=0) for name in "ab"))

        assert run_virtual(main).value == ["a", "b"]
        assert log.index("b") < 5

    def test_the_result_does_not_depend_on_the_slice(self, engine):
        """S9"""

        @task
        def loop(n, x):
            return x if n == 0 else loop(n - 1, add(same(x), later(n) if n % 10 == 0 else n))

        results = {run_any(loop(100, 0), engine=engine, time_slice=s) for s in (0, 0.000_001, 0.005, 10)}
        assert results == {5050}


class TestMemory:
    @pytest.mark.parametrize("shape", ["self", "mutual", "changing", "nested", "async", "new task"])
    def test_objects_do_not_pile_up(self, engine, shape):
        """S24: constant memory, for self, mutual and changing shapes; by objects known to the collector"""
        n = 3_000
        counts = {}

        @task
        def loop(left, *_):
            if left in (n // 2, 0):
                gc.collect()
                counts[left] = len(gc.get_objects())
            if left == 0:
                return "end"
            following = left - 1
            match shape:
                case "self":
                    return loop(following, [following])
                case "mutual":
                    return other(following)
                case "changing":
                    return loop(following, *[same([left])] * (left % 4))
                case "nested":
                    return loop(following, same(nest([left])))
                case "async":
                    return loop(following, later([left]))
                case _:
                    return task(lambda k: loop(k))(following)

        @task
        def other(left):
            return loop(left)

        @task
        def nest(x):
            return same(x)

        assert run_any(loop(n), engine=engine) == "end"
        # Dead references to one-off shapes may wait in the bounded cache.
        assert counts[0] - counts[n // 2] < (2 * cache_info().maxsize + 200 if shape == "new task" else 100)

    def test_graphs_of_earlier_rounds_are_freed(self, engine):
        """S24, P6: with their literals"""

        class Thing:
            alive = 0

            def __init__(self):
                Thing.alive += 1

            def __del__(self):
                Thing.alive -= 1

        most = []

        @task
        def loop(n, thing, _=None):
            most.append(Thing.alive)
            return len(most) if n == 0 else loop(n - 1, Thing(), same(Thing()))

        run_any(loop(50, Thing()), engine=engine)
        assert max(most) <= 6
        assert Thing.alive == 0
