"""pydantic-graph: asynchronous steps that are joined by edges; nodes that return the next node, for loops. Without instrumentation."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from pydantic_graph import BaseNode, End, GraphBuilder, GraphRunContext, reduce_list_append

from bench.case import Work
from bench.event_loop import event_loop
from bench.tasks import Layers, add, f, last, tick


async def one_more(context: Any) -> int:
    return f(context.inputs)


async def later(context: Any) -> int:
    return await tick.fn(context.inputs)


@dataclass
class Down(BaseNode[None, None, int]):
    n: int

    async def run(self, ctx: GraphRunContext[None, None]) -> Down | End[int]:
        return Down(self.n - 1) if self.n else End(0)


def _builder(takes: Any, gives: Any) -> Any:
    return GraphBuilder(name="bench", input_type=takes, output_type=gives, auto_instrument=False)


def _run(graph: Any, given: Any) -> Any:
    loop = event_loop()  # kept: run_sync would do the same
    return lambda: loop.run_until_complete(graph.run(inputs=given()))


def _line(step: Any, length: int) -> Any:
    builder = _builder(int, int)
    steps = [builder.step(step, node_id=f"n{at}") for at in range(length)]
    between = [builder.edge_from(one).to(other) for one, other in itertools.pairwise(steps)]
    builder.add(builder.edge_from(builder.start_node).to(steps[0]), *between, builder.edge_from(steps[-1]).to(builder.end_node))
    return builder.build()


def _each(step: Any) -> Any:
    builder = _builder(list, list)
    node = builder.step(step, node_id="each")
    join = builder.join(reduce_list_append, initial_factory=list)
    builder.add(
        builder.edge_from(builder.start_node).map().to(node),
        builder.edge_from(node).to(join),
        builder.edge_from(join).to(builder.end_node),
    )
    return builder.build()


def _many(step: Any, count: int, note: str = "") -> Work:
    run, xs = _run(_each(step), lambda: xs), list(range(count))
    return Work(lambda: sorted(run()), count, expect=[x + 1 for x in xs], note=note)


def chain(length: int) -> Work:
    return Work(_run(_line(one_more, length), lambda: 0), 1, expect=length)


def _layered(layers: Layers) -> Any:
    """A line of steps that leave their values in the state: a join gathers what one fork has spread, and cannot pair any two values."""

    def leaf(name: str, at: int) -> Any:
        async def step(context: Any) -> None:
            context.state[name] = f(at)

        return step

    def node(name: str, one: str, other: str) -> Any:
        async def step(context: Any) -> None:
            context.state[name] = add.fn(context.state[one], context.state[other])

        return step

    actions = {f"v0_{number}": leaf(f"v0_{number}", at) for number, at in enumerate(layers.inputs)}
    for depth, row in enumerate(layers.rows):
        for number, (one, other) in enumerate(row):
            name = f"v{depth + 1}_{number}"
            actions[name] = node(name, f"v{depth}_{one}", f"v{depth}_{other}")
    names = [f"v{len(layers.rows)}_{number}" for number in range(len(layers.rows[-1]))]

    async def join(context: Any) -> int:
        return last.fn(*[context.state[name] for name in names])

    builder = GraphBuilder(name="bench", state_type=dict, output_type=int, auto_instrument=False)
    steps: list[Any] = [builder.step(action, node_id=name) for name, action in {**actions, "end": join}.items()]
    between = [builder.edge_from(one).to(other) for one, other in itertools.pairwise(steps)]
    builder.add(builder.edge_from(builder.start_node).to(steps[0]), *between, builder.edge_from(steps[-1]).to(builder.end_node))
    return builder.build()


def layered(nodes: int) -> Work:
    layers, loop = Layers(nodes), event_loop()
    graph = _layered(layers)
    return Work(
        lambda: loop.run_until_complete(graph.run(state={})), layers.size, expect=layers.loops(), note="one after the other"
    )


def build(nodes: int) -> Work:
    layers = Layers(nodes)
    return Work(lambda: bool(_layered(layers)), layers.size, expect=True)


def mapped(items: int) -> Work:
    return _many(one_more, items, f"{items:,} items")


def countdown(turns: int) -> Work:
    builder = _builder(Down, int)
    builder.add(builder.node(Down), builder.edge_from(builder.start_node).to(Down))
    return Work(_run(builder.build(), lambda: Down(turns)), turns, expect=0)


def overlapping(count: int) -> Work:
    return _many(later, count)


def in_turn(count: int) -> Work:
    return Work(_run(_line(later, count), lambda: 0), count, expect=count)
