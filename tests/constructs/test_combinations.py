"""Constructs inside constructs. Each value is worked out by hand, or by plain Python (S1 to S29 together)."""



from __future__ import annotations

import asyncio
import gc
import warnings
from collections import Counter
from typing import Any

import pytest

from cascade_compiler import (
    Jump,
    Router,
    TargetSkipped,
    arun,
    bind,
    common,
    gather,
    inject,
    literal,
    resource,
    subscribe,
    task,
)
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm.caching import MemoryCache

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_is_forgotten():
    """A coroutine that was made and never awaited warns when it is freed: that is an error of the test."""
    calls.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in caught] == []


@task
def note(x: Any, *rest: Any) -> Any:
    calls.append(x)
    return x


@task
def pair(*items: Any) -> tuple[Any, ...]:
    return items


@task
def add(a: Any, b: Any = 1) -> Any:
    return a + b


@task
def total(rows: Any) -> Any:
    return sum(rows)


@task
async def wait(seconds: float, value: Any = None, *rest: Any) -> Any:
    await asyncio.sleep(seconds)
    calls.append(value)
    return value


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: arun(target, engine=engine, **options))


class Flaky:
    """Calls that fail so often, each by its own name, before they succeed."""

    def __init__(self, **fails: int) -> None:
        self.fails = fails
        self.tries: Counter[Any] = Counter()

    def hit(self, name: Any) -> int:
        self.tries[name] += 1
        if self.tries[name] <= self.fails.get(str(name), self.fails.get("default", 0)):
            raise ValueError(name)
        return self.tries[name]


# --- the big one ------------------------------------------------------------------------------------------------------


class World:
    """A loop of turns; in each a router chooses a map of async items, which fail at first and are retried, hold capacity, and use a
    resource of the turn and one of the run. What is open, and in which order, is written down."""

    def __init__(self, *, delay: float, depth: int, mode: str = "tail", slow_down: float = 1.0) -> None:
        self.open: list[str] = []  # resources that are set up, oldest first
        self.faults: list[str] = []
        self.running = 0  # items
        self.most = 0
        self.setups: Counter[str] = Counter()
        self.flaky = Flaky(default=1)
        world = self

        async def opened(name: str):
            world.setups[f"begin {name}"] += 1
            try:
                await asyncio.sleep(slow_down)
            except BaseException:
                world.setups[f"broken {name}"] += 1
                raise
            world.setups[f"up {name}"] += 1
            world.open.append(name)

        async def closed(name: str):
            if world.running:
                world.faults.append(f"{name} was torn down while {world.running} items ran")
            if not world.open or world.open[-1] != name:
                world.faults.append(f"{name} was torn down while open was {world.open}")
            await asyncio.sleep(slow_down)
            if name in world.open:
                world.open.remove(name)
            world.setups[f"down {name}"] += 1

        @resource
        async def whole():
            await opened("whole")
            yield {"whole": 1}
            await closed("whole")

        @resource(scope="step")
        async def step(needs=inject(whole)):
            await opened("step")
            yield {"step": 1}
            await closed("step")

        @task
        async def item(x, turn, s=inject(step), w=inject(whole)):
            world.running += 1
            world.most = max(world.most, world.running)
            try:
                assert s == {"step": 1}
                assert w == {"whole": 1}
                await asyncio.sleep(1)
                world.flaky.hit(f"{turn}/{x}")
                await asyncio.sleep(1)
                return 10 * turn + x
            finally:
                world.running -= 1

        @task
        def other(x, turn):
            return -x

        @task
        async def choose(turn):
            await asyncio.sleep(1)
            return "many" if turn % 2 else "few"

        def work(turn):
            policy = {"max_attempts": 3, "delay": delay}
            return Router(
                choose(turn),
                {
                    "many": item.map(x=[1, 2, 3], **common(turn=turn)).with_retry(**policy).with_constraints(slot=1),
                    "few": pair(item(7, turn).with_retry(**policy).with_constraints(slot=2)),
                    "never": other.map(x=wait(99), **common(turn=turn)),
                },
            )

        @task
        def loop(turn, results, found=()):
            results = [*results, *found]
            if not turn:
                return results if mode == "tail" else Jump("end", results)
            if mode == "tail":
                return loop(turn - 1, literal(results), work(turn))
            return Jump(turn % 2, {"turn": turn - 1, "results": literal(results), "found": work(turn)})

        self.target = loop(depth, []) if mode == "tail" else bind(
            loop(depth, []), {0: loop(0, []), 1: loop(0, []), "end": None}
        )

    def assert_over(self, at: Any) -> None:
        assert self.faults == [], (at, self.faults)
        assert (self.open, self.running) == ([], 0), at
        for name in ("whole", "step"):
            assert self.setups[f"up {name}"] == self.setups[f"down {name}"], (at, self.setups)
            assert self.setups[f"begin {name}"] == self.setups[f"up {name}"] + self.setups[f"broken {name}"], (at, self.setups)


class TestTheBigOne:
    @pytest.mark.parametrize("mode", ["tail", "jump"])
    def test_its_value_and_time(self, engine, mode):
        world = World(delay=2, depth=3, mode=mode)
        got = virtual(engine, world.target, capacity={"slot": 2})
        # turn 3: many, 31 32 33; turn 2: few, 27; turn 1: many
        assert got.value == [31, 32, 33, 27, 11, 12, 13]
        world.assert_over("end")
        assert world.most == 2
        assert world.setups["up whole"] == 1
        assert world.setups["up step"] == 3
        # An item: 1, fails, 2, then 1 + 1: 5. Of three, two at once: 10. choose: 1, then the resources (the choice demands them).
        many, few = 10, 5
        assert got.elapsed == (1 + 1 + 1 + many + 1) + (1 + 1 + few + 1) + (1 + 1 + many + 1) + 1

    @pytest.mark.parametrize("mode", ["tail", "jump"])
    @pytest.mark.parametrize("delay", [0, 2])
    def test_cancelled_at_every_moment(self, engine, mode, delay):
        at = 1
        while True:
            world = World(delay=delay, depth=2, mode=mode)
            got = capture_virtual(lambda: arun(world.target, engine=engine, capacity={"slot": 2}), cancel_at=at)  # noqa: B023
            assert not got.leaks, (at, got.leaks)
            world.assert_over(at)
            if got.iterations < at:
                break
            assert isinstance(got.error, asyncio.CancelledError), (at, got)
            at += 1
        assert got.value == [27, 11, 12, 13]
        assert at > 20

    def test_the_next_run_has_all_of_the_capacity(self, engine):
        """What a cancelled run held is not missed: the capacity is the run's own"""
        for at in range(3, 40, 4):
            capacity = {"slot": 2}
            world = World(delay=1, depth=2)
            capture_virtual(lambda: arun(world.target, engine=engine, capacity=capacity), cancel_at=at)  # noqa: B023
            assert capacity == {"slot": 2}
            again = World(delay=0, depth=1)
            assert virtual(engine, again.target, capacity=capacity).value == [11, 12, 13]

    @pytest.mark.parametrize("delay", [0, 1])
    def test_it_fails_and_is_cancelled_at_every_moment(self, engine, delay):
        """N15: cancelled while it cleans up after a failure, it ends as cancelled; all is torn down either way"""
        at, ends = 1, set()
        while True:
            world = World(delay=delay, depth=2)
            world.flaky = Flaky(**{"1/2": 9, "default": 0})
            got = capture_virtual(lambda: arun(world.target, engine=engine, capacity={"slot": 2}), cancel_at=at)  # noqa: B023
            assert not got.leaks, (at, got.leaks)
            world.assert_over(at)
            ends.add(type(got.error))
            if got.iterations < at:
                break
            assert isinstance(got.error, asyncio.CancelledError), (at, got.error)
            at += 1
        assert ends == {ValueError, asyncio.CancelledError}

    @pytest.mark.parametrize("mode", ["tail", "jump"])
    def test_its_events(self, engine, mode):
        """Each attempt that begins ends: by a value, a failure, or with the next one to come"""
        events: list[Any] = []
        world = World(delay=1, depth=3, mode=mode)
        with subscribe(events.append):
            assert virtual(engine, world.target, capacity={"slot": 2}).value == [31, 32, 33, 27, 11, 12, 13]
        world.assert_over("told")
        kinds = Counter(type(one).__name__ for one in events)
        # attempts: 7 items, two each; 3 choices; one pair; 4 turns of the loop
        assert kinds["TaskStarted"] == 14 + 3 + 1 + 4
        assert kinds["TaskRetrying"] == 7
        assert kinds["TaskFinished"] == 7 + 3 + 1 + 4
        assert kinds["TaskBlocked"] == 2  # the third item of each map of three
        assert kinds["RunStarted"] == kinds["RunFinished"] == 1
        assert kinds["TaskFailed"] == kinds["TaskSkipped"] == 0

    @pytest.mark.parametrize("fails", [1, 2, 3, 4])
    def test_an_item_that_fails_for_good(self, engine, fails):
        world = World(delay=1, depth=2)
        world.flaky = Flaky(**{"1/2": 9, "2/7": 0, "default": 0}) if fails > 3 else Flaky(**{f"1/{fails}": 3})
        got = capture_virtual(lambda: arun(world.target, engine=engine, capacity={"slot": 2}))
        assert isinstance(got.error, ValueError)
        assert not got.leaks
        which = 2 if fails > 3 else fails
        assert got.error.args == (f"1/{which}",)
        world.assert_over("failed")
        assert got.error.__notes__[0].splitlines()[0].endswith(f"(map item {which - 1}, attempt 3 of 3)")

    @pytest.mark.parametrize("seed", range(5))
    def test_in_any_order_of_what_is_simultaneous(self, engine, seed):
        world = World(delay=0, depth=3, slow_down=1)
        got = run_virtual(lambda: arun(world.target, engine=engine, capacity={"slot": 2}), seed=seed)
        assert got.value == [31, 32, 33, 27, 11, 12, 13]
        world.assert_over(seed)


# --- two or three at a time -------------------------------------------------------------------------------------------


class TestOrderAfterWhatEndsAtOnce:
    """S6, R4: lowest position first among what is ready, whatever container takes the values."""

    @pytest.mark.parametrize("top", ["list", "gather", "task", "nested list", "dict"])
    @pytest.mark.parametrize("first", ["map", "retry", "router", "run_if", "resource", "cache", "constraint"])
    def test_the_consumer_comes_before_what_stands_behind(self, run, first, top):
        @resource
        def handle():
            yield "r"

        part = {
            "map": lambda: note.map(x=["r"]),
            "retry": lambda: note("r").with_retry(2),
            "router": lambda: Router(note("key"), {"key": note("r")}),
            "run_if": lambda: note("r").run_if(note("yes")),
            "resource": lambda: inject(handle),
            "cache": lambda: note("r").with_cache(MemoryCache()),
            "constraint": lambda: note("r").with_constraints(gpu=1),
        }[first]()
        parts = [note("user", part), note("last")]
        target = {
            "list": lambda: parts,
            "gather": lambda: gather(*parts),
            "task": lambda: pair(*parts),
            "nested list": lambda: note("top", [parts]),
            "dict": lambda: {"a": parts[0], "b": parts[1]},
        }[top]()
        run(target, capacity={"gpu": 1})
        assert [one for one in calls if one in ("user", "last")] == ["user", "last"]


class TestMapsWith:
    def test_run_if_on_a_map_with_a_cache(self, engine):
        cache = MemoryCache()
        for flag, expected in ((True, [1, 2, 1]), (False, "no"), (True, [1, 2, 1])):
            target = note.map(x=[1, 2, 1]).with_cache(cache).run_if(note(flag), otherwise="no")
            assert virtual(engine, target).value == expected
        assert calls == [True, 1, 2, False, True]

    def test_the_common_value_of_a_map_that_is_skipped_does_not_run(self, run):
        with pytest.raises(TargetSkipped):
            run(add.map(a=note([1]), **common(b=note(1))).run_if(note(0)))
        assert calls == [0]

    def test_a_map_of_a_map_with_constraints(self, engine):
        """Items are held to the capacity; the graphs that they return are not (R9)"""

        @task
        async def inner(x):
            await asyncio.sleep(1)
            return x

        @task
        async def outer(n):
            await asyncio.sleep(1)
            return total(inner.map(x=range(n)).with_constraints(slot=1))

        got = virtual(engine, outer.map(n=[1, 2, 3]).with_constraints(slot=2), capacity={"slot": 2})
        assert got.value == [0, 1, 3]
        # 0-1: outer 0. Its inner asks at 1, behind the outers that wait since 0: strictly first come. Outers end at 1, 2, 3; then
        # six inners (1 + 2 + 3), two at a time, each 1 s.
        assert got.elapsed == 6

    def test_a_map_over_a_map(self, run):
        assert run(add.map(a=add.map(a=[1, 2]), b=note([10, 20]))) == [12, 23]

    def test_items_that_jump(self, engine):
        """A jump inside a map item: each item is a loop of its own"""

        @task
        async def step(n, seen=0):
            await asyncio.sleep(1)
            return Jump("again", {"n": n - 1, "seen": seen + n}) if n else Jump("end", seen)

        @task
        def item(n):
            return bind(step(n), {"again": step(0), "end": None})

        got = virtual(engine, item.map(n=[3, 0, 2]))
        assert got.value == [6, 0, 3]
        assert got.elapsed == 4

    def test_items_that_loop_by_tail_call(self, run):
        @task
        def item(n, seen=0):
            return item(n - 1, seen + n) if n else seen

        assert run(item.map(n=[4, 1, 200])) == [10, 1, 20_100]

    def test_items_that_are_routers(self, engine):
        @task
        def item(x):
            return Router(x % 2, {0: wait(2, f"even {x}"), 1: note(f"odd {x}")})

        got = virtual(engine, item.map(x=[1, 2, 3, 4]))
        assert got.value == ["odd 1", "even 2", "odd 3", "even 4"]
        assert got.elapsed == 2
        assert calls == ["odd 1", "odd 3", "even 2", "even 4"]

    def test_an_item_whose_graph_is_skipped(self, run):
        @task
        def item(x):
            return note(x).run_if(x)

        with pytest.raises(TargetSkipped) as caught:
            run(item.map(x=[1, 0, 2]))
        assert calls == [1]
        assert "(map item 1)" in caught.value.__notes__[0]

    def test_threads_with_retry_and_constraints(self, engine):
        flaky = Flaky(default=1)

        @task(mode="thread")
        def item(x):
            flaky.hit(x)
            return 2 * x

        target = item.map(x=range(6), max_concurrency=3).with_retry(2, delay=1).with_constraints(slot=1)
        got = virtual(engine, target, capacity={"slot": 2})
        assert got.value == [0, 2, 4, 6, 8, 10]
        assert got.elapsed == 3  # each holds its slot while it waits: two at a time
        assert set(flaky.tries.values()) == {2}

    def test_a_cache_and_a_retry_in_a_map(self, engine):
        flaky, cache = Flaky(default=1), MemoryCache()

        @task
        async def item(x):
            await asyncio.sleep(1)
            return (x, flaky.hit(x))

        got = virtual(engine, item.map(x=[1, 1, 2]).with_retry(3, delay=1).with_cache(cache))
        assert got.value == [(1, 2), (1, 2), (2, 2)]
        assert got.elapsed == 3
        assert virtual(engine, item.map(x=[2, 1]).with_retry(3, delay=1).with_cache(cache)).elapsed == 0

    def test_a_rate_limit_on_items_that_are_retried(self, engine):
        flaky = Flaky(default=1)
        starts: list[float] = []

        @task
        async def item(x):
            starts.append(asyncio.get_running_loop().time())
            return flaky.hit(x)

        got = virtual(engine, item.map(x=[1, 2]).with_retry(2).with_rate_limit("api", 1, 10))
        assert got.value == [2, 2]
        assert starts == [0, 10, 20, 30]

    def test_a_timeout_for_each_attempt_of_each_item(self, engine):
        tries: Counter[int] = Counter()

        @task
        async def item(x):
            tries[x] += 1
            await asyncio.sleep(x if tries[x] == 1 else 1)
            return x

        got = virtual(engine, item.map(x=[1, 5]).with_timeout(2).with_retry(2, delay=1, on=TimeoutError))
        assert got.value == [1, 5]
        assert got.elapsed == 4
        assert tries == {1: 1, 5: 2}

    def test_a_map_in_a_loop(self, run):
        @task
        def loop(n, rows):
            return loop(n - 1, add.map(a=literal(rows))) if n else rows

        assert run(loop(50, [0, 10])) == [50, 60]

    def test_an_empty_map_everywhere(self, engine):
        assert virtual(engine, gather(note.map(x=[]), wait.map(seconds=[]).with_retry(2), total(add.map(a=[])))).value == [[], [], 0]
        assert virtual(engine, Router(total(note.map(x=[])), {0: wait(0, "zero")})).value == "zero"
        assert virtual(engine, note("x").run_if(note.map(x=[]), otherwise="empty is false")).value == "empty is false"

    def test_a_map_of_results_of_nested_graphs(self, engine):
        @task
        async def later(n):
            await asyncio.sleep(n)
            return gather(*(note(i) for i in range(n)))

        assert virtual(engine, total.map(rows=[later(3), later(2)])).value == [3, 1]


class TestRoutersWith:
    def test_routers_of_routers(self, run):
        def build(a, b):
            inner = Router(note(b), {"x": note("ax"), "y": note("ay")})
            return Router(note(a), {"in": inner, "out": Router(note(b), {"x": note("bx")}, default=note("default"))})

        assert run(build("in", "y")) == "ay"
        assert calls == ["in", "y", "ay"]
        assert run(build("out", "x")) == "bx"
        assert run(build("out", "z")) == "default"

    def test_the_selector_is_a_router(self, run):
        assert run(Router(Router(note(1), {1: note("a"), 2: note("b")}), {"a": note("A"), "b": note("B")})) == "A"
        assert calls == [1, "a", "A"]

    def test_a_selector_that_is_skipped(self, run):
        selector = note("a").run_if(note(0))
        with pytest.raises(TargetSkipped):
            run(Router(Router(selector, {"a": "a"}, default="d"), {"a": note("never")}, default=note("nor this")))
        assert calls == [0]
        inner = Router(selector, {"a": note("x")})
        with pytest.raises(TargetSkipped):
            run(Router(note("k"), {"k": inner, "o": note("other")}))
        assert run(Router(note("o"), {"k": inner, "o": note("other")})) == "other"

    def test_a_skipped_selector_with_otherwise(self, run):
        assert run(Router(note("a").run_if(0, otherwise="b"), {"a": note("A"), "b": note("B")})) == "B"
        assert calls == ["B"]

    def test_run_if_on_a_router(self, run):
        routed = Router(note("a"), {"a": note("A")})
        assert run(gather(routed.run_if(note(1)), routed.run_if(note(0), otherwise="off"))) == ["A", "off"]
        assert calls.count("a") <= 2
        assert calls.count(0) == 1

    def test_nested_results_inside_a_route_inside_a_nested_result(self, run):
        @task
        def inner(n):
            return add(note(n), 100)

        @task
        def middle(n):
            return Router(note(n % 2), {0: add(inner(n), 1000), 1: add(add(inner(n), inner(n + 1)), 2000)})

        @task
        def outer(n):
            return add(middle(n), middle(n + 1))

        # middle(2) = 2 + 100 + 1000 = 1102; middle(3) = (103 + 104) + 2000 = 2207
        assert run(gather(outer(2), 1)) == [3309, 1]
        assert calls == [0, 2, 1, 3, 4]

    def test_a_route_that_two_places_share(self, engine):
        shared = wait(1, "shared")
        got = virtual(engine, gather(Router(note("a"), {"a": shared}), Router(note("b"), {"a": 1, "b": shared}), shared))
        assert got.value == ["shared"] * 3
        assert got.elapsed == 1
        assert calls.count("shared") == 1

    def test_a_route_loops_in_the_targets_place(self, run):
        """N28: a tail call, again and again"""

        @task
        def loop(n):
            return Router(n > 0, {True: loop(n - 1), False: note("end")}) if n else "end"

        assert run(Router("go", {"go": loop(2_000)})) == "end"

    def test_a_retry_in_a_route(self, engine):
        flaky = Flaky(default=2)

        @task
        def work():
            return flaky.hit("x")

        got = virtual(engine, gather(Router("a", {"a": work().with_retry(3, delay=1), "b": wait(50)}), wait(1)))
        assert got.value == [3, None]
        assert got.elapsed == 2

    def test_a_map_as_a_selector_item(self, run):
        assert run(Router(add.map(a=[1, 2])[1], {3: note("three")})) == "three"


class TestAfterWith:
    def test_after_a_skipped_node(self, run):
        skipped = note("s").run_if(note(0))
        with pytest.raises(TargetSkipped):
            run(note("x", note("arg")).after(skipped))
        assert calls == ["arg", 0] or calls == [0, "arg"]

    def test_after_what_has_an_otherwise(self, run):
        assert run(note("x").after(note("s").run_if(note(0), otherwise=note("o")))) == "x"
        assert calls == [0, "o", "x"]

    def test_after_a_map_a_router_and_a_loop(self, engine):
        loop = bind(count_down(2), {"again": count_down(0), "end": None})
        got = virtual(engine, note("x").after(wait.map(seconds=[1, 2]), Router("a", {"a": wait(3)}), loop))
        assert got.value == "x"
        assert got.elapsed == 3
        assert calls[-1] == "x"

    def test_a_nested_graph_that_comes_after(self, engine):
        @task
        def graph():
            return wait(2, "graph")

        got = virtual(engine, gather(note("x").after(graph()), note("y")))
        assert got.value == ["x", "y"]
        assert calls == ["y", "graph", "x"]

    def test_a_condition_that_a_skipped_test_skips(self, run):
        test = note(1).run_if(note(0))
        with pytest.raises(TargetSkipped):
            run(note("x").run_if(test, otherwise=note("never")))
        assert calls == [0]


@task
def count_down(n, seen=0):
    return Jump("again", {"n": n - 1, "seen": seen + n}) if n else Jump("end", seen)


class TestLimitsWith:
    def test_a_timeout_does_not_cover_the_graph_that_is_returned(self, engine):
        """R9"""

        @task
        async def graph():
            await asyncio.sleep(1)
            return wait(50, "long")

        got = virtual(engine, gather(graph().with_timeout(2), graph().with_timeout(2).with_retry(2)))
        assert got.value == ["long", "long"]
        assert got.elapsed == 51

    def test_a_failure_in_the_graph_is_not_retried(self, engine):
        flaky = Flaky(default=1)

        @task
        def inner():
            return flaky.hit("inner")

        @task
        def graph():
            calls.append("graph")
            return add(inner())

        got = capture_virtual(lambda: arun(gather(graph().with_retry(3), 1), engine=engine))
        assert isinstance(got.error, ValueError)
        assert calls == ["graph"]

    def test_capacity_in_a_nested_graph_of_one_that_held_it(self, engine):
        """R9: released when the call has ended, so the graph it returns can have it"""

        @task
        async def inner():
            await asyncio.sleep(1)
            return "inner"

        @task
        async def graph():
            await asyncio.sleep(1)
            return inner().with_constraints(gpu=1)

        got = virtual(engine, gather(graph().with_constraints(gpu=1), 1), capacity={"gpu": 1})
        assert got.value == ["inner", 1]
        assert got.elapsed == 2

    def test_dynamic_amounts_from_a_router(self, engine):
        amount = Router(note("big"), {"big": add(1, 1), "small": 1})
        got = virtual(engine, gather(wait(1).with_constraints(gpu=amount), wait(1).with_constraints(gpu=2)), capacity={"gpu": 2})
        assert got.elapsed == 2

    def test_a_cache_of_a_conditional_call(self, run):
        cache = MemoryCache()
        call = add(note(1)).with_cache(cache)
        assert run(call.run_if(note(1))) == 2
        assert run(call.run_if(note(0), otherwise=7)) == 7
        assert run(gather(call, call.run_if(1))) == [2, 2]
        assert cache.info().size == 1

    def test_constraints_and_synchronous_calls(self, run):
        """Synchronous calls in the order of places, though each takes capacity"""
        target = gather(*(note(n, note(f"part {n}")).with_constraints(slot=1) for n in range(3)))
        assert run(target, capacity={"slot": 1}) == [0, 1, 2]
        assert [c for c in calls if type(c) is int] == [0, 1, 2]

    def test_all_policies_at_once(self, engine):
        flaky, cache = Flaky(default=1), MemoryCache()

        @task
        async def item(x):
            await asyncio.sleep(1)
            return x * flaky.hit(x)

        def target():
            return (
                item.map(x=[1, 2, 3], max_concurrency=2).with_retry(2, delay=1).with_timeout(5).with_cache(cache)
                .with_constraints(slot=1).with_rate_limit("api", 10, 1).run_if(note(True)).after(note("before"))
            )  # fmt: skip

        assert virtual(engine, target(), capacity={"slot": 3}).value == [2, 4, 6]
        assert virtual(engine, target(), capacity={"slot": 3}).elapsed == 0


class TestResourcesWith:
    @staticmethod
    def tracked(log: list[str], name: str, scope: str, is_async: bool = False) -> Any:
        def sync():
            log.append(f"+{name}")
            yield name
            log.append(f"-{name}")

        async def later():
            await asyncio.sleep(1)
            log.append(f"+{name}")
            yield name
            await asyncio.sleep(1)
            log.append(f"-{name}")

        fn = later if is_async else sync
        fn.__name__ = name
        fn.__qualname__ = f"tracked.<locals>.{name}"
        return resource(fn, scope=scope)

    def test_nested_loops(self, run):
        log: list[str] = []
        made = self.tracked(log, "turn", "step")
        whole = self.tracked(log, "all", "run")

        @task
        def inner(n, r=inject(made)):
            log.append(f"inner {n}")
            return inner(n - 1) if n else "inner"

        @task
        def outer(n, got=None, r=inject(made), w=inject(whole)):
            log.append(f"outer {n}")
            return outer(n - 1, inner(1)) if n else got

        assert run(outer(1)) == "inner"
        # inner(1) is a call of the turn (it injects the turn's resource), and inner(0) is a nested graph with its own
        expected = ["+turn", "+all", "outer 1", "-turn", "+turn", "inner 1", "+turn", "inner 0", "-turn", "outer 0", "-turn", "-all"]
        assert log == expected

    def test_a_route_of_a_loop_injects(self, run):
        log: list[str] = []
        made = self.tracked(log, "odd_only", "step")

        @task
        def use(n, r=inject(made)):
            log.append(f"use {n}")
            return n

        @task
        def loop(n, got=0):
            return loop(n - 1, Router(n % 2, {1: use(n), 0: note(n)})) if n else got

        assert run(loop(3)) == 1
        assert log == ["+odd_only", "use 3", "-odd_only", "+odd_only", "use 1", "-odd_only"]

    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_step_that_fails_while_another_waits(self, engine, is_async):
        log: list[str] = []
        made = self.tracked(log, f"held_{is_async}", "step", is_async)

        @task
        async def use(seconds, r=inject(made)):
            await asyncio.sleep(seconds)
            if seconds == 1:
                raise ValueError("one")
            return r

        @task
        def graph(seconds):
            return use(seconds)

        got = capture_virtual(lambda: arun(gather(graph(1), graph(5), graph(9)), engine=engine))
        assert isinstance(got.error, ValueError)
        assert not got.leaks
        assert len(log) == 6
        assert log.count(log[0]) == 3

    @pytest.mark.parametrize("seconds", [2.5, 3.5])
    def test_a_failure_while_a_step_is_torn_down(self, engine, seconds):
        """The tear-down of a step that has begun goes on to its end, though the run fails meanwhile (S21)"""
        log: list[str] = []
        made = self.tracked(log, f"slow_{seconds}".replace(".", "_"), "step", True)

        @task
        def graph():
            return wait(1, "x", inject(made))  # 1: set up, 2: x, 3: torn down

        @task
        async def fail():
            await asyncio.sleep(seconds)
            raise ValueError("fail")

        got = capture_virtual(lambda: arun(gather(graph(), fail()), engine=engine))
        assert isinstance(got.error, ValueError)
        assert not got.leaks
        assert [one[0] for one in log] == ["+", "-"]
        assert got.elapsed == max(seconds, 3)

    def test_a_retried_map_with_a_resource_in_jumps(self, engine):
        log: list[str] = []
        made = self.tracked(log, "per_round", "step", True)
        flaky = Flaky(default=1)

        @task
        async def item(x, r=inject(made)):
            flaky.hit((x, len(log)))
            return x

        @task
        def step(n, got=()):
            return Jump("again", n - 1) if n else Jump("end", got)

        loop = bind(step(2), {"again": step(0, item.map(x=[1, 2]).with_retry(2, delay=1)), "end": None})
        got = virtual(engine, loop)
        assert got.value == [1, 2]
        assert log == ["+per_round", "-per_round"] * 2
        assert got.elapsed == 2 * (1 + 1 + 1)


class TestOddExceptions:
    """What a task raises fails the run, whatever it is: nothing hangs (S15)."""

    @pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    @pytest.mark.parametrize("how", ["plain", "retry", "timeout", "map", "nested"])
    def test_beside_something_that_waits(self, engine, how, error):
        @task
        async def fail(x=None):
            await asyncio.sleep(1)
            raise error("mine")

        @task
        async def graph():
            return pair(fail(), 1)

        target = {
            "plain": fail, "retry": lambda: fail().with_retry(3), "timeout": lambda: fail().with_timeout(2),
            "map": lambda: fail.map(x=[1, 2]), "nested": graph,
        }[how]()  # fmt: skip
        got = capture_virtual(lambda: arun(gather(target, wait(5)), engine=engine))
        assert type(got.error) is error
        assert got.elapsed == 1
        assert not got.leaks


    @pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    def test_alone(self, engine, error):
        """Awaited in place: the resources are torn down all the same, and the failure names the task"""

        @resource
        def lone():
            calls.append("+")
            yield 1
            calls.append("-")

        @task
        async def fail(r=inject(lone)):
            await asyncio.sleep(1)
            raise error("mine")

        got = capture_virtual(lambda: arun(note(fail()), engine=engine))
        assert type(got.error) is error
        assert calls == ["+", "-"]
        assert got.error.__notes__[0].startswith(f"in task {fail.task.label}, called at ")


class TestJumpsWith:
    def test_a_jump_to_a_map_like_call(self, engine):
        """A dependency of a route is a map; it runs in each round"""

        @task
        def step(n, rows=()):
            return Jump("again", n - 1) if n else Jump("end", rows)

        loop = bind(step(3), {"again": step(0, wait.map(seconds=[1, 2])), "end": None})
        got = virtual(engine, loop)
        assert got.value == [None, None]
        assert got.elapsed == 6

    def test_a_loop_as_a_condition_and_a_selector(self, run):
        def loop(n):
            return bind(count_down(n), {"again": count_down(0), "end": None})

        assert run(note("x").run_if(loop(2))) == "x"
        assert run(note("x").run_if(loop(0), otherwise="zero is false")) == "zero is false"
        assert run(Router(loop(2), {3: note("three")})) == "three"
        assert run(gather(add.map(a=[loop(1), loop(2)]))) == [[2, 4]]

    def test_a_jump_whose_data_is_a_graph_with_a_skip(self, run):
        @task
        def step(n, x=None):
            return Jump("again", {"n": 0, "x": note("s").run_if(note(0))}) if n else Jump("end", x)

        with pytest.raises(TargetSkipped):
            run(bind(step(1), {"again": step(0), "end": None}))

    def test_loops_of_both_kinds_mixed(self, run):
        """A bound task goes on by tail call; the graph it goes on with jumps by its own table"""

        @task
        def even(n):
            return bind(odd(n - 1), {"even": even(0), "end": None}) if n else "even"

        @task
        def odd(n):
            return Jump("even", n - 1) if n else Jump("end", "odd")

        assert run(even(10)) == "even"
        assert run(even(7)) == "odd"
