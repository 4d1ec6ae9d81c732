"""Loops by tail call: with nothing, a kept chain, or a fresh chain of 20 calls in each iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.case import BY_HAND, Case, Peers, Reach, Work, sized
from bench.engines import CODEGEN, engines, scaled
from bench.tasks import chain, f
from cascade_compiler import LazyResult, run, task

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
def heavy(n: int, twenty: int) -> LazyResult | int:
    """Count down; every iteration builds a chain of 20 nodes."""
    return heavy(n - 1, chain(20, n)) if n else twenty


# --- the same calls by hand -----------------------------------------------------------------------------------------------


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


def heavy_step(n: int, twenty: int) -> int:
    return n - 1


def heavy_by_hand(n: int) -> int:
    twenty = 0
    while n:
        twenty = f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(n))))))))))))))))))))
        n = heavy_step(n, twenty)
    return twenty


def _sides(start: Callable[[int], Any], by_hand: Callable[[int], Any], n: int, expect: Any) -> dict[str, Callable[[], Work]]:
    def by(engine: str) -> Work:
        count = scaled(sized(n), engine)
        return Work(lambda: run(start(count), engine=engine), count, expect=expect)

    sides = {BY_HAND: lambda: Work(lambda: by_hand(sized(n)), sized(n), expect=expect)}
    return sides | {engine: lambda engine=engine: by(engine) for engine in engines()}


def cases() -> Iterator[Case]:
    yield Case(
        "countdown", "iteration", "a while loop that calls the function", _sides(simple, simple_by_hand, 100_000, 0),
        reaches=(Reach(CODEGEN, "extra", most=0.30e-6),),
        peers=Peers("countdown", {"turns": 1_000}),
        about="A loop such as an agent's: a step decides whether there is another one. Here by a tail call; in the other "
        "libraries by what each offers for loops.",
    )  # fmt: skip
    yield Case(
        "loop with a kept chain of 10", "iteration", "a while loop", _sides(lambda n: stable(n, KEPT), stable_by_hand, 30_000, 10),
        about="Every iteration runs a chain of 10 calls that was built once.",
    )  # fmt: skip
    yield Case(
        "loop with a fresh chain of 20", "iteration", "a while loop", _sides(lambda n: heavy(n, 0), heavy_by_hand, 6_000, 21),
        reaches=(Reach(CODEGEN, "each", most=8e-6),),
        about="Every iteration builds a chain of 20 calls, which is recognised and run.",
    )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.loops", cases())
