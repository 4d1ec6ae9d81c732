"""The reference evaluator against the rules of docs/semantics.md, which each test cites by number.

Nothing sleeps: overlap shows in the order of starts, in tasks that wait for each other, and in what an event loop would hang on.
"""

from __future__ import annotations

import ast
import asyncio
import contextvars
import gc
import inspect
import math
import signal
import sys
import threading
import warnings
import weakref
from collections import Counter, OrderedDict, defaultdict, namedtuple
from pathlib import Path
from typing import Any

import pytest

from cascade_compiler import graph_mode
from cascade_compiler.graph_mode import arun, run
from cascade_compiler.inputs import Env, InputKind, Param, gather
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import literal
from cascade_compiler.task import task
from cascade_compiler.workflow import workflow
from cascade_vm.errors import CompileError, EventLoopRunning, InputError

HERE = "test_graph_mode.py"


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
def fail(x):
    raise ValueError(x)


@task
def blow(error):
    raise error


class Log(list):
    """Tasks that write down what happened, in order."""

    def sync(self, name, value=None):
        @task(name=name)
        def step(*_):
            self.append(name)
            return name if value is None else value

        return step

    def io(self, name, passes=1, value=None):
        """Starts, waits for so many passes of the loop, ends."""

        @task(name=name)
        async def step(*_):
            self.append(f"+{name}")
            for _pass in range(passes):
                await asyncio.sleep(0)
            self.append(f"-{name}")
            return name if value is None else value

        return step


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def no_loop(monkeypatch):
    """Any attempt to make an event loop fails."""

    def refuse(*_, **__):
        raise AssertionError("an event loop was made")

    monkeypatch.setattr(asyncio, "run", refuse)
    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    monkeypatch.setattr(asyncio.events, "new_event_loop", refuse)


def in_loop(make, **options):
    """Run ``arun(make())`` and check that it leaves no task behind."""

    async def main():
        try:
            return await arun(make() if inspect.isfunction(make) else make, **options)
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(main())


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_loop")
class TestValues:
    def test_a_call_runs_when_run(self, log):
        """S1"""
        lazy = log.sync("a")()
        assert log == []
        assert run(lazy) == "a"
        assert log == ["a"]

    def test_positional_and_keyword_arguments(self):
        @task
        def show(a, /, b, *rest, c, d=4, **more):
            return a, b, rest, c, d, more

        assert run(show(1, same(2), 3, c=same("c"), e=same("e"))) == (1, 2, (3,), "c", 4, {"e": "e"})

    def test_one_node_runs_once_and_two_alike_run_twice(self, log):
        """S2"""
        a = log.sync("a")
        one = a()
        assert run([one, {"k": one}, same(one)]) == ["a", {"k": "a"}, "a"]
        assert log == ["a"]
        run([a(), a()])
        assert log == ["a"] * 3

    @pytest.mark.parametrize("value", [None, False, 0, "", [], math.nan, NotImplemented, ...])
    def test_falsy_and_odd_values_are_values(self, value):
        assert run(same(same(value))) is value

    def test_containers_are_rebuilt_with_their_types(self):
        """S3"""
        Point = namedtuple("Point", "x y")

        class Pair(tuple):
            __slots__ = ()

        class Ice(frozenset):
            pass

        x = same(1)
        for value, expected in [
            ([x, 2], [1, 2]),
            ((x, 2), (1, 2)),
            ({"k": x, x: "v"}, {"k": 1, 1: "v"}),
            ({x, 2}, {1, 2}),
            (frozenset({x}), frozenset({1})),
            ([[(x,)], {"a": {"b": [x]}}], [[(1,)], {"a": {"b": [1]}}]),
            (Point(x, 2), Point(1, 2)),
            (Pair((x, 2)), Pair((1, 2))),
            (Ice({x}), Ice({1})),
            (OrderedDict(b=x, a=2), OrderedDict(b=1, a=2)),
            (Counter(b=x), Counter(b=1)),
        ]:
            for result in (run(same(value)), run(value)):
                assert result == expected
                assert type(result) is type(expected)
        assert type(run([Point(x, 2)])[0]) is Point

    def test_subclasses_keep_what_they_carry(self):
        """S3"""

        class Row(list):
            def __init__(self, *items, label):
                super().__init__(items)
                self.label = label

        class Tags(set):
            pass

        row, tags = Row(same(1), label="r"), Tags({same(1)})
        tags.owner = "me"
        built_row, built_tags, built_dict = run([row, tags, defaultdict(list, {"a": same(1)})])
        assert (type(built_row), built_row, built_row.label) == (Row, [1], "r")
        assert (type(built_tags), built_tags, built_tags.owner) == (Tags, {1}, "me")
        assert built_dict == {"a": 1}
        assert built_dict["missing"] == []
        assert type(row[0]) is type(*tags) is LazyResult  # the originals are as they were

    def test_a_shared_container_stays_shared(self):
        """S3: as eager Python would share it"""
        shared = [same(1)]
        other = [same(1)]
        first, second, third, nested = run([shared, shared, other, (shared,)])
        assert first is second is nested[0]
        assert first is not third

        @task
        def both(x, y):
            return x is y

        assert run(both(shared, y=shared)) is True
        assert run(both(shared, shared)) is True

    def test_values_without_lazy_results_are_passed_as_they_are(self):
        """S4"""
        for value in ([1], (), {"k": [1]}, {1}, object(), threading.Lock(), float("nan")):
            assert run(same(value)) is value
            assert run([same(1), value])[1] is value
        plain = [1, 2]
        assert run(plain) is plain
        loop: list[Any] = []
        loop.append(loop)
        assert run(same(loop)) is loop

    def test_literal_stops_the_scan(self):
        """S3"""
        lazy = same(1)
        held = [lazy]
        assert run(same(literal(held))) is held
        assert run(same(literal(lazy))) == 1  # passed as it is; but a task that returns it goes on with it (S24)
        built = run([literal(held), literal(lazy), {"k": literal(3)}])
        assert built[0] is held
        assert built[1] is lazy
        assert built[2] == {"k": 3}
        assert run(literal(lazy)) is lazy
        assert run(literal(5)) == 5
        assert run(gather(literal(held), 1))[0] is held

    def test_a_literal_is_not_kept_alive(self):
        """S4"""

        class Thing:
            pass

        thing = Thing()
        gone = weakref.ref(thing)
        run(add([same(thing)], []))
        del thing
        assert gone() is None

    def test_items(self):
        """S5"""
        data = same({"a": [10, 20]})
        assert run(data["a"][same(1)]) == 20
        assert run([data["a"], data["a"][-1]]) == [[10, 20], 20]
        assert run(same([1, 2, 3, 4])[1:3]) == [2, 3]
        assert run(same({(1, 2): "t"})[(1, same(2))]) == "t"

    def test_gather(self):
        items = gather(same(1), 2, [same(3)])
        assert run(items) == [1, 2, [3]]
        assert run(gather()) == []
        first, second = run([items, items])
        assert first is second

    def test_targets(self):
        assert run({"a": same(1), "b": (same(2), [3, literal(4)])}) == {"a": 1, "b": (2, [3, 4])}
        assert run([]) == []
        assert run({same(1)}) == {1}
        assert run(frozenset({same(1)})) == frozenset({1})

    @pytest.mark.parametrize("target", [None, 3, "text", same, object(), range(3)])
    def test_anything_else_is_no_target(self, target):
        with pytest.raises(CompileError, match="expected a LazyResult"):
            run(target)

    def test_a_hidden_lazy_result_is_refused(self):
        """S3: never passed raw in silence"""

        class Box:
            pass

        box = Box()
        box.content = same(1)
        with pytest.raises(CompileError, match="hidden in content of a Box"):
            run(same([box, same(2)]))

    def test_hostile_arguments(self):
        class Hostile:
            def __eq__(self, other):
                raise AssertionError

            def __bool__(self):
                raise AssertionError

            __hash__ = None

        value = Hostile()
        assert run(same(same(value))) is value


# --- order and overlap ------------------------------------------------------------------------------------------------


class TestOrder:
    @pytest.mark.usefixtures("no_loop")
    def test_synchronous_order_is_that_of_eager_python(self, log):
        """S6, S29"""
        s = log.sync
        after = [s("o1")(), s("o2")(s("o3")())]
        target = s("t")(s("a")(s("b")()), [s("c")(), {s("k1")(): s("v1")(), s("k2")(): s("v2")()}], s("d")()).after(*after)
        order = ["b", "a", "c", "k1", "v1", "k2", "v2", "d", "o1", "o3", "o2", "t"]
        for _ in range(2):
            log.clear()
            run(target)
            assert log == order

    @pytest.mark.usefixtures("no_loop")
    def test_keywords_come_after_positional_arguments(self, log):
        """S6"""

        @task
        def pair(*args, **kwargs):
            return args, kwargs

        s = log.sync
        assert run(pair(s("a")(), z=s("z")(), b=s("b")())) == (("a",), {"z": "z", "b": "b"})
        assert log == ["a", "z", "b"]

    @pytest.mark.usefixtures("no_loop")
    def test_what_becomes_ready_waits_for_its_turn(self, log):
        """S6"""
        a, b = log.sync("a")(), log.sync("b")()
        run([a, b, log.sync("rb")(b), log.sync("ra")(a), log.sync("c")()])
        assert log == ["a", "b", "rb", "ra", "c"]

    def test_order_within_a_batch_is_that_of_the_steps_it_makes_ready(self, log):
        """S6, S29"""
        a, b = log.io("a")(), log.io("b")()
        run([a, b, log.sync("rb")(b), log.sync("ra")(a)])
        assert log == ["+a", "+b", "-a", "-b", "rb", "ra"]

    @pytest.mark.usefixtures("no_loop")
    def test_a_rebuild_is_a_step_of_its_own_in_its_place(self, log):
        """S6: the container is built before the arguments to the right of it are evaluated"""

        class Noisy(list):
            def extend(self, items):
                log.append("build")
                super().extend(items)

        run(log.sync("t")(Noisy([log.sync("a")()]), log.sync("b")()))
        assert log == ["a", "build", "b", "t"]

    def test_independent_waiting_overlaps(self, log):
        """S7"""
        assert run([log.io(n)() for n in "abc"]) == ["a", "b", "c"]
        assert log == ["+a", "+b", "+c", "-a", "-b", "-c"]

    def test_tasks_may_wait_for_each_other(self):
        """S7: with one after the other this would hang"""
        ping, pong = asyncio.Event(), asyncio.Event()

        @task
        async def first():
            ping.set()
            await pong.wait()
            return 1

        @task
        async def second():
            await ping.wait()
            pong.set()
            return 2

        assert in_loop(lambda: gather(first(), same(second()))) == [1, 2]

    def test_io_is_in_flight_before_synchronous_work(self, log):
        """S7, S9(a)"""
        run([log.sync("s1")(), log.sync("s2")(), log.io("a")(), log.io("b")()])
        assert log[:4] == ["+a", "+b", "s1", "s2"]

    def test_io_that_becomes_ready_starts_before_the_next_step(self, log):
        """S7"""
        s1, s2, s3 = log.sync("s1")(), log.sync("s2")(), log.sync("s3")()
        run([s1, s2, log.io("a", passes=5)(s1), s3])
        assert log[:4] == ["s1", "+a", "s2", "s3"]

    def test_dataflow_not_levels(self, log):
        """S7: the fast chain ends while the slow task of its first level is still waiting"""
        a1 = log.io("a1", passes=1)()
        a2 = log.io("a2", passes=1)(log.sync("s")(a1))
        run([log.io("slow", passes=20)(), a2])
        assert log == ["+slow", "+a1", "-a1", "s", "+a2", "-a2", "-slow"]

    def test_completions_of_one_pass_are_one_batch_in_order_of_position(self, log):
        """S6, S29"""
        order = [log.sync(f"s{n}")(log.io(n, passes=3)()) for n in "abcd"]
        run(order[::-1])
        assert [x for x in log if x[0] == "s"] == ["sd", "sc", "sb", "sa"]

    def test_starts_are_lowest_first(self, log):
        """S7"""
        gate = log.sync("gate")()
        early, late = log.io("early")(gate), log.io("late")(gate)
        run([late, early, log.io("first")()])
        assert [x for x in log if x[0] == "+"] == ["+first", "+late", "+early"]

    def test_a_call_that_never_suspends_is_complete_after_its_pass(self, log):
        """S7"""
        a = log.io("a", passes=0)()
        run([log.sync("s1")(a), log.sync("s2")()])
        assert log == ["+a", "-a", "s1", "s2"]

    def test_after(self, log):
        """S8"""
        a = log.io("a", passes=4)()
        assert run([log.io("b")().after(a), log.sync("c")().after(a)]) == ["b", "c"]
        assert log[:2] == ["+a", "-a"]

    def test_only_what_the_target_needs_runs(self, log):
        """S10"""
        log.sync("unneeded")(wanted := log.sync("wanted")())
        run(wanted)
        assert log == ["wanted"]

    @pytest.mark.usefixtures("no_loop")
    def test_no_loop_is_made_without_io(self):
        """S9"""

        @task
        def count(n):
            return n if n == 0 else count(n - 1)

        assert run([same(1), count(50)], time_slice=0) == [1, 0]

    def test_run_without_io_works_inside_a_running_loop(self):
        """S9"""

        async def main():
            return run(add(same(1), 2))

        assert asyncio.run(main()) == 3

    def test_arun_without_io_never_yields(self, log):
        """S9"""

        async def main():
            asyncio.get_running_loop().call_soon(log.append, "another")
            assert await arun(add(same(1), 2)) == 3
            log.append("done")
            await asyncio.sleep(0)

        asyncio.run(main())
        assert log == ["done", "another"]

    def test_time_slice_at_tail_calls(self):
        """S9(b)"""

        @task
        def count(n):
            return n if n == 0 else count(n - 1)

        async def passes(time_slice):
            seen = 0

            async def observe():
                nonlocal seen
                while True:
                    seen += 1
                    await asyncio.sleep(0)

            observer = asyncio.create_task(observe())
            await arun(count(20), time_slice=time_slice)
            observer.cancel()
            return seen

        assert asyncio.run(passes(0)) == 20
        assert asyncio.run(passes(1000)) == 0

    def test_run_yields_once_it_has_a_loop(self, log):
        """S9(b)"""

        @task
        def count(n):
            log.append(n)
            return n if n == 0 else count(n - 1)

        run([count(6), log.io("a", passes=3)()], time_slice=0)
        assert log[0] == "+a"
        assert log.index("-a") < log.index(0)
        log.clear()
        run([count(6), log.io("a", passes=3)()], time_slice=1000)
        assert log.index(0) < log.index("-a")

    def test_context_variables(self):
        """S23"""
        var = contextvars.ContextVar("var", default="unset")

        @task
        def read():
            return var.get()

        @task
        async def read_later():
            await asyncio.sleep(0)
            return var.get()

        @task
        def write(value):
            var.set(value)

        token = var.set("caller")
        try:
            assert run([read(), read_later()]) == ["caller", "caller"]
            wrote = write("task")
            assert run([wrote, read().after(wrote), read_later().after(wrote)]) == [None, "task", "task"]
        finally:
            var.reset(token)


# --- run and the event loop -------------------------------------------------------------------------------------------


class TestRunInsideALoop:
    def test_refused_before_anything_runs(self, log):
        async def main():
            run([log.sync("a")(), log.io("b")(log.sync("c")())])

        with pytest.raises(EventLoopRunning, match=r"await arun\(\.\.\.\)"):
            asyncio.run(main())
        assert log == []

    def test_refused_where_io_comes_up_later(self, log):
        @task
        def go_on():
            return log.io("b")()

        async def main():
            run([log.sync("a")(), go_on()])

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(EventLoopRunning):
                asyncio.run(main())
            gc.collect()
        assert log == ["a"]

    def test_a_loop_in_another_thread_does_not_matter(self):
        async def main():
            return await asyncio.to_thread(run, later(3))

        assert asyncio.run(main()) == 3

    def test_run_makes_a_loop_only_when_io_comes_up(self, log):
        @task
        def go_on():
            return log.io("b")()

        assert run([log.sync("a")(), go_on(), log.sync("c")()]) == ["a", "b", "c"]
        assert log == ["a", "+b", "c", "-b"]

    def test_many_runs_in_one_loop(self):
        async def main():
            return await asyncio.gather(*(arun(add(later(i), later(1))) for i in range(20)))

        assert asyncio.run(main()) == [i + 1 for i in range(20)]


# --- inputs -----------------------------------------------------------------------------------------------------------


class TestInputs:
    def test_values_are_converted_and_defaults_apply(self):
        """S20"""
        assert run(add(Param("x", int), Param("y", int, 10)), {"x": "5"}) == 15
        assert run(Param("x", int), {"x": 1}) == 1
        assert run([Param("x", int), [Param("x", int)]], {"x": 1}) == [1, [1]]

    def test_env(self, monkeypatch):
        """S20"""
        monkeypatch.setenv("CASCADE_TEST_LIMIT", "7")
        assert run(same(Env("CASCADE_TEST_LIMIT", int))) == 7
        monkeypatch.delenv("CASCADE_TEST_LIMIT")
        assert run(same(Env("CASCADE_TEST_LIMIT", int, None))) is None

    def test_all_faults_in_one_error_before_anything_runs(self, log):
        """S20"""
        with pytest.raises(InputError) as caught:
            run([log.sync("a")(), Param("x", int), Param("y", int), later(1)], {"x": "no", "z": 1})
        assert len(caught.value.faults) == 3
        assert log == []

    def test_unknown_names_are_refused_even_without_inputs(self):
        """S20"""
        for target in (same(1), [1], literal(1)):
            with pytest.raises(InputError, match="unknown input 'x'"):
                run(target, {"x": 1})

    def test_declared_inputs_are_known_and_validated(self):
        """S20"""
        declared = [InputKind("limit", int, 3, "param"), InputKind("x", int, 1, "param")]
        assert run(same(Param("x", int, 1)), {"limit": "4", "x": "2"}, declared) == 2
        with pytest.raises(InputError, match="limit"):
            run(same(1), {"limit": "many"}, declared)

    def test_workflow(self):
        @workflow
        def report(day: int, limit: int = 10):
            return add(same(day), 1)

        target, declared = report.trace()
        assert run(target, {"day": "3"}, declared) == 4

    @pytest.mark.parametrize(
        "other", [Param("x", float, 1), Param("x", int, 3), Param("x", int), Env("x", int), Param("x", int, True)]
    )
    def test_two_of_one_name_must_agree(self, other):
        """S20"""
        with pytest.raises(CompileError, match="input 'x' is declared twice"):
            run([Param("x", int, 1), other], {"x": 1})

    def test_graphs_met_later_see_the_same_params(self):
        """S20, S24, S25"""

        @task
        def go_on(_):
            return same([Param("y", int, 5), Param("x", int)])

        assert run(go_on(Param("x", int)), {"x": "1"}) == [5, 1]
        assert run([go_on(Param("x", int)), 0], {"x": "1"}) == [[5, 1], 0]
        with pytest.raises(InputError, match="'x'"):
            run(go_on(1))

    def test_io_needs_no_step_for_its_input(self, log):
        """S7: an input is ready from the start"""
        run([log.sync("s")(), log.io("a")(Param("x"))], {"x": 1})
        assert log[:2] == ["+a", "s"]

    @pytest.mark.parametrize(("make", "value"), [(lambda p: p, 4), (same, 4), (gather, [4])])
    def test_a_returned_input(self, make, value):
        """S24, S25"""

        @task
        def go_on():
            return make(Param("x", int, 4))

        assert run(go_on()) == value
        assert run([go_on(), same(go_on())]) == [value, value]


# --- going on ---------------------------------------------------------------------------------------------------------


@task
def countdown(n):
    return "done" if n == 0 else countdown(n - 1)


@task
def ping(n):
    return "ping-done" if n == 0 else pong(n - 1)


@task
def pong(n):
    return "pong-done" if n == 0 else ping(n=n - 1)


@task
def depth(n):
    return 0 if n == 0 else add(1, depth(n - 1))


class TestGoingOn:
    @pytest.mark.usefixtures("no_loop")
    def test_tail_calls(self):
        """S24"""
        assert run(countdown(10_000)) == "done"
        assert run(ping(10_001)) == "pong-done"
        assert run(ping(10_000)) == "ping-done"

    @pytest.mark.parametrize("collected", [True, False])
    def test_tail_calls_need_constant_memory(self, collected):
        """S24: with dependencies, and with nothing left to the cycle collector"""
        blocks = []

        @task
        def loop(n, _a, _b):
            if n % 1000 == 0:
                blocks.append(sys.getallocatedblocks())
            return n if n == 0 else loop(same(n - 1), [same([n])], _b=same((n,)))

        if not collected:
            gc.disable()
        try:
            assert run(loop(6_000, 1, 1)) == 0
        finally:
            gc.enable()
        assert blocks[-1] - blocks[2] < 500

    def test_fresh_tasks_in_each_round_are_not_kept(self):
        """S24"""
        alive: list[weakref.ref[Any]] = []

        @task
        def loop(n):
            if n == 0:
                gc.collect()
                return sum(ref() is not None for ref in alive)

            @task
            def local(n):
                return n

            alive.append(weakref.ref(local.task))
            return loop(local(n - 1))

        assert run(loop(50)) < 3

    @pytest.mark.slow
    def test_a_million_tail_calls(self):
        """S24"""
        assert run(countdown(1_000_000)) == "done"

    def test_asynchronous_tail_calls(self):
        """S24"""

        @task
        async def loop(n):
            if n % 3:
                await asyncio.sleep(0)
            return n if n == 0 else loop(later(n - 1))

        assert run(loop(1000)) == 0

    def test_each_activation_runs_its_dependencies_anew(self, log):
        """S2"""
        dependency = log.sync("dep")()

        @task
        def loop(n, _):
            return n if n == 0 else loop(n - 1, dependency)

        run(loop(2, dependency))
        assert log == ["dep"] * 3

    def test_changing_shapes_and_arguments_left_out(self):
        """S24"""
        seen = []

        @task
        def loop(n, extra=0):
            seen.append(extra)
            if n == 0:
                return "end"
            return loop(n - 1, extra=99) if n % 2 else loop(n=same(n - 1))

        assert run(loop(4)) == "end"
        assert seen == [0, 0, 99, 0, 99]

    def test_nested_results(self):
        """S25"""
        assert run(add(depth(5), depth(6))) == 11
        assert run([depth(3), same(depth(2))]) == [3, 2]
        assert run(gather(depth(1), depth(2))) == [1, 2]

    @pytest.mark.slow
    @pytest.mark.usefixtures("no_loop")
    def test_nested_results_of_depth_100_000(self):
        """S25"""
        assert run(depth(100_000)) == 100_000

    @pytest.mark.slow
    @pytest.mark.usefixtures("no_loop")
    def test_deep_nesting_with_work_left_at_every_level(self):
        """S25: telling which step is first must not walk the whole nest each time"""

        @task
        def three(x, y, z):
            return x + y + z

        @task
        def left(n):
            return 0 if n == 0 else three(left(n - 1), same(1), same(0))

        assert run(left(10_000)) == 10_000

        @task
        def right(n):
            return 0 if n == 0 else three(same(0), same(1), right(n - 1))

        assert run(right(10_000)) == 10_000

    def test_deep_nesting_with_io_at_every_level(self):
        """S25, S7"""

        @task
        async def level(n):
            return 0 if n == 0 else add(level(n - 1), later(1))

        assert run(level(3_000)) == 3_000

    def test_a_nested_graph_stands_at_the_place_of_its_call(self, log):
        """S6, S25"""
        s = log.sync

        @task
        def nest():
            log.append("nest")
            return s("n3")(s("n1")(), s("n2")())

        run([s("a")(), same(nest()), s("b")()])
        assert log == ["a", "nest", "n1", "n2", "n3", "b"]

    def test_a_blocked_nested_graph_does_not_block_its_parent(self, log):
        """S7, S25"""

        @task
        def nest():
            return log.sync("n")(log.io("a", passes=3)())

        run([same(nest()), log.sync("b")(), log.sync("c")()])
        assert log == ["+a", "b", "c", "-a", "n"]

    def test_several_nested_graphs_in_progress(self, log):
        """S25"""

        @task
        def nest(n):
            return log.sync(f"s{n}")(log.io(n, passes=2)())

        run([same(nest("b")), same(nest("a"))])
        assert log == ["+b", "+a", "-b", "sb", "-a", "sa"]  # b got its pass before the second nest() ran

    def test_order_between_activations_is_hierarchical(self, log):
        """S6, S29: of what one batch makes ready, first the nested graph at the lower position, however deep"""
        ready = asyncio.Event()

        @task
        async def gate(n):
            await ready.wait()
            return n

        @task
        async def opener():
            for _ in range(5):
                await asyncio.sleep(0)
            ready.set()

        @task
        def nest(n, deep):
            return same(nest(n, deep - 1)) if deep else log.sync(n)(gate(n))

        in_loop(
            lambda: [
                log.sync("p0")(gate("p0")),
                same(nest("n1", 3)),
                log.sync("p1")(gate("p1")),
                same(nest("n2", 0)),
                same(nest("n3", 5)),
                log.sync("p2")(gate("p2")),
                opener(),
            ]
        )
        assert log == ["p0", "n1", "p1", "n2", "n3", "p2"]

    def test_an_item_may_go_on(self):
        """S24, S25"""
        inside = same(literal([add(2, 3)]))
        assert run(inside[0]) == 5
        assert run([inside[0], 1]) == [5, 1]
        assert run(gather(literal(depth(3)))[0]) == 3

    def test_an_item_loop(self):
        """S24"""

        @task
        def pack(n):
            return [n] if n == 0 else [pack(n - 1)[0]]

        assert run(pack(5000)[0]) == 0

    def test_a_returned_plain_container_is_not_scanned(self):
        """S25"""

        @task
        def give():
            return [same(1)]

        assert type(run(give())[0]) is LazyResult

    def test_a_loop_beside_io(self, log):
        """S24, S7"""
        assert run([same(countdown(100)), log.io("a")(), later(countdown(50))]) == ["done", "a", "done"]


# --- failing ----------------------------------------------------------------------------------------------------------


def notes_of(error):
    return getattr(error, "__notes__", [])


class TestFailing:
    @pytest.mark.usefixtures("no_loop")
    def test_the_original_exception_with_one_note(self):
        """S15"""
        error = ValueError("mine")
        lazy = same([blow(same(error))])
        with pytest.raises(ValueError, match="mine") as caught:
            run(lazy)
        assert caught.value is error
        (note,) = notes_of(error)
        head, argument = note.split("\n")
        assert head.startswith(f"in task {__name__}.blow, called at ")
        assert head.endswith(f"{HERE}:{TestFailing.test_the_original_exception_with_one_note.__code__.co_firstlineno + 4}")
        assert argument == "  error = ValueError('mine')"
        names = []
        tb = caught.value.__traceback__
        while tb is not None:
            names.append(tb.tb_frame.f_code.co_name)
            tb = tb.tb_next
        assert names[-1] == "blow"

    def test_notes_of_asynchronous_failures(self):
        """S15"""

        @task
        async def fail_later(x, *, y):
            await asyncio.sleep(0)
            raise KeyError(x)

        for go in (run, in_loop):
            with pytest.raises(KeyError) as caught:
                go(same(fail_later(same("k"), y=[same(1)])))
            (note,) = notes_of(caught.value)
            assert note.split("\n")[1:] == ["  x = 'k'", "  y = [1]"]

    def test_only_the_innermost_step_notes(self):
        """S15, S25"""

        @task
        def nest(n):
            return same(fail("deep")) if n == 0 else add(1, nest(n - 1))

        with pytest.raises(ValueError, match="deep") as caught:
            run(add(1, nest(3)))
        (note,) = notes_of(caught.value)
        assert ".fail," in note

    def test_items_and_containers_note_themselves(self):
        """S15"""
        with pytest.raises(KeyError) as caught:
            run(same({})[same("missing")])
        (note,) = notes_of(caught.value)
        assert note.startswith("in item ['missing'], written at ")
        assert f"{HERE}:" in note
        for container, label in (({same([])}, "set"), ({same([]): 1}, "dict"), (frozenset({same([])}), "frozenset")):
            with pytest.raises(TypeError, match="unhashable") as caught:
                run(same(container))
            assert notes_of(caught.value) == [f"in {label}"]

    def test_nothing_runs_after_a_failure(self, log):
        """S15"""
        with pytest.raises(ValueError, match="x"):
            run([log.sync("a")(), fail("x"), log.sync("b")()])
        assert log == ["a"]

    def test_what_is_in_flight_is_cancelled_and_awaited(self, log):
        """S15, S18"""

        @task
        async def slow():
            try:
                await asyncio.Event().wait()
            finally:
                log.append("stopping")
                await asyncio.sleep(0)
                log.append("stopped")

        with pytest.raises(ValueError, match="x") as caught:
            in_loop(lambda: [slow(), slow(), fail("x")])
        assert sorted(log) == ["stopped"] * 2 + ["stopping"] * 2
        assert len(notes_of(caught.value)) == 1

    def test_failures_while_stopping_are_notes_in_order(self):
        """S15"""

        @task
        async def slow(text, passes):
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(passes):
                    await asyncio.sleep(0)
                raise OSError(text)

        with pytest.raises(ValueError, match="x") as caught:
            in_loop(lambda: [slow("one", 3), fail("x"), slow("two", 0)])
        own, *others = notes_of(caught.value)
        assert own.startswith("in task")
        assert others == [f"another task of the run failed too: OSError: '{text}'" for text in ("one", "two")]

    def test_of_two_failures_in_one_batch_the_lowest_position_is_raised(self):
        """S15"""
        gate = asyncio.Event()

        @task
        async def held(text):
            await gate.wait()
            raise ValueError(text)

        @task
        async def opener():
            gate.set()

        @task
        def nest(text):
            return same(held(text))

        def target():
            gate.clear()
            return [later(1), same(nest("low")), held("high"), held("higher"), opener()]

        with pytest.raises(ValueError, match="low") as caught:
            in_loop(target)
        assert notes_of(caught.value)[1:] == [
            f"another task of the run failed too: ValueError: '{t}'" for t in ("high", "higher")
        ]

    def test_a_failure_that_waits_to_be_seen_is_not_lost(self):
        """S15"""

        @task
        async def fail_at_once():
            await asyncio.sleep(0)
            raise OSError("unseen")

        @task
        async def long():
            await asyncio.Event().wait()

        @task
        async def pair():
            await asyncio.sleep(0)
            raise ValueError("first")

        with pytest.raises(ValueError, match="first") as caught:
            in_loop(lambda: [pair(), fail_at_once(), long()])
        assert any("unseen" in note for note in notes_of(caught.value))

    def test_one_exception_of_two_tasks_gets_one_note_of_a_task(self):
        """S15"""
        shared = ValueError("shared")

        @task
        async def blow_later():
            await asyncio.sleep(0)
            raise shared

        with pytest.raises(ValueError, match="shared"):
            in_loop(lambda: [blow_later(), blow_later()])
        assert [note.split()[:2] for note in notes_of(shared)] == [["in", "task"], ["another", "task"]]

    def test_a_returned_graph_that_is_refused_is_a_failure_like_others(self):
        """S15"""

        @task
        async def bad_graph():
            return add(1)

        @task
        async def fail_later():
            raise ValueError("too")

        with pytest.raises(CompileError, match="missing") as caught:
            in_loop(lambda: [bad_graph(), fail_later()])
        blamed, other = notes_of(caught.value)
        assert blamed.startswith("in task")
        assert "bad_graph, called at" in blamed
        assert other == "another task of the run failed too: ValueError: 'too'"

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, asyncio.CancelledError])
    def test_unusual_exceptions_of_synchronous_tasks(self, error):
        """S15"""
        raised = error("odd")
        for target in (same(blow(raised)), [later(1), blow(raised)]):
            with pytest.raises(error) as caught:
                run(target)
            assert caught.value is raised

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    def test_unusual_exceptions_of_asynchronous_tasks(self, error, log):
        """S15"""
        raised = error("odd")

        @task
        async def blow_later():
            await asyncio.sleep(0)
            raise raised

        @task
        async def slow():
            try:
                await asyncio.Event().wait()
            finally:
                log.append("stopped")

        for go in (run, in_loop):
            log.clear()
            del notes_of(raised)[:]
            with pytest.raises(error) as caught:
                go([slow(), same(blow_later())])
            assert caught.value is raised
            assert log == ["stopped"]
            assert len(notes_of(raised)) == 1

    def test_stop_iteration_in_arun(self):
        """S15: Python lets no coroutine raise StopIteration; it is the cause of what comes out"""
        with pytest.raises(RuntimeError) as caught:
            in_loop(lambda: blow(StopIteration("odd")))
        assert isinstance(caught.value.__cause__, StopIteration)

    def test_an_exception_that_refuses_notes(self):
        """S15"""

        class Stern(Exception):
            def add_note(self, note):
                raise AssertionError

        with pytest.raises(Stern):
            run(blow(Stern()))

    def test_a_failed_run_can_be_run_again(self, log):
        """S15"""
        fails = [True, False]

        @task
        def sometimes():
            if fails.pop(0):
                raise ValueError("first time")
            return 1

        lazy = add(sometimes(), later(1))
        with pytest.raises(ValueError, match="first time"):
            run(lazy)
        assert run(lazy) == 2


class TestCancelling:
    @staticmethod
    def cancel_at(make, k):
        """Cancel a run after ``k`` passes of the loop; False where it was over by then."""

        async def main():
            job = asyncio.create_task(arun(make(), time_slice=0))
            for _ in range(k):
                await asyncio.sleep(0)
            hit = job.cancel()
            try:
                await job
            except asyncio.CancelledError:
                assert job.cancelled()
            else:
                assert not hit
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return hit

        return asyncio.run(main())

    def test_cancelled_at_every_await(self):
        """S18"""
        inside = [0]

        @task
        async def careful(n):
            inside[0] += 1
            try:
                for _ in range(n):
                    await asyncio.sleep(0)
            finally:
                try:
                    await asyncio.sleep(0)  # may be cancelled itself
                finally:
                    inside[0] -= 1

        @task
        def nest():
            return same(careful(2))

        k = 0
        while self.cancel_at(lambda: [careful(same(1)), same(nest()), same(countdown(3)), careful(same(3))], k):
            assert inside == [0]
            k += 1
        assert k > 6

    def test_cancelled_again_while_stopping(self, log):
        """S18"""
        release = asyncio.Event()

        @task
        async def stubborn():
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(3):
                    try:
                        await release.wait()
                    except asyncio.CancelledError:
                        log.append("again")
                log.append("ended")

        async def main():
            job = asyncio.create_task(arun([stubborn(), fail("x").after(later(1))]))
            for _ in range(8):
                await asyncio.sleep(0)
            assert not job.done()
            job.cancel()
            for _ in range(4):
                await asyncio.sleep(0)
            job.cancel()
            for _ in range(4):
                await asyncio.sleep(0)
            assert log == ["again", "again"]
            assert not job.done()
            release.set()
            with pytest.raises(asyncio.CancelledError) as caught:
                await job
            assert log[-1] == "ended"
            assert any("ValueError: 'x'" in note for note in notes_of(caught.value))
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())

    def test_ctrl_c(self, log):
        """S18: asyncio.run turns it into a cancellation, and back"""

        @task
        async def interrupted():
            try:
                signal.raise_signal(signal.SIGINT)
                await asyncio.Event().wait()
            finally:
                log.append("stopped")

        with pytest.raises(KeyboardInterrupt):
            run(same(interrupted()))
        assert log == ["stopped"]

    def test_timeout_around_arun(self):
        """S18"""

        @task
        async def forever():
            await asyncio.Event().wait()

        async def main():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await arun(same(forever()))
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())

    def test_a_cancellation_that_ties_with_the_last_completion_is_not_swallowed(self):
        """S18"""

        async def main():
            job: list[asyncio.Task[Any]] = []

            @task
            async def cancels():
                job[0].cancel()

            job.append(asyncio.create_task(arun(cancels())))
            with pytest.raises(asyncio.CancelledError):
                await job[0]

        asyncio.run(main())


# --- graphs that cannot run -------------------------------------------------------------------------------------------


class TestRefused:
    def test_cycles(self, log):
        @task(name="a")
        def a(*args, **kwargs): ...

        @task(name="b")
        def b(*args, **kwargs): ...

        hole: list[Any] = [log.sync("s")()]
        first = a(x=b(same(hole)))
        hole.append(first)
        shown = f"cycle: {__name__}.a -> {__name__}.b -> {__name__}.same -> {__name__}.a"
        with pytest.raises(CompileError) as caught:
            run([log.sync("s")(), first])
        assert shown in str(caught.value)
        assert log == []
        itself = a()
        itself.kwargs["me"] = itself
        with pytest.raises(CompileError, match=r"cycle: \S+\.a -> \S+\.a\b"):
            run(itself)
        ordered = a(k=[])
        ordered.kwargs["k"].append(b().after(ordered))
        with pytest.raises(CompileError, match="cycle"):
            run(ordered)

    def test_a_cycle_met_later(self):
        itself = same(x=1)
        itself.kwargs["x"] = [itself]

        @task
        def go_on():
            return itself

        for target in (go_on(), [go_on()]):
            with pytest.raises(CompileError, match="cycle") as caught:
                run(target)
            (note,) = notes_of(caught.value)
            assert note.startswith("in task")
            assert "go_on, called at" in note

    @pytest.mark.parametrize(
        ("make", "fault"),
        [
            (lambda: add(1), "missing a required argument: 'y'"),
            (lambda: add(1, 2, 3), "too many positional arguments"),
            (lambda: add(1, z=3, y=1), "unexpected keyword argument 'z'"),
            (lambda: add(1, x=3), "multiple values for argument 'x'"),
        ],
    )
    def test_wrong_calls(self, make, fault, log):
        """Before anything runs, wherever it is in the graph"""
        with pytest.raises(CompileError) as caught:
            run([log.sync("s")(), same([make()])])
        assert fault in str(caught.value)
        assert f"{__name__}.add(x, y) cannot be called like this: " in str(caught.value)
        assert f"{HERE}:" in str(caught.value)
        assert log == []
        assert caught.value.__cause__ is None

    def test_functions_without_a_signature(self):
        assert run(task(min)(same(3), 2)) == 2

    def test_a_wrong_call_in_a_returned_graph_stops_what_is_in_flight(self, log):
        @task
        async def go_on():
            return add(1)

        @task
        async def slow():
            try:
                await asyncio.Event().wait()
            finally:
                log.append("stopped")

        with pytest.raises(CompileError, match="missing"):
            in_loop(lambda: [slow(), go_on()])
        assert log == ["stopped"]


# --- size -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_loop")
class TestSize:
    @pytest.mark.parametrize("length", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
    def test_a_long_chain(self, length):
        """Runs and is freed without recursion"""
        lazy = same(0)
        for i in range(length):
            lazy = add(lazy, 1) if i % 2 else same(lazy)
        assert run(lazy) == length / 2
        del lazy
        gc.collect()

    @pytest.mark.slow
    def test_nested_containers_of_depth_100_000(self):
        value: Any = same(0)
        for _ in range(100_000):
            value = [value]
        built = run(value)
        for _ in range(100_000):
            (built,) = built
        assert built == 0

    @pytest.mark.slow
    def test_fan_out_and_fan_in(self):
        source = same(1)
        assert run(same([add(source, i) for i in range(100_000)]))[-1] == 100_000
        assert run(gather(*[add(source, i) for i in range(20_000)]))[-1] == 20_000

    def test_a_diamond_of_depth_1000(self):
        lazy = same(1)
        for _ in range(1000):
            lazy = add([lazy], [lazy])[0]
        assert run(lazy) == 1


@pytest.mark.slow
def test_fan_out_of_waiting():
    """S7: linear also where all completions come in one batch"""
    assert sum(run([add(later(1), same(1)) for _ in range(20_000)])) == 40_000


def test_values_die_with_their_last_reader():
    """P6: an early value is gone while later steps run"""

    class Thing:
        pass

    refs = []

    @task
    def make():
        thing = Thing()
        refs.append(weakref.ref(thing))
        return thing

    @task
    def use(_):
        return None

    @task
    def check(_):
        return refs[0]() is None

    used = use(make())
    assert run(check(used)) is True
    refs.clear()
    used = use(make())
    assert run([used, check(0).after(used)]) == [None, True]


def test_shares_no_code_with_lowering_or_the_machine():
    """The oracle must not repeat the mistakes of what it checks"""
    imported = set()
    for path in Path(graph_mode.__file__).parent.glob("graph_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "cascade" in str(node.module)}
    names = ("calls", "evaluation", "events", "injection", "limits", "map", "plan", "pools", "resources", "steps", "turns")
    own = {f"cascade_compiler.graph_{name}" for name in names}
    words = ("inputs", "jumping", "lazy", "node_kinds", "policy", "resource", "scan", "set_order", "task")
    language = {f"cascade_compiler.{name}" for name in words}
    values = ("caching", "call_key", "errors", "events", "flights", "inputs", "notes", "policies", "registry", "sites", "skipping")
    data = {f"cascade_vm.{name}" for name in values}
    assert imported <= own | language | data | {"cascade_compiler", "cascade_vm"}
