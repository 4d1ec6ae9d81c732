"""The three loops that this project began from: tail calls, with nothing, a kept chain, or two fresh chains as arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.case import Case, Work
from cascade_compiler import LazyResult, run, task


@task
def increment(x: int) -> int:
    """One node of a chain."""
    return x + 1


def chain(length: int, value: Any) -> Any:
    """``increment(increment(... value))``, as a graph."""
    for _ in range(length):
        value = increment(value)
    return value


KEPT = chain(10, 0)


@task
def simple(n: int) -> LazyResult | int:
    """Count down."""
    return simple(n - 1) if n else 0


@task
def stable(n: int, kept: int) -> LazyResult | int:
    """Count down; the loop carries one chain of 10 nodes, which is run in every iteration."""
    return stable(n - 1, KEPT) if n else kept


@task
def heavy(n: int, ten: int, twenty: int) -> LazyResult | int:
    """Count down; every iteration builds a chain of 10 and a chain of 20 nodes."""
    return heavy(n - 1, chain(10, n), chain(20, n)) if n else ten + twenty


# --- the same calls by hand -----------------------------------------------------------------------------------------------

f = increment.fn


def simple_step(n: int) -> int:
    return n - 1


def simple_by_hand(n: int) -> int:
    while n:
        n = simple_step(n)
    return n


def stable_step(n: int, kept: int) -> int:
    return n - 1


def stable_by_hand(n: int) -> int:
    kept = 0
    while n:
        kept = f(f(f(f(f(f(f(f(f(f(0))))))))))
        n = stable_step(n, kept)
    return kept


def heavy_step(n: int, ten: int, twenty: int) -> int:
    return n - 1


def heavy_by_hand(n: int) -> int:
    ten = twenty = 0
    while n:
        ten = f(f(f(f(f(f(f(f(f(f(n))))))))))
        twenty = f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(n))))))))))))))))))))
        n = heavy_step(n, ten, twenty)
    return ten + twenty


def cases() -> Iterator[Case]:
    for engine, scale in (("interpreter", 1), ("graph", 100)):
        for name, n, expect, start, by_hand in (
            ("simple", 100_000, 0, simple, simple_by_hand),
            ("stable", 30_000, 10, lambda n: stable(n, KEPT), stable_by_hand),
            ("heavy", 6_000, 32, lambda n: heavy(n, 0, 0), heavy_by_hand),
        ):
            yield Case(f"{name} loop, {engine}", "iteration", "by hand", _maker(start, by_hand, n // scale, n, expect, engine))


def _maker(start: Any, by_hand: Any, n: int, n_by_hand: int, expect: int, engine: str) -> Any:
    return lambda: (
        Work(lambda: run(start(n), engine=engine), n, expect=expect),
        Work(lambda: by_hand(n_by_hand), n_by_hand, expect=expect),
    )


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.loops", cases())
