"""What no turn of a hot loop changes is computed in its first turn alone (S2, S26, N40)."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from cascade_compiler import Jump, bind, cache_clear, cache_info, run, select_jump, task
from cascade_compiler.cache import activate
from cascade_compiler.capture import capture
from cascade_compiler.hoisting import unchanging

TURNS = 30


class Counter:
    """Tasks that count their calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def pure(self, fn: Any) -> Any:
        def counted(*args: Any) -> Any:
            self.calls.append(args)
            return fn(*args)

        counted.__name__ = counted.__qualname__ = fn.__name__
        return task(pure=True, name=fn.__name__)(counted)

    def of(self, target: Any, engine: str = "codegen") -> tuple[Any, int]:
        self.calls.clear()
        return run(target, engine=engine), len(self.calls)


@pytest.fixture
def counter() -> Counter:
    return Counter()


def warm(make: Any) -> None:
    """Run a loop until it is generated as one: a first run compiles it, a second makes its guard."""
    for _ in range(2):
        run(make(), engine="codegen")


def test_a_pure_dependency_of_a_loop_runs_once(counter: Counter) -> None:
    """S2"""
    config = counter.pure(lambda name: {"name": name})

    @task
    def step(n: int, c: Any) -> Any:
        return step(n - 1, config("a")) if n else c["name"]

    warm(lambda: step(3, config("a")))
    assert counter.of(step(TURNS, config("a"))) == ("a", 2)  # before the loop is known to be one, and in it
    assert counter.of(step(TURNS, config("a")), "interpreter") == ("a", TURNS + 1)


def test_a_pure_dependency_of_a_jump_runs_once(counter: Counter) -> None:
    """S26"""
    config = counter.pure(lambda name: name * 2)

    @task
    def step(n: int, c: str) -> Jump:
        return Jump("again", n + 1) if n < TURNS else Jump("end", c)

    def loop() -> Any:
        return bind(step(0, config("a")), select_jump({"again": step(0, config("a")), "end": None}))

    warm(loop)
    value, calls = counter.of(loop())
    assert value == "aa"
    assert calls <= 3
    assert counter.of(loop(), "graph") == ("aa", TURNS + 1)


def test_chains_of_pure_calls_and_items(counter: Counter) -> None:
    load = counter.pure(lambda name: {"rows": [name]})
    first = counter.pure(lambda rows: rows[0])

    @task
    def step(n: int, row: str) -> Any:
        return step(n - 1, first(load("x")["rows"])) if n else row

    warm(lambda: step(3, first(load("x")["rows"])))
    assert counter.of(step(TURNS, first(load("x")["rows"]))) == ("x", 4)


def test_it_runs_again_when_a_literal_changes(counter: Counter) -> None:
    double = counter.pure(lambda x: 2 * x)
    seen: list[int] = []

    @task
    def step(n: int, value: int) -> Any:
        seen.append(value)
        return step(n - 1, double(n // 10)) if n else value

    warm(lambda: step(3, double(0)))
    seen.clear()
    assert counter.of(step(TURNS, double(3)))[0] == 0
    assert seen == [6] + [2 * (n // 10) for n in range(TURNS, 0, -1)]
    assert len(counter.calls) <= 6


@pytest.mark.parametrize(
    ("one", "other"), [(0.0, -0.0), (1, True), (1, 1.0), ("a", b"a"), (None, 0)], ids=repr
)
def test_equal_is_not_the_same(counter: Counter, one: Any, other: Any) -> None:
    """What compares equal, or looks alike, is another literal."""
    show = counter.pure(repr)
    seen: list[str] = []

    @task
    def step(n: int, value: str) -> Any:
        seen.append(value)
        return step(n - 1, show(other if n % 2 else one)) if n else None

    warm(lambda: step(3, show(one)))
    seen.clear()
    run(step(6, show(one)), engine="codegen")
    assert seen == [repr(one), *([repr(one), repr(other)] * 3)]


def test_a_literal_that_can_change_is_never_taken_for_unchanged(counter: Counter) -> None:
    """The same list, with other items."""
    total = counter.pure(sum)
    rows = [1]

    @task
    def step(n: int, value: int) -> Any:
        rows.append(1)
        return step(n - 1, total(rows)) if n else value

    warm(lambda: step(3, total(rows)))
    rows[:] = [1]
    assert run(step(TURNS, total(rows)), engine="codegen") == TURNS + 1


def test_an_impure_dependency_runs_in_each_turn(counter: Counter) -> None:
    calls = []

    @task
    def config(x: int) -> int:
        calls.append(x)
        return x

    plus = counter.pure(lambda x: x + 1)

    @task
    def step(n: int, a: int, b: int) -> Any:
        return step(n - 1, plus(config(1)), plus(5)) if n else (a, b)

    warm(lambda: step(3, plus(config(1)), plus(5)))
    calls.clear()
    value, count = counter.of(step(TURNS, plus(config(1)), plus(5)))
    assert value == (2, 6)
    assert len(calls) == TURNS + 1
    assert count == TURNS + 1 + 2


def test_a_container_is_a_new_one_in_each_turn(counter: Counter) -> None:
    """N5: a list that a task has got is its own, whatever is in it"""
    one = counter.pure(lambda: "x")

    @task
    def step(n: int, items: list[str]) -> Any:
        items.append("y")
        return step(n - 1, [one()]) if n else items

    warm(lambda: step(3, [one()]))
    assert counter.of(step(TURNS, [one()])) == (["x", "y"], 2)


def test_a_pure_task_that_returns_a_graph(counter: Counter) -> None:
    """S25: what stays is the graph's value"""
    inner = counter.pure(lambda x: x + 1)
    outer = counter.pure(lambda x: inner(x))

    @task
    def step(n: int, value: int) -> Any:
        return step(n - 1, outer(1)) if n else value

    warm(lambda: step(3, outer(1)))
    for engine in ("codegen", "interpreter", "graph"):
        assert counter.of(step(TURNS, outer(1)), engine)[0] == 2


def test_it_fails_in_the_turn_in_which_its_literal_is_bad(counter: Counter) -> None:
    """S15: with the note of that call"""
    divide = counter.pure(lambda x: 10 // x)
    turns = []

    @task
    def step(n: int, value: int) -> Any:
        turns.append(n)
        return step(n - 1, divide(1 if n > 5 else 0)) if n else value

    def bad() -> Any:
        return step(10, divide(1))

    with pytest.raises(ZeroDivisionError):
        run(bad(), engine="codegen")
    with pytest.raises(ZeroDivisionError):
        run(bad(), engine="codegen")
    turns.clear()
    with pytest.raises(ZeroDivisionError) as caught:
        run(bad(), engine="codegen")
    assert turns == [10, 9, 8, 7, 6, 5]
    assert caught.value.__notes__[0].splitlines()[0].startswith("in task")
    assert "test_hoisting.py" in caught.value.__notes__[0]


def test_the_value_lives_as_long_as_the_loop(counter: Counter) -> None:
    """P6"""

    class Thing:
        pass

    things: list[weakref.ref[Thing]] = []

    def make(name: str) -> Thing:
        thing = Thing()
        things.append(weakref.ref(thing))
        return thing

    load = counter.pure(make)

    @task
    def step(n: int, thing: Thing) -> Any:
        return step(n - 1, load("x")) if n else None

    for _ in range(3):
        run(step(TURNS, load("x")), engine="codegen")
    gc.collect()
    assert [ref() for ref in things] == [None] * len(things)


def test_what_is_found(counter: Counter) -> None:
    """The analysis alone: operations, leaves, kept values."""
    pure = counter.pure(lambda *_: None)

    @task
    def impure(*_: Any) -> None: ...

    assert unchanging(capture(impure(impure(1)))) is None
    assert unchanging(capture(pure(pure(1)))) is not None
    found = unchanging(capture(impure(pure(1, [pure(2)]), 3)))
    assert found is not None
    ops = capture(impure(pure(1, [pure(2)]), 3)).ops
    assert {ops[at].kind.value for at in found.ops} == {"call", "build"}
    assert len(found.leaves) == 2  # not the 3
    assert len(found.kept) == 3  # the outer call and the leaves; not the inner call, nor the list


def test_the_code_of_other_runs_is_not_touched(counter: Counter) -> None:
    """A graph that is no loop keeps no value longer than it is read."""
    load = counter.pure(lambda x: x)

    @task
    def step(n: int, value: int) -> Any:
        return step(n - 1, load(1)) if n else value

    warm(lambda: step(3, load(1)))
    code = activate(step(3, load(1)), {})[0]
    assert code.looped is not None
    assert code.looped.blueprint.registers >= code.blueprint.registers
    assert not code.loops


@pytest.mark.parametrize("engine", ["auto", "codegen"])
def test_a_loop_need_not_be_hot(counter: Counter, engine: str) -> None:
    """Nor be known: each call that it makes less is worth more than generating its code"""
    config = counter.pure(lambda name: {"name": name})

    @task
    def step(n: int, c: Any) -> Any:
        return step(n - 1, config("a")) if n else c["name"]

    @task
    def jumps(n: int, c: Any) -> Any:
        return Jump("again", {"n": n - 1}) if n else Jump("end", c["name"])

    assert counter.of(step(10, config("a")), engine) == ("a", 3)  # the second turn shows that it is a loop
    loop = bind(jumps(10, config("a")), select_jump({"again": jumps(0, config("a")), "end": None}))
    assert counter.of(loop, engine) == ("a", 3)


def test_counts_of_the_cache_stay_true(counter: Counter) -> None:
    config = counter.pure(lambda name: name)

    @task
    def step(n: int, c: Any) -> Any:
        return step(n - 1, config("a")) if n else c

    cache_clear()
    run(step(5, config("a")))
    assert cache_info().hits <= 5
