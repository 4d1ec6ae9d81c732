"""Functions that are given other code while generated code rests on what they were: tools that reload modules in place do that."""

from __future__ import annotations

import asyncio

import pytest

from cascade_compiler import arun, compile, run, task
from cascade_compiler.cache import activate


def other_code(new):
    """Gives the code of ``new``, which has no free variables of its own."""
    return new.__code__


@task
def other(x):
    return x * 100


@pytest.fixture
def small():
    """Functions of which it can be proven that they give no graph; and one that tells what it is given."""

    @task
    def f(x):
        return x + 1

    @task
    def kind(x):
        return type(x).__name__

    return f, kind


def to_graph(x):
    return other(x)


def test_in_a_graph(small):
    f, kind = small
    for _ in range(3):
        assert run(kind(f(f(1))), engine="codegen") == "int"
    assert activate(kind(f(f(1))), {})[0].whole is not None
    f.fn.__code__ = other_code(to_graph)
    for _ in range(20):
        assert run(kind(f(f(1))), engine="codegen") == "int"
    assert run(f(f(1)), engine="codegen") == run(f(f(1)), engine="graph") == 10_000


@pytest.mark.parametrize("engine", ["interpreter", "codegen"])
@pytest.mark.parametrize("calls", [2, 9])
def test_in_a_program(small, engine, calls):
    f, kind = small
    value = 1
    for _ in range(calls):
        value = f(value)
    program = compile(kind(value)).link(engine=engine)
    assert [program.run() for _ in range(3)] == ["int"] * 3
    f.fn.__code__ = other_code(to_graph)
    assert [program.run() for _ in range(20)] == ["int"] * 20


def test_among_several_strands(small):
    f, kind = small

    @task
    async def wait(x):
        await asyncio.sleep(0)
        return x

    @task
    def five(x):
        return 5

    def graph():
        return [kind(f(five(1))), wait(1), kind(f(five(wait(2))))]

    for _ in range(3):
        assert run(graph(), engine="codegen") == ["int", 1, "int"]
    f.fn.__code__ = other_code(to_graph)
    for _ in range(20):
        assert run(graph(), engine="codegen") == ["int", 1, "int"]


def test_in_a_chain_of_awaits(small):
    f, kind = small

    @task
    async def wait(x):
        await asyncio.sleep(0)
        return x

    @task
    def five(x):
        return 5

    async def main():
        return await arun(wait(kind(f(five(wait(1))))), engine="codegen")

    assert [asyncio.run(main()) for _ in range(3)] == ["int"] * 3
    f.fn.__code__ = other_code(to_graph)
    assert [asyncio.run(main()) for _ in range(20)] == ["int"] * 20


def test_in_a_loop(small):
    f, kind = small

    @task
    def loop(n, seen):
        return loop(n - 1, kind(f(f(f(n))))) if n else seen

    for _ in range(3):
        assert run(loop(9, None), engine="codegen") == "int"
    f.fn.__code__ = other_code(to_graph)
    for _ in range(20):
        assert run(loop(9, None), engine="codegen") == "int"


@task
def down(n, end="end"):
    return down(n - 1) if n else end


def up_in_twos(n, end="end"):
    return down(n - 2) if n > 0 else ("twos", end)


def test_in_a_loop_inside_of_a_task():
    before = down.fn.__code__, down.fn.__defaults__
    try:
        for _ in range(3):
            assert run(down(50), engine="codegen") == "end"
        down.fn.__defaults__ = ("another",)
        for _ in range(20):
            assert run(down(50), engine="codegen") == "another"
        down.fn.__code__ = other_code(up_in_twos)
        for _ in range(20):
            assert run(down(50), engine="codegen") == ("twos", "another")
    finally:
        down.fn.__code__, down.fn.__defaults__ = before


def test_it_is_generated_anew_after_some_runs(small):
    f, kind = small
    for _ in range(3):
        run(kind(f(f(1))), engine="codegen")
    before = activate(kind(f(f(1))), {})[0].whole
    f.fn.__code__ = other_code(lambda x: x - 1)
    for _ in range(20):
        assert run(kind(f(f(1))), engine="codegen") == "int"
    after = activate(kind(f(f(1))), {})[0].whole
    assert after is not None
    assert after is not before


def test_a_task_that_is_called_as_the_test_is(small):
    """A name that the text of the test would take"""
    f, kind = small

    @task
    def f_code(x):
        return x + 10

    for _ in range(3):
        assert run(kind(f(f_code(f(1)))), engine="codegen") == "int"
    assert run(f(f_code(f(1))), engine="codegen") == 13
