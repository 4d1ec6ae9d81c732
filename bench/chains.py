"""A chain of 20 synchronous calls: its program kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.case import BY_HAND, Case, Peers, Reach, Work, sized
from bench.engines import CODEGEN, INTERPRETER, engines, kept, scaled
from bench.tasks import chain, f

_RUNS = 1_000


def nested() -> int:
    """20 calls in one expression: the least that Python can do."""
    value = -1
    for _ in range(_RUNS):
        value = f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(0))))))))))))))))))))
    return value


def lines() -> int:
    """20 calls in a loop."""
    value = -1
    for _ in range(_RUNS):
        value = 0
        for _ in range(20):
            value = f(value)
    return value


def repeated(run_it: Callable[[], Any], times: int, expect: Any) -> Work:
    """``times`` runs, counted as that many."""

    def call() -> Any:
        value = None
        again = run_it
        for _ in range(times):
            value = again()
        return value

    return Work(call, times, expect=expect)


def cases() -> Iterator[Case]:
    sides: dict[str, Callable[[], Work]] = {
        BY_HAND: lambda: Work(nested, _RUNS, expect=20),
        "by hand, in a loop": lambda: Work(lines, _RUNS, expect=20),
    }
    for engine in engines():
        sides[engine] = lambda engine=engine: repeated(kept(chain(20, 0), engine), scaled(sized(_RUNS), engine), 20)
    yield Case(
        "chain of 20 calls", "run", "20 calls nested in one expression", sides,
        reaches=(Reach(CODEGEN, "ratio", most=1.10), Reach(INTERPRETER, "ratio", most=2.2)),
        peers=Peers("chain", {"length": 20}),
        about="20 synchronous calls, each of the value before. Graph built and compiled once, run again and again.",
    )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.chains", cases())
