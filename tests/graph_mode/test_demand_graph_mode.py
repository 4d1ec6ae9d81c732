"""What runs and what does not: conditions, routers, and what is skipped (S10 to S12); in which order (S6), and when (S7).

``go`` is the one place that says which engine runs a graph.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest

from cascade_compiler import graph_mode
from cascade_compiler.combining import sequence
from cascade_compiler.inputs import Param, gather
from cascade_compiler.node_kinds import literal
from cascade_compiler.routing import Router
from cascade_compiler.task import task
from cascade_compiler.testing import run_virtual
from cascade_vm.errors import CompileError, EventLoopRunning, InputError, RouteNotFound, TargetSkipped
from cascade_vm.notes import add_note

HERE = "test_demand_graph_mode.py"


def go(target: Any, params: Any = None, **options: Any) -> Any:
    """The value of ``target``, without an event loop where it needs none."""
    return graph_mode.run(target, params, **options)


def timed(target: Any, params: Any = None, **options: Any) -> Any:
    """The run in virtual time: ``value``, ``elapsed`` seconds."""
    return run_virtual(lambda: graph_mode.arun(target, params, **options))


class Log(list):
    """Tasks that write down what happened, in order."""

    def sync(self, name, value=None):
        @task(name=name)
        def step(*_, **__):
            self.append(name)
            return name if value is None else value[0]

        return step

    def io(self, name, seconds=1.0, value=None):
        @task(name=name)
        async def step(*_, **__):
            self.append(f"+{name}")
            await asyncio.sleep(seconds)
            self.append(f"-{name}")
            return name if value is None else value[0]

        return step


@pytest.fixture
def log():
    return Log()


@task
def same(x):
    return x


@task
def add(x, y):
    return x + y


@task
async def wait(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


def notes_of(failure):
    return getattr(failure, "__notes__", [])


# --- run_if -----------------------------------------------------------------------------------------------------------


class TestConditions:
    @pytest.mark.parametrize("true", [True, 1, "x", [0]])
    def test_a_true_condition_lets_the_call_run(self, true, log):
        assert go(log.sync("a")(log.sync("b")()).run_if(same(true))) == "a"
        assert log == ["b", "a"]

    @pytest.mark.parametrize("false", [False, 0, "", [], None])
    def test_a_false_one_leaves_undone_what_the_call_alone_needs(self, false, log):
        shared = log.sync("shared")()
        call = log.sync("a")(log.sync("alone")(), shared).run_if(same(false), otherwise=0)
        assert go([call, shared]) == [0, "shared"]
        assert log == ["shared"]

    def test_the_test_runs_before_the_arguments(self, log):
        go(log.sync("call")(log.sync("argument")()).run_if(log.sync("test")()))
        assert log == ["test", "argument", "call"]

    def test_of_several_the_last_added_is_asked_first(self, log):
        call = log.sync("call")(log.sync("argument")())
        go(call.run_if(log.sync("first")()).run_if(log.sync("second")()))
        assert log == ["second", "first", "argument", "call"]
        log.clear()
        assert go(call.run_if(log.sync("first")(), otherwise=1).run_if(log.sync("second", [0])(), otherwise=2)) == 2
        assert log == ["second"]
        log.clear()
        assert go(call.run_if(log.sync("first", [0])(), otherwise=1).run_if(log.sync("second")(), otherwise=2)) == 1
        assert log == ["second", "first"]

    def test_otherwise_is_evaluated_only_then(self, log):
        for true in (True, False):
            log.clear()
            go(log.sync("call")().run_if(same(true), otherwise=log.sync("other")(log.sync("below")())))
            assert log == (["call"] if true else ["below", "other"])

    def test_plain_values_containers_and_literals_as_tests_and_alternatives(self, log):
        assert go(same(1).run_if(True)) == 1
        assert go(same(1).run_if([], otherwise=2)) == 2
        assert go(same(1).run_if(literal([same]))) == 1
        assert go(same(1).run_if([same(0)])) == 1
        assert go(same(1).run_if(0, otherwise=[same(2), {"k": same(3)}])) == [2, {"k": 3}]
        inner = same(2)
        assert go(same(1).run_if(0, otherwise=literal([inner])))[0] is inner
        assert go([same(1).run_if(0, otherwise=None)]) == [None]

    def test_conditions_on_items_gathers_and_inputs(self):
        assert go(same([1, 2])[0].run_if(same(0), otherwise="none")) == "none"
        assert go(same([1, 2])[0].run_if(same(1))) == 1
        assert go(gather(same(1)).run_if(same(0), otherwise="none")) == "none"
        assert go([Param("x", int).run_if(same(1)), Param("y", int).run_if(same(0), otherwise=7)], {"x": "1", "y": 2}) == [1, 7]

    def test_one_node_that_is_asked_for_twice_is_asked_once(self, log):
        node = log.sync("call")().run_if(log.sync("test")())
        assert go([node, same(node), node]) == ["call", "call", "call"]
        assert log == ["test", "call"]

    def test_a_condition_that_the_call_takes_too(self, log):
        test = log.sync("test")()
        assert go(add(test, "!").run_if(test)) == "test!"
        assert log == ["test"]

    def test_no_loop_is_made(self, monkeypatch):
        monkeypatch.setattr(asyncio, "run", None)
        assert go(add(same(1).run_if(same(1)), Router(same("a"), {"a": same(2), "b": wait(1)}))) == 3
        assert go(wait(1).run_if(same(0), otherwise=5)) == 5

    def test_a_test_whose_truth_cannot_be_told(self):
        class Odd:
            def __bool__(self):
                raise ArithmeticError("odd")

        call = same(1).run_if(literal(Odd()))
        with pytest.raises(ArithmeticError) as caught:
            go([call])
        (note,) = notes_of(caught.value)
        assert note.startswith(f"in condition of {__name__}.same, written at ")
        assert f"{HERE}:" in note


class TestSkipping:
    def test_a_skipped_target(self, log):
        call = same(1).run_if(log.sync("ready", [0])())
        for target, also in ((call, []), ([log.sync("a")(), call], ["a"]), (same(call), []), (same(2).after(call), [])):
            log.clear()
            with pytest.raises(TargetSkipped) as caught:
                go(target)
            text = str(caught.value)
            assert text.startswith(f"the target was skipped: {__name__}.same (called at ")
            assert f"{HERE}:" in text
            assert text.endswith(f") runs only if {__name__}.ready is true, and it was false")
            assert notes_of(caught.value) == []
            assert log == [*also, "ready"]

    def test_a_test_that_is_a_value_is_shown(self):
        with pytest.raises(TargetSkipped, match=r"runs only if \[\] is true"):
            go(same(1).run_if([]))

    @pytest.mark.parametrize(
        "take",
        [
            lambda x: same(x),
            lambda x: same([x]),
            lambda x: same(1).after(x),
            lambda x: x[0],
            lambda x: gather(1, x),
            lambda x: {"k": (x,)},
            lambda x: same.map([1, x]),
            lambda x: same.map(x),
            lambda x: same(1).run_if(x),
            lambda x: same(1).run_if(x, otherwise=2),
            lambda x: same(1).run_if(True).run_if([x], otherwise=2),
            lambda x: Router(x, {1: 2}, default=3),
            lambda x: Router(1, {1: x}),
            lambda x: Router(2, {1: 1}, default=x),
            lambda x: same(1).run_if(0, otherwise=x),
            lambda x: wait(1, x),
            lambda x: same(x).with_retry(3, delay=1),
            lambda x: same(1).with_constraints(gpu=x),
        ],
    )
    def test_what_takes_it_is_skipped_too(self, take):
        with pytest.raises(TargetSkipped):
            go(add(take(same([1]).run_if(0)), 1), capacity={"gpu": 1})

    def test_otherwise_does_not_answer_a_skipped_part(self):
        with pytest.raises(TargetSkipped):
            go(same(same(1).run_if(0)).run_if(True, otherwise=2))

    def test_the_other_parts_run_all_the_same(self, log):
        a, b = log.sync("a"), log.sync("b")
        with pytest.raises(TargetSkipped):
            go(same(log.sync("x")(a(), a().run_if(0), b())))
        assert log == ["a", "b"]

    def test_it_is_skipped_only_when_all_parts_have_ended(self, log):
        with pytest.raises(TargetSkipped):
            timed([same(1).run_if(0), log.io("slow", 5)()])
        assert log == ["+slow", "-slow"]

    def test_the_first_in_order_of_evaluation_is_the_one_that_is_told(self):
        @task(name="late")
        def late():
            return 0

        @task
        def take(*args, **kwargs): ...

        first, second, third = (same(1).run_if(test) for test in (wait(3, 0), late(), 0))
        for call, name in (
            (take(first, second, third), "wait"),
            (take(second, first), "late"),
            (take(k=second).after(third), "late"),
            (take(k=first, j=second).after(third), "wait"),
        ):
            with pytest.raises(TargetSkipped, match=rf"{name} is true"):
                timed(call)

    def test_sequence(self, log):
        steps = [log.sync("a")(), log.sync("b")().run_if(0), log.sync("c")()]
        with pytest.raises(TargetSkipped):
            go(sequence(steps))
        assert log == ["a"]

    def test_in_the_place_of_the_target_it_has_no_note(self):
        @task
        def inner():
            return same(1).run_if(same(0))

        for target, notes in (
            (inner(), 0),
            (Router(0, {0: inner()}), 0),
            (inner().run_if(1), 0),
            (same(2).run_if(0, otherwise=inner()), 0),
            (same(1).run_if(inner()), 1),
            ([inner()], 1),
        ):
            with pytest.raises(TargetSkipped) as caught:
                go(target)
            assert len(notes_of(caught.value)) == notes

    def test_a_skipped_graph_that_a_task_returned(self):
        """N14"""

        @task
        def inner(_):
            return middle()

        @task
        def middle():
            return same(1).run_if(same(0))

        with pytest.raises(TargetSkipped, match=r"same \(called at ") as caught:
            go(add(inner(1), 1))
        (note,) = notes_of(caught.value)
        assert note.startswith("in task ")
        assert ".inner, called at " in note
        with pytest.raises(TargetSkipped) as caught:
            go(inner(1))
        assert notes_of(caught.value) == []


# --- routers ----------------------------------------------------------------------------------------------------------


class TestRouters:
    def test_only_the_chosen_route_runs(self, log):
        def make(key):
            return Router(
                log.sync("selector", [key])(),
                {"a": log.sync("a")(log.sync("below a")()), 2: log.sync("b")(), None: "plain"},
                default=log.sync("default")(),
            )

        for key, order in (
            ("a", ["below a", "a"]),
            (2, ["b"]),
            (2.0, ["b"]),
            (None, []),
            ("c", ["default"]),
            ([1], ["default"]),
        ):
            log.clear()
            assert go(same(make(key))) == (order[-1] if order else "plain")
            assert log == ["selector", *order]

    def test_no_route(self):
        for key in ("c", [1], float("nan")):
            with pytest.raises(RouteNotFound) as caught:
                go(same(Router(same(key), [("a", 1), (("b", 2), 2)])))
            assert str(caught.value) == f"there is no route for {key!r}: the routes are 'a', ('b', 2)"
            (note,) = notes_of(caught.value)
            assert note.startswith("in router, written at ")
            assert f"{HERE}:" in note

    def test_what_routes_share_runs_once(self, log):
        shared = log.sync("shared")()
        both = Router(same("a"), {"a": log.sync("a")(shared), "b": log.sync("b")(shared)})
        assert go([both, Router(same("b"), {"a": 1, "b": [shared, both]}), both]) == ["a", ["shared", "a"], "a"]
        assert log == ["shared", "a"]

    def test_one_route_for_two_keys(self, log):
        route = log.sync("a")()
        assert go(Router(same(1), {0: route, 1: route})) == "a"
        assert go([Router(same(1), {0: route, 1: route}), route]) == ["a", "a"]
        assert log == ["a", "a"]

    def test_routers_in_routers(self, log):
        inner = Router(same("x"), {"x": log.sync("x")(), "y": log.sync("y")()})
        assert go(Router(same(1), {0: log.sync("0")(), 1: inner})) == "x"
        assert go(Router(inner, {"x": Router(same(0), [(0, log.sync("z")())])})) == "z"
        assert log == ["x", "x", "z"]

    def test_a_router_under_a_condition_and_after(self, log):
        router = Router(log.sync("s", ["a"])(), {"a": log.sync("a")()})
        assert go(router.run_if(log.sync("t", [0])(), otherwise=3)) == 3
        assert log == ["t"]
        log.clear()
        assert go(router.after(log.sync("before")()).run_if(log.sync("t")())) == "a"
        assert log == ["t", "s", "before", "a"]

    def test_literals_and_inputs_as_routes(self):
        lazy = same(1)
        assert go(Router(1, {1: literal(lazy)})) is lazy
        assert go([Router(Param("k"), {"x": Param("v", int)})], {"k": "x", "v": "3"}) == [3]
        with pytest.raises(InputError):  # before anything runs, chosen or not
            go(Router(2, {1: Param("v", int), 2: 2}))

    def test_what_is_wrong_in_a_route_that_is_not_chosen(self, log):
        with pytest.raises(CompileError):
            go([log.sync("a")(), Router(2, {1: add(1), 2: 2})])
        hole: list[Any] = []
        router = Router(2, {1: same(hole), 2: 2})
        hole.append(router)
        with pytest.raises(CompileError, match="cycle"):
            go(router)
        assert log == []


# --- order and time ---------------------------------------------------------------------------------------------------


class TestOrder:
    def test_positions_are_those_of_the_whole_graph(self, log):
        """Of two that are ready the one that is written first runs first, though it was chosen later"""
        s = log.sync
        gate = log.io("gate")()
        shared = s("shared")(gate)
        never = s("never")(shared).run_if(s("no", [0])(), otherwise=0)
        timed([never, s("x")(gate), s("late")(shared).run_if(s("yes")(gate))])
        assert log == ["+gate", "no", "-gate", "x", "yes", "shared", "late"]

    def test_a_call_stands_before_its_alternative(self, log):
        s = log.sync
        gate = log.io("gate")()
        other = s("other")(gate)
        timed([s("call")(gate).run_if(s("test")(), otherwise=other), other])
        assert log == ["+gate", "test", "-gate", "call", "other"]

    def test_amounts_stand_before_arguments(self, log):
        s = log.sync
        call = s("call")(s("argument")()).with_constraints(gpu=s("amount", [1])()).after(s("before")())
        timed(call, capacity={"gpu": 1})
        assert log == ["amount", "argument", "before", "call"]

    def test_what_waits_in_a_branch_starts_as_soon_as_that_is_chosen(self, log):
        s = log.sync
        timed([s("a")(), s("b")(), log.io("io")(s("x")()).run_if(s("t")())])
        assert log == ["a", "b", "t", "x", "+io", "-io"]
        log.clear()
        timed([s("a")(), log.io("io")().run_if(literal(1)), Router(literal(1), {1: log.io("two")()})])
        assert log == ["+io", "+two", "a", "-io", "-two"]

    def test_items_that_lead_to_a_choice_that_leads_to_waiting_are_taken_early(self, log):
        class Loud(list):
            def __getitem__(self, at):
                log.append(f"item {at}")
                return list.__getitem__(self, at)

        box = Param("box")
        s = log.sync
        target = [s("a")(), Router(box[0], {1: log.io("io")(), 2: 0}), s("b")(), Router(box[1], {1: s("c")(), 2: 0})]
        timed(target, {"box": Loud([1, 1])})
        assert log == ["item 0", "+io", "a", "b", "item 1", "c", "-io"]

    def test_the_makespan_is_that_of_data_flow(self):
        # (the tests one after the other, then the argument) beside the router (selector, then its route)
        conditional = wait(3, wait(4)).run_if(wait(2, 1)).run_if(wait(1, 1))
        routed = Router(wait(5, "a"), {"a": wait(2), "b": wait(100)})
        assert timed([conditional, routed]).elapsed == 10
        assert timed([wait(1, 1).run_if(wait(2, 0), otherwise=wait(4))]).elapsed == 6
        shared = wait(4)
        assert timed([shared, same(shared).run_if(wait(3, 1))]).elapsed == 4  # demanded by another already
        assert timed(wait(1, wait(9)).run_if(wait(2, 0), otherwise=0)).elapsed == 2

    def test_async_tests_do_not_hold_up_others(self, log):
        timed([same(1).run_if(log.io("t", 3)()), log.sync("a")(log.io("b", 1)())])
        assert log == ["+t", "+b", "-b", "a", "-t"]

    @pytest.mark.parametrize("seed", range(5))
    def test_the_order_of_simultaneous_ends_does_not_matter(self, seed, log):
        s = log.sync

        def make():
            one, two = wait(1, 1), wait(1, 0)
            return [s("a")(one), s("b")().run_if(two, otherwise=s("c")()), s("d")().run_if(one), s("e")(two)]

        assert run_virtual(lambda: graph_mode.arun(make()), seed=seed).value == ["a", "c", "d", "e"]
        assert log == ["a", "c", "d", "e"]


class TestRunInsideALoop:
    def refused(self, target):
        async def main():
            graph_mode.run(target)

        with pytest.raises(EventLoopRunning):
            asyncio.run(main())

    def test_before_anything_runs_if_it_is_sure_to_wait(self, log):
        a = log.sync("a")()
        for target in ([a, wait(1)], [a, same(1).run_if(wait(1))], [a, Router(wait(1), {1: 1})], [a, wait(1).with_retry()]):
            self.refused(target)
            assert log == []

    def test_else_when_it_comes_to_waiting(self, log):
        for make in (lambda x: x.run_if(1), lambda x: Router(1, {1: x}), lambda x: wait.map([1])):
            log.clear()
            self.refused([make(wait(1)), log.sync("a")()])
            log.clear()
            self.refused([log.sync("a")(), same(1).run_if(log.sync("t")(), otherwise=2), same(make(wait(log.sync("b")())))])

    def test_what_does_not_wait_needs_none(self):
        async def main():
            return graph_mode.run([wait(1).run_if(0, otherwise=1), Router(1, {1: 2, 2: wait(1)}), wait.map([])])

        assert asyncio.run(main()) == [1, 2, []]


# --- going on ---------------------------------------------------------------------------------------------------------


class TestGoingOn:
    @pytest.mark.parametrize("kind", ["router", "otherwise", "call", "nested routers"])
    def test_what_is_chosen_for_the_target_makes_tail_calls(self, kind):
        """S24: constant memory"""
        blocks = []

        @task
        def loop(n):
            if n % 500 == 0:
                blocks.append(sys.getallocatedblocks())
            if n == 0:
                return "end"
            go_on = loop(n - 1)
            match kind:
                case "router":
                    return Router(same(n > 0), {True: go_on, False: "never"})
                case "otherwise":
                    return same("never").run_if(same(0), otherwise=go_on)
                case "call":
                    return go_on.run_if(same(1), otherwise="never")
                case _:
                    return Router(0, {0: Router(1, {1: go_on.run_if(1)}, default=same(1)), 1: 1}).run_if(same([n]))

        assert go(loop(5_000)) == "end"
        gc.collect()
        assert blocks[-1] - blocks[2] < 500

    def test_used_elsewhere_too_it_is_a_nested_result(self):
        @task
        def nest(n):
            return same(n)

        route = nest(3)
        assert go(Router(add(route, 0), {3: route})) == 3
        assert go(Router(1, {1: route}).run_if(route)) == 3

    def test_tests_selectors_and_routes_may_go_on(self):
        @task
        def nest(n, deep=3):
            return nest(same(n), deep - 1) if deep else n

        assert go(add(nest(1).run_if(nest(1)), Router(nest("a"), {"a": nest(2)}))) == 3
        assert go(same(1).run_if(nest(0), otherwise=nest(4))) == 4

    def test_inputs_of_later_graphs(self):
        @task
        def later():
            return Param("x", int).run_if(same(1))

        assert go([later(), Param("x", int)], {"x": "3"}) == [3, 3]

    def test_a_recursion_by_router(self):
        @task
        def depth(n):
            return Router(same(n > 0), {True: add(1, depth(n - 1)), False: 0})

        assert go(add(depth(3_000), 0)) == 3_000


# --- size -------------------------------------------------------------------------------------------------------------


class TestSize:
    """Linear, and no recursion"""

    def test_a_chain_of_conditions(self):
        lazy = same(1)
        for _ in range(10_000):
            lazy = same(lazy).run_if(1)
        assert go(lazy) == 1

    def test_a_chain_of_tests(self):
        lazy = same(1)
        for _ in range(10_000):
            lazy = same(1).run_if(lazy)
        assert go(lazy) == 1

    @pytest.mark.parametrize("wrap", [lambda x: x, lambda x: add(x, 0)])
    def test_chains_of_routes(self, wrap):
        lazy = same(1)
        for at in range(10_000):
            lazy = Router(at, [(at, lazy)]) if at % 2 else same(0).run_if(0, otherwise=lazy)
        assert go(wrap(lazy)) == 1

    def test_a_chain_of_skips(self):
        lazy = same(1).run_if(0)
        for _ in range(10_000):
            lazy = same(lazy)
        with pytest.raises(TargetSkipped):
            go(lazy)

    def test_many_that_wait_for_one_test(self):
        test = same(1)
        assert go([same(1).run_if(test) for _ in range(10_000)]) == [1] * 10_000


def test_an_added_note_stays_with_its_exception():
    """A failure below a condition is noted as any other"""

    @task
    def fail(x):
        failure = ValueError(x)
        add_note(failure, "mine")
        raise failure

    for target in (fail(1).run_if(1), same(1).run_if(fail(1)), Router(fail(1), {1: 1}), Router(1, {1: fail(1)})):
        with pytest.raises(ValueError, match="1") as caught:
            go(target)
        assert len(notes_of(caught.value)) == 2
        assert ".fail, called at " in notes_of(caught.value)[1]
