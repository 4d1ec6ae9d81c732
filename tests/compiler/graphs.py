"""Random graphs for tests of the compiler: wired at random, from tasks that do nothing."""

from __future__ import annotations

import random
from typing import Any

from cascade_compiler import Param, Router, common, gather, literal, task
from cascade_compiler.capture import capture
from cascade_compiler.ir import Graph


@task
def work(*args: Any, **kwargs: Any) -> Any:
    return args


@task
async def wait(*args: Any, **kwargs: Any) -> Any:
    return args


@task(pure=True)
def pure(*args: Any, **kwargs: Any) -> Any:
    return args


def random_target(seed: int, size: int = 12, *, choices: bool = False) -> Any:
    """A target of about ``size`` nodes: calls of both kinds, items, containers, order, inputs, sharing; and conditions and routers."""
    dice = random.Random(seed)
    nodes: list[Any] = [Param("p", int, 1)]

    def some(limit: int = 3) -> list[Any]:
        return [part() for _ in range(dice.randrange(limit + 1))]

    def part() -> Any:
        choice = dice.random()
        if choice < 0.65:
            return dice.choice(nodes[-6:])
        if choice < 0.75:
            return [dice.choice(nodes), dice.randrange(9)]
        if choice < 0.8:
            return {"k": (dice.choice(nodes), 1), "l": dice.choice(nodes)}
        return literal([1]) if choice < 0.85 else dice.randrange(100)

    for _ in range(size):
        choice = dice.random()
        if choice < 0.12:
            node = dice.choice(nodes)[dice.randrange(3)]
        elif choice < 0.18:
            node = gather(*some())
        else:
            node = dice.choice((work, wait, wait, pure))(*some(), **({"key": part()} if dice.random() < 0.2 else {}))
        if dice.random() < 0.15 and len(nodes) > 1:
            node = node.after(dice.choice(nodes[1:]))
        if choices and dice.random() < 0.3:
            others = ([], [part()])[dice.randrange(2)]
            node = node.run_if(part(), *others)
        if choices and dice.random() < 0.2:
            routes = [(key, part()) for key in range(dice.randrange(1, 4))]
            node = Router(part(), [*routes, (9, node)], *([part()] if dice.random() < 0.4 else []))
        if choices and dice.random() < 0.1:
            node = dice.choice((work, wait)).map(some() or [1], **(common(key=part()) if dice.random() < 0.2 else {}))
        if choices and dice.random() < 0.1 and node.task.is_call:
            node = node.with_retry(2).with_constraints(a=dice.choice(nodes), b=1)
        nodes.append(node)
    choice = dice.random()
    if choice < 0.5:
        return work(*nodes[-4:])
    return wait(nodes[-1], nodes[-2]) if choice < 0.8 else [nodes[-1], {"x": nodes[-2]}]


def random_graph(seed: int, size: int = 12, *, choices: bool = False) -> Graph:
    return capture(random_target(seed, size, choices=choices))
