"""Loops inside a task: the form of a function whose own tail calls build no graph does what the function does."""

from __future__ import annotations

import asyncio
import importlib
import linecache
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from cascade_compiler import arun, literal, run, task
from cascade_compiler.cache import activate, cache_info
from cascade_compiler.turning import TURN, turning
from cascade_vm import events

ENGINES = ("interpreter", "codegen")


@task
def down(n):
    return down(n - 1) if n > 0 else "end"


@task
def two(n, total):
    if n == 0:
        return total
    if n % 2:
        return two(
            n - 1, total + n
        )
    return two(n - 1, total - n)


@task
def with_inner(n):
    def inner(k):
        return with_inner(k)

    if n > 10:
        return with_inner(n - 1)
    return inner(n - 1) if n else "inner"


@task
def with_blocks(n, log):
    try:
        if n:
            return with_blocks(n - 1, log)
    finally:
        log = None
    return "done"


@task
def with_default(n, by=1):
    return with_default(n - by) if n > 0 else n


@task
def by_keyword(n):
    return by_keyword(n=n - 1) if n else "kw"


@task
def starred(*args):
    return starred(*[args[0] - 1]) if args[0] else "star"


def form_of(target: Any) -> Any:
    return turning(activate(target, {})[0])


def hot(make: Any) -> Any:
    """The value on generated code, once the loop is known to be one; the interpreter's beside it."""
    want = run(make(), engine="interpreter")
    for _ in range(3):
        assert run(make(), engine="codegen") == want
    return want


@pytest.mark.parametrize("make", [
    lambda: down(50), lambda: two(51, 0), lambda: with_inner(30), lambda: with_blocks(40, "x"), lambda: with_default(20),
    lambda: with_default(20, 3), lambda: by_keyword(9), lambda: starred(9),
], ids=["down", "two", "inner", "blocks", "default", "default given", "keyword", "starred"])  # fmt: skip
def test_it_gives_what_the_function_gives(make):
    hot(make)


def test_what_is_rewritten():
    assert form_of(down(3)).function(3) == (TURN, down, 0, 2)
    assert form_of(down(3)).function(0) == "end"
    assert form_of(two(3, 0)).function(3, 5) == (TURN, two, 0, 2, 8)
    assert form_of(two(3, 0)).function(2, 5) == (TURN, two, 1, 1, 3)
    inner = form_of(with_inner(3)).function(5)
    assert inner.task is with_inner.task  # a function inside is left as it is


@pytest.mark.parametrize("target", [lambda: by_keyword(3), lambda: starred(3), lambda: with_default(3, by=1), lambda: two(down(1), 2)])
def test_what_is_left_as_it_is(target):
    assert form_of(target()) is None


def test_returns_inside_of_try_and_with_are_left_as_they_are():
    """What the name has come to mean by then is called inside of them, as written."""
    assert form_of(with_blocks(3, "x")) is None

    def make():
        @task
        def walk(n):
            nonlocal walk
            if n == 5:
                walk = fail
            try:
                return walk(n - 1)
            except ValueError:
                return "caught"

        return walk

    def fail(n):
        raise ValueError(n)

    assert [run(make()(20), engine=engine) for engine in ENGINES] == ["caught", "caught"]


def test_closures_and_lambdas():
    def make():
        @task
        def local(n):
            """A docstring."""
            return local(n - 1) if n > 0 else "local"

        return local

    local = make()
    assert form_of(local(3)).function(3) == (TURN, local, 0, 2)
    hot(lambda: local(30))
    short = task(lambda n: short(n - 1) if n else "lambda")
    assert form_of(short(3)) is None
    hot(lambda: short(30))


def test_local_variables_of_one_turn_are_not_those_of_the_next():
    @task
    def once(n):
        if n == 5:
            seen = n
        if n == 0:
            try:
                return seen
            except UnboundLocalError:
                return "unbound"
        return once(n - 1)

    assert hot(lambda: once(9)) == "unbound"


@pytest.mark.parametrize("given", [[1], (1, [2]), literal(down), {"a": 1}, {3}, 2.5, b"x", None], ids=repr)
def test_arguments_of_all_kinds(given):
    """S3, S4: what is no plain value is looked at as in any graph"""

    @task
    def carry(n, value):
        return carry(n - 1, given) if n else value

    value = hot(lambda: carry(20, given))
    assert value == (given.value if type(given) is type(literal(1)) else given)


def test_an_argument_that_is_a_call():
    """S25 and S2: the loop takes another shape for a turn"""
    calls = []

    @task
    def plus(x):
        calls.append(x)
        return x + 1

    @task
    def mixed(n, value):
        return mixed(n - 1, plus(value) if n % 3 == 0 else value) if n else value

    assert hot(lambda: mixed(30, 0)) == 10


def test_a_name_that_comes_to_mean_something_else():
    def make(limit):
        @task
        def other(n):
            return ("other", n)

        @task
        def walk(n):
            nonlocal walk
            if n == limit:
                walk = other
            return walk(n - 1)

        return walk

    for engine in ENGINES:
        for _ in range(3):
            assert run(make(90)(100), engine=engine) == ("other", 89)


def test_a_name_that_comes_to_mean_no_task():
    def make():
        @task
        def walk(n):
            nonlocal walk
            if n == 5:
                walk = str
            return walk(n - 1)

        return walk

    assert [run(make()(10), engine=engine) for engine in ENGINES] == ["4", "4"]


@task
def fails(n):
    if n == 3:
        raise ValueError(n)
    if n % 2:
        return fails(n - 1)
    return fails(
        n - 1
    )


def test_a_failure_in_a_later_turn():
    """S15: exception, traceback and note are those of the interpreter"""
    told = []
    for engine in (*ENGINES, "codegen", "codegen"):
        with pytest.raises(ValueError, match="3") as caught:
            run(fails(50), engine=engine)
        frames = [(f.name, f.lineno) for f in traceback.extract_tb(caught.value.__traceback__) if f.filename == __file__]
        told.append((frames[-1], caught.value.__notes__))
    assert told == [told[0]] * 4
    note = told[0][1][0]
    line = next(at for at, text in enumerate(Path(__file__).read_text().splitlines(), 1) if text == "    return fails(")
    assert f"test_turning.py:{line}" in note
    assert "n = 3" in note


def test_source_that_is_not_what_runs(tmp_path, monkeypatch):
    """A file that was edited after it was imported is not believed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "from cascade_compiler import task\n\n\n@task\ndef edited(n):\n    return edited(n - 1) if n else 'first'\n"
    path = tmp_path / "turning_edited.py"
    path.write_text(text)
    module = importlib.import_module("turning_edited")
    try:
        assert form_of(module.edited(3)) is not None
        moved = ("    return", "    pass\n    return")
        for change in (("n - 1", "n - 2"), ("'first'", "'other'"), ("(n)", "(m)"), moved, ("def edited", "def x")):
            path.write_text(text.replace(*change))
            linecache.checkcache()
            assert form_of(module.edited(3)) is None, change
        path.unlink()
        linecache.checkcache()
        assert form_of(module.edited(3)) is None
        hot(lambda: module.edited(10))
    finally:
        del sys.modules["turning_edited"]


def test_turns_are_counted_and_told():
    hot(lambda: down(10))
    before = cache_info().hits
    run(down(1_000), engine="codegen")
    assert cache_info().hits - before >= 1_000
    seen = []
    with events.subscribe(seen.append):
        run(down(10), engine="codegen")
    assert sum(type(event) is events.TaskStarted for event in seen) == 11


def test_each_turn_gives_way_where_it_has_to():
    """S9: a time slice of nothing is over at each tail call"""
    hot(lambda: down(10))

    async def main(turns):
        beats = 0
        running = True

        async def beat():
            nonlocal beats
            while running:
                beats += 1
                await asyncio.sleep(0)

        other = asyncio.ensure_future(beat())
        await asyncio.sleep(0)
        assert await arun(down(turns), engine="codegen", time_slice=0) == "end"
        running = False
        await other
        return beats

    assert asyncio.run(main(100)) >= 100


def test_a_loop_can_be_cancelled():
    """S18"""

    @task
    def forever(n):
        return forever(n + 1)

    async def main():
        running = asyncio.ensure_future(arun(forever(0), engine="codegen", time_slice=0))
        for _ in range(20):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
