"""Nested results: a task in the middle of a graph that returns a graph has that graph's value (S25), on each engine."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from typing import Any

import pytest

from cascade_compiler import CompileError, InputError, LazyResult, Param, arun, compile, gather, literal, task
from cascade_compiler import run as run_any
from cascade_compiler.testing import run_virtual
from cascade_vm import verify


@task
def same(x):
    return x


@task
def give(x):
    """Returns a graph where ``same`` returns a value."""
    return same(x)


@task
def add(x, y):
    return x + y


@task
def show(*args, **kwargs):
    return args, kwargs


@task
async def later(x):
    await asyncio.sleep(0)
    return x


class TestPositions:
    def test_every_position_gets_the_value(self, run):
        """S25"""
        n = give(7)
        assert run(show(n, [n, give(1)], {give("k"): give("v")}, (give(2),), {give(3)}, k=give(4))) == (
            (7, [7, 1], {"k": "v"}, (2,), {3}), {"k": 4},
        )  # fmt: skip
        assert run([n, n]) == [7, 7]
        assert run(gather(give(1), give(2))) == [1, 2]
        assert run(give([10, 20])[give(1)]) == 20
        assert run(same(1).after(give(2))) == 1

    def test_a_shared_nested_result_runs_once(self, run):
        """S2, S25"""
        calls = []

        @task
        def note(x):
            calls.append(x)
            return x

        @task
        def nest(x):
            calls.append("nest")
            return note(x)

        shared = nest(1)
        assert run(show(shared, [shared], k=shared)) == ((1, [1]), {"k": 1})
        assert calls == ["nest", 1]

    def test_a_chain_of_nested_results(self, run):
        """S25: a value that is a graph whose value is a graph"""

        @task
        def peel(n):
            return peel(n - 1) if n else "core"

        assert run(same(peel(0))) == "core"
        assert run(same(peel(50))) == "core"
        assert run([peel(3), peel(2)]) == ["core", "core"]

    @pytest.mark.parametrize("value", [None, False, 0, "", [], NotImplemented])
    def test_falsy_values(self, run, value):
        """S25"""
        assert run([give(value), give(give(value))]) == [value, value]

    def test_a_graph_in_a_returned_container_is_not_looked_for(self, run):
        """S25: a task that returns a LazyResult; a list that holds one is the value"""

        @task
        def give_list():
            return [same(1)]

        value = run(show(give_list()))[0][0]
        assert type(value[0]) is LazyResult

    def test_a_raw_node_in_a_list_is_refused_by_nobody_but_arrives_as_a_value(self, run):
        """S4: what a task returned is its own business"""

        @task
        def give_list():
            return [same(1)]

        @task
        def take(items):
            return items[0]

        assert run([take(give_list())]) == [1]

    def test_an_item_that_is_a_node(self, run):
        """S25, S5: taking an item of a value gives what is there; a node there is gone on with, as with any step"""

        @task
        def give_list():
            return [same(1)]

        value = run([give_list()[0]])[0]
        assert value == 1 if type(value) is int else type(value) is LazyResult

    def test_literal_nodes_that_are_returned(self, run):
        """S25, S3"""
        assert run([same(literal(same(5)))]) == [5]

    def test_io_inside(self, run):
        """S25, S7"""

        @task
        async def give_later(x):
            await asyncio.sleep(0)
            return later(x)

        assert run([give_later(1), give(later(2)), same(give_later(3))]) == [1, 2, 3]

    def test_inputs_inside(self, run):
        """S25, S20: the inputs of the run"""

        @task
        def nest():
            return add(Param("x", int), Param("y", int, 10))

        assert run([nest(), Param("x", int)], {"x": "5"}) == [15, 5]
        with pytest.raises(InputError, match="'x'"):
            run([nest()])

    def test_compile_errors_inside(self, run):
        """S25: a wrong graph is found when it is met"""

        @task
        def nest():
            return add(1)

        with pytest.raises(CompileError, match=r"add\(x, y\).*test_nested.py|test_nested.py.*add"):
            run([nest()])

    def test_a_node_of_the_outer_graph_runs_again_inside(self, run):
        """S2: once for each activation; a nested graph is an activation of its own"""
        calls = []

        @task
        def note():
            calls.append(1)
            return len(calls)

        outer = note()

        @task
        def nest():
            return outer

        assert run([outer, nest()]) == [1, 2]

    def test_order_of_calls(self, run):
        """S6, S25: a nested graph runs in the place of the call that returned it"""
        order = []

        @task
        def note(x):
            order.append(x)
            return x

        @task
        def nest(x):
            order.append(f"nest {x}")
            return note(note(x))

        run([note("a"), nest("b"), note("c")])
        assert order == ["a", "nest b", "b", "b", "c"]

    def test_a_workflow_like_decision(self, run):
        """S25: a branch is a task that returns one graph or the other; the other does not run (S10)"""
        ran = []

        @task
        def note(x):
            ran.append(x)
            return x

        @task
        def choose(flag):
            return note("yes") if flag else note("no")

        assert run([choose(same(True)), choose(same(False))]) == ["yes", "no"]
        assert ran == ["yes", "no"]


class TestDepth:
    def test_recursion_100_000_deep(self):
        """S25: depth is bound by memory"""

        @task
        def down(n):
            return n if n == 0 else add(down(n - 1), 1)

        before = sys.getrecursionlimit()
        assert run_any(down(100_000)) == 100_000
        assert sys.getrecursionlimit() == before
        gc.collect()

    def test_recursion_in_graph_mode(self):
        """S25: 10,000 deep, to save time"""

        @task
        def down(n):
            return n if n == 0 else add(down(n - 1), 1)

        assert run_any(down(10_000), engine="graph") == 10_000

    def test_recursion_in_a_thread_with_a_small_stack(self, engine):
        """S25: nothing recurses on the C stack"""
        results = []

        @task
        def down(n):
            return n if n == 0 else add(down(n - 1), 1)

        before = threading.stack_size(256 * 1024)
        try:
            thread = threading.Thread(target=lambda: results.append(run_any(down(5_000), engine=engine)))
            thread.start()
            thread.join()
        finally:
            threading.stack_size(before)
        assert results == [5_000]

    def test_an_async_leaf_2_000_deep(self, engine):
        """S25, S7"""

        @task
        def down(n):
            return later("leaf") if n == 0 else same(down(n - 1))

        assert run_any(same(down(2_000)), engine=engine) == "leaf"

    def test_async_all_the_way_down(self, engine):
        """S25"""

        @task
        async def down(n):
            await asyncio.sleep(0)
            return 0 if n == 0 else add(down(n - 1), 1)

        assert run_any(same(down(500)), engine=engine) == 500

    def test_fib(self, run):
        """S25: a tree of frames"""

        @task
        def fib(n):
            return n if n < 2 else add(fib(n - 1), fib(n - 2))

        assert run(fib(16)) == 987

    def test_fib_20(self):
        """S25"""

        @task
        def fib(n):
            return n if n < 2 else add(fib(n - 1), fib(n - 2))

        assert run_any(fib(20)) == 6765

    def test_fib_with_io_at_the_leaves(self, engine):
        """S25, P5: all leaves wait at once"""

        @task
        async def leaf(n):
            await asyncio.sleep(1)
            return n

        @task
        def fib(n):
            return leaf(n) if n < 2 else add(fib(n - 1), fib(n - 2))

        done = run_virtual(lambda: arun(fib(10), engine=engine))
        assert (done.value, done.elapsed) == (55, 1)

    def test_ackermann(self, run):
        """S24, S25 in one: nested and tail calls mixed"""

        @task
        def ack(m, n):
            if m == 0:
                return n + 1
            if n == 0:
                return ack(m - 1, 1)
            return ack(m - 1, ack(m, n - 1))

        assert run(ack(2, 3)) == 9
        assert run([ack(2, 2)]) == [7]

    def test_hanoi(self, run):
        """S25: side effects in the order of eager Python"""
        moves: list[tuple[str, str]] = []

        @task
        def move(n, a, b, c):
            if n == 0:
                return None
            return show(move(n - 1, a, c, b), shift(a, c).after(), move(n - 1, b, a, c))

        @task
        def shift(a, c):
            moves.append((a, c))

        run(move(4, "a", "b", "c"))
        eager: list[tuple[str, str]] = []

        def plain(n, a, b, c):
            if n:
                plain(n - 1, a, c, b)
                eager.append((a, c))
                plain(n - 1, b, a, c)

        plain(4, "a", "b", "c")
        assert moves == eager

    def test_a_deep_frame_stack_is_freed_without_recursion(self):
        """P6: after a failure at the bottom, and after success"""

        @task
        def down(n):
            if n == 0:
                raise ValueError("bottom")
            return add(down(n - 1), 1)

        with pytest.raises(ValueError, match="bottom"):
            run_any(down(50_000))
        gc.collect()

    def test_memory_of_nested_results_in_a_loop(self, engine):
        """S24, S25: a child frame in each round"""
        counts: dict[int, int] = {}

        @task
        def loop(n, *_: Any):
            if n in (1_000, 0):
                gc.collect()
                counts[n] = len(gc.get_objects())
            return n if n == 0 else loop(n - 1, give([n]), give(give([n])))

        run_any(loop(2_000), engine=engine)
        assert counts[0] - counts[1_000] < 100


def test_order_after_an_input_is_no_order():
    """S8, S25: an input is there before anything; also for a frame whose child has to wait"""

    @task
    def same(*args):
        return args

    @task
    async def one():
        return 1

    @task
    def nested():
        return one()

    target = same(nested(), same().after(Param("p", default=0)))
    for engine in ("interpreter", "graph"):
        assert run_any(target, engine=engine) == (1, ())
    verify(compile(target))


@pytest.mark.parametrize("engine", ["interpreter", "graph"])
def test_a_task_that_returns_a_literal_has_its_value(engine):
    """N8: as the target, in the middle of a graph, from an async task; what it marks is not scanned"""
    node = gather(1)

    @task
    def marked():
        return literal(node)

    @task
    async def marked_later():
        return literal([node])

    @task
    def hold(*parts):
        return list(parts)

    assert run_any(marked(), engine=engine) is node
    direct, later = run_any(hold(marked(), marked_later()), engine=engine)
    assert direct is node
    assert later[0] is node
