"""The interleaved mode: subject and reference in turns, medians of the ratios of the rounds."""

from __future__ import annotations

import dataclasses
import gc
import statistics
from time import perf_counter

from bench.case import Case, Work

_ROUND = 0.02  # seconds that each side of a round should take at least: far above the clock's grain and a switch of tasks


@dataclasses.dataclass(frozen=True)
class Measured:
    """Seconds are for one unit. ``ratio`` is the median over the rounds; ``low`` and ``high`` are its quartiles."""

    name: str
    unit: str
    beside: str
    rounds: int
    seconds: float
    reference_seconds: float | None
    ratio: float | None
    low: float | None
    high: float | None


def measure(case: Case, budget: float, least: int = 3) -> Measured:
    """Check ``case``, and time it for about ``budget`` seconds, in ``least`` rounds or more."""
    subject, reference = case.make()
    sides = [subject] if reference is None else [subject, reference]
    repeats = [max(1, round(_ROUND / side.check())) for side in sides]
    times: list[list[float]] = [[] for _ in sides]
    end = perf_counter() + budget
    rounds = 0
    while rounds < least or (perf_counter() < end and rounds < 100):
        # Every other round the other way about: neither side always comes after the other's garbage and caches.
        for at in range(len(sides)) if rounds % 2 else reversed(range(len(sides))):
            times[at].append(_time(sides[at], repeats[at]))
        rounds += 1
    if reference is None:
        return Measured(case.name, case.unit, case.beside, rounds, statistics.median(times[0]), None, None, None, None)
    ratios = [one / other for one, other in zip(*times, strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    middle = [statistics.median(one) for one in times]
    return Measured(case.name, case.unit, case.beside, rounds, middle[0], middle[1], ratio, low, high)


def _time(side: Work, repeats: int) -> float:
    """Seconds for one unit. The collector stays on, as it is when users run, but starts from a clean slate."""
    gc.collect()
    spent = 0.0
    if side.prepare is None:
        call = side.call
        start = perf_counter()
        for _ in range(repeats):
            call()
        spent = perf_counter() - start
    else:
        for _ in range(repeats):
            arguments = side.arguments()
            start = perf_counter()
            side.call(*arguments)
            spent += perf_counter() - start
            del arguments
    return spent / (repeats * side.count)
