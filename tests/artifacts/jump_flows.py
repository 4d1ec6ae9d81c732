"""Loops by jumps that are compiled by one process and run by another."""

from __future__ import annotations

import asyncio
from typing import Any

from cascade_compiler import Jump, Param, bind, gather, inject, resource, select_jump, task, workflow


@task
def double(x: Any) -> Any:
    return 2 * x


@task
def count(n: int, step: Any = 1, total: int = 0) -> Any:
    return Jump("again", {"n": n - 1, "total": total + n}) if n > 0 else Jump("end", (total, step))


@task
def pick(key: Any, data: Any = None) -> Any:
    return Jump(key) if data is None else Jump(key, data)


@task
def show(*args: Any, **named: Any) -> Any:
    return args, named


@task
def same(a: Any, b: Any = None, *, c: Any = "c") -> Any:
    return a, b, c


@task
def with_graph() -> Any:
    return Jump("same", {"a": double(2), "c": [double(3)]})


@task
def collect(rows: list[int], n: int) -> Any:
    rows.append(n)
    return Jump("more", {"n": n - 1}) if n > 0 else Jump("end", rows)


@task
def fail(n: int) -> Any:
    raise KeyError(n)


@task
async def later(n: int, waited: Any = None) -> Any:
    await asyncio.sleep(0)
    return Jump("again", n - 1) if n > 0 else Jump("end", waited)


@task(mode="thread")
def threaded(n: int) -> Any:
    return Jump("again", n - 1) if n > 0 else Jump("end", "thread")


tries: list[int] = []


@task
def flaky(n: int) -> Any:
    tries.append(n)
    if len(tries) % 2:
        raise ValueError(n)
    return Jump("again", n - 1) if n > 0 else Jump("end", len(tries))


opened: list[str] = []


@resource(scope="step")
def seat() -> Any:
    opened.append("open")
    yield "seat"
    opened.append("close")


@task
def sit(n: int, at: Any = inject("seat")) -> Any:
    return Jump("again", n - 1) if n > 0 else Jump("end", at)


@workflow
def counted(n: int, step: int = 1) -> Any:
    """A route whose argument is an input, and one that is computed"""
    return bind(count(n, step), select_jump({"again": count(0, double(step)), "end": None}))


@workflow
def machine(n: int, key: str) -> Any:
    """Several loops in one graph, of all kinds"""
    states = select_jump(
        {
            "same": same(double(5), b=double(6)),
            "show": show(1, 2, named=3),
            1: bind(count(2), {"again": count(0), "end": None}),
            (1, "two"): None,
            "fail": fail(1),
            "fail twice": fail(2),
            "end": None,
        }
    )
    return gather(
        bind(pick(key), states),
        same(bind(with_graph(), states)),
        bind(later(n), {"again": later(0, double(n)), "end": None}),
        bind(threaded(n), {"again": threaded(0), "end": None}),
        bind(flaky(n).with_retry(2, on=ValueError), {"again": flaky(0).with_retry(3, on=ValueError), "end": None}),
        bind(sit(n), {"again": sit(0), "end": None}).run_if(n, otherwise="nobody"),
        bind(collect([], n), {"more": collect([0], n), "end": None}),
    )


@workflow
def states(key: str, data: Any = None) -> Any:
    """One jump: to a route, with data"""
    return bind(
        pick(key, data),
        select_jump(
            {
                "same": same(double(5), b=double(6)),
                "given": same(1, 2),
                "show": show(1, 2, named=3),
                "param": same(Param("limit", int, 9)),
                "fail": fail(1),
                "fail twice": fail(2),
                "end": None,
            }
        ),
    )


@task
def few(n: int, extra: Any = None, **more: Any) -> Any:
    tries.append(n)
    if len(tries) > 50:
        raise ValueError("too many turns")
    return Jump("again", {"n": n - 1, "name": n}) if n > 0 else Jump("end", extra)


bounded = bind(few(3), {"again": few(0, double(1)), "end": None})
small = bind(count(3), {"again": count(0), "end": None})
