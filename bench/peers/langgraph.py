"""LangGraph: a ``StateGraph`` of nodes on channels; ``Send`` for maps, a conditional edge for loops. Without checkpoints.

In a graph of many calls each value has a channel of its own, and each node sees only the channels that it reads (``input_schema``).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from bench.case import Work
from bench.event_loop import event_loop
from bench.tasks import Layers, add, f, last, tick


class One(TypedDict):
    x: int


Many = TypedDict("Many", {"xs": Any, "ys": Annotated[list, operator.add]})  # noqa: UP013 (its annotations must be objects, not text)
_LIMIT = {"recursion_limit": 10**9}  # of steps; the default is ten thousand


def _line(node: Any, length: int) -> Any:
    graph = StateGraph(One)
    names = [f"n{at}" for at in range(length)]
    for name in names:
        graph.add_node(name, node)
    for one, other in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(one, other)
    return graph.compile()


def _each(node: Any) -> Any:
    graph = StateGraph(Many)
    graph.add_node("each", node)
    graph.add_conditional_edges(START, lambda state: [Send("each", {"x": x}) for x in state["xs"]], ["each"])
    return graph.compile()


def chain(length: int) -> Work:
    app = _line(lambda state: {"x": f(state["x"])}, length)
    return Work(lambda: app.invoke({"x": 0}, _LIMIT)["x"], 1, expect=length)


def _layered(layers: Layers) -> Any:
    def leaf(name: str, at: int) -> Callable[[Any], Any]:
        return lambda state: {name: f(at)}

    def node(name: str, one: str, other: str) -> Callable[[Any], Any]:
        return lambda state: {name: add.fn(state[one], state[other])}

    sizes = [len(layers.inputs), *map(len, layers.rows)]
    names = [[f"v{depth}_{number}" for number in range(size)] for depth, size in enumerate(sizes)]
    every = {name: int for layer in names for name in layer} | {"end": int}
    End = TypedDict("End", {"end": int})  # type: ignore[misc]  # noqa: UP013
    graph = StateGraph(TypedDict("All", every), output_schema=End)  # type: ignore[misc,operator]
    for name, at in zip(names[0], layers.inputs, strict=True):
        graph.add_node(name, leaf(name, at), input_schema=End)
        graph.add_edge(START, name)
    for depth, row in enumerate(layers.rows):
        for name, (one, other) in zip(names[depth + 1], row, strict=True):
            both = names[depth][one], names[depth][other]
            graph.add_node(name, node(name, *both), input_schema=TypedDict("Both", dict.fromkeys(both, int)))  # type: ignore[misc,operator]
            graph.add_edge(list(both), name)
    layer = names[-1]
    joined = TypedDict("Last", dict.fromkeys(layer, int))  # type: ignore[misc]
    graph.add_node("join", lambda state: {"end": last.fn(*[state[name] for name in layer])}, input_schema=joined)  # type: ignore[operator]
    graph.add_edge(layer, "join")
    return graph.compile()


def layered(nodes: int) -> Work:
    layers = Layers(nodes)
    app = _layered(layers)
    return Work(lambda: app.invoke({"end": 0}, _LIMIT)["end"], layers.size, expect=layers.loops())


def build(nodes: int) -> Work:
    layers = Layers(nodes)
    return Work(lambda: bool(_layered(layers)), layers.size, expect=True)


def mapped(items: int) -> Work:
    app = _each(lambda state: {"ys": [f(state["x"])]})
    given = {"xs": range(items), "ys": []}
    return Work(lambda: app.invoke(given, _LIMIT)["ys"], items, expect=list(range(1, items + 1)), note=f"{items:,} items")


def countdown(turns: int) -> Work:
    graph = StateGraph(One)
    graph.add_node("down", lambda state: {"x": state["x"] - 1})
    graph.add_edge(START, "down")
    graph.add_conditional_edges("down", lambda state: "down" if state["x"] else END)
    app = graph.compile()
    return Work(lambda: app.invoke({"x": turns}, _LIMIT)["x"], turns, expect=0)


def overlapping(count: int) -> Work:
    async def each(state: Any) -> Any:
        return {"ys": [await tick.fn(state["x"])]}

    app, loop = _each(each), event_loop()
    given = {"xs": range(count), "ys": []}
    return Work(lambda: loop.run_until_complete(app.ainvoke(given, _LIMIT))["ys"], count, expect=list(range(1, count + 1)))


def in_turn(count: int) -> Work:
    async def step(state: Any) -> Any:
        return {"x": await tick.fn(state["x"])}

    app, loop = _line(step, count), event_loop()
    return Work(lambda: loop.run_until_complete(app.ainvoke({"x": 0}, _LIMIT))["x"], count, expect=count)
