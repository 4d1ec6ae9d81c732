"""The language: what a node is and refuses, what may be a task, wrong calls, cycles (S1, S2, S5), on each engine."""

from __future__ import annotations

import asyncio
import collections
import copy
import functools
import inspect
import math
import operator
import sys
import typing
from typing import Any

import pytest

from cascade_compiler import (
    CompileError,
    LazyResult,
    LazyUseError,
    Param,
    compile,
    cycle_id,
    gather,
    task,
    workflow,
)
from cascade_compiler import run as run_any

if typing.TYPE_CHECKING:
    from collections.abc import Callable

HERE = "test_language.py"


@task
def same(x):
    return x


@task
def add(x, y=1):
    return x + y


@task
def show(*args, **kwargs):
    return args, kwargs


@task
async def later(x):
    await asyncio.sleep(0)
    return x


# --- S1: calling runs nothing, nodes are immutable --------------------------------------------------------------------


class TestNodes:
    def test_calling_runs_nothing(self, run):
        """S1"""
        calls = []

        @task
        def note(x):
            calls.append(x)
            return x

        lazy = note(note(1))
        cycle_id(lazy)
        repr(lazy)
        assert calls == []
        run(lazy)
        assert calls == [1, 1]

    def test_calling_an_async_task_makes_no_coroutine(self):
        """S1: a coroutine that nobody awaits would be a warning, and warnings are errors here."""
        assert type(later(1)) is LazyResult

    def test_chaining_returns_a_new_node(self):
        """S1"""
        first, second = same(1), same(2)
        ordered = first.after(second)
        assert ordered is not first
        assert first.policy is None
        assert ordered.after(second) is not ordered

    @pytest.mark.parametrize("name", ["args", "kwargs", "task", "policy", "anything"])
    def test_nodes_cannot_be_assigned_to(self, name):
        """S1"""
        lazy = same(1)
        with pytest.raises(AttributeError):
            setattr(lazy, name, ())
        with pytest.raises(AttributeError):
            delattr(lazy, name)

    def test_the_callers_containers_are_not_changed_by_a_run(self, run):
        """S1, S3: what is rebuilt is new"""
        inner = same(1)
        rows = [inner, {"k": inner}]
        run(same(rows))
        assert rows[0] is inner
        assert rows[1]["k"] is inner

    def test_copies_are_the_node_itself(self, run):
        """S2: a copied graph does not run its calls twice"""
        lazy = same(1)
        assert copy.copy(lazy) is lazy
        assert copy.deepcopy([lazy])[0] is lazy

    def test_a_node_can_be_run_again(self, run):
        """S1, S2: an activation keeps nothing in the graph"""
        calls = []

        @task
        def note():
            calls.append(1)
            return len(calls)

        lazy = note()
        assert [run(lazy), run(lazy)] == [1, 2]

    def test_repr_is_one_level(self):
        lazy = add(same(1), y=[2] * 1000)
        text = repr(lazy)
        assert "add" in text
        assert HERE in text
        assert len(text) < 300

    def test_repr_of_a_diamond_of_depth_40_is_short(self):
        """A diamond of depth 20 must not print megabytes."""
        lazy = same(1)
        for _ in range(40):
            lazy = add(lazy, lazy)
        assert len(repr(lazy)) < 300
        assert len(str(lazy)) < 300
        assert len(repr([lazy, {"k": lazy}])) < 700

    def test_repr_survives_hostile_arguments(self):
        class Hostile:
            def __repr__(self):
                raise RuntimeError("no repr")

        assert "same" in repr(same(Hostile()))

    def test_attributes_of_the_value_are_refused_with_advice(self):
        """S5. CPython 3.11 says it in its own words: advice costs it a third of every match (see lazy.py)."""
        told = "inside a task" if sys.version_info >= (3, 12) else "'LazyResult' object has no attribute 'real'"
        with pytest.raises(AttributeError, match=told):
            _ = same(1).real
        assert not hasattr(same(1), "__array__")

    def test_after_takes_lazy_results_only(self):
        """S8"""
        with pytest.raises(TypeError, match="LazyResult"):
            same(1).after(3)
        with pytest.raises(TypeError, match="LazyResult"):
            same(1).after([same(2)])


# --- S5: uses that need the value are refused -------------------------------------------------------------------------


REFUSED: dict[str, Callable[[Any], Any]] = {
    "bool": bool,
    "if": lambda lazy: 1 if lazy else 2,
    "not": operator.not_,
    "and": lambda lazy: lazy and 1,
    "or": lambda lazy: lazy or 1,
    "all": lambda lazy: all([lazy]),
    "iter": iter,
    "for": lambda lazy: [x for x in lazy],  # noqa: C416
    "unpack": lambda lazy: operator.itemgetter(0)([*lazy]),
    "list": list,
    "star": lambda lazy: print(*lazy),
    "len": len,
    "in": lambda lazy: 1 in lazy,
    "in list": lambda lazy: lazy in [1, 2],
    "reversed": reversed,
    "call": lambda lazy: lazy(),
    "f-string": lambda lazy: f"{lazy}",
    "format": lambda lazy: format(lazy, ">10"),
    "set item": lambda lazy: operator.setitem(lazy, 0, 1),
    "del item": lambda lazy: operator.delitem(lazy, 0),
    "index()": lambda lazy: [1].index(lazy),
    "as index": lambda lazy: [1, 2][lazy],
    "range": range,
    "int": int,
    "float": float,
    "complex": complex,
    "round": round,
    "round 2": lambda lazy: round(lazy, 2),
    "trunc": math.trunc,
    "floor": math.floor,
    "ceil": math.ceil,
    "abs": abs,
    "sum": lambda lazy: sum([lazy]),
    "max": lambda lazy: max([lazy, 1]),
    "sorted": lambda lazy: sorted([lazy, 1]),
    "join": lambda lazy: ",".join(lazy),
    "dict": dict,
    "next": next,
    "with": lambda lazy: lazy.__enter__(),
    "neg": operator.neg,
    "pos": operator.pos,
    "invert": operator.invert,
    "hex": hex,
    "isinstance by ==": lambda lazy: collections.Counter([lazy])[1] == lazy,
}
_NAMES = (
    "lt", "le", "gt", "ge", "eq", "ne", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift",
    "and_", "or_", "xor", "iadd", "imul",
)  # fmt: skip
BINARY = {name: getattr(operator, name) for name in _NAMES} | {"divmod": divmod}


class TestRefusedUses:
    @pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
    def test_a_use_that_needs_the_value(self, use):
        """S5: refused at once"""
        with pytest.raises(TypeError):
            use(same(1))

    @pytest.mark.parametrize("use", BINARY.values(), ids=BINARY)
    @pytest.mark.parametrize("other", [1, "text", [1], 1.5, (1,), {1}], ids=repr)
    def test_operators_on_both_sides(self, use, other):
        """S5"""
        sides = [(same(1), other), (same(1), same(1))]
        if (use, other) != (operator.mod, "text"):  # there str itself answers, and does not ask the other side
            sides.append((other, same(1)))
        for left, right in sides:
            with pytest.raises(TypeError):
                use(left, right)

    @pytest.mark.parametrize("use", [bool, iter, len, format, operator.neg], ids=lambda f: f.__name__)
    def test_the_error_names_the_node_and_the_way_out(self, use):
        """S5: which construct to use instead"""
        with pytest.raises(LazyUseError, match=r"same\(.*inside a task"):
            use(same(1))

    def test_await_is_refused_with_arun_in_the_text(self):
        """S5"""

        async def main():
            await same(1)

        with pytest.raises(TypeError, match="arun"):
            asyncio.run(main())

    def test_async_for_and_async_with_are_refused(self):
        """S5"""

        async def iterate():
            async for _ in same(1):
                pass

        async def enter():
            async with same(1):
                pass

        for main in (iterate, enter):
            with pytest.raises((TypeError, AttributeError)):
                asyncio.run(main())

    def test_identity_and_hash_are_allowed(self):
        """S5, settled: `is` tests identity, hashing is by identity"""
        one, two = same(1), same(1)
        assert one is not two
        assert len({one, two, one}) == 2
        assert {one: 1, two: 2}[one] == 1
        assert hash(one) == hash(one)


# --- what may be a task -----------------------------------------------------------------------------------------------


class Plain:
    def __init__(self, x):
        self.x = x


Point = collections.namedtuple("Point", "x y")


class Accumulator:
    def __init__(self, start):
        self.total = start

    def plus(self, x):
        return self.total + x

    def __call__(self, x):
        return self.total * x

    @task
    def method(self, x):
        return self.total + x

    @staticmethod
    @task
    def static(x):
        return x + 1

    @classmethod
    @task
    def class_level(cls, x):
        return cls.__name__, x


class AsyncCallable:
    async def __call__(self, x):
        await asyncio.sleep(0)
        return x + 1


class TestTasks:
    @pytest.mark.parametrize(
        ("fn", "args", "expected"),
        [
            (lambda x: x + 1, (1,), 2),
            (functools.partial(operator.add, 10), (1,), 11),
            (functools.partial(pow, exp=2), (3,), 9),
            (Accumulator(5).plus, (2,), 7),
            (Accumulator(5), (2,), 10),
            (Plain, (3,), None),
            (Point, (1, 2), Point(1, 2)),
            (int, ("12",), 12),
            (dict, (), {}),
            (len, ([1, 2],), 2),
            (str.upper, ("a",), "A"),
            (max, (1, 5, 3), 5),
            (operator.itemgetter(1), ([1, 2],), 2),
            (AsyncCallable(), (1,), 2),
            (functools.partial(later.fn, 4), (), 4),
            (functools.lru_cache(lambda x: x), (6,), 6),
        ],
        ids=lambda value: getattr(value, "__name__", type(value).__name__),
    )
    def test_callables_of_all_kinds(self, run, fn, args, expected):
        """S1"""
        value = run(task(fn)(*(same(arg) for arg in args)))
        if fn is Plain:
            assert type(value) is Plain
            assert value.x == 3
        else:
            assert value == expected

    def test_methods(self, run):
        """A task in a class body is a method, as the plain function would be."""
        assert run(Accumulator(5).method(same(2))) == 7
        assert run(Accumulator.static(same(2))) == 3
        assert run(Accumulator(5).static(same(2))) == 3
        assert run(Accumulator.class_level(same(2))) == ("Accumulator", 2)

    def test_a_generator_function_gives_its_generator(self, run):
        @task
        def count():
            yield from (1, 2)

        assert list(run(count())) == [1, 2]

    def test_a_sync_function_that_returns_a_coroutine_is_not_awaited(self, run):
        """A function is asynchronous if it says so; what a sync one returns is its value."""

        @task
        def make():
            return later.fn(1)

        made = run(make())
        assert inspect.iscoroutine(made)
        made.close()

    def test_fn_is_the_undecorated_function(self):
        def plain(x):
            """Doc."""
            return x

        decorated = task(plain)
        assert decorated.fn is plain
        assert (decorated.__name__, decorated.__doc__, decorated.__module__) == ("plain", "Doc.", __name__)
        assert inspect.signature(decorated) == inspect.signature(plain)

    def test_async_generators_are_refused(self):
        with pytest.raises(TypeError, match="async generator"):

            @task
            async def gen():
                yield 1

    def test_an_object_with_an_async_generator_as_call_is_refused(self):
        class Gen:
            async def __call__(self):
                yield 1

        with pytest.raises(TypeError, match="async generator"):
            task(Gen())

    def test_a_partial_of_an_async_generator_is_refused(self):
        async def gen(x):
            yield x

        with pytest.raises(TypeError, match="async generator"):
            task(functools.partial(gen, 1))

    @pytest.mark.parametrize("nothing", [1, "name", [], object()], ids=lambda v: type(v).__name__)
    def test_what_is_no_function(self, nothing):
        with pytest.raises(TypeError, match="function"):
            task(nothing)

    def test_a_task_of_a_task_is_refused(self):
        with pytest.raises(TypeError, match="task already"):
            task(same)

    @pytest.mark.parametrize("wrap", [staticmethod, classmethod])
    def test_decorators_in_the_wrong_order_are_refused(self, wrap):
        with pytest.raises(TypeError, match="goes below"):
            task(wrap(lambda x: x))

    def test_options_are_checked(self):
        with pytest.raises(ValueError, match="mode"):
            task(mode="somewhere")
        with pytest.raises(TypeError, match="version"):
            task(version=2)(lambda: None)

    def test_options_with_and_without_parentheses(self, run):
        @task()
        def one():
            return 1

        @task(version="2", name="renamed")
        def two():
            return 2

        assert run([one(), two()]) == [1, 2]
        assert "renamed" in repr(two())

    def test_tasks_are_compared_by_identity(self, run):
        """Two tasks of one name are two tasks."""
        first = task(name="twin")(lambda: 1)
        second = task(name="twin")(lambda: 2)
        assert run([first(), second(), first()]) == [1, 2, 1]

    def test_a_task_as_an_argument_is_a_value(self, run):
        assert run(show(same))[0][0] is same


# --- wrong calls ------------------------------------------------------------------------------------------------------


@task
def strict(a, /, b, *, c, d=4):
    return a, b, c, d


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("args", "kwargs", "says"),
        [
            ((), {}, "missing a required argument: 'a'"),
            ((1,), {"c": 1}, "missing a required argument: 'b'"),
            ((1, 2), {}, "missing a required.*'c'"),
            ((1, 2, 3), {"c": 1}, "too many positional"),
            ((1, 2), {"c": 1, "e": 5}, "unexpected keyword argument 'e'"),
            ((1, 2), {"b": 2, "c": 3}, "multiple values for argument 'b'"),
        ],
    )
    def test_the_error_has_signature_and_line(self, run, args, kwargs, says):
        """A call that the function cannot take is a compile error; nothing has run."""
        with pytest.raises(CompileError, match=says) as caught:
            run(same(strict(*args, **kwargs)))
        assert "strict(a, /, b, *, c, d=" in str(caught.value)
        assert HERE in str(caught.value)

    def test_nothing_runs_before_a_wrong_call_is_refused(self, run):
        calls = []

        @task
        def note():
            calls.append(1)

        with pytest.raises(CompileError):
            run([note(), add()])
        assert calls == []

    def test_functions_without_a_signature_are_called_as_written(self, run):
        """Python cannot tell the signature of some builtins."""
        assert run(task(max)(same(1), 2, key=None)) == 2
        with pytest.raises(TypeError):
            run(task(max)())

    def test_names_of_parameters_are_free(self, run):
        """No keyword is taken by the engine."""
        names = ("self", "task", "args", "kwargs", "policy", "code", "lasti", "engine", "params", "capacity", "fn", "x")
        kwargs = {name: same(name) for name in names}
        assert run(show(**kwargs)) == ((), {name: name for name in kwargs})

    @pytest.mark.parametrize("target", [None, 3, "text", same, object(), range(3), print], ids=lambda v: type(v).__name__)
    def test_what_cannot_be_run(self, run, target):
        with pytest.raises(CompileError, match="expected a LazyResult"):
            run(target)

    def test_unknown_engines_are_refused(self):
        with pytest.raises(ValueError, match="engine"):
            run_any(same(1), engine="warp")

    @pytest.mark.parametrize("time_slice", [-1, math.nan, math.inf, "1", None, True])
    def test_time_slices_are_checked(self, run, time_slice):
        with pytest.raises(ValueError, match="time_slice"):
            run(same(1), time_slice=time_slice)


# --- cycles by mutation -----------------------------------------------------------------------------------------------


class TestCycles:
    def test_a_node_in_its_own_argument(self, run):
        held: list[Any] = []
        lazy = same(held)
        held.append(lazy)
        with pytest.raises(CompileError, match=r"cycle.*same"):
            run(lazy)

    def test_a_long_cycle_is_named(self, run):
        held: dict[str, Any] = {}

        @task
        def begin(x):
            return x

        @task
        def middle(x):
            return x

        lazy = middle(add(begin(held)))
        held["again"] = lazy
        with pytest.raises(CompileError, match="cycle") as caught:
            run(show(lazy))
        for name in ("begin", "add", "middle"):
            assert name in str(caught.value)
        assert "show" not in str(caught.value)

    def test_a_cycle_of_thousands_is_named_shortly(self, run):
        held: list[Any] = []
        lazy = same(held)
        for _ in range(5_000):
            lazy = same(lazy)
        held.append(lazy)
        with pytest.raises(CompileError, match="cycle") as caught:
            run(lazy)
        assert len(str(caught.value)) < 3_000

    def test_a_cycle_through_the_target_container(self, run):
        target: list[Any] = [same(1)]
        target.append(same(target))
        with pytest.raises(CompileError, match=r"cycle|contains itself"):
            run(target)

    def test_a_cycle_through_item_and_key(self, run):
        held: list[Any] = []
        lazy = same(1)[same(held)]
        held.append(lazy)
        with pytest.raises(CompileError, match="cycle"):
            run(lazy)

    def test_a_cycle_made_between_two_runs(self, run):
        """S28: the second run sees that the graph has changed"""
        held: list[Any] = [same(1)]
        lazy = same(held)
        assert run(lazy) == [1]
        held[0] = lazy
        with pytest.raises(CompileError, match="cycle"):
            run(lazy)


class TestSlips:
    """What people write by mistake, and what they are told."""

    def test_a_workflow_over_a_task(self):
        with pytest.raises(TypeError, match="a task goes into a workflow, not under one"):
            workflow(same)

    def test_a_task_over_a_workflow(self):
        with pytest.raises(TypeError, match="is a workflow"):
            task(workflow(lambda x: same(x)))

    def test_a_workflow_that_forgets_to_return(self):
        @workflow
        def forgot(x: int):
            same(x)

        with pytest.raises(CompileError, match=r"forgot .*returned None: return the LazyResult"):
            compile(forgot)
        with pytest.raises(CompileError, match="returned None"):
            run_any(forgot, {"x": 1})

    def test_a_workflow_keeps_its_own_function(self):
        def body(x):
            return same(x)

        body.fn = body.trace = None
        assert run_any(workflow(body), {"x": 1}) == 1
        assert run_any(workflow(lambda self: same(self))(self=2)) == 2

    def test_a_wrapper_that_hides_an_async_function(self):
        async def fetch(x):
            return x

        @functools.wraps(fetch)
        def timed(*args):
            return fetch(*args)

        with pytest.raises(TypeError, match="hides that it is async"):
            task(timed)

    @pytest.mark.parametrize("engine", ["interpreter", "graph"])
    def test_a_task_that_was_not_called(self, engine):
        with pytest.raises(CompileError, match=r"same is a task: call it, same\(\.\.\.\)"):
            run_any(same, engine=engine)

    def test_an_iterator_in_gather(self):
        with pytest.raises(TypeError, match="unpack it"):
            gather(same(x) for x in range(3))

    def test_inputs_that_are_no_dict(self):
        with pytest.raises(TypeError, match="params takes a dict"):
            run_any(same(Param("x")), "x")
