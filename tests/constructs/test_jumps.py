"""Jumps: a task says where to go on by a key (S26; R15, N37)."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
from typing import Any

import pytest

from cascade_compiler import (
    CompileError,
    Jump,
    RouteNotFound,
    Router,
    TargetSkipped,
    bind,
    gather,
    inject,
    literal,
    resource,
    select_jump,
    task,
)
from cascade_compiler import run as run_any
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm.caching import MemoryCache

from .programs import ENGINES, PROGRAMS, program_of, run_on

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


@task
def note(x: Any, *rest: Any) -> Any:
    calls.append(x)
    return x


@task
async def wait(seconds: float, value: Any = None) -> Any:
    await asyncio.sleep(seconds)
    calls.append(value)
    return value


@task
def count_down(n, total=0):
    calls.append(n)
    return Jump("again", {"n": n - 1, "total": total + n}) if n else Jump("end", total)


@task
def give(key, *data, **named):
    """A jump to ``key``, with the one datum or with the keywords"""
    calls.append(("give", key))
    return Jump(key, *data, **({"data": named} if named else {}))


@task
def show(a, b="b", *rest, c="c", **more):
    calls.append("show")
    return (a, b, *rest, c, more)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Compiled ahead of time, too: a jump means the same there"""
    return str(request.param)


@pytest.fixture
def run(engine: str) -> Any:
    if engine in PROGRAMS:
        return lambda target, params=None, **options: program_of(target).link(engine=PROGRAMS[engine], **options).run(**(params or {}))
    return functools.partial(run_any, engine=engine)


live = pytest.mark.parametrize("engine", ["interpreter", "codegen", "graph"])  # where a constant is an object that no artifact holds


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: run_on(engine, target, **options))


class TestData:
    def test_a_value_is_the_first_parameter(self, run):
        assert run(bind(give("x", 5), {"x": show(1, 2, c=3)})) == (5, 2, 3, {})

    def test_a_dict_is_keywords(self, run):
        assert run(bind(give("x", {"b": 5, "c": 6}), {"x": show(1, 2)})) == (1, 5, 6, {})

    def test_no_data_is_as_written(self, run):
        assert run(bind(give("x"), {"x": show(1, 2, c=3)})) == (1, 2, 3, {})

    @pytest.mark.parametrize(
        "written",
        [lambda: show(1, 2, c=3), lambda: show(a=1, b=2, c=3), lambda: show(1, b=2, c=3), lambda: show(c=3, b=2, a=1)],
        ids=["positional", "keywords", "mixed", "turned"],
    )
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (9, (9, 2, 3, {})),
            ({"a": 9}, (9, 2, 3, {})),
            ({"b": 9}, (1, 9, 3, {})),
            ({"c": 9, "a": 8}, (8, 2, 9, {})),
            ({"d": 9}, (1, 2, 3, {"d": 9})),
            ({}, (1, 2, 3, {})),
            (None, (None, 2, 3, {})),
            ([1], ([1], 2, 3, {})),
            ((), ((), 2, 3, {})),
        ],
    )
    def test_whichever_way_the_call_was_written(self, run, written, data, expected):
        assert run(bind(give("x", data), {"x": written()})) == expected

    def test_more_positional_arguments_stay(self, run):
        assert run(bind(give("x", {"b": 9}), {"x": show(1, 2, 3, 4)})) == (1, 9, 3, 4, "c", {})

    def test_a_parameter_with_a_default_that_was_not_given(self, run):
        assert run(bind(give("x", {"b": 9}), {"x": show(1)})) == (1, 9, "c", {})

    @live
    def test_the_same_object(self, run):
        """S4"""
        thing = object()
        rows = [1, 2]
        assert run(bind(give("x", {"a": rows, "b": thing}), {"x": show(0)}))[0] is rows
        assert run(bind(give("x", thing), {"x": None})) is thing
        assert run(bind(give("x", rows), {"x": None})) is rows
        assert run(bind(give("x", Jump), {"x": None})) is Jump

    def test_none_ends_with_the_data(self, run):
        for data in (0, None, {"a": 1}, []):
            assert run(bind(give("end", data), {"end": None})) == data
        assert run(bind(give("end"), {"end": None})) is None

    def test_a_bound_task_that_returns_a_value(self, run):
        assert run(bind(note("plain"), {"x": show(1)})) == "plain"

    def test_a_bound_task_that_returns_a_graph(self, run):
        """S24: the graph is gone on with; its calls are not bound"""

        @task
        def later():
            return note("graph")

        assert run(bind(later(), {"x": show(1)})) == "graph"

    @pytest.mark.parametrize("key", [1, "one", (1, 2), None, True, 2.5, frozenset("a")])
    def test_keys(self, run, key):
        assert run(bind(give(key, 3), {key: None})) == 3
        assert run(bind(give(key, 3), {key: note(0), "other": None})) == 3

    def test_data_that_is_a_lazy_result(self, run):
        """A route's argument may be one; it is evaluated in the new round"""

        @task
        def jump():
            return Jump("x", {"a": note("data")})

        assert run(bind(jump(), {"x": show(0, note("b"))})) == ("data", "b", "c", {})
        assert calls == ["data", "b", "show"]

    def test_a_dict_at_the_end_is_a_value(self, run):
        assert run(bind(give("end", {"n": 1}), {"end": None})) == {"n": 1}

    def test_the_first_parameter_by_keyword_in_the_route(self, run):
        """A value is the first parameter of the function, whatever the order of the keywords"""
        assert run(bind(give("x", 7), {"x": show(b=1, a=2)})) == (7, 1, "c", {})


    def test_what_stands_behind_a_rest_parameter(self, run):
        """A keyword is never taken for the argument that has its number"""
        assert run(bind(give("x", {"c": 9}), {"x": show(1, 2, 3, 4)})) == (1, 2, 3, 4, 9, {})
        assert run(bind(give("x", {"rest": 9}), {"x": show(1, 2, 3, 4)})) == (1, 2, 3, 4, "c", {"rest": 9})

    def test_keywords_that_may_have_any_name(self, run):
        @task
        def keep(a, more="more", **others):
            return a, more, others

        assert run(bind(give("x", {"more": 2, "more_": 3, "self": 4}), {"x": keep(1, name=0)})) == (
            1, 2, {"name": 0, "more_": 3, "self": 4},
        )  # fmt: skip

    def test_a_task_whose_parameters_nobody_knows(self, run):
        build = task(dict, name="build")
        assert run(bind(give("x", {"b": 2}), {"x": build(a=1)})) == {"a": 1, "b": 2}
        assert run(bind(give("x", {"a": 2}), {"x": build(a=1)})) == {"a": 2}
        with pytest.raises(TypeError, match="build takes no argument that 3 could be"):
            run(bind(give("x", 3), {"x": build(a=1)}))

    def test_keywords_keep_their_order(self, run):
        @task
        def order(**named):
            return list(named)

        assert run(bind(give("x", {"d": 0, "a": 0, "c": 0}), {"x": order(b=1, a=2)})) == ["b", "a", "d", "c"]


def _at_once():
    return Jump("x", {"b": note("data")})


def _twice():
    node = note("data")
    return Jump("x", {"a": node, "b": [node]})


def _in_a_list():
    rows = [note("data"), 1]
    return Jump("x", {"a": rows, "z": rows})


def _apart():
    return Jump("x", {"z": note("z"), "b": note("data"), "a": (note("a"), 0)})


def _some_shared():
    node = note("node")
    return Jump("x", {"c": note("c"), "b": {"key": node}, "z": note("z", node)})


def _as_it_is():
    node = note("never")
    return Jump("x", {"a": literal([node]), "b": node, "c": literal(node)})


def _first():
    return Jump("x", [note("one"), note("two")])


def _skipped():
    return Jump("x", {"b": note("x").run_if(note(0), otherwise=note("otherwise"))})


class TestGraphsAsData:
    """Data may hold LazyResults: they are arguments of the route, like those that it was written with"""

    @pytest.mark.parametrize(
        "written",
        [
            lambda: show(0),
            lambda: show(0, c=1),
            lambda: show(note("a route"), note("b route"), c=note("c route")),
            lambda: show(a=note("a route"), z=note("z route")),
            lambda: show(0, b=[note("b route")]).run_if(note(1)),
            lambda: show(note("a route"), b=note("b route")).after(note("after")).with_retry(2),
        ],
        ids=["plain", "keyword", "computed", "by name", "condition", "policy"],
    )
    @pytest.mark.parametrize("data", [_at_once, _twice, _in_a_list, _apart, _some_shared, _as_it_is, _first, _skipped])
    def test_the_same_on_every_engine(self, run, data, written):
        """The value, and the calls in their order; arguments that share a part are evaluated together in a program"""
        jump = task(data)

        def seen(runner: Any) -> Any:
            calls.clear()
            value = runner(bind(jump(), {"x": written()}))
            return repr(value), sorted(calls, key=str) if data is _some_shared else list(calls)

        assert seen(run) == seen(functools.partial(run_any, engine="graph"))
        assert len(calls) > 1

    def test_one_node_is_one_call(self, run):
        """S2"""
        run(bind(task(_twice)(), {"x": show(0)}))
        assert calls == ["data", "show"]

    def test_one_list_is_one_list(self, run):
        """N4"""

        @task
        def same(a, **more):
            return a is more["z"]

        assert run(bind(task(_in_a_list)(), {"x": same(0)})) is True

    def test_a_literal_is_not_evaluated(self, run):
        """N8"""
        got = run(bind(task(_as_it_is)(), {"x": show(0)}))
        assert [type(one).__name__ for one in (got[0][0], got[1], got[2])] == ["LazyResult", "str", "LazyResult"]

    def test_they_overlap_with_what_the_route_needs(self, engine):
        """S7"""

        @task
        def jump():
            return Jump("x", {"b": wait(3, "b"), "z": wait(2, "z")})

        got = virtual(engine, bind(jump(), {"x": show(wait(3, "a"), wait(9, "never"))}))
        assert got.value == ("a", "b", "c", {"z": "z"})
        assert got.elapsed == 3

    def test_one_that_is_hidden_is_refused(self, run):
        """N5, N14"""

        class Box:
            def __init__(self, value):
                self.value = value

        @task
        def jump():
            return Jump("x", Box(note("x")))

        with pytest.raises(CompileError) as caught:
            run(bind(jump(), {"x": show(0)}))
        assert caught.value.__notes__[0].startswith(f"in task {jump.task.label}, called at ")

    def test_one_that_fails(self, run):
        @task
        def fail(x):
            raise KeyError(x)

        @task
        def jump():
            return Jump("x", {"b": note("x", fail("in the data"))})

        with pytest.raises(KeyError) as caught:
            run(bind(jump(), {"x": show(0)}))
        assert caught.value.__notes__[0].startswith(f"in task {fail.task.label}, called at ")
        assert "test_jumps.py" in caught.value.__notes__[0]

    def test_one_that_is_skipped(self, run):
        @task
        def jump():
            return Jump("x", {"b": note("x").run_if(0)})

        with pytest.raises(TargetSkipped):
            run(bind(jump(), {"x": show(0)}))


opened: list[str] = []


@resource
def desk():
    opened.append("open")
    yield "desk"
    opened.append("close")


@resource(scope="step")
def drawer():
    opened.append("open drawer")
    yield "drawer"
    opened.append("close drawer")


class TestResources:
    @pytest.fixture(autouse=True)
    def _closed(self):
        opened.clear()

    def test_a_route_that_injects(self, run):
        @task
        def step(n, at=inject("desk"), of=inject(drawer)):
            return Jump("again", n - 1) if n else Jump("end", (at, of))

        assert run(bind(step(2), {"again": step(0), "end": None})) == ("desk", "drawer")
        assert opened == ["open", *["open drawer", "close drawer"] * 3, "close"]

    def test_one_that_the_data_stands_in_for(self, run):
        """It is an argument like any other: what is overridden is not set up"""

        @task
        def use(n, at=inject("desk")):
            return n, at

        assert run(bind(give("x", {"at": "table"}), {"x": use(0)})) == (0, "table")
        assert opened == []
        assert run(bind(give("x", 1), {"x": use(0)})) == (1, "desk")
        assert opened == ["open", "close"]
        assert run(bind(give("x", {"n": 1}), {"x": use(0, at="floor")})) == (1, "floor")
        assert run(bind(give("x", {"at": "table", "n": 1}), {"x": use(0, at=inject(desk))})) == (1, "table")
        assert opened == ["open", "close"]


class TestStates:
    def test_a_loop(self, run):
        assert run(bind(count_down(4), select_jump({"again": count_down(0), "end": None}))) == 10
        assert calls == [4, 3, 2, 1, 0]

    def test_several_states(self, run):
        @task
        def open_(log, n):
            return Jump("read", {"log": [*log, "open"], "n": n})

        @task
        def read(log, n):
            return Jump("read" if n > 1 else "close", {"log": [*log, f"read {n}"], **({"n": n - 1} if n > 1 else {})})

        @task
        def close(log):
            return Jump("done", [*log, "close"])

        routes = select_jump({"read": read([], 0), "close": close([]), "done": None})
        assert run(bind(open_([], 3), routes)) == ["open", "read 3", "read 2", "read 1", "close"]

    def test_a_route_keeps_the_routes(self, run):
        """Two tasks that jump to each other; neither route is bound itself"""

        @task
        def ping(n):
            calls.append(f"ping {n}")
            return Jump("pong", n - 1) if n else Jump("end", "ping")

        @task
        def pong(n):
            calls.append(f"pong {n}")
            return Jump("ping", n - 1) if n else Jump("end", "pong")

        assert run(bind(ping(3), {"ping": ping(0), "pong": pong(0), "end": None})) == "pong"
        assert calls == ["ping 3", "pong 2", "ping 1", "pong 0"]

    def test_a_route_that_is_bound_itself(self, run):
        """It has its own routes from then on"""
        inner = bind(count_down(0), {"again": count_down(0), "end": show("inner")})
        assert run(bind(give("go", {"n": 2}), {"go": inner, "end": None})) == (3, "b", "c", {})

    def test_what_one_jump_gives_the_next_does_not_have(self, run):
        """Arguments that the data does not name are those of the route"""

        @task
        def step(n, b, c="default"):
            calls.append((b, c))
            given = {"b": "given", "c": "given"} if n == 2 else {}
            return Jump("again", {"n": n - 1, **given}) if n >= 0 else Jump("end")

        for computed in ("written", note("written")):
            calls.clear()
            run(bind(step(2, "first"), {"again": step(0, computed), "end": None}))
            assert [one for one in calls if one != "written"] == [
                ("first", "default"), ("given", "given"), ("written", "default"), ("written", "default"),
            ]  # fmt: skip

    def test_routes_that_lead_to_each_other(self, run):
        """Tables refer to each other, and one to itself; a dependency of a route is a loop, too"""

        @task
        def step(n, extra=0):
            calls.append((n, extra))
            return Jump("on", n - 1) if n > 0 else Jump("end", n)

        @task
        def other(n, extra=0):
            calls.append(("other", n))
            return Jump("back", n) if n > 0 else Jump("stop", "stop")

        loop = bind(count_down(1), {"again": count_down(0), "end": None})
        home: dict[str, Any] = {"on": step(0, loop), "end": None}
        away = select_jump({"on": bind(other(0), select_jump({"back": bind(step(0, loop), home), "stop": None})), "end": None})
        assert run(bind(step(2), away)) == 0
        assert calls == [(2, 0), ("other", 1), 1, 0, (1, 1), 1, 0, (0, 1)]

    def test_the_own_routes_alone(self, run):
        inner = bind(give("outer"), {"inner": None})
        with pytest.raises(RouteNotFound, match="inner"):
            run(bind(give("go"), {"go": inner, "outer": None}))

    def test_a_jump_table_is_reused(self, run):
        routes = select_jump({"again": count_down(0), "end": None})
        assert [run(bind(count_down(n), routes)) for n in (1, 2, 3)] == [1, 3, 6]

    def test_the_table_does_not_change_with_the_dict(self, run):
        given = {"again": count_down(0), "end": None}
        routes = select_jump(given)
        given.clear()
        assert run(bind(count_down(2), routes)) == 3

    def test_two_loops_at_once(self, engine):
        @task
        async def step(name, n):
            await asyncio.sleep(1)
            calls.append((name, n))
            return Jump("again", {"n": n - 1}) if n else Jump("end", name)

        def loop(name, n):
            return bind(step(name, n), {"again": step(name, 0), "end": None})

        got = virtual(engine, gather(loop("a", 2), loop("b", 4)))
        assert got.value == ["a", "b"]
        assert got.elapsed == 5


class TestNested:
    def test_it_ends_there(self, run):
        """The value of a nested loop goes to its consumer"""
        loop = bind(count_down(3), {"again": count_down(0), "end": None})
        assert run(show(loop, note("b"))) == (6, "b", "c", {})
        assert calls == [3, 2, 1, 0, "b", "show"]

    def test_its_end_may_be_a_call(self, run):
        loop = bind(count_down(2), {"again": count_down(0), "end": show(0, b="end")})
        assert run(note("top", loop)) == "top"
        assert run(gather(loop, 1)) == [(3, "end", "c", {}), 1]

    def test_a_loop_in_a_loop(self, run):
        @task
        def outer(n, total=0):
            if not n:
                return Jump("end", total)
            inner = bind(count_down(n), {"again": count_down(0), "end": None})
            return Jump("next", {"n": n - 1, "total": add(total, inner)})

        @task
        def add(a, b):
            return a + b

        # 3: 6, 2: 3, 1: 1
        assert run(bind(outer(3), {"next": outer(0), "end": None})) == 10

    def test_a_loop_that_is_returned_by_a_task(self, run):
        @task
        def later(n):
            return bind(count_down(n), {"again": count_down(0), "end": None})

        assert run(later(2)) == 3
        assert run(gather(later(1), later(3))) == [1, 6]

    def test_several_consumers(self, run):
        loop = bind(count_down(2), {"again": count_down(0), "end": None})
        assert run(gather(loop, show(loop))) == [3, (3, "b", "c", {})]
        assert calls == [2, 1, 0, "show"]

    def test_a_router_over_loops(self, run):
        """N28: in the target's place"""
        loop = bind(count_down(3), {"again": count_down(0), "end": None})
        other = bind(count_down(9), {"again": count_down(0), "end": None})
        assert run(Router(note("a"), {"a": loop, "b": other})) == 6
        assert calls == ["a", 3, 2, 1, 0]

    def test_run_if_on_a_loop(self, run):
        loop = bind(count_down(2), {"again": count_down(0), "end": None})
        assert run(loop.run_if(note(True))) == 3
        with pytest.raises(TargetSkipped):
            run(loop.run_if(note(False)))
        assert run(gather(loop.run_if(0, otherwise="no"), loop.run_if(1))) == ["no", 3]

    def test_a_condition_of_the_bound_call_is_not_that_of_its_routes(self, run):
        """Asked once, when the loop begins"""
        assert run(bind(count_down(2).run_if(note(True)), {"again": count_down(0), "end": None})) == 3
        assert calls == [True, 2, 1, 0]

    def test_a_condition_of_a_route(self, run):
        """Asked in each round, as a dependency is"""
        loop = bind(count_down(2), {"again": count_down(0).run_if(note(True)), "end": None})
        assert run(loop) == 3
        assert calls == [2, True, 1, True, 0]

    def test_a_route_that_is_skipped(self, run):
        with pytest.raises(TargetSkipped):
            run(bind(count_down(2), {"again": count_down(0).run_if(note(0)), "end": None}))
        assert run(bind(count_down(2), {"again": count_down(0).run_if(note(0), otherwise="stop"), "end": None})) == "stop"


class TestDependencies:
    def test_they_run_again_each_round(self, run):
        @task
        def step(n, fresh):
            calls.append(n)
            return Jump("again", n - 1) if n else Jump("end", fresh)

        assert run(bind(step(2, note("first")), {"again": step(0, note("fresh")), "end": None})) == "fresh"
        assert calls == ["first", 2, "fresh", 1, "fresh", 0]

    def test_one_that_is_overridden_does_not_run(self, run):
        """N37"""
        assert run(bind(give("x", 1), {"x": show(note("never"), note("b"))})) == (1, "b", "c", {})
        assert "never" not in calls
        calls.clear()
        assert run(bind(give("x", {"b": 2}), {"x": show(note("a"), b=note("never"))})) == ("a", 2, "c", {})
        assert "never" not in calls

    def test_one_that_is_used_elsewhere_too_does_run(self, run):
        shared = note("shared")
        assert run(bind(give("x", 1), {"x": show(shared, shared)})) == (1, "shared", "c", {})
        assert calls.count("shared") == 1

    def test_what_the_jumping_round_had_runs_anew(self, run):
        """S26: a node that stands in the first call and in a route runs in both rounds"""
        shared = note("shared")

        @task
        def step(n, x):
            return Jump("again", n - 1) if n else Jump("end", x)

        assert run(bind(step(2, shared), {"again": step(0, shared), "end": None})) == "shared"
        assert calls == ["shared"] * 3

    def test_after(self, run):
        loop = bind(count_down(1), {"again": count_down(0).after(note("before")), "end": None})
        assert run(loop) == 1
        assert calls == [1, "before", 0]

    def test_routes_do_not_run_by_themselves(self, run):
        assert run(bind(note("x"), {"again": show(note("never"))})) == "x"
        assert calls == ["x"]

    def test_async_dependencies_overlap(self, engine):
        @task
        def step(n, a, b):
            return Jump("again", n - 1) if n else Jump("end", "end")

        got = virtual(engine, bind(step(2, 0, 0), {"again": step(0, wait(1), wait(2)), "end": None}))
        assert got.value == "end"
        assert got.elapsed == 4


class TestLong:
    @pytest.mark.parametrize("is_async", [False, True])
    def test_rounds_take_no_memory(self, engine, is_async):
        rounds = 5_000 if is_async or engine == "graph" else 50_000
        blocks: list[int] = []

        def sync_step(n, rows=()):
            if n in (rounds - 500, 1):
                gc.collect()
                blocks.append(sys.getallocatedblocks())
            return Jump("again", {"n": n - 1, "rows": [n]}) if n else Jump("end", rows)

        async def async_step(n, rows=()):
            return sync_step(n, rows)

        step = task(async_step if is_async else sync_step)
        loop = bind(step(rounds), select_jump({"again": step(0), "end": None}))
        assert run_virtual(lambda: run_on(engine, loop), budget=1_000_000).value == [1]
        early, late = blocks
        assert late < early + 500

    def test_two_states_of_different_shapes(self, run):
        @task
        def a(n, *rest):
            return Jump("b", n - 1) if n > 0 else Jump("end", n)

        @task
        def b(n, *rest):
            return Jump("a", n - 1) if n > 0 else Jump("end", n)

        routes = {"a": a(0, note("x"), note("y")), "b": b(0), "end": None}
        assert run(bind(a(5_000), routes)) == 0
        assert len(calls) == 5_000

    def test_nested_loops_are_not_deep(self, run):
        """Each round of the outer loop takes the value of an inner one; no recursion"""
        @task
        def outer(n, value=0):
            inner = bind(count_down(2), {"again": count_down(0), "end": None})
            return Jump("again", {"n": n - 1, "value": inner}) if n else Jump("end", value)

        assert run(bind(outer(1_500), {"again": outer(0), "end": None})) == 3


class TestKinds:
    def test_async(self, engine):
        @task
        async def step(n):
            await asyncio.sleep(1)
            return Jump("again", n - 1) if n else Jump("end", "end")

        got = virtual(engine, bind(step(3), {"again": step(0), "end": None}))
        assert got.value == "end"
        assert got.elapsed == 4

    def test_threads(self, engine):
        @task(mode="thread")
        def step(n):
            return Jump("again", n - 1) if n else Jump("end", "end")

        assert virtual(engine, bind(step(3), {"again": step(0), "end": None})).value == "end"
        assert virtual(engine, show(bind(step(3), {"again": step(0), "end": None}))).value == ("end", "b", "c", {})

    def test_mixed(self, engine):
        @task
        async def a(n):
            await asyncio.sleep(1)
            return Jump("b", n - 1)

        @task(mode="thread")
        def b(n):
            return Jump("c", n - 1)

        @task
        def c(n):
            return Jump("a", n - 1) if n > 0 else Jump("end", n)

        got = virtual(engine, bind(a(5), {"a": a(0), "b": b(0), "c": c(0), "end": None}))
        assert got.value == 0
        assert got.elapsed == 2

    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_retried_call_that_is_bound(self, engine, is_async):
        """R9: the retry is that of the call, each round has what its route has"""
        tries = 0

        def sync_step(n):
            nonlocal tries
            tries += 1
            if tries % 2:
                raise ValueError(tries)
            calls.append(n)
            return Jump("again", n - 1) if n else Jump("end", tries)

        async def async_step(n):
            return sync_step(n)

        step = task(async_step if is_async else sync_step)
        got = virtual(engine, bind(step(2).with_retry(2, delay=1), {"again": step(0).with_retry(2, delay=1), "end": None}))
        assert got.value == 6
        assert got.elapsed == 3
        assert calls == [2, 1, 0]

    def test_a_retry_is_not_handed_to_the_routes(self, run):
        @task
        def step(n):
            calls.append(n)
            if n == 0:
                raise ValueError("zero")
            return Jump("again", n - 1)

        with pytest.raises(ValueError, match="zero"):
            run(bind(step(1).with_retry(3), {"again": step(0)}))
        assert calls == [1, 0]

    def test_bind_before_the_policies(self, run):
        tries = 0

        @task
        def step(n):
            nonlocal tries
            tries += 1
            if tries == 1:
                raise ValueError
            return Jump("end", n)

        assert run(bind(step(1), {"end": None}).with_retry(2)) == 1

    def test_a_jump_is_not_cached(self, run):
        """R11: what continues is not stored"""
        cache = MemoryCache()
        loop = bind(count_down(2).with_cache(cache), {"again": count_down(0).with_cache(cache), "end": None})
        assert run(loop) == 3
        assert run(loop) == 3
        assert calls == [2, 1, 0] * 2
        assert cache.info().size == 0

    def test_one_cache_under_two_tables(self, run):
        """R11: the jump was not stored, so the second table decides for itself"""
        cache = MemoryCache()
        first = bind(give("end", 5).with_cache(cache), {"end": None})
        second = bind(give("end", 5).with_cache(cache), {"end": show(0, "second")})
        assert run(first) == 5
        assert run(second) == (5, "second", "c", {})
        assert run(first) == 5

    def test_constraints_are_held_in_the_call_alone(self, engine):
        @task
        async def step(n):
            await asyncio.sleep(1)
            return Jump("again", n - 1) if n else Jump("end", "end")

        def loop(n):
            return bind(step(n).with_constraints(slot=1), {"again": step(0).with_constraints(slot=1), "end": None})

        got = virtual(engine, gather(loop(1), loop(1)), capacity={"slot": 1})
        assert got.value == ["end", "end"]
        assert got.elapsed == 4

    def test_a_timeout_is_of_the_attempt(self, engine):
        @task
        async def step(n):
            await asyncio.sleep(1)
            return Jump("again", n - 1) if n else Jump("end", "end")

        got = virtual(engine, bind(step(5).with_timeout(2), {"again": step(0).with_timeout(2), "end": None}))
        assert got.value == "end"
        assert got.elapsed == 6


class TestErrors:
    def test_an_unbound_jump(self, run):
        with pytest.raises(RouteNotFound, match="'somewhere'") as caught:
            run(give("somewhere"))
        (text,) = caught.value.__notes__
        assert text.startswith(f"in task {give.task.label}, called at ")

    def test_an_unbound_jump_in_a_nested_place(self, run):
        with pytest.raises(RouteNotFound) as caught:
            run(show(give("somewhere"), note("b")))
        assert caught.value.__notes__[0].startswith(f"in task {give.task.label}, called at ")

    @pytest.mark.parametrize("where", ["target", "nested"])
    def test_an_unknown_key(self, run, where):
        loop = bind(give("c"), {"a": note(1), "b": None})
        with pytest.raises(RouteNotFound) as caught:
            run(loop if where == "target" else show(loop, 1))
        assert "'a'" in str(caught.value)
        assert "'b'" in str(caught.value)
        assert "'c'" in str(caught.value)
        assert caught.value.__notes__[0].startswith(f"in task {give.task.label}, called at ")

    def test_an_unknown_key_in_a_later_round(self, run):
        @task
        def step(n):
            return Jump("again", n - 1) if n else Jump("nowhere")

        with pytest.raises(RouteNotFound, match="'again'") as caught:
            run(bind(step(2), {"again": step(0)}))
        assert caught.value.__notes__[0].startswith(f"in task {step.task.label}, called at ")
        assert "  n = 0" in caught.value.__notes__[0]

    def test_an_unknown_key_is_not_retried_as_the_task_did_not_fail(self, run):
        with pytest.raises(RouteNotFound):
            run(bind(give("c").with_retry(3), {"a": None}))
        assert calls == [("give", "c")]

    def test_a_key_that_cannot_be_hashed(self, run):
        with pytest.raises(RouteNotFound):
            run(bind(give([1]), {"a": None}))

    @pytest.mark.parametrize("kind", ["async", "thread"])
    def test_an_unknown_key_from_what_waits(self, engine, kind):
        def sync():
            return Jump("c")

        async def later():
            return Jump("c")

        step = task(later) if kind == "async" else task(mode="thread")(sync)
        got = capture_virtual(lambda: run_on(engine, gather(bind(step(), {"a": None}), wait(5))))
        assert isinstance(got.error, RouteNotFound)
        assert "'a'" in str(got.error)
        assert not got.leaks
        assert got.error.__notes__[0].startswith(f"in task {step.task.label}, called at ")

    def test_data_that_does_not_fit(self, run):
        @task
        def strict(a):
            return a

        with pytest.raises(TypeError, match="b") as caught:
            run(bind(give("x", {"b": 1}), {"x": strict(0)}))
        assert len(caught.value.__notes__) == 1

    def test_a_task_without_parameters(self, run):
        @task
        def nothing():
            return "nothing"

        assert run(bind(give("x"), {"x": nothing()})) == "nothing"
        with pytest.raises(TypeError):
            run(bind(give("x", 5), {"x": nothing()}))

    def test_keys_of_the_data_that_are_no_names(self, run):
        with pytest.raises(TypeError):
            run(bind(give("x", {1: 2}), {"x": show(0)}))

    def test_keys_that_hide_in_positional_only(self, run):
        """A positional-only parameter is a parameter by name to a jump, too"""

        @task
        def only(a, b, /):
            return a, b

        assert run(bind(give("x", {"b": 5}), {"x": only(1, 2)})) == (1, 5)
        assert run(bind(give("x", 7), {"x": only(1, 2)})) == (7, 2)

    def test_a_rest_parameter_alone(self, run):
        """The first parameter is *rest: the value is its first member, in place of what stood there"""

        @task
        def rest(*items):
            return items

        assert run(bind(give("x", 5), {"x": rest(1, 2)})) == (5, 2)

    def test_the_definition_is_checked(self):
        for wrong in ({"a": 1}, {"a": give}, {"a": "text"}, {"a": Router(1, {1: 2})}, [("a", None)]):
            with pytest.raises(TypeError):
                select_jump(wrong)
        with pytest.raises(ValueError):  # noqa: PT011
            select_jump({})
        for wrong in (give, 1, None, gather(1), note("x")[0]):
            with pytest.raises(TypeError):
                bind(wrong, {"a": None})

    def test_a_failing_round(self, run):
        @task
        def step(n):
            if n == 0:
                raise KeyError("zero")
            return Jump("again", n - 1)

        with pytest.raises(KeyError) as caught:
            run(bind(step(3), {"again": step(0)}))
        (text,) = caught.value.__notes__
        assert text.startswith(f"in task {step.task.label}, called at ")
        assert "  n = 0" in text

    def test_cancelled_at_every_moment(self, engine):
        @task
        async def step(n, x):
            await asyncio.sleep(1)
            return Jump("again", n - 1) if n else Jump("end", x)

        at = 1
        while True:
            loop = bind(step(2, wait(1, "a")), {"again": step(0, wait(2, "b")), "end": None})
            got = capture_virtual(lambda: run_on(engine, gather(loop, wait(3))), cancel_at=at)  # noqa: B023
            assert not got.leaks
            if got.iterations < at:
                break
            assert isinstance(got.error, asyncio.CancelledError)
            at += 1
        assert got.value == ["b", None]
        assert at > 5
