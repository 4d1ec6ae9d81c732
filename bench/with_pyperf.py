"""The pyperf mode: each side of each case a benchmark of its own, in processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter

import pyperf

from bench.case import Cannot, Case, Work


def main(module: str, cases: Iterable[Case]) -> None:
    """Hand ``cases`` to a ``pyperf.Runner``. Its worker processes start ``module`` again."""
    runner = pyperf.Runner(program_args=("-m", module))
    for case in cases:
        for side, make in case.sides.items():
            _bench(runner, make, f"{case.name}: {side}")


def _bench(runner: pyperf.Runner, make: Callable[[], Work], name: str) -> None:
    made: list[Work] = []

    def timed(loops: int) -> float:
        if not made:  # here, so that a worker builds nothing but what it times
            try:
                work = make()
            except Cannot:
                return 1e-9 * loops
            work.check()
            made.append(work)
        return _time(made[0], loops) / made[0].count

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
