"""A chain of 20 calls: its program kept, its graph built afresh for each run, and by hand."""

from __future__ import annotations

from collections.abc import Iterator

from bench.case import Case, Work
from bench.loops import chain, f
from cascade_compiler import compile, run

_RUNS = 1_000


def nested() -> int:
    """20 calls in one expression: the least that Python can do."""
    value = -1
    for _ in range(_RUNS):
        value = f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(0))))))))))))))))))))
    return value


def lines() -> int:
    """20 calls in a loop, as most people would write it."""
    value = -1
    for _ in range(_RUNS):
        value = 0
        for _ in range(20):
            value = f(value)
    return value


def _reused() -> Work:
    exe = compile(chain(20, 0)).link()

    def call() -> int:
        value = -1
        run_it = exe.run
        for _ in range(_RUNS):
            value = run_it()
        return value

    return Work(call, _RUNS, expect=20)


def _fresh() -> int:
    value = -1
    for _ in range(_RUNS):
        value = run(chain(20, 0))
    return value


def cases() -> Iterator[Case]:
    for how, by_hand in (("nested", nested), ("in a loop", lines)):
        beside = Work(by_hand, _RUNS, expect=20)
        yield Case(f"20-chain, program kept, beside {how}", "run", f"calls {how}", lambda beside=beside: (_reused(), beside))
        fresh = Work(_fresh, _RUNS, expect=20)
        yield Case(f"20-chain, fresh graph, beside {how}", "run", f"calls {how}", lambda both=(fresh, beside): both)


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.chains", cases())
