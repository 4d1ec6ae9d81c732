"""Order and overlap: S6 to S9, and the makespan of dataflow (P5), on each engine, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from cascade_compiler import arun, gather, run, task
from cascade_compiler.testing import run_virtual


class Journal:
    """Tasks that write down when they start and end: ("+", name, time) and ("-", name, time); "." for a synchronous call."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, float]] = []

    def sync(self, name, value=None):
        @task(name=name)
        def step(*args, **kwargs):
            self.events.append((".", name, _now()))
            return value if value is not None else name

        return step

    def io(self, name, seconds=0.0, value=None):
        @task(name=name)
        async def step(*args, **kwargs):
            self.events.append(("+", name, _now()))
            await asyncio.sleep(seconds)
            self.events.append(("-", name, _now()))
            return value if value is not None else name

        return step

    def names(self, kinds="+-."):
        return [kind + name if kind != "." else name for kind, name, _ in self.events if kind in kinds]

    def time(self, event):
        return next(at for kind, name, at in self.events if kind + name == event)


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


@pytest.fixture
def log():
    return Journal()


def virtual(target, engine, seed=None):
    return run_virtual(lambda: arun(target, engine=engine), seed=seed)


# --- S7, P5: the makespan is that of dataflow -------------------------------------------------------------------------


class TestMakespan:
    @pytest.mark.parametrize("seed", [None, 1, 2, 3])
    def test_two_chains(self, log, engine, seed):
        """P5: 10 + 30 beside 30 + 10 takes 40; level by level it would take 60"""
        target = [log.io("b", 30)(log.io("a", 10)()), log.io("d", 10)(log.io("c", 30)())]
        assert virtual(target, engine, seed).elapsed == 40

    def test_two_chains_with_synchronous_steps_between(self, log, engine):
        """P5"""
        left = log.io("b", 30)(log.sync("s")(log.io("a", 10)()))
        right = log.io("d", 10)(log.sync("t")(log.io("c", 30)()))
        assert virtual(log.sync("end")(left, right), engine).elapsed == 40
        assert log.time("+b") == 10
        assert log.time("+d") == 30

    def test_chains_that_meet_in_the_middle(self, log, engine):
        """P5: each step starts when its own inputs are ready"""
        a, b, c = log.io("a", 1)(), log.io("b", 2)(), log.io("c", 4)()
        ab, bc, abc = log.io("ab", 10)(a, b), log.io("bc", 3)(b, c), log.io("abc", 1)(a, b, c)
        assert virtual(log.io("end", 1)(ab, [bc, abc]), engine).elapsed == 13
        assert [log.time(f"+{name}") for name in ("a", "ab", "bc", "abc", "end")] == [0, 2, 4, 4, 12]

    @pytest.mark.parametrize("delays", [*itertools.product([0, 1, 5], repeat=4)], ids=str)
    def test_a_diamond_with_all_delays(self, log, engine, delays):
        """P5: the critical path, exactly"""
        a, b, c, d = delays
        top = log.io("a", a)()
        target = log.io("d", d)(log.io("b", b)(top), log.sync("s")(log.io("c", c)(top)))
        assert virtual(target, engine).elapsed == a + max(b, c) + d

    def test_a_staircase(self, log, engine):
        """P5: 20 chains, each with the delays in another order"""
        delays = [1, 2, 3, 4]
        chains = []
        for at, order in enumerate(itertools.islice(itertools.permutations(delays), 20)):
            lazy: Any = None
            for step, seconds in enumerate(order):
                lazy = log.io(f"{at}.{step}", seconds)(log.sync(f"s{at}.{step}")(lazy))
            chains.append(lazy)
        assert virtual(gather(*chains), engine).elapsed == sum(delays)

    def test_after_waits_for_io(self, log, engine):
        """S8: order without the value"""
        a, b = log.io("a", 5)(), log.io("b", 1)()
        assert virtual(log.io("c", 2)().after(a, b), engine).elapsed == 7
        assert log.time("+c") == 5

    def test_an_item_starts_when_its_value_is_there(self, log, engine):
        """S7, S5"""
        data = log.io("data", 2, value={"k": 1})()
        assert virtual([log.io("x", 3)(data["k"]), log.io("slow", 4)()], engine).elapsed == 5

    def test_a_container_waits_only_for_its_own_items(self, log, engine):
        """S7, S3"""
        slow, fast = log.io("slow", 10)(), log.io("fast", 1)()
        assert virtual([slow, log.io("x", 9)([fast, {"k": fast}])], engine).elapsed == 10

    def test_a_hundred_at_once(self, log, engine):
        """S7"""
        assert virtual(gather(*(log.io(str(n), n % 7)() for n in range(100))), engine).elapsed == 6


# --- S7: I/O is in flight before and during synchronous work ----------------------------------------------------------


class TestInFlight:
    def test_io_is_started_before_unrelated_synchronous_work(self, log, engine):
        """S7: the coroutine's first step has run when the synchronous work runs"""
        virtual([log.sync("s1")(), log.sync("s2")(), log.io("a", 1)(), log.sync("s3")(), log.io("b", 1)()], engine)
        assert log.names()[:2] == ["+a", "+b"]
        assert log.names(".") == ["s1", "s2", "s3"]

    def test_io_in_the_arguments_of_the_last_step(self, log, engine):
        """S7"""
        virtual(log.sync("end")(log.sync("s1")(), log.sync("s2")(), log.io("a", 1)()), engine)
        assert log.names() == ["+a", "s1", "s2", "-a", "end"]

    def test_io_that_becomes_ready_is_started_before_the_next_unrelated_step(self, log, engine):
        """S7: a feeds on s1 and does not wait for s2 and s3"""
        s1, s2, s3 = log.sync("s1")(), log.sync("s2")(), log.sync("s3")()
        virtual([s1, s2, s3, log.io("a", 1)(s1)], engine)
        assert log.names() == ["s1", "+a", "s2", "s3", "-a"]

    def test_io_that_becomes_ready_by_io_is_started_before_synchronous_work(self, log, engine):
        """S7: when a ends, b is started before the work that also became ready"""
        a = log.io("a", 1)()
        virtual([log.sync("s1")(a), log.sync("s2")(a), log.io("b", 1)(a)], engine)
        assert log.names() == ["+a", "-a", "+b", "s1", "s2", "-b"]

    def test_io_started_by_a_nested_result_is_in_flight_too(self, log, engine):
        """S7, S25"""

        @task
        def nest():
            return log.sync("in")(log.io("a", 1)())

        virtual([nest(), log.sync("s1")(), log.sync("s2")()], engine)
        assert log.names() == ["+a", "s1", "s2", "-a", "in"]

    def test_what_io_does_before_its_first_await_precedes_the_work(self, log, engine):
        """S7: really in flight, not merely scheduled"""
        sent = []

        @task
        async def request():
            sent.append("request")
            await asyncio.sleep(1)
            return "answer"

        @task
        def work():
            return list(sent)

        assert virtual([work(), request()], engine).value == [["request"], "answer"]

    def test_io_answered_during_synchronous_work(self, engine):
        """S7: a callback of the loop cannot run during synchronous work, but all that is in flight is delivered after it"""
        order = []

        @task
        async def quick(x):
            await asyncio.sleep(0)
            order.append(x)

        @task
        def work():
            order.append("work")

        virtual([quick(1), quick(2), work()], engine)
        assert order == ["work", 1, 2]


# --- S6: the order of synchronous calls -------------------------------------------------------------------------------


class TestSynchronousOrder:
    def test_that_of_eager_python(self, log, engine):
        """S6: depth first, arguments left to right, keywords after, in the order written"""
        s = log.sync
        target = s("t")(s("a")(s("b")(), s("c")()), [s("d")(), {s("k")(): s("v")()}], z=s("z")(s("y")()), a=s("x")())
        run(target, engine=engine)
        assert log.names() == ["b", "c", "a", "d", "k", "v", "y", "z", "x", "t"]

    def test_a_shared_node_runs_where_it_is_first_met(self, log, engine):
        """S6, S2"""
        s = log.sync
        shared = s("shared")()
        run(s("t")(s("a")(), s("b")(s("c")(), shared), shared, s("d")()), engine=engine)
        assert log.names() == ["a", "c", "shared", "b", "d", "t"]

    def test_the_order_of_building_is_no_matter(self, log, engine):
        """S6: the place in the graph is, not the time at which a node was made"""
        last, first = log.sync("last")(), log.sync("first")()
        run([first, last], engine=engine)
        assert log.names() == ["first", "last"]

    def test_among_those_that_are_ready(self, log, engine):
        """S6: what waits for I/O is passed over, and comes in its place when it is ready"""
        a = log.io("a", 1)()
        virtual([log.sync("s1")(a), log.sync("s2")(), log.sync("s3")(a), log.sync("s4")()], engine)
        assert log.names(".") == ["s2", "s4", "s1", "s3"]

    @pytest.mark.parametrize("seed", range(6))
    def test_simultaneous_completions_are_taken_by_position(self, log, engine, seed):
        """S6, S29, P17: whatever the order in which the loop delivers them"""
        virtual([log.sync(f"s{n}")(log.io(f"a{n}", 1)()) for n in range(6)], engine, seed)
        assert log.names(".") == [f"s{n}" for n in range(6)]

    def test_starts_go_by_position(self, log, engine):
        """S6, S29: what becomes ready together starts lowest position first"""
        ready = log.io("r", 1)()
        virtual([log.io(f"a{n}", n)(ready) for n in range(6)], engine)
        assert log.names("+")[1:] == [f"+a{n}" for n in range(6)]

    def test_after_alone_orders(self, log, engine):
        """S8"""
        last = log.sync("last")()
        run(log.sync("t")(log.sync("first")().after(last), last), engine=engine)
        assert log.names() == ["last", "first", "t"]

    def test_after_does_not_change_the_value_or_the_arguments(self, engine):
        """S8"""

        @task
        def args(*args, **kwargs):
            return args, kwargs

        lazy = args(1, k=2).after(args(3), args(4))
        assert run(lazy, engine=engine) == ((1,), {"k": 2})

    def test_after_the_same_node_as_an_argument(self, log, engine):
        """S8, S2"""
        a = log.sync("a")()
        run(log.sync("b")(a).after(a, a), engine=engine)
        assert log.names() == ["a", "b"]

    def test_after_a_failed_task_nothing_comes(self, log, engine):
        """S8, S15"""

        @task
        def fail():
            raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011
            run(log.sync("a")().after(fail()), engine=engine)
        assert log.names() == []

    def test_each_run_makes_the_same_calls_in_the_same_order(self, log, engine):
        """S29"""
        a, b = log.io("a", 2)(), log.io("b", 1)()
        target = [log.sync("s1")(a), log.sync("s2")(b), log.sync("s3")(a, b), log.sync("s4")()]
        orders = set()
        for seed in [None, *range(8)]:
            log.events.clear()
            virtual(target, engine, seed)
            orders.add(tuple(log.names(".")))
        assert orders == {("s4", "s2", "s1", "s3")}


# --- S25: nested results go on beside their siblings ------------------------------------------------------------------


class TestNestedOverlap:
    def test_several_nested_results_in_progress_at_once(self, log, engine):
        """S25, P5"""

        @task
        def nest(name, seconds):
            return log.sync(f"s{name}")(log.io(name, seconds)())

        assert virtual([nest("a", 3), nest("b", 5), log.io("c", 4)()], engine).elapsed == 5

    def test_a_nested_result_that_blocks_while_siblings_go_on(self, log, engine):
        """S25: the siblings of what is nested do not wait for it"""

        @task
        def nest():
            return log.io("slow", 10)()

        target = [log.sync("after slow")(nest()), log.io("y", 2)(log.io("x", 3)()), log.sync("s")()]
        assert virtual(target, engine).elapsed == 10
        assert log.time("+y") == 3
        assert log.time("-y") == 5
        assert log.names(".") == ["s", "after slow"]

    def test_io_that_returns_a_graph_with_io(self, log, engine):
        """S25"""

        @task
        async def nest(name):
            await asyncio.sleep(1)
            return log.io(name, 2)()

        done = virtual([nest("a"), nest("b"), log.io("c", 3)()], engine)
        assert done.value == ["a", "b", "c"]
        assert done.elapsed == 3

    def test_nested_in_nested_in_nested(self, log, engine):
        """S25, P5"""

        @task
        def nest(depth):
            if depth == 0:
                return log.io("leaf", 1)()
            return log.sync(f"s{depth}")(nest(depth - 1), nest(depth - 1))

        assert virtual(gather(nest(4), log.io("x", 1)()), engine).elapsed == 1
        assert log.names("+").count("+leaf") == 16

    def test_nested_graphs_with_chains_overlap_like_flat_ones(self, log, engine):
        """P5: the two-chain case, each chain in a nested graph"""

        @task
        def chain(name, first, second):
            return log.io(f"{name}2", second)(log.io(f"{name}1", first)())

        @task
        def through(x):
            return x

        assert virtual([through(chain("a", 10, 30)), through(chain("b", 30, 10))], engine).elapsed == 40

    def test_a_task_waits_for_the_nested_value(self, log, engine):
        """S25: its consumers get the value, never the graph"""

        @task
        def nest():
            return log.io("a", 1, value=41)()

        @task
        def plus(x):
            return x + 1

        assert virtual([plus(nest())], engine).value == [42]

    def test_a_nested_loop_beside_io(self, log, engine):
        """S24, S25: a loop that waits in every round overlaps with what else is in flight"""

        @task
        def loop(n, _=None):
            return "end" if n == 0 else loop(n - 1, log.io(f"i{n}", 1)())

        assert virtual([loop(5), loop(3), log.io("x", 5)()], engine).elapsed == 5


# --- S9: when the machine yields --------------------------------------------------------------------------------------


class TestYields:
    def test_synchronous_runs_never_yield(self, log, engine):
        """S9: nothing else in the loop runs meanwhile"""
        beats = []

        async def main():
            beat = asyncio.get_running_loop().create_task(heart())
            value = await arun(gather(*(log.sync(str(n))() for n in range(50))), engine=engine)
            before = len(beats)
            beat.cancel()
            await asyncio.wait([beat])
            return value, before

        async def heart():
            while True:
                beats.append(1)
                await asyncio.sleep(0)

        value, before = run_virtual(main).value
        assert len(value) == 50
        assert before == 0

    def test_no_loop_is_created_for_a_synchronous_run(self, log, engine, monkeypatch):
        """S9"""
        monkeypatch.setattr(asyncio, "new_event_loop", _refuse)
        monkeypatch.setattr(asyncio.events, "new_event_loop", _refuse)
        monkeypatch.setattr(asyncio, "run", _refuse)
        monkeypatch.setattr(asyncio, "Runner", _refuse)

        @task
        def loop(n):
            return "end" if n == 0 else loop(n - 1)

        assert run([log.sync("a")(), loop(100)], engine=engine, time_slice=0) == ["a", "end"]

    def test_a_coroutine_that_never_waits(self, engine):
        """S7: an async task that does not really wait is still a task"""

        @task
        async def ready(x):
            return x

        assert virtual([ready(1), ready(ready(2))], engine).elapsed == 0
        assert run([ready(1), ready(ready(2))], engine=engine) == [1, 2]

    def test_run_creates_and_closes_a_loop_of_its_own(self, log, engine):
        """S9: what needs a loop gets one, and no loop is left behind"""
        assert run(log.io("a")(), engine=engine) == "a"
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()


def _refuse(*_, **__):
    raise AssertionError("an event loop was made")
