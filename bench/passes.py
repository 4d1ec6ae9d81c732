"""``python -m bench.passes``: what each pass is worth on one workflow, and what it costs where it finds nothing to do."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

from bench.tasks import increment
from cascade_compiler import ahead_of_time, compile, gather, task, workflow
from cascade_compiler.capture import capture
from cascade_compiler.passes import Pass, drop_dead, fold, forward_items, merge_twins

_ROUNDS = 40
_LONG = 20_000  # operations, of a graph that no pass finds anything in


@task(pure=True)
def parse(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in (part.split("=") for part in text.split())}


@task(pure=True)
def sold(prices: list[int]) -> list[int]:
    return [price for price in prices if price]


@task
def low(prices: list[int]) -> int:
    return min(prices)


@task
def high(prices: list[int]) -> int:
    return max(prices)


@task
def offer(lowest: int, highest: int, tax: float, fee: float) -> float:
    return (highest - lowest) * tax + fee


@workflow
def quote(prices: list[int]) -> Any:
    ends = gather(low(sold(prices)), high(sold(prices)))
    rates = "tax=0.19 fee=2.5 margin=0.3"
    return offer(ends[0], ends[1], parse(rates)["tax"], parse(rates)["fee"])


def _least(call: Callable[[], Any], times: int) -> float:
    """Seconds of a call, undisturbed."""
    return min(timeit.timeit(call, number=times) / times for _ in range(_ROUNDS))


def _compiled(*passes: Pass) -> Any:
    known = ahead_of_time.passes_ahead_of_time
    ahead_of_time.passes_ahead_of_time = lambda graph, folding=False: passes
    try:
        return compile(quote)
    finally:
        ahead_of_time.passes_ahead_of_time = known


def main() -> None:
    sets: dict[str, tuple[Pass, ...]] = {
        "none": (), "merge_twins": (merge_twins,), "forward_items, drop_dead": (forward_items, drop_dead),
        "without fold": (merge_twins, forward_items, drop_dead), "all": (fold, merge_twins, forward_items, drop_dead),
    }  # fmt: skip
    programs = {name: _compiled(*passes) for name, passes in sets.items()}
    linked = {(name, engine): one.link(engine=engine) for name, one in programs.items() for engine in ("interpreter", "codegen")}
    best = dict.fromkeys(linked, float("inf"))
    for _ in range(_ROUNDS):  # each in turn, so that what disturbs one disturbs all
        for key, exe in linked.items():
            best[key] = min(best[key], timeit.timeit(lambda exe=exe: exe.run(prices=[3, 1, 2]), number=500) / 500)
    for name, program in programs.items():
        times = ", ".join(f"{engine} {best[name, engine] * 1e6:.1f} µs" for engine in ("interpreter", "codegen"))
        print(f"{name}: {len(program.entry.instructions)} instructions; a run takes {times}")
    value: Any = 0
    for _ in range(_LONG):
        value = increment(value)
    graph = capture(value)
    for one in (fold, merge_twins, forward_items, drop_dead):
        print(f"{one.__name__}, nothing to do: {_least(lambda one=one: one(graph), 1) / len(graph.ops) * 1e9:.0f} ns an operation")


if __name__ == "__main__":
    main()
