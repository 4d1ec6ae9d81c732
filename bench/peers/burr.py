"""Burr: a state machine of actions on one state. A graph of calls is a machine that makes them in order, each naming what it reads."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Generator
from typing import Any

from burr.core import ApplicationBuilder, State, action, when
from burr.core.graph import Graph, GraphBuilder
from burr.core.parallelism import MapStates

from bench.case import Work
from bench.event_loop import event_loop
from bench.tasks import Layers, add, f, last, tick


@action(reads=["x"], writes=["x"])
def one_more(state: State) -> State:
    return state.update(x=f(state["x"]))


@action(reads=["x"], writes=["x"])
async def later(state: State) -> State:
    return state.update(x=await tick.fn(state["x"]))


@action(reads=["x"], writes=["x"])
def down(state: State) -> State:
    return state.update(x=state["x"] - 1)


@action(reads=["x"], writes=[])
def stop(state: State) -> State:
    return state


def _again(app: Any, end: str, before: dict[str, Any], result: str) -> Any:
    """Run an application that has been built once from its entry again."""

    def call() -> Any:
        app.update_state(State(before))
        app.reset_to_entrypoint()
        return app.run(halt_after=[end])[2][result]

    return call


def _line(actions: dict[str, Any]) -> Graph:
    names = list(actions)
    return GraphBuilder().with_actions(**actions).with_transitions(*itertools.pairwise(names)).build()


def chain(length: int) -> Work:
    graph = _line({f"n{at}": one_more for at in range(length)})
    app = ApplicationBuilder().with_graph(graph).with_state(x=0).with_entrypoint("n0").build()
    return Work(_again(app, f"n{length - 1}", {"x": 0}, "x"), 1, expect=length)


def _layered(layers: Layers) -> Graph:
    def leaf(name: str, at: int) -> Any:
        return action(reads=[], writes=[name])(lambda state: state.update(**{name: f(at)}))

    def node(name: str, one: str, other: str) -> Any:
        return action(reads=[one, other], writes=[name])(lambda state: state.update(**{name: add.fn(state[one], state[other])}))

    actions = {f"v0_{number}": leaf(f"v0_{number}", at) for number, at in enumerate(layers.inputs)}
    for depth, row in enumerate(layers.rows):
        for number, (one, other) in enumerate(row):
            name = f"v{depth + 1}_{number}"
            actions[name] = node(name, f"v{depth}_{one}", f"v{depth}_{other}")
    names = [f"v{len(layers.rows)}_{number}" for number in range(len(layers.rows[-1]))]
    actions["end"] = action(reads=names, writes=["end"])(lambda state: state.update(end=last.fn(*[state[name] for name in names])))
    return _line(actions)


def layered(nodes: int) -> Work:
    layers = Layers(nodes)
    app = ApplicationBuilder().with_graph(_layered(layers)).with_state(State({})).with_entrypoint("v0_0").build()
    return Work(_again(app, "end", {}, "end"), layers.size, expect=layers.loops(), note="one after the other")


def build(nodes: int) -> Work:
    layers = Layers(nodes)
    return Work(lambda: bool(_layered(layers)), layers.size, expect=True)


def countdown(turns: int) -> Work:
    graph = GraphBuilder().with_actions(down=down, stop=stop).with_transitions(("down", "stop", when(x=0)), ("down", "down")).build()
    app = ApplicationBuilder().with_graph(graph).with_state(x=turns).with_entrypoint("down").build()
    return Work(_again(app, "stop", {"x": turns}, "x"), turns, expect=0)


class _Each(MapStates):
    """Gives each item to the action in a state of its own."""

    def action(self, state: State, inputs: dict[str, Any]) -> Any:
        return one_more

    def states(self, state: State, context: Any, inputs: dict[str, Any]) -> Generator[State, None, None]:
        for x in state["xs"]:
            yield state.update(x=x)

    def reduce(self, state: State, results: Generator[State, None, None]) -> State:
        return state.update(ys=[one["x"] for one in results])

    @property
    def reads(self) -> list[str]:
        return ["xs"]

    @property
    def writes(self) -> list[str]:
        return ["ys"]


class _EachLater(_Each):
    def action(self, state: State, inputs: dict[str, Any]) -> Any:
        return later

    def is_async(self) -> bool:
        return True

    async def states(self, state: State, context: Any, inputs: dict[str, Any]) -> AsyncGenerator[State, None]:  # type: ignore[override]
        for x in state["xs"]:
            yield state.update(x=x)

    async def reduce(self, state: State, results: AsyncGenerator[State, None]) -> State:  # type: ignore[override]
        return state.update(ys=[one["x"] async for one in results])


def mapped(items: int) -> Work:
    xs = list(range(items))
    app = ApplicationBuilder().with_actions(each=_Each()).with_state(xs=xs).with_entrypoint("each").build()
    return Work(_again(app, "each", {"xs": xs}, "ys"), items, expect=[x + 1 for x in xs], note=f"{items:,} items")


def _awaited(app: Any, count: int, end: str, before: dict[str, Any], result: str, expect: Any) -> Work:
    loop = event_loop()

    def call() -> Any:
        app.update_state(State(before))
        app.reset_to_entrypoint()
        return loop.run_until_complete(app.arun(halt_after=[end]))[2][result]

    return Work(call, count, expect=expect)


def overlapping(count: int) -> Work:
    xs = list(range(count))
    app = ApplicationBuilder().with_actions(each=_EachLater()).with_state(xs=xs).with_entrypoint("each").build()
    return _awaited(app, count, "each", {"xs": xs}, "ys", [x + 1 for x in xs])


def in_turn(count: int) -> Work:
    graph = _line({f"n{at}": later for at in range(count)})
    app = ApplicationBuilder().with_graph(graph).with_state(x=0).with_entrypoint("n0").build()
    return _awaited(app, count, f"n{count - 1}", {"x": 0}, "x", count)
