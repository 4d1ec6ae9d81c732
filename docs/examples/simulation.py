"""Hares and lynxes over 100,000 steps: a loop of synchronous tasks that takes no more memory than one step.

A step is a graph of four calls, in which ``hunt``, ``look`` and the next ``step`` all use the one result of ``breed``.
``step`` returns the graph of the next step, a tail call: the finished step is gone before the next one begins. No event loop
is made, because nothing waits.

    python docs/examples/simulation.py
"""

from __future__ import annotations

import math
import time
import tracemalloc
from typing import Any, NamedTuple

from cascade_compiler import LazyResult, run, task, workflow

BIRTHS, CATCHES, GAIN, DEATHS = 0.8, 0.04, 0.01, 0.4  # a year, for each animal or each meeting
DT = 0.01  # years in a step


class Seen(NamedTuple):
    """What is remembered of the steps so far: its size does not grow with their number."""

    fewest: float
    most: float
    peaks: int = 0
    rising: bool = False


@workflow
def years(steps: int = 100_000, hares: float = 60.0, lynxes: float = 10.0) -> Any:
    """Let ``steps`` pieces of time go by; the value tells what was seen."""
    return begin(hares, lynxes, steps)


@task
def begin(hares: float, lynxes: float, steps: int) -> LazyResult:
    """The first step."""
    return step(hares, lynxes, steps, Seen(hares, hares), balance(hares, lynxes))


@task
def step(hares: float, lynxes: float, left: int, seen: Seen, start: float) -> LazyResult | dict[str, Any]:
    """One step and all that come after it; at the end, what was seen."""
    if left == 0:
        return {
            "hares": hares,
            "lynxes": lynxes,
            "fewest": seen.fewest,
            "most": seen.most,
            "peaks": seen.peaks,
            "drift": balance(hares, lynxes) / start - 1,
        }
    born = breed(hares, lynxes)
    return step(born, hunt(born, lynxes), left - 1, look(seen, hares, born), start)


@task
def breed(hares: float, lynxes: float) -> float:
    """The hares after a step."""
    return hares + DT * hares * (BIRTHS - CATCHES * lynxes)


@task
def hunt(hares: float, lynxes: float) -> float:
    """The lynxes after a step, in which they meet the new hares (which keeps the cycles from growing: symplectic Euler)."""
    return lynxes + DT * lynxes * (GAIN * hares - DEATHS)


@task
def look(seen: Seen, before: float, now: float) -> Seen:
    """Remember the extremes, and count a peak where growth ends."""
    rising = now > before
    return Seen(min(seen.fewest, now), max(seen.most, now), seen.peaks + (seen.rising and not rising), rising)


def balance(hares: float, lynxes: float) -> float:
    """What the exact equations keep constant: how far it drifts tells how good the steps are."""
    return GAIN * hares - DEATHS * math.log(hares) + CATCHES * lynxes - BIRTHS * math.log(lynxes)


def main() -> None:
    """Run short and long, and show that the long run takes longer, but no more memory."""
    print("   steps    years   peaks   hares (fewest, most)  drift    seconds   peak memory")
    run(years(steps=10))  # what the first run of a shape costs once is no part of the comparison
    for steps in (1_000, 10_000, 100_000):
        began = time.perf_counter()
        told = run(years(steps=steps))
        seconds = time.perf_counter() - began
        tracemalloc.start()  # again, and slower, with an eye on each allocation
        run(years(steps=steps))
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        world = "{peaks:7} {fewest:14.1f}, {most:6.1f} {drift:+9.3%}".format(**told)
        print(f"{steps:8,} {steps * DT:8,.0f} {world} {seconds:10.3f} {memory / 1024:9.1f} KiB")


if __name__ == "__main__":
    main()
