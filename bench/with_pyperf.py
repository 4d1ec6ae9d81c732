"""The pyperf mode: each side of each case a benchmark of its own, in processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter

import pyperf

from bench.case import Case, Work


def main(module: str, cases: Iterable[Case]) -> None:
    """Hand ``cases`` to a ``pyperf.Runner``. Its worker processes start ``module`` again."""
    runner = pyperf.Runner(program_args=("-m", module))
    for case in cases:
        _bench(runner, case, 0, case.name)
        _bench(runner, case, 1, f"{case.name}, {case.beside}")


def _bench(runner: pyperf.Runner, case: Case, side: int, name: str) -> None:
    made: list[Work] = []

    def timed(loops: int) -> float:
        if not made:  # here, so that a worker builds nothing but what it times
            work = case.make()[side]
            if work is None:
                return 1e-9 * loops
            work.check()
            made.append(work)
        return _time(made[0], loops) / made[0].count

    if case.beside or not side:
        runner.bench_time_func(name, timed)


def _time(work: Work, loops: int) -> float:
    call: Callable[..., object] = work.call
    spent = 0.0
    for _ in range(loops):
        arguments = work.arguments()
        start = perf_counter()
        call(*arguments)
        spent += perf_counter() - start
        del arguments
    return spent
