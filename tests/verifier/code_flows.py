"""Workflows of all constructs, to damage their code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from cascade_compiler import Jump, LazyResult, Router, bind, inject, resource, task


@task
def f(*args: Any, **kwargs: Any) -> Any:
    return ["f", *args, kwargs] if kwargs else ["f", *args]


@task
def one(x: Any) -> Any:
    return x


@task
async def g(*args: Any, **kwargs: Any) -> Any:
    await asyncio.sleep(0)
    return ["g", *args, kwargs] if kwargs else ["g", *args]


@task
def nest(x: Any) -> Any:
    return g(f(x))


@task
def nest_again(x: Any) -> Any:
    return f(nest(x), g(x))


calls: list[Any] = []


def _counts(n: Any) -> bool:
    """Is it to go round again? Damaged code might do so for ever."""
    calls.append(n)
    if len(calls) > 200:
        raise ValueError("it goes round and round")
    return type(n) is int and 0 < n < 6


@task
def go(n: Any) -> Any:
    return go(n - 1) if _counts(n) else f(n)


@task
async def go_later(n: Any) -> Any:
    return go_later(n - 1) if _counts(n) else f(n)


@resource(scope="run")
def of_run() -> Iterator[str]:
    yield "of the run"


@resource(scope="step")
def of_step() -> Iterator[str]:
    yield "of the step"


@resource(scope="run")
async def later_of_run() -> AsyncIterator[str]:
    yield "later"


@task
def use(x: Any, a: Any = inject(of_run), b: Any = inject(of_step), c: Any = inject(later_of_run)) -> Any:
    return [x, a, b, c]


@task
def step(n: Any, m: Any = 0) -> Any:
    return Jump("again", {"n": n + 1, "m": m}) if _counts(n) else Jump("end", n)


@task
def step_of_calls(n: Any, m: Any = 0) -> Any:
    return Jump("again", {"n": one(n + 1), "m": m}) if _counts(n) else Jump("end", n)


def targets() -> Iterator[LazyResult[Any]]:
    value, waits = one(5), g(1)
    yield f(one(1).run_if(one(0), otherwise=value), value, nest(7))
    yield f(g(1), f(g(2), 3), nest(nest_again(4)), k=waits, j=waits)
    yield Router(one("a"), {"a": nest(1), "b": f(one(2), waits)}, default=g(waits))
    yield f([one(1).run_if(one(1)), {"x": g(3).run_if(g(1), otherwise=nest(2))}], one(3).after(waits))
    yield go(one(3))
    yield go_later(g(3))
    yield f(g.map([1, 2, 3]), one.map(x=[one(1), 2]), nest(3))
    yield f(use(1), use(g(2)))
    yield f(g(1).with_retry(2), one(2).with_constraints(gpu=1), g(3).with_timeout(5), one(nest(1))[0])
    yield bind(step(1), {"again": step(1), "end": None})
    yield f(bind(step_of_calls(one(1), m=g(1)), {"again": step_of_calls(1, m=g(2)), "end": None}), nest(1))
    yield Router(one(1), {1: f(1).run_if(one(1), otherwise=nest(2)), 2: g(waits)})
    yield f(f(1), f(f(f(2))), f(3))[1]
    yield use(nest(1))
    yield f(Router(one(1), {1: nest(waits), 2: nest_again(waits)}), Router(one(2), {1: one(waits), 2: f(waits, value)}))
