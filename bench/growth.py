"""How cost grows with size: 10 to 1,000,000 nodes, 1 to 10,000 awaits at once. Each case is a curve; compiling.py has one more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import cache
from time import perf_counter
from typing import Any

from bench.awaiting import in_loop, wide
from bench.case import BY_HAND, Cannot, Case, Work, sized
from bench.engines import CODEGEN, GRAPH, akept, compiled, engines, kept
from bench.tasks import Layers, tick
from cascade_compiler import cache_clear, run

SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
AWAITS = (1, 10, 100, 1_000, 10_000)
_SMALL = 1_000  # the reference
_PATIENCE = 60.0  # seconds that making or running a size may take; ten times the size is left out if it would take longer


class _Patience:
    """Leaves out a size that would take too long, judged by how long it took from the size before to this one."""

    def __init__(self) -> None:
        self.size = 0
        self.began = 0.0

    def make(self, make: Callable[[int], Work], size: int) -> Work:
        now = perf_counter()
        expected = 10 * (now - self.began) if size == 10 * self.size else 0.0
        if expected > _PATIENCE:
            raise Cannot(f"would take about {expected:.0f} s")
        self.size, self.began = size, now
        return make(sized(size))


def _curve(make: Callable[[int], Work], sizes: tuple[int, ...]) -> dict[str, Callable[[], Work]]:
    """Sides by size, the reference first and the rest as they grow."""
    patience = _Patience()
    ordered = sorted(sizes, key=lambda size: (size != _SMALL, size))
    return {f"{size:,}": lambda size=size: patience.make(make, size) for size in ordered}


@cache
def _layers(size: int) -> Layers:
    return Layers(size)


def _by_hand(size: int) -> Work:
    layers = _layers(size)
    return Work(layers.loops, layers.size, expect=layers.loops())


def _first(engine: str) -> Callable[[int], Work]:
    def make(size: int) -> Work:
        layers = _layers(size)
        target = layers.graph()

        def forget() -> Any:
            cache_clear()
            return target

        return Work(lambda graph: run(graph, engine=engine), layers.size, prepare=forget, expect=layers.loops(), alike=True)

    return make


def _again(engine: str) -> Callable[[int], Work]:
    def make(size: int) -> Work:
        layers = _layers(size)
        return Work(kept(layers.graph(), engine), layers.size, expect=layers.loops())

    return make


def _gathered(count: int) -> Work:
    async def by_hand() -> list[int]:
        return await asyncio.gather(*[tick.fn(at) for at in range(count)])

    return in_loop(by_hand, 1, count, list(range(1, count + 1)))


def _awaited(engine: str) -> Callable[[int], Work]:
    return lambda count: in_loop(akept(wide(tick, count), engine), 1, count, list(range(1, count + 1)))


def cases() -> Iterator[Case]:
    curves: list[tuple[str, Callable[[int], Work], tuple[int, ...]]] = [
        (BY_HAND, _by_hand, SIZES), (GRAPH, _again(GRAPH), SIZES[:5]),
    ]  # fmt: skip
    for engine in compiled():
        curves.append((f"first run, {engine}", _first(engine), SIZES))
        curves.append((f"again, {engine}", _again(engine), SIZES[:5] if engine == CODEGEN else SIZES))
    for name, make, sizes in curves:
        yield Case(f"nodes: {name}", "node", f"{_SMALL:,} nodes", _curve(make, sizes), quick=False, share=0.25)
    yield Case(f"awaits: {BY_HAND}", "await", f"{_SMALL:,} awaits", _curve(_gathered, AWAITS), quick=False, share=0.5)
    for engine in engines():
        yield Case(f"awaits: {engine}", "await", f"{_SMALL:,} awaits", _curve(_awaited(engine), AWAITS), quick=False, share=0.5)


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.growth", cases())
