"""Compiling graphs of 1,000 to 100,000 nodes. The ratio, of seconds a node against 1,000 nodes, tells whether it is linear."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from bench.case import Case, Work
from bench.loops import chain, increment
from bench.matching import fan, total
from cascade_compiler import compile, task


@task
def add(x: int, y: int) -> int:
    """Joins two branches."""
    return x + y


def layered(nodes: int) -> Any:
    """Layers of 100 calls, each of two random calls of the layer before."""
    draw = random.Random(1)
    layer = [increment(at) for at in range(100)]
    for _ in range(nodes // 100 - 1):
        layer = [add(draw.choice(layer), draw.choice(layer)) for _ in range(100)]
    return total(*layer)


def _maker(build: Callable[[int], Any], nodes: int) -> Callable[[], tuple[Work, Work]]:
    def work(count: int) -> Work:
        target = build(count)
        size = len(compile(target).blueprints.popitem()[1].instructions)
        if not 0.6 * count < size <= count + 1:  # of a layered graph, only what is used is compiled
            raise AssertionError(f"{count} nodes gave {size} instructions")

        def call() -> bool:
            return bool(compile(target).cycle_id)

        return Work(call, size, expect=True)

    return lambda: (work(nodes), work(1_000))


def cases() -> Iterator[Case]:
    shapes: list[tuple[str, Callable[[int], Any]]] = [
        ("chain", lambda n: chain(n, 0)), ("fan-out", lambda n: fan(n - 1)), ("layered", layered),
    ]  # fmt: skip
    for nodes in (1_000, 10_000, 100_000):
        for name, build in shapes:
            yield Case(f"compile {nodes:,}, {name}", "node", "of 1,000", _maker(build, nodes))


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.compiling", cases())
