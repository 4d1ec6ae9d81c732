"""The tasks that several cases share, and the shapes that are made of them. Every function is as small as can be: what is left is the
cost of calling it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from cascade_compiler import task

WIDTH = 100  # calls in a layer


@task
def increment(x: int) -> int:
    """One node of a chain."""
    return x + 1


@task
def add(x: int, y: int) -> int:
    """Joins two branches. Bound, so that the numbers of a deep graph stay small."""
    return (x + y) & 0xFFFF


@task
def total(*parts: Any, **named: Any) -> int:
    """Takes anything."""
    return len(parts) + len(named)


@task
def last(*parts: int) -> int:
    """Joins a whole layer."""
    return sum(parts)


@task
async def tick(x: int) -> int:
    """Waits for one turn of the loop."""
    await asyncio.sleep(0)
    return x + 1


@task
async def at_once(x: int) -> int:
    """Asynchronous by name, but never waits."""
    return x + 1


f = increment.fn


def chain(length: int, value: Any) -> Any:
    """``increment(increment(... value))``, as a graph."""
    for _ in range(length):
        value = increment(value)
    return value


def fan(width: int) -> Any:
    return total(*[increment(at) for at in range(width)])


class Layers:
    """A random graph in layers: the first of ``increment``, the others of ``add`` on two calls of the layer before; ``last`` joins all.

    Every call is used twice by the next layer, so that none is left out when only what is needed runs.

    :param nodes: about how many calls; ``size`` says exactly.
    """

    def __init__(self, nodes: int, seed: int = 1) -> None:
        draw = random.Random(seed)
        width = max(2, min(WIDTH, nodes // 5))
        self.inputs = range(width)
        self.rows: list[list[tuple[int, int]]] = []  # pairs of places in the layer before
        for _ in range(max(0, round(nodes / width) - 1)):
            order = draw.sample(range(width), width)
            turn = draw.randrange(1, width)
            self.rows.append(list(zip(order, order[turn:] + order[:turn], strict=True)))
        self.size = width * (len(self.rows) + 1) + 1

    def graph(self) -> Any:
        layer = [increment(at) for at in self.inputs]
        for row in self.rows:
            layer = [add(layer[one], layer[other]) for one, other in row]
        return last(*layer)

    def loops(self) -> int:
        """By hand, as one would write it: a list for each layer."""
        one_more, plus = increment.fn, add.fn
        layer = [one_more(at) for at in self.inputs]
        for row in self.rows:
            layer = [plus(layer[one], layer[other]) for one, other in row]
        return last.fn(*layer)

    def source(self) -> str:
        """By hand, at its shortest: a function with a line for each call, and no more local variables than two layers have."""
        names = "ab"
        lines = [f" a{number} = f({at})" for number, at in enumerate(self.inputs)]
        for depth, row in enumerate(self.rows):
            old, new = names[depth % 2], names[1 - depth % 2]
            lines += [f" {new}{number} = add({old}{one}, {old}{other})" for number, (one, other) in enumerate(row)]
        final = names[len(self.rows) % 2]
        width = len(self.rows[-1]) if self.rows else len(self.inputs)
        parts = ", ".join(f"{final}{number}" for number in range(width))
        return "def call(f=f, add=add, last=last):\n" + "\n".join(lines) + f"\n return last({parts})\n"

    def lines(self) -> Any:
        """The function of ``source``."""
        scope: dict[str, Any] = {"f": f, "add": add.fn, "last": last.fn}
        exec(self.source(), scope)
        return scope["call"]
