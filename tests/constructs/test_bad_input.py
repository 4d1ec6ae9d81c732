"""What the language refuses, at once and with words that help: what, where, why, and how to mend it."""

from __future__ import annotations

from typing import Any

import pytest

from cascade_compiler import (
    CompileError,
    LazyUseError,
    Param,
    Router,
    common,
    gather,
    inject,
    literal,
    pipeline,
    run,
    sequence,
    task,
)
from cascade_vm.caching import MemoryCache

nan, inf = float("nan"), float("inf")


@task
def note(x: Any, *rest: Any, **named: Any) -> Any:
    return x


@task
async def wait(x: Any) -> Any:
    return x


def refused(error: type[BaseException], make: Any, *words: str) -> None:
    with pytest.raises(error) as caught:
        make()
    text = str(caught.value)
    for word in words:
        assert word in text, f"{word!r} is not in {text!r}"
    assert "\n" not in text
    assert len(text) < 500


class TestRetry:
    @pytest.mark.parametrize("most", [0, -1, 1.0, "3", None, True, 2.5])
    def test_attempts(self, most):
        refused(ValueError, lambda: note(1).with_retry(most), "with_retry", "max_attempts", "at least 1", repr(most))

    @pytest.mark.parametrize("option", ["delay", "backoff", "max_delay", "jitter"])
    @pytest.mark.parametrize("value", [-1, nan, inf, -0.001])
    def test_numbers(self, option, value):
        refused(ValueError, lambda: note(1).with_retry(2, **{option: value}), f"with_retry: {option}", repr(value))

    @pytest.mark.parametrize("option", ["delay", "backoff", "max_delay", "jitter"])
    @pytest.mark.parametrize("value", ["1", True, [1], 1j])
    def test_no_numbers(self, option, value):
        refused(TypeError, lambda: note(1).with_retry(2, **{option: value}), f"with_retry: {option}", repr(value))

    def test_jitter_is_a_share(self):
        refused(ValueError, lambda: note(1).with_retry(2, jitter=1.5), "jitter", "from 0 to 1", "1.5")

    @pytest.mark.parametrize("on", ["ValueError", 5, None, ValueError("x"), int, [ValueError, 3], (str,)])
    def test_on(self, on):
        refused(TypeError, lambda: note(1).with_retry(2, on=on), "on=", "exception classes")

    @pytest.mark.parametrize("on", [BaseException, KeyboardInterrupt, SystemExit, GeneratorExit, (ValueError, KeyboardInterrupt)])
    def test_on_what_ends_a_run(self, on):
        refused(ValueError, lambda: note(1).with_retry(2, on=on), "never retried", "subclasses of Exception")

    def test_on_nothing(self):
        refused(ValueError, lambda: note(1).with_retry(2, on=()), "on=()")

    @pytest.mark.parametrize("seed", ["x", 1.5, True])
    def test_seed(self, seed):
        refused(TypeError, lambda: note(1).with_retry(2, seed=seed), "seed", "int")

    def test_a_lazy_number(self):
        refused(TypeError, lambda: note(1).with_retry(2, delay=note(1)), "with_retry: delay")


class TestTimeout:
    @pytest.mark.parametrize("seconds", [0, -1, nan, inf, -inf, 0.0])
    def test_numbers(self, seconds):
        refused(ValueError, lambda: wait(1).with_timeout(seconds), "with_timeout", "seconds")

    @pytest.mark.parametrize("seconds", ["1", None, True, [1]])
    def test_no_numbers(self, seconds):
        refused(TypeError, lambda: wait(1).with_timeout(seconds), "with_timeout", "seconds", repr(seconds))

    def test_zero_is_told(self):
        refused(ValueError, lambda: wait(1).with_timeout(0), "more than 0")

    def test_a_sync_task(self):
        words = (note.task.label, "synchronous", "async def", "mode='thread'")
        refused(CompileError, lambda: note(1).with_timeout(1), *words)
        refused(CompileError, lambda: note.map([1]).with_timeout(1), *words)

    def test_tasks_that_wait_are_taken(self):
        @task(mode="thread")
        def threaded():
            return 1

        threaded().with_timeout(1)
        wait.map([1]).with_timeout(1)


class TestConstraintsAndRates:
    @pytest.mark.parametrize("amount", [-1, nan, inf, -0.5])
    def test_amounts(self, amount):
        refused(ValueError, lambda: note(1).with_constraints(gpu=amount), "with_constraints: gpu", repr(amount))

    @pytest.mark.parametrize("amount", ["1", None, True, [1], {}])
    def test_no_amounts(self, amount):
        refused(TypeError, lambda: note(1).with_constraints(gpu=amount), "with_constraints: gpu", repr(amount))

    def test_none(self):
        refused(TypeError, lambda: note(1).with_constraints(), "with_constraints(gpu=1)")

    def test_a_huge_int(self):
        with pytest.raises((ValueError, OverflowError, TypeError)) as caught:
            run(note(1).with_constraints(gpu=10**400), capacity={"gpu": 1})
        assert type(caught.value) is not OverflowError, "an OverflowError of float() leaks out"

    @pytest.mark.parametrize(("rate", "per"), [(0, 1), (1, 0), (-1, 1), (1, -1), (nan, 1), (1, nan), (inf, 1), (1, inf)])
    def test_rates(self, rate, per):
        refused(ValueError, lambda: note(1).with_rate_limit("r", rate, per), "with_rate_limit")

    @pytest.mark.parametrize("name", ["", None, 5, b"x"])
    def test_names(self, name):
        refused(TypeError, lambda: note(1).with_rate_limit(name, 1), "with_rate_limit", "name", repr(name))

    def test_a_lazy_rate(self):
        refused(TypeError, lambda: note(1).with_rate_limit("r", note(1)), "with_rate_limit: rate")


class TestCache:
    @pytest.mark.parametrize("cache", [None, {}, 5, "memory", MemoryCache, object()])
    def test_what_is_no_cache(self, cache):
        refused(TypeError, lambda: note(1).with_cache(cache), "with_cache", "get(key)", "put(key, value)", "MemoryCache()")


class TestPolicyOfWhatIsNoCall:
    @pytest.mark.parametrize("what", ["with_retry", "with_timeout", "with_cache", "with_constraints", "with_rate_limit"])
    @pytest.mark.parametrize("form", ["item", "gather", "router", "input"])
    def test_refused(self, what, form):
        node = {"item": note([1])[0], "gather": gather(1, note(1)), "router": Router(1, {1: 2}), "input": Param("p", int)}[form]
        options: dict[str, Any] = {
            "with_retry": ((2,), {}), "with_timeout": ((1,), {}), "with_cache": ((MemoryCache(),), {}), "with_constraints": ((), {"a": 1}),
            "with_rate_limit": (("r", 1), {}),
        }  # fmt: skip
        args, kwargs = options[what]
        refused(
            TypeError,
            lambda: getattr(node, what)(*args, **kwargs),
            what,
            "calls of tasks",
            "put it on the call itself",
            "test_bad_input.py:",
        )

    def test_an_injected_resource(self):
        with pytest.raises((TypeError, CompileError)):
            inject("db").with_retry(2)

    def test_an_input_after_something(self):
        refused(TypeError, lambda: Param("p", int).after(note(1)), "input")


class TestConditions:
    def test_lazy_where_a_value_is_needed(self):
        refused(LazyUseError, lambda: note(1).run_if(note(1) == 2), "==")
        refused(LazyUseError, lambda: note(1).run_if(not note(1)), "bool()")
        refused(LazyUseError, lambda: note(1).run_if(note(1) and 2), "bool()")

    def test_nothing(self):
        with pytest.raises(TypeError):
            note(1).run_if()

    def test_a_task_that_was_not_called(self):
        """`run_if(check)` is always true: the parentheses were forgotten"""
        with pytest.raises((TypeError, CompileError)) as caught:
            run(note(1).run_if(wait))
        assert "call" in str(caught.value)

    def test_a_node_in_an_object(self):
        class Box:
            def __init__(self):
                self.node = note(1)

        for target in (
            note(1).run_if(Box()),
            note(1).run_if(1, Box()),
            Router(Box(), {1: 2}),
            Router(1, {1: Box()}),
            note.map([Box()]),
        ):
            with pytest.raises(CompileError, match=r"test_bad_input.py"):
                run(target)


class TestRouter:
    def test_no_routes(self):
        refused(ValueError, lambda: Router(note(1), {}), "Router", "at least one route")
        refused(ValueError, lambda: Router(note(1), []), "at least one route")
        refused(ValueError, lambda: Router(note(1), {}, default=1), "at least one route")

    @pytest.mark.parametrize("keys", [(True, 1), (1, 1.0), ("a", "a"), (0, False), ((1,), (1.0,))])
    def test_equal_keys_in_pairs(self, keys):
        refused(ValueError, lambda: Router(1, [(key, 1) for key in keys]), "Router", repr(keys[0]), repr(keys[1]), "equal")

    @pytest.mark.parametrize("key", [nan, (nan,)])
    def test_what_is_not_equal_to_itself(self, key):
        """(nan,) equals itself by identity; another nan never finds it"""
        if key is nan:
            refused(ValueError, lambda: Router(1, {key: 1}), "Router", "not equal to itself")

    def test_a_lazy_key(self):
        refused(TypeError, lambda: Router(1, {note(1): 1}), "Router", "key", "plain value", "test_bad_input.py:")
        refused(TypeError, lambda: Router(1, [(note(1), 1)]), "key")

    def test_a_lazy_inside_a_key(self):
        with pytest.raises((TypeError, CompileError)) as caught:
            run(Router(1, {(note(1), 2): 1}, default=3))
        assert "key" in str(caught.value)

    @pytest.mark.parametrize("key", [[1], {}, {1}, ([],)])
    def test_what_cannot_be_hashed(self, key):
        refused(TypeError, lambda: Router(1, [(key, 1)]), "Router", repr(key), "cannot be hashed")

    @pytest.mark.parametrize("routes", [[1], ["ab"], [(1,)], [(1, 2, 3)], [[1, 2]]])
    def test_no_pairs(self, routes):
        refused(TypeError, lambda: Router(1, routes), "Router", "pairs of key and route")

    @pytest.mark.parametrize("routes", [5, None])
    def test_no_routes_at_all(self, routes):
        refused(TypeError, lambda: Router(1, routes), "Router", "routes are a dict")

    def test_lazy_routes(self):
        """The table must be known"""
        with pytest.raises(TypeError) as caught:
            Router(1, note({}))
        assert "Router" in str(caught.value)

    def test_a_text_as_routes(self):
        refused(TypeError, lambda: Router(1, "ab"), "Router", "pairs")


class TestMaps:
    def test_nothing_to_go_over(self):
        refused(TypeError, lambda: note.map(), f"{note.task.label}.map", "iterable")
        refused(TypeError, lambda: note.map(**common(x=1)), f"{note.task.label}.map", "iterable")

    def test_lengths(self):
        refused(ValueError, lambda: note.map([1], [1, 2]), f"{note.task.label}.map", "argument 0 has 1", "argument 1 has 2")
        refused(ValueError, lambda: note.map([1], y="abc"), "argument 0 has 1", "y has 3")
        refused(ValueError, lambda: note.map(literal([1]), [1, 2]), "one length")
        refused(ValueError, lambda: note.map([note(1)], [1, 2]), "one length")

    @pytest.mark.parametrize("value", [5, None, 1.5, True, object()])
    def test_what_cannot_be_iterated(self, value):
        refused(TypeError, lambda: note.map(y=value, x=[1]), f"{note.task.label}.map: y", "cannot be iterated", "common(y=...)")
        refused(TypeError, lambda: note.map(value), "cannot be iterated", "common(")

    def test_a_class(self):
        """`list` has `__iter__`, but is itself nothing to go over"""
        with pytest.raises(TypeError):
            note.map(list)

    @pytest.mark.parametrize("bound", [0, -1, 1.0, "2", True])
    def test_bounds(self, bound):
        refused(
            ValueError, lambda: note.map([1], max_concurrency=bound), f"{note.task.label}.map", "max_concurrency", repr(bound)
        )

    def test_common_of_nothing(self):
        refused(TypeError, common, "common()", "by name")

    def test_common_without_stars(self):
        """common(...) as a positional argument, or as the value of a keyword, is a slip"""
        with pytest.raises((TypeError, CompileError)) as caught:
            run(note.map([1], common(y=1)))
        assert "common" in str(caught.value)

    def test_common_in_a_plain_call(self):
        """note(1, **common(y=2)) would pass the marker itself"""
        with pytest.raises((TypeError, CompileError)) as caught:
            run(note(1, **common(y=2)))
        assert "common" in str(caught.value)

    def test_a_name_that_the_task_does_not_have(self):
        @task
        def one(x):
            return x

        with pytest.raises(CompileError) as caught:
            run(one.map([1], y=[2]))
        assert one.task.label in str(caught.value)
        assert "test_bad_input.py" in str(caught.value)

    def test_too_many_arguments(self):
        @task
        def one(x):
            return x

        with pytest.raises(CompileError) as caught:
            run(one.map([1], [2]))
        assert one.task.label in str(caught.value)
        assert "test_bad_input.py" in str(caught.value)


class TestSequenceAndPipeline:
    def test_empty(self):
        refused(ValueError, lambda: sequence([]), "sequence", "at least one step")

    @pytest.mark.parametrize("step", [5, None, "x", [], note])
    def test_no_step(self, step):
        refused(TypeError, lambda: sequence([note(1), step]), "sequence", "step 1")

    def test_a_step_that_takes_an_earlier_one(self):
        one = note(1)
        refused(TypeError, lambda: sequence([one, note(one)]), "sequence", "step 1", "second time")
        refused(TypeError, lambda: sequence([one, note(2), note(k=one, x=1)]), "step 2")

    def test_a_step_that_takes_an_earlier_one_in_a_container(self):
        """The same slip, one level down: the step would run twice"""
        one = note(1)
        refused(TypeError, lambda: sequence([one, note([one])]), "sequence", "step 1")

    def test_a_step_twice(self):
        """The same node twice in a row would run a second time"""
        one = note(1)
        with pytest.raises((TypeError, ValueError)):
            sequence([one, one])

    def test_a_single_lazy(self):
        with pytest.raises(TypeError):
            sequence(note(1))

    def test_an_input_as_step(self):
        refused(TypeError, lambda: sequence([note(1), Param("p", int)]), "input")

    @pytest.mark.parametrize("step", [5, None, "x"])
    def test_what_cannot_be_called(self, step):
        refused(TypeError, lambda: pipeline(1, [note, step]), "pipeline", "step 1", repr(step))

    def test_a_call(self):
        refused(TypeError, lambda: pipeline(1, [note, note(1)]), "pipeline", "step 1", "leave out the parentheses")


class TestModes:
    def test_unknown(self):
        refused(ValueError, lambda: task(mode="fiber"), "'fiber'", "'inline', 'thread' or 'process'")

    def test_async(self):
        async def work():
            return 1

        refused(TypeError, lambda: task(mode="thread")(work), "async def", "mode='thread'")


class TestNothingChanges:
    def test_a_refused_chain_leaves_the_node_as_it_was(self):
        """S1"""
        node = note(1)
        for make in (lambda: node.with_retry(0), lambda: node.with_constraints(a=-1), lambda: node.with_timeout(1)):
            with pytest.raises((ValueError, CompileError)):
                make()
        assert node.policy is None
        assert run(node) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: note(1).with_retry(2, delay=10**400),
        lambda: wait(1).with_timeout(10**400),
        lambda: note(1).with_rate_limit("r", 10**400),
    ],
)
def test_an_int_that_no_float_holds(make):
    """`number` lets it through, and float() fails with a text of its own"""
    refused(ValueError, make, "with_")
