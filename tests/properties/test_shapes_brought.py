"""A run that has all its shapes from before compiles nothing, and does the same.

Each graph is run once, and every shape that is met is compiled, written down as an artifact would have it, and read again. Then the process
forgets all that it has compiled, and a new graph of the same spec is run with those shapes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from drawn import TryAll

from cascade_compiler import cache_clear, cache_info
from cascade_compiler.cache import activate
from cascade_compiler.lowering import lower
from cascade_compiler.shapes_ahead import Recorder
from cascade_compiler.testing import FOCUSES, Built, GraphSpec
from cascade_compiler.testing.compare import assert_agree
from cascade_compiler.testing.observe import observe
from cascade_vm import verify
from cascade_vm.blueprint import Blueprint
from cascade_vm.executable import Options, arun_activation, presentable
from cascade_vm.outcome import Value
from cascade_vm.shapes import Shapes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def calling(shapes: Shapes, engine: str) -> Callable[[Built], Awaitable[Any]]:
    async def call(built: Built) -> Any:
        world = built.options()
        params = world.pop("params") or {}
        options = Options(**world, engine=engine, shapes=shapes)
        outcome = await arun_activation(activate(built.target, params, root=True, known=shapes), params, options)
        if type(outcome) is Value:
            return outcome.value
        raise presentable(outcome)

    return call


def check(spec: GraphSpec) -> None:
    recorder = Recorder()
    first = observe(calling(recorder, "interpreter"), spec, source="compiled when it is met")
    brought = {}
    for cycle_id, graph in recorder.graphs.items():
        emitted = lower(graph, cycle_id)
        blueprint = msgspec.msgpack.decode(msgspec.msgpack.encode(emitted.blueprint), type=Blueprint)
        verify(blueprint)
        brought[cycle_id] = (blueprint, emitted.slots)
    for engine in ("interpreter", "codegen"):
        cache_clear()
        assert_agree(first, observe(calling(Shapes(brought, jit=False), engine), spec, source=f"brought along, {engine}"))
        assert cache_info().compiles <= 1  # the graph that the run begins with


@pytest.mark.parametrize("focus", [None, *FOCUSES])
def test_runs_with_shapes_from_before(focus: str | None, try_all: TryAll) -> None:
    try_all(check, 0.15 if focus is None else 0.15 / len(FOCUSES), focus)
