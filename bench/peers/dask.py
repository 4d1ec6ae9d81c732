"""dask: ``delayed`` for graphs, ``bag`` for maps, the schedulers of one machine. The graph is optimized once, and computed as it is."""

from __future__ import annotations

from typing import Any

import dask
import dask.bag
from dask import delayed

from bench.case import Cannot, Work
from bench.tasks import Layers, add, f, last


def _work(target: Any, count: int, expect: Any, scheduler: str, note: str = "") -> Work:
    (optimized,) = dask.optimize(target)
    return Work(lambda: optimized.compute(scheduler=scheduler, optimize_graph=False), count, expect=expect, note=note)


def _layered(layers: Layers) -> Any:
    one_more, plus, join = delayed(f), delayed(add.fn), delayed(last.fn)
    layer = [one_more(at) for at in layers.inputs]
    for row in layers.rows:
        layer = [plus(layer[one], layer[other]) for one, other in row]
    return join(*layer)


def chain(length: int, scheduler: str) -> Work:
    value: Any = 0
    for _ in range(length):
        value = delayed(f)(value)
    return _work(value, 1, length, scheduler)


def layered(nodes: int, scheduler: str) -> Work:
    layers = Layers(nodes)
    return _work(_layered(layers), layers.size, layers.loops(), scheduler)


def build(nodes: int, scheduler: str) -> Work:
    layers = Layers(nodes)
    return Work(lambda: bool(dask.optimize(_layered(layers))), layers.size, expect=True, alike=True)


def mapped(items: int, scheduler: str) -> Work:
    items = 1_000_000  # a bag is made for many; with few, starting up would be all that is seen
    bag = dask.bag.from_sequence(range(items), npartitions=2).map(f)
    return _work(bag, items, list(range(1, items + 1)), scheduler, f"{items:,} items in a bag of two partitions")


def countdown(turns: int, scheduler: str) -> Work:
    raise Cannot("its graphs have no cycles")


def overlapping(count: int, scheduler: str) -> Work:
    raise Cannot("its schedulers for one machine do not await coroutines")


in_turn = overlapping
