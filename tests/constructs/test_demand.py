"""Conditions, routers and their small words: what is demanded, in which order it runs, what is skipped (S8, S10 to S12)."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest

from cascade_compiler import (
    CompileError,
    Param,
    RouteNotFound,
    Router,
    TargetSkipped,
    arun,
    cache_info,
    gather,
    literal,
    pipeline,
    sequence,
    task,
    workflow,
)
from cascade_compiler import run as run_any
from cascade_compiler.testing import capture_virtual, run_virtual

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@task
def note(name: Any, *rest: Any, **named: Any) -> Any:
    calls.append(name)
    return name


@task
def give(value: Any, *rest: Any) -> Any:
    calls.append(("give", value))
    return value


@task
async def wait(seconds: float, value: Any = None, *rest: Any) -> Any:
    calls.append(("start", value, asyncio.get_running_loop().time()))
    await asyncio.sleep(seconds)
    calls.append(("end", value, asyncio.get_running_loop().time()))
    return value


@task
def both(*args: Any, **kwargs: Any) -> Any:
    calls.append("both")
    return (*args, *kwargs.values())


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: arun(target, engine=engine, **options))


def line() -> int:
    return sys._getframe(1).f_lineno


class Hostile:
    def __bool__(self) -> bool:
        raise ZeroDivisionError("no truth")


# --- run_if -----------------------------------------------------------------------------------------------------------


class TestConditions:
    @pytest.mark.parametrize("test", [1, True, "x", [0], {"k": 0}])
    def test_a_true_constant(self, run, test):
        """R1"""
        assert run(note("x").run_if(test)) == "x"
        assert calls == ["x"]

    @pytest.mark.parametrize("test", [0, False, "", [], {}, None, 0.0])
    def test_a_false_constant_skips(self, run, test):
        """R1, R3: what it alone needs does not run either"""
        with pytest.raises(TargetSkipped):
            run(note("x", note("part")).run_if(test))
        assert calls == []

    @pytest.mark.parametrize("test", [0, False, "", [], None])
    def test_otherwise_is_the_value(self, run, test):
        """R1"""
        other = [1]
        assert run(note("x").run_if(test, other)) is other
        assert run(note("x").run_if(test, None)) is None
        assert calls == []

    def test_otherwise_runs_only_where_it_is_taken(self, run):
        """R1"""
        assert run(note("x", note("part")).run_if(give(0), note("other"))) == "other"
        assert calls == [("give", 0), "other"]
        calls.clear()
        assert run(note("x", note("part")).run_if(give(1), note("other"))) == "x"
        assert calls == [("give", 1), "part", "x"]

    def test_the_test_is_evaluated_before_the_parts(self, run):
        """R1, R4: a condition is asked before anything that it decides on"""
        run(note("x", note("a"), note("b"), k=note("c")).after(note("before")).run_if(note("test")))
        assert calls == ["test", "a", "b", "c", "before", "x"]

    def test_the_last_added_is_asked_first(self, run):
        """R1"""
        run(note("x", note("part")).run_if(note("one")).run_if(note("two")).run_if(note("three")))
        assert calls == ["three", "two", "one", "part", "x"]

    def test_an_earlier_condition_is_not_asked_where_a_later_one_is_false(self, run):
        """R1"""
        target = note("x").run_if(note("one"), note("first")).run_if(give(0), note("second"))
        assert run(target) == "second"
        assert calls == [("give", 0), "second"]

    def test_the_innermost_otherwise(self, run):
        """R1: the second condition is true, the first is false"""
        assert run(note("x").run_if(give(0), note("first")).run_if(give(1), note("second"))) == "first"
        assert calls == [("give", 1), ("give", 0), "first"]

    @pytest.mark.parametrize(("one", "two"), [(0, 0), (0, 1), (1, 0), (1, 1)])
    @pytest.mark.parametrize("first", [False, True])
    @pytest.mark.parametrize("second", [False, True])
    def test_two_conditions_in_every_combination(self, run, one, two, first, second):
        """R1"""
        node = note("x").run_if(give(one), "first") if first else note("x").run_if(give(one))
        node = node.run_if(give(two), "second") if second else node.run_if(give(two))
        want = ("second" if second else None) if not two else ("first" if first else None) if not one else "x"
        if want is None:
            with pytest.raises(TargetSkipped):
                run(node)
        else:
            assert run(node) == want

    def test_a_test_shared_with_an_argument(self, run):
        """R1: once an activation, whoever asks"""
        test = note("test")
        assert run(both(test, note("x", test).run_if(test), test)) == ("test", "x", "test")
        assert calls == ["test", "x", "both"]

    def test_a_container_as_test(self, run):
        """R1: a list with something in it is true, whatever that is; what it holds is evaluated"""
        assert run(note("x").run_if([give(0)])) == "x"
        assert calls == [("give", 0), "x"]
        assert run(note("x").run_if({"k": give(None)}, otherwise=1)) == "x"

    def test_a_literal_as_test_is_not_scanned(self, run):
        """R1, S3"""
        assert run(note("x").run_if(literal([note("never")]))) == "x"
        assert calls == ["x"]

    def test_a_container_as_otherwise(self, run):
        """R1"""
        assert run(note("x").run_if(0, [note("a"), {"k": note("b")}])) == ["a", {"k": "b"}]
        assert calls == ["a", "b"]

    def test_an_otherwise_that_others_need_too(self, run):
        """R1: it runs once, in its place, whether it is taken or not"""
        shared = note("shared")
        for test in (0, 1):
            calls.clear()
            assert run(both(note("x").run_if(test, shared), shared)) == ("x" if test else "shared", "shared")
            assert sorted(calls) == sorted((["x"] if test else []) + ["shared", "both"])

    def test_the_same_node_as_otherwise_and_argument(self, run):
        """R1"""
        shared = note("shared")
        assert run(note("x", shared).run_if(0, shared)) == "shared"
        assert run(note("x", shared).run_if(1, shared)) == "x"
        assert calls == ["shared", "shared", "x"]

    def test_the_test_is_its_own_otherwise(self, run):
        """R1: `test or x`, written down"""
        test = give(0)
        assert run(note("x").run_if(test, test)) == 0

    def test_a_node_without_its_condition_is_another_node(self, run):
        """S1, S2"""
        plain = note("x")
        assert run(both(plain, plain.run_if(give(0), "other"))) == ("x", "other")
        assert calls.count("x") == 1

    def test_a_param_as_test(self, run):
        """R1, S20"""
        flag = Param("flag", bool)
        target = note("x").run_if(flag, "other")
        assert run(target, {"flag": True}) == "x"
        assert run(target, {"flag": False}) == "other"

    def test_a_param_with_a_condition(self, run):
        """R1"""
        target = both(Param("p", int).run_if(give(0), 7), Param("p", int))
        assert run(target, {"p": 1}) == (7, 1)

    def test_an_item_with_a_condition(self, run):
        """R1"""
        assert run(give([1, 2])[1].run_if(give(1))) == 2
        assert run(give([1, 2])[1].run_if(give(0), "other")) == "other"

    def test_a_gather_with_a_condition(self, run):
        """R1"""
        assert run(gather(note("a"), 2).run_if(give(1))) == ["a", 2]
        calls.clear()
        assert run(gather(note("a"), 2).run_if(give(0), ())) == ()
        assert calls == [("give", 0)]

    def test_a_test_that_returns_a_flow(self, run):
        """R1, S25: the value of the graph is asked"""

        @task
        def decide(x):
            return give(x)

        assert run(note("x").run_if(decide(0), "other")) == "other"
        assert run(note("x").run_if(decide(1), "other")) == "x"

    def test_a_test_without_a_truth(self, run):
        """R6"""
        here = line() + 2
        with pytest.raises(ZeroDivisionError) as caught:
            run(note("x").run_if(give(Hostile())))
        (text,) = caught.value.__notes__
        assert text.startswith(f"in condition of {note.task.label}, written at ")
        assert text.endswith(f"test_demand.py:{here}")
        assert "x" not in calls

    def test_a_constant_without_a_truth(self, run):
        """R6"""
        with pytest.raises(ZeroDivisionError):
            run(note("x").run_if(Hostile()))

    def test_a_failing_test(self, run):
        """S15"""

        @task
        def bad():
            raise ValueError("bad")

        with pytest.raises(ValueError, match="bad") as caught:
            run(both(note("x", note("part")).run_if(bad(), note("other"))))
        assert len(caught.value.__notes__) == 1
        assert calls == []

    def test_a_cycle_through_a_container_in_a_condition(self, engine):
        """A refused graph, not a hanging one"""
        box: list[Any] = []
        node = note("x").run_if(box)
        box.append(node)
        with pytest.raises(CompileError, match=r"cycle|itself"):
            run_any(node, engine=engine)

    def test_a_cycle_through_an_otherwise(self, engine):
        box: list[Any] = []
        node = note("x").run_if(1, box)
        box.append(node)
        with pytest.raises(CompileError, match=r"cycle|itself"):
            run_any(node, engine=engine)

    def test_a_wrong_call_in_an_otherwise_is_found_before_anything_runs(self, engine):
        @task
        def one(x):
            return x

        with pytest.raises(CompileError):
            run_any(note("x", note("part")).run_if(note("test"), one()), engine=engine)
        assert calls == []


class TestSkipping:
    def test_all_that_takes_it_is_skipped(self, run):
        """R3: argument, keyword, container, item, after, condition"""
        skipped = note("x").run_if(give(0))
        for target in (
            note("y", skipped), note("y", k=skipped), note("y", [1, (skipped,)]), skipped[0], note("y").after(skipped),
            note("y").run_if(skipped), note("y").run_if(skipped, "other"), gather(skipped, 1), note("y", {"k": skipped}),
            note("y").run_if([skipped]), note("y", gather(skipped)), [skipped], {"k": (1, skipped)},
        ):  # fmt: skip
            calls.clear()
            with pytest.raises(TargetSkipped) as caught:
                run(target)
            assert calls == [("give", 0)]
            assert f"the target was skipped: {note.task.label} (called at " in str(caught.value)
            assert f"runs only if {give.task.label} is true, and it was false" in str(caught.value)

    def test_otherwise_is_not_for_a_skipped_part(self, run):
        """R1, settled reading of S11"""
        skipped = note("x").run_if(0)
        with pytest.raises(TargetSkipped):
            run(note("y", skipped).run_if(1, "other"))
        with pytest.raises(TargetSkipped):
            run(note("y").run_if(skipped, "other"))
        assert calls == []

    def test_otherwise_may_be_skipped(self, run):
        """R1"""
        with pytest.raises(TargetSkipped, match=r"runs only if 'why' is|runs only if '' is"):
            run(note("y").run_if(0, note("x").run_if("")))

    def test_the_other_parts_run_all_the_same(self, run):
        """R3: all parts are demanded"""
        with pytest.raises(TargetSkipped):
            run(both(note("a"), note("x").run_if(0), note("b")).after(note("c")))
        assert calls == ["a", "b", "c"]

    def test_a_skipped_node_ends_once_all_its_parts_have(self, engine):
        """R3: what comes after it waits for the slow part"""
        slow = wait(5, "slow")
        skipped = both(note("x").run_if(0), slow)
        target = note("last").run_if(give(1)).after(skipped)
        got = capture_virtual(lambda: arun(target, engine=engine))
        assert type(got.error) is TargetSkipped
        assert got.elapsed == 5
        assert ("end", "slow", 5) in calls
        assert not got.leaks

    def test_an_unused_skip_is_no_failure(self, run):
        """R1: only what the target takes matters"""
        assert run(note("y").run_if(1, note("x").run_if(0))) == "y"

    def test_of_several_the_first_in_order_is_named(self, run):
        """R3"""

        def off(name):
            return note(name).run_if(give(0, name))

        @task
        def one(*args, **kwargs):
            return args

        first, second, third = note("a").run_if(0), note("b").run_if(""), note("c").run_if(None)
        for target, want in (
            (one(first, second), "0"), (one(second, first), "''"), (one(third, k=first), "None"),
            (one(k=second).after(first), "''"), (one(1, [2, (third, second)]), "None"), ([third, first], "None"),
            (one({"k": [second], "l": first}), "''"), (one().after(third, first), "None"),
        ):  # fmt: skip
            with pytest.raises(TargetSkipped) as caught:
                run(target)
            assert f"runs only if {want} is true" in str(caught.value)

    def test_of_several_the_first_in_order_is_named_whenever_it_arrives(self, engine):
        """R3: order of evaluation, not of arrival"""
        late, early = note("a").run_if(wait(3, 0)), note("b").run_if("")
        got = capture_virtual(lambda: arun(both(late, early), engine=engine))
        assert f"runs only if {wait.task.label} is true" in str(got.error)
        assert got.elapsed == 3

    def test_the_text_names_the_call_with_its_line(self, run):
        """R3"""
        here = line() + 1
        skipped = note("x").run_if(give(0))
        with pytest.raises(TargetSkipped) as caught:
            run(both(note("y", skipped)))
        text = str(caught.value)
        assert text.startswith(f"the target was skipped: {note.task.label} (called at ")
        assert f"test_demand.py:{here}) runs only if " in text
        assert not getattr(caught.value, "__notes__", [])

    def test_a_nested_flow_that_is_skipped(self, run):
        """R3: a failure of the task that returned it"""

        @task
        def returns():
            return note("x").run_if(give(0))

        here = line() + 2
        with pytest.raises(TargetSkipped) as caught:
            run(both(returns(), 1))
        (text,) = caught.value.__notes__
        assert text.startswith(f"in task {returns.task.label}, called at ")
        assert text.endswith(f"test_demand.py:{here}")

    def test_a_tail_flow_that_is_skipped(self, run):
        """R3: without a note"""

        @task
        def returns(n):
            return returns(n - 1) if n else note("x").run_if(give(0))

        for depth in (0, 1, 3):
            with pytest.raises(TargetSkipped) as caught:
                run(returns(depth))
            assert not getattr(caught.value, "__notes__", [])

    def test_a_nested_tail_flow_that_is_skipped(self, run):
        """R3: the note is that of the task whose value the consumer takes"""

        @task
        def inner(n):
            return inner(n - 1) if n else note("x").run_if(0)

        with pytest.raises(TargetSkipped) as caught:
            run(both(inner(3)))
        assert [text.splitlines()[0].split(",")[0] for text in caught.value.__notes__] == [f"in task {inner.task.label}"]

    def test_a_skip_does_not_pass_out_of_a_nested_flow_as_a_skip(self, run):
        """R3: it fails, though an otherwise stands outside"""

        @task
        def returns():
            return note("x").run_if(0)

        with pytest.raises(TargetSkipped):
            run(note("y").run_if(returns(), "other"))

    def test_a_node_that_two_skipped_consumers_take(self, run):
        """R3, S2"""
        slow = note("shared")
        with pytest.raises(TargetSkipped):
            run([both(slow, note("x").run_if(0)), both(slow)])
        assert calls == ["shared", "both"]

    def test_a_skip_across_a_long_chain(self, run):
        """R3: nothing recurses"""
        node = note("x").run_if(0)
        for _ in range(3_000):
            node = note("y", node)
        with pytest.raises(TargetSkipped):
            run(node)
        assert calls == []

    def test_a_long_chain_of_conditions(self, run):
        """R1: nothing recurses"""
        node = give(1)
        for _ in range(3_000):
            node = give(1).run_if(node)
        assert run(node) == 1
        assert len(calls) == 3_001

    def test_a_long_chain_of_otherwise(self, run):
        node = give(1)
        for _ in range(2_000):
            node = give(1).run_if(0, node)
        assert run(node) == 1
        assert len(calls) == 1

    def test_many_conditions_on_one_node(self, run):
        node = note("x")
        for _ in range(1_000):
            node = node.run_if(1)
        assert run(node) == "x"


class TestOverlapOfConditions:
    def test_the_parts_wait_for_the_test(self, engine):
        """R2: makespan = test, then parts"""
        got = virtual(engine, wait(1, "x", wait(2, "a"), wait(3, "b")).run_if(wait(10, "test")))
        assert got.elapsed == 14

    def test_a_part_that_others_demand_starts_earlier(self, engine):
        """R2: time it is demanded first by anybody"""
        shared = wait(10, "shared")
        got = virtual(engine, both(shared, wait(1, "x", shared).run_if(wait(10, "test"))))
        assert got.elapsed == 11

    def test_a_shared_part_demanded_first_by_a_later_place(self, engine):
        shared = wait(10, "shared")
        got = virtual(engine, both(wait(1, "x", shared).run_if(wait(10, "test")), shared))
        assert got.elapsed == 11

    def test_otherwise_starts_when_the_test_was_false(self, engine):
        assert virtual(engine, wait(1, "x").run_if(wait(10, 0), wait(5, "other"))).elapsed == 15

    def test_independent_tests_overlap(self, engine):
        got = virtual(engine, both(*(wait(1, i).run_if(wait(5, 1)) for i in range(10))))
        assert got.elapsed == 6

    def test_conditions_are_asked_one_after_the_other(self, engine):
        assert virtual(engine, wait(1, "x").run_if(wait(2, 1)).run_if(wait(3, 1))).elapsed == 6

    def test_what_is_there_already_is_started_before_sync_work(self, engine):
        """S7: async parts start before synchronous calls that stand before them"""
        run_virtual(lambda: arun(both(note("sync"), wait(1, "io").run_if(give(1))), engine=engine))
        names = [one if isinstance(one, str) else one[:2] for one in calls]
        assert names.index(("start", "io")) < names.index("both")

    def test_a_diamond_demanded_by_one_route_late_and_another_later(self, engine):
        """R2: two conditional demanders; the earlier demand counts"""
        shared = wait(4, "shared")
        a = wait(1, "a", shared).run_if(wait(3, 1))
        b = wait(1, "b", shared).run_if(wait(6, 1))
        assert virtual(engine, both(a, b)).elapsed == 8
        calls.clear()
        a = wait(1, "a", shared).run_if(wait(3, 0), "no")
        b = wait(1, "b", shared).run_if(wait(6, 1))
        assert virtual(engine, both(a, b)).elapsed == 11

    def test_cancelled_while_a_test_is_in_flight(self, engine):
        """S18"""
        seen = 0
        for at in range(1, 40):
            got = capture_virtual(
                lambda: arun(both(wait(1, "a").run_if(wait(1, 1)), wait(3, "b")).run_if(wait(2, 1)), engine=engine), cancel_at=at
            )
            assert not got.leaks
            if got.error is None:
                break
            assert isinstance(got.error, asyncio.CancelledError)
            seen += 1
        assert seen > 2


# --- Router -----------------------------------------------------------------------------------------------------------


class TestRouter:
    def test_only_the_chosen_route_runs(self, run):
        """R1"""
        for key in "ab":
            calls.clear()
            target = Router(note(key), {"a": note("A", note("pa")), "b": note("B", note("pb"))}, default=note("D"))
            assert run(target) == key.upper()
            assert calls == [key, "p" + key, key.upper()]
        calls.clear()
        assert run(Router(note("z"), {"a": note("A")}, default=note("D"))) == "D"
        assert calls == ["z", "D"]

    def test_routes_may_be_values_and_containers(self, run):
        """R1"""
        row = [1]
        routes = {"v": row, "n": None, "c": [note("x"), (2, note("y"))], "l": literal([note("never")])}
        assert run(Router("v", routes)) is row
        assert run(Router("n", routes)) is None
        assert run(Router("c", routes)) == ["x", (2, "y")]
        assert type(run(Router("l", routes))[0]).__name__ == "LazyResult"
        assert calls == ["x", "y"]

    def test_a_selector_of_a_container(self, run):
        """R1: a tuple of values is a key"""
        assert run(Router((note(1), note("b")), {(1, "b"): note("hit")})) == "hit"

    def test_keys_find_as_a_dict_finds(self, run):
        """R1: 1, 1.0 and True are one key"""
        for key in (1, 1.0, True):
            assert run(Router(give(key), {1: "one", 2: "two"})) == "one"
        assert run(Router(give(0.0), {False: "no"})) == "no"
        assert run(Router(give("1"), {1: "one"}, default="other")) == "other"
        assert run(Router(None, {None: "none"})) == "none"

    def test_what_cannot_be_hashed_takes_the_default(self, run):
        """R1"""
        assert run(Router(give([1]), {1: "one"}, default="other")) == "other"
        with pytest.raises(RouteNotFound, match=r"there is no route for \[1\]: the routes are 1, 'b'"):
            run(Router(give([1]), {1: "one", "b": 2}))

    def test_no_route(self, run):
        """R6"""
        here = line() + 2
        with pytest.raises(RouteNotFound) as caught:
            run(both(note("before"), Router(note("z"), {"a": note("A"), 7: note("B")})))
        assert str(caught.value) == "there is no route for 'z': the routes are 'a', 7"
        (text,) = caught.value.__notes__
        assert text.startswith("in router, written at ")
        assert text.endswith(f"test_demand.py:{here}")
        assert calls == ["before", "z"]

    def test_one_node_for_several_keys(self, run):
        """R1"""
        shared = note("shared")
        for key in "abc":
            calls.clear()
            assert run(Router(key, {"a": shared, "b": shared, "c": note("C")}, default=shared)) == (
                "C" if key == "c" else "shared"
            )
            assert len(calls) == 1

    def test_a_part_that_two_routes_share(self, run):
        """R1: demanded by the chosen one, once"""
        shared = note("shared")
        for key in "ab":
            calls.clear()
            run(Router(give(key), {"a": note("A", shared), "b": note("B", shared)}))
            assert calls == [("give", key), "shared", key.upper()]

    def test_the_selector_is_a_route(self, run):
        """R1"""
        selector = note("a")
        assert run(Router(selector, {"a": selector})) == "a"
        assert calls == ["a"]

    def test_two_routers_share_a_route(self, run):
        """R1: once an activation, whoever asks"""
        shared = note("shared")
        target = both(
            Router(give("a"), {"a": shared, "b": 1}), Router(give("b"), {"a": 2, "b": shared}), Router("c", {"c": 3, "d": shared})
        )
        assert run(target) == ("shared", "shared", 3)
        assert calls.count("shared") == 1

    def test_a_route_that_something_else_demands(self, run):
        """R1"""
        shared = note("shared")
        assert run(both(shared, Router("b", {"a": shared, "b": note("B")}))) == ("shared", "B")
        assert run(both(Router("a", {"a": shared, "b": note("B")}), shared)) == ("shared", "shared")
        assert calls == ["shared", "B", "both", "shared", "both"]

    def test_routers_in_routers(self, run):
        """R1"""

        def target(one, two):
            inner = Router(note(two), {"x": note("ax"), "y": note("ay")})
            return Router(note(one), {"a": inner, "b": note("b", inner)}, default=inner)

        assert run(target("a", "y")) == "ay"
        assert calls == ["a", "y", "ay"]
        calls.clear()
        assert run(target("b", "x")) == "b"
        assert calls == ["b", "x", "ax", "b"]
        assert run(target("?", "x")) == "ax"

    def test_a_skipped_selector(self, run):
        """R3: the default is not taken"""
        with pytest.raises(TargetSkipped):
            run(Router(note("a").run_if(0), {"a": note("A")}, default=note("D")))
        assert calls == []

    def test_a_skipped_route(self, run):
        """R3"""
        with pytest.raises(TargetSkipped):
            run(Router("a", {"a": note("A").run_if(0), "b": 1}, default=2))
        assert run(Router("b", {"a": note("A").run_if(0), "b": 1})) == 1

    def test_a_router_with_a_condition(self, run):
        """R1: its selector is demanded only after the test"""
        target = Router(note("a"), {"a": note("A")})
        assert run(target.run_if(note("test"))) == "A"
        assert calls == ["test", "a", "A"]
        calls.clear()
        assert run(target.run_if(give(0), note("other"))) == "other"
        assert calls == [("give", 0), "other"]
        with pytest.raises(TargetSkipped, match=r"router \(called at"):
            run(target.run_if(0))

    def test_a_router_after_something(self, run):
        """S8"""
        run(Router(note("a"), {"a": note("A")}).after(note("before")))
        assert calls.index("before") < calls.index("A")

    def test_a_router_after_what_is_skipped(self, run):
        """R3"""
        with pytest.raises(TargetSkipped):
            run(Router(note("a"), {"a": note("A")}).after(note("before").run_if(0)))

    def test_something_after_a_router(self, run):
        """S8: after the route that was chosen"""
        run(note("last").after(Router(give("b"), {"a": note("A"), "b": note("B")})))
        assert calls == [("give", "b"), "B", "last"]

    def test_an_item_of_a_router(self, run):
        assert run(Router(give("a"), {"a": give([5, 6]), "b": 1})[1]) == 6

    def test_a_route_that_returns_a_flow(self, run):
        """R5: in the target's place, and elsewhere"""

        @task
        def down(n):
            return down(n - 1) if n else note("end")

        assert run(Router("a", {"a": down(5), "b": 1})) == "end"
        assert run(both(Router("a", {"a": down(5), "b": 1}), down(2).run_if(1))) == ("end", "end")

    def test_a_route_in_target_place_that_is_needed_elsewhere_too(self, run):
        """R5: a nested result then"""

        @task
        def down(n):
            return down(n - 1) if n else note("end")

        shared = down(4)
        assert run(Router(note("a"), {"a": shared, "b": both(shared)})) == "end"
        assert run(Router(note("b"), {"a": shared, "b": both(shared)})) == ("end",)
        assert run(Router(shared, {"end": shared})) == "end"

    def test_a_key_by_its_own_hash(self, run):
        """R1: dict semantics, `__eq__` and `__hash__`"""

        class Key:
            def __init__(self, name):
                self.name = name

            def __hash__(self):
                return hash(self.name)

            def __eq__(self, other):
                return self.name == (other.name if isinstance(other, Key) else other)

        assert run(Router(Key("a"), {"a": 1, "b": 2})) == 1
        assert run(Router("b", {Key("a"): 1, Key("b"): 2})) == 2

    def test_many_routes(self, run):
        routes = {key: note(key) for key in range(500)}
        assert run(Router(give(321), routes)) == 321
        assert calls == [("give", 321), 321]

    def test_a_router_of_the_flow_is_unaffected_by_a_later_change_of_the_dict(self, run):
        """S1: nodes are immutable"""
        routes = {"a": note("A")}
        target = Router("a", routes)
        routes["a"] = note("changed")
        del routes["a"]
        assert run(target) == "A"

    def test_routes_overlap_what_waits_elsewhere(self, engine):
        """R2"""
        got = virtual(engine, both(Router(wait(2, "a"), {"a": wait(3, "A"), "b": wait(100, "B")}), wait(5, "x")))
        assert got.elapsed == 5

    def test_a_shared_route_starts_when_it_is_demanded_first(self, engine):
        """R2"""
        shared = wait(5, "shared")
        target = both(Router(wait(2, "a"), {"a": shared}), Router(wait(4, "a"), {"a": wait(1, "x", shared), "b": 1}))
        assert virtual(engine, target).elapsed == 8


class TestPositions:
    def test_synchronous_calls_of_routes_stand_where_the_walk_comes_to_them(self, run):
        """R4: the second argument's parts are ready, and stand behind the first argument's route"""
        target = both(Router(note("s"), {"s": note("r", note("p")), "t": note("T")}), note("later"))
        run(target)
        assert calls == ["s", "p", "r", "later", "both"]

    def test_otherwise_stands_behind_the_call(self, run):
        """R4: an otherwise that two nodes share has the place of its first visit"""
        shared = note("shared")
        run(both(note("x").run_if(note("t"), shared), note("y"), shared))
        # positions: t, x, shared, y
        assert calls == ["t", "x", "shared", "y", "both"]

    def test_positions_do_not_depend_on_what_is_chosen(self, run):
        """R4: `late` is first visited in the route that is not chosen, which stands before `mid`"""
        late = note("late")
        run(both(Router(note("b"), {"a": note("A", late), "b": note("B")}), note("mid"), late))
        assert calls == ["b", "late", "B", "mid", "both"]

    def test_the_walk_goes_into_conditions_first(self, run):
        """R4: test of the last-added, earlier tests, args, keywords, after, call, otherwise innermost first"""
        other1, other2 = note("o1"), note("o2")
        node = note("x", note("arg"), k=note("kw")).after(note("aft")).run_if(note("t1"), other1).run_if(note("t2"), other2)
        run(both(node, other2, other1))
        assert calls == ["t2", "t1", "arg", "kw", "aft", "x", "o1", "o2", "both"]

    def test_the_same_with_the_targets_in_a_list(self, run):
        other1, other2 = note("o1"), note("o2")
        node = note("x").run_if(note("t1"), other1).run_if(note("t2"), other2)
        run([other2, node, other1])
        assert calls == ["o2", "t2", "t1", "x", "o1"]

    def test_two_conditional_nodes_in_turn(self, run):
        """R4: each test is followed by what it decides on, before the next argument's test"""
        run(both(note("x", note("a")).run_if(note("t")), note("y", note("b")).run_if(note("u"))))
        assert calls == ["t", "a", "x", "u", "b", "y", "both"]


# --- sequence and pipeline --------------------------------------------------------------------------------------------


class TestSequence:
    def test_in_order(self, run):
        """S8"""
        assert run(sequence([note("a"), note("b"), note("c")])) == "c"
        assert calls == ["a", "b", "c"]

    def test_one_step(self, run):
        assert run(sequence([note("a")])) == "a"

    def test_of_a_generator(self, run):
        assert run(sequence(note(i) for i in range(5))) == 4
        assert calls == [0, 1, 2, 3, 4]

    def test_one_after_the_other_in_time(self, engine):
        assert virtual(engine, sequence([wait(1, i) for i in range(5)])).elapsed == 5

    def test_a_skipped_step_does_not_keep_the_earlier_ones_from_running(self, run):
        """S11, settled"""
        with pytest.raises(TargetSkipped):
            run(sequence([note("a"), note("b").run_if(0), note("c")]))
        assert calls == ["a"]

    def test_two_steps_with_conditions(self, run):
        """S11: b is skipped, so c is, so d is; a runs"""
        with pytest.raises(TargetSkipped):
            run(sequence([note("a"), note("b").run_if(0), note("c").run_if(1), note("d")]))
        assert calls == ["a"]
        calls.clear()
        assert run(sequence([note("a"), note("b").run_if(1), note("c").run_if(0, 5), note("d")])) == "d"
        assert calls == ["a", "b", "d"]

    def test_the_last_step_has_a_false_condition(self, run):
        """N42: its test comes in its turn, when the others have run"""
        with pytest.raises(TargetSkipped, match="note is true"):
            run(sequence([note("a"), note("b"), note("c").run_if(note(0))]))
        assert calls == ["a", "b", 0]

    def test_a_router_as_step(self, run):
        """N42: its selector, and what that needs, is part of its turn; no other route runs"""
        routes = {"k": note("route", note("part")), "other": note("no")}
        assert run(sequence([note("a"), Router(note("k", note("below")), routes), note("c")])) == "c"
        assert calls == ["a", "below", "k", "part", "route", "c"]

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_router_at_each_place(self, run, place):
        steps = [note("a"), note("b")]
        steps.insert(place, Router(note("k"), {"k": note("route")}))
        assert run(sequence(steps)) == ["b", "b", "route"][place]
        assert calls == [["k", "route", "a", "b"], ["a", "k", "route", "b"], ["a", "b", "k", "route"]][place]

    def test_conditions_are_asked_in_turn(self, run):
        steps = [note("a"), note("b").run_if(note("t")).run_if(note("first")), note("c").run_if(note(0), otherwise=note("else")), note("d")]
        assert run(sequence(steps)) == "d"
        assert calls == ["a", "first", "t", "b", 0, "else", "d"]

    @pytest.mark.parametrize("selects", [False, True])
    def test_what_a_later_step_asks_waits_for_the_steps_before(self, engine, selects):
        """N42: it would start at once, were it an argument"""
        asked = wait(2, "k")
        step = Router(asked, {"k": wait(3, "end")}) if selects else wait(3, "end").run_if(asked)
        got = virtual(engine, sequence([wait(1, "a"), step]))
        assert got.value == "end"
        assert got.elapsed == 6

    def test_what_others_need_too_is_not_held_up(self, engine):
        """N42: only what the step alone needs; and it runs once"""
        shared = wait(2, "k")
        got = virtual(engine, gather(shared, sequence([wait(1, "a"), Router(shared, {"k": wait(3, shared)})])))
        assert got.value == ["k", "k"]
        assert got.elapsed == 5

    def test_a_skipped_router_step(self, run):
        with pytest.raises(TargetSkipped):
            run(sequence([note("a"), Router(note("k"), {"k": note("b").run_if(note(0))}), note("c")]))
        assert calls == ["a", "k", 0]

    def test_a_loop_of_sequences_is_a_loop(self, run):
        """N28: the last step is in the target's place, a router too"""

        @task
        def loop(n):
            return sequence([note("turn"), Router(bool(n), {True: loop(n - 1), False: note("end")})]) if n else "end"

        assert run(loop(3_000)) == "end"
        assert len(calls) == 3_000

    @pytest.mark.parametrize("asks", [False, True])
    def test_sequences_in_sequences(self, run, asks):
        last = Router(note("k"), {"k": note("c")}) if asks else note("c")
        assert run(sequence([note("a"), sequence([note("b"), last]), note("d")])) == "d"
        assert calls == ["a", "b", *["k"] * asks, "c", "d"]

    def test_a_thousand_steps_that_ask(self, run):
        assert run(sequence(note(i).run_if(1) for i in range(1_000))) == 999
        assert calls == list(range(1_000))

    def test_the_parts_of_a_step_may_run_before(self, run):
        """`after` orders the call, not its arguments"""
        run(sequence([note("a"), note("b", note("part"))]))
        assert calls.index("a") < calls.index("b")

    def test_a_thousand_steps(self, run):
        assert run(sequence(note(i) for i in range(1_000))) == 999
        assert calls == list(range(1_000))


class TestPipeline:
    def test_each_takes_the_value_before(self, run):
        @task
        def add(x):
            return x + 1

        assert run(pipeline(1, [add, add, add])) == 4

    def test_of_nothing(self):
        assert pipeline(5, []) == 5

    def test_of_a_lazy_start_and_a_workflow(self, run):
        @task
        def add(x):
            return x + 1

        @workflow
        def flow(y):
            return add(add(y))

        assert run(pipeline(give(1), [add])) == 2
        assert type(pipeline(give(1), [add])).__name__ == "LazyResult"

    def test_a_lambda_as_step(self, run):
        @task
        def add(x, y=1):
            return x + y

        assert run(pipeline(1, [add, lambda value: add(value, y=10)])) == 12

    def test_notes_name_the_line_of_the_pipeline(self, run):
        @task
        def bad(x):
            raise ValueError("bad")

        here = line() + 2
        with pytest.raises(ValueError, match="bad") as caught:
            run(pipeline(1, [give, bad]))
        assert f"test_demand.py:{here}" in caught.value.__notes__[0]


# --- loops ------------------------------------------------------------------------------------------------------------


def depth_of_frames() -> int:
    from cascade_vm.frame import Frame

    return max((one.depth for one in gc.get_objects() if type(one) is Frame), default=-1)


def flat(loop: Any, rounds: int = 20_000) -> None:
    """Runs ``loop(n, probe)``: memory must not grow from the middle to the end."""
    blocks: dict[int, int] = {}

    def probe(n: int) -> None:
        if n in (rounds // 2, 1):
            gc.collect()
            blocks[n] = sys.getallocatedblocks()

    run_any(loop(rounds, probe), engine="interpreter")
    assert blocks[1] - blocks[rounds // 2] < 1_000


class TestLoops:
    def test_the_target_is_a_router(self):
        """R5"""

        @task
        def loop(n, probe):
            probe(n)
            return Router(n > 0, {True: loop(n - 1, probe), False: literal("end")})

        flat(loop)

    def test_the_target_has_a_condition(self):
        """R5"""

        @task
        def loop(n, probe):
            probe(n)
            return loop(n - 1, probe).run_if(n > 0, "end")

        flat(loop)

    def test_the_otherwise_goes_on(self):
        """R5"""

        @task
        def loop(n, probe):
            probe(n)
            return give("end").run_if(n == 0, loop(n - 1, probe))

        flat(loop, 5_000)

    def test_a_router_under_a_condition_in_a_router(self):
        """R5"""

        @task
        def nothing(n):
            return n

        @task
        def loop(n, probe):
            probe(n)
            inner = Router(nothing(n > 0), {True: loop(n - 1, probe)}, default="end").run_if(nothing(1), "never")
            return Router(nothing(n % 3), {0: inner, 1: loop(n - 1, probe)}, default=inner)

        flat(loop)

    def test_a_condition_that_waits(self):
        """R5"""

        @task
        async def ready(x):
            await asyncio.sleep(0)
            return x

        @task
        def loop(n, probe):
            probe(n)
            return loop(n - 1, probe).run_if(ready(n > 0), ready("end"))

        flat(loop, 4_000)

    def test_no_frames_pile_up(self):
        """R5"""
        deepest = []

        @task
        def loop(n):
            if n == 0:
                deepest.append(depth_of_frames())
            return Router(give(n > 0), {True: loop(n - 1), False: give("end")}).run_if(give(True))

        assert run_any(loop(500), engine="interpreter") == "end"
        assert deepest[0] <= 0

    def test_a_loop_compiles_its_shape_once(self):
        """S28: literal changes only"""

        @task
        def loop(n):
            return Router(n > 0, {True: loop(n - 1), False: "end"}) if n % 2 else loop(n - 1).run_if(n > 0, "end")

        assert run_any(loop(4), engine="interpreter") == "end"
        before = cache_info().compiles
        assert run_any(loop(1_001), engine="interpreter") == "end"
        assert cache_info().compiles - before <= 1

    def test_a_used_route_nests(self, run):
        """R5: the chosen route is used elsewhere: nested, and right"""

        @task
        def loop(n, total):
            if n == 0:
                return total
            again = loop(n - 1, total + 1)
            return Router(1, {1: again, 2: both(again)})

        assert run(loop(200, 0)) == 200
