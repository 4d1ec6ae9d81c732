"""Inputs: declared, defaulted, converted, and all faults in one error (S20), on each engine."""

from __future__ import annotations

import asyncio
import decimal
import typing
from typing import Any

import msgspec
import pytest

from cascade_compiler import (
    CompileError,
    Env,
    InputError,
    LazyUseError,
    Param,
    compile,
    task,
    workflow,
)
from cascade_compiler import run as run_any

if typing.TYPE_CHECKING:
    pass

HERE = "test_inputs.py"


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


# --- inputs -----------------------------------------------------------------------------------------------------------


class Plain:
    def __init__(self, x):
        self.x = x


class Money(msgspec.Struct):
    amount: int


class TestInputs:
    @pytest.mark.parametrize(
        ("kind", "given", "expected"),
        [
            (int, "5", 5),
            (int, 5, 5),
            (float, "1.5", 1.5),
            (float, 2, 2.0),
            (bool, "true", True),
            (str, "5", "5"),
            (bytes, b"x", b"x"),
            (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
            (int | None, None, None),
            (list[int], ["1", 2], [1, 2]),
            (tuple[int, ...], [1, "2"], (1, 2)),
            (dict[str, float], {"a": "1"}, {"a": 1.0}),
            (Money, {"amount": "3"}, Money(3)),
            (Any, object, object),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_values_are_converted(self, run, kind, given, expected):
        """S20"""
        value = run(same(Param("x", kind)), {"x": given})
        assert value == expected
        assert type(value) is type(expected)

    @pytest.mark.parametrize(
        ("kind", "given"),
        [(int, "five"), (int, 1.5), (int, None), (str, 5), (list[int], ["a"]), (Money, {"amount": None}), (int, [1]), (bool, 2)],
        ids=lambda value: str(value)[:30],
    )
    def test_ill_typed_values_are_faults(self, run, kind, given):
        """S20: before anything runs"""
        calls = []

        @task
        def note(x):
            calls.append(x)

        with pytest.raises(InputError, match="'x'"):
            run([note(1), note(Param("x", kind))], {"x": given})
        assert calls == []

    def test_lossy_floats_are_faults(self, run):
        """S20, settled: converted without loss"""
        assert run(same(Param("x", float)), {"x": 2**53}) == float(2**53)
        with pytest.raises(InputError):
            run(same(Param("x", float)), {"x": 2**53 + 1})

    def test_bool_is_no_int_and_int_no_bool(self, run):
        """S20, settled: what msgspec converts without loss"""
        with pytest.raises(InputError):
            run(same(Param("x", int)), {"x": True})

    def test_values_of_the_right_type_arrive_as_they_are(self, run):
        """S4, S20"""
        value = [1, 2]
        assert run(same(Param("x", list)), {"x": value}) is value
        thing = object()
        assert run(same(Param("x")), {"x": thing}) is thing
        assert run(same(Param("x", object)), {"x": thing}) is thing

    def test_a_class_that_msgspec_does_not_know(self, run):
        """S20: an instance is all that can be asked for"""
        thing = Plain(1)
        assert run(same(Param("x", Plain)), {"x": thing}) is thing
        with pytest.raises(InputError):
            run(same(Param("x", Plain)), {"x": 3})

    def test_defaults(self, run):
        """S20"""
        assert run(same(Param("x", int, 7))) == 7
        assert run(same(Param("x", int, 7)), {"x": 8}) == 8
        assert run(same(Param("x", int, None))) is None
        assert run(same(Param("x", default=0))) == 0
        held: list[Any] = []
        assert run(same(Param("x", list, held))) is held

    def test_falsy_values_given_are_values(self, run):
        """S20: given is given"""
        for value in (0, "", False, [], {}):
            assert (
                run(same(Param("x", type(value), type(value)(1) if value != [] and value != {} else value)), {"x": value})
                == value
            )
        assert run(same(Param("x", int | None, 5)), {"x": None}) is None

    def test_environment(self, run, monkeypatch):
        """S20"""
        monkeypatch.setenv("CASCADE_TEST_N", "12")
        monkeypatch.delenv("CASCADE_TEST_ABSENT", raising=False)
        assert run([Env("CASCADE_TEST_N"), Env("CASCADE_TEST_N", str), Env("CASCADE_TEST_ABSENT", str, "d")]) == ["12", "12", "d"]
        assert run(same(Env("CASCADE_TEST_N", int))) == 12
        with pytest.raises(InputError, match="CASCADE_TEST_ABSENT"):
            run(same(Env("CASCADE_TEST_ABSENT")))

    def test_the_environment_is_read_when_a_run_starts(self, run, monkeypatch):
        """S20"""
        lazy = same(Env("CASCADE_TEST_N", int))
        for value in (1, 2):
            monkeypatch.setenv("CASCADE_TEST_N", str(value))
            assert run(lazy) == value

    def test_a_param_does_not_fill_an_environment_input(self, run, monkeypatch):
        """S20: params= are for Params"""
        monkeypatch.setenv("CASCADE_TEST_N", "12")
        with pytest.raises(InputError, match="unknown input 'CASCADE_TEST_N'"):
            run(same(Env("CASCADE_TEST_N")), {"CASCADE_TEST_N": "13"})

    def test_all_faults_in_one_error(self, run, monkeypatch):
        """S20: missing, ill-typed and unknown, in one error"""
        monkeypatch.delenv("CASCADE_TEST_ABSENT", raising=False)
        target = [Param("a", int), Param("b", int), Param("ok", int), Env("CASCADE_TEST_ABSENT")]
        with pytest.raises(InputError) as caught:
            run(target, {"a": "text", "ok": 1, "extra": 2})
        faults = caught.value.faults
        assert len(faults) == 4
        assert [word in fault for word, fault in zip(["'a'", "'b'", "CASCADE_TEST_ABSENT", "'extra'"], faults, strict=True)] == [
            True
        ] * 4
        for fault in faults:
            assert fault in str(caught.value)

    def test_misspelt_names_get_a_hint(self, run):
        """S20"""
        with pytest.raises(InputError, match="did you mean 'limit'"):
            run(same(Param("limit", int, 3)), {"limmit": 4})

    def test_params_for_a_graph_without_inputs_are_unknown(self, run):
        """S20"""
        with pytest.raises(InputError, match="unknown input 'x'"):
            run(same(1), {"x": 1})

    def test_one_name_is_one_input(self, run):
        """Two Params of one name are the same input."""
        assert run(add(Param("x", int), Param("x", int)), {"x": "4"}) == 8

    @pytest.mark.parametrize(
        "other",
        [lambda: Param("x", str), lambda: Param("x", int, 2), lambda: Param("x", int), lambda: Param("x", int, True)],
        ids=["type", "default", "no default", "default of another type"],
    )
    def test_conflicting_declarations_are_refused(self, run, other):
        """Two Params of one name must agree in type and default."""
        with pytest.raises(CompileError, match=r"'x'.*declared twice|declared twice.*'x'"):
            run([Param("x", int, 1), other()], {"x": 3})

    def test_conflicts_are_found_without_equality(self, run):
        """A default may be something whose == has no truth value."""

        class Odd:
            __hash__ = None  # type: ignore[assignment]

            def __eq__(self, other):
                raise ValueError("ambiguous")

        odd = Odd()
        first, second = run([Param("x", default=odd), Param("x", default=odd)])
        assert first is second is odd
        with pytest.raises(CompileError, match="declared twice"):
            run([Param("x", default=odd), Param("x", default=Odd())])

    def test_a_param_and_an_environment_input_of_one_name(self, run, monkeypatch):
        """Either two inputs or a refusal, but the same on all engines and in compile(): here they are refused"""
        monkeypatch.setenv("CASCADE_TEST_N", "12")
        target = [Param("CASCADE_TEST_N", str), Env("CASCADE_TEST_N", str)]
        with pytest.raises(CompileError, match="declared twice"):
            run(target, {"CASCADE_TEST_N": "13"})
        with pytest.raises(CompileError, match="declared twice"):
            compile(target)

    @pytest.mark.parametrize("name", ["", None, 3])
    def test_names_are_text(self, name):
        with pytest.raises(TypeError, match="name"):
            Param(name)
        with pytest.raises(TypeError, match="name"):
            Env(name)

    def test_inputs_can_be_used_like_any_node(self, run):
        """S3, S5, S8"""
        x = Param("x", dict[str, int])
        assert run({"k": x["a"], x["b"]: [x]}, {"x": {"a": 1, "b": 2}}) == {"k": 1, 2: [{"a": 1, "b": 2}]}
        assert run(same(1).after(x), {"x": {}}) == 1

    def test_an_input_that_nothing_demands_is_no_input(self, run):
        """S10, S20: only what the graph needs"""
        same(Param("unused", int))
        assert run(same(1)) == 1

    def test_given_params_are_not_changed(self, run):
        given = {"x": "1"}
        run(same(Param("x", int)), given)
        assert given == {"x": "1"}


class TestWorkflows:
    def test_parameters_are_inputs(self, run):
        """S20"""

        @workflow
        def total(first: int, *, second: int = 10):
            return add(first, second)

        assert run(total, {"first": "1"}) == 11
        assert run(total, {"first": 1, "second": "5"}) == 6
        with pytest.raises(InputError) as caught:
            run(total, {"second": "x", "third": 1})
        assert len(caught.value.faults) == 3

    def test_unused_parameters_are_still_declared(self, run):
        """S20: declared by the workflow, so it must be given"""

        @workflow
        def ignores(first: int, second: int):
            return same(first)

        assert run(ignores, {"first": 1, "second": 2}) == 1
        with pytest.raises(InputError, match="'second'"):
            run(ignores, {"first": 1})

    def test_calling_builds_the_graph(self, run):
        """S1"""

        @workflow
        def total(first: int, second: int = 10):
            return add(first, second)

        assert run(total(1)) == 11
        assert run(same(total(same(2), second=3))) == 5

    def test_a_workflow_may_return_a_container_or_an_input(self, run):
        @workflow
        def both(x: int):
            return {"x": x, "more": [add(x)]}

        @workflow
        def through(x: int):
            return x

        assert run(both, {"x": "1"}) == {"x": 1, "more": [2]}
        assert run(through, {"x": "1"}) == 1
        assert compile(through).run(x="1") == 1

    def test_the_parameter_is_a_node_while_it_is_traced(self):
        """S5: a decision on an input belongs into a task"""

        @workflow
        def decides(x: int):
            return same(1) if x else same(2)

        with pytest.raises(LazyUseError, match="x"):
            run_any(decides, {"x": 1})

    @pytest.mark.parametrize("kind", ["async", "generator", "args", "kwargs", "task"])
    def test_what_is_no_workflow(self, kind):
        async def coroutine():
            pass

        def generator():
            yield

        def args(*xs):
            pass

        def kwargs(**xs):
            pass

        with pytest.raises(TypeError):
            workflow({"async": coroutine, "generator": generator, "args": args, "kwargs": kwargs, "task": 3}[kind])

    def test_an_annotation_that_cannot_be_resolved(self):
        @workflow
        def odd(x: Nowhere):  # noqa: F821
            return same(x)

        with pytest.raises(CompileError, match="Nowhere"):
            run_any(odd, {"x": 1})
