"""The whole pipeline on one screen: from a LazyResult to code that a machine can run.

    target ──capture──▶ Graph ──passes──▶ Graph ──find_demand──▶ Graph with regions
           ──partition──▶ strands ──allocate──▶ registers ──emit──▶ Blueprint ──link──▶ Code

Each stage is a function in a file of its own and knows only what comes before it.
"""

from __future__ import annotations

from cascade_compiler.demand import find_demand
from cascade_compiler.emit import Emitted, emit
from cascade_compiler.hoisting import Hoisted, unchanging
from cascade_compiler.ir import Graph
from cascade_compiler.passes import DEFAULT_PASSES, Pass, run_passes
from cascade_compiler.registers import allocate
from cascade_compiler.shape import digest
from cascade_compiler.strands import partition
from cascade_vm.link import Code


def lower(graph: Graph, cycle_id: str | None = None, passes: tuple[Pass, ...] = DEFAULT_PASSES) -> Emitted:
    """Compile a captured graph. Its cycle_id is taken before the passes: it names what was written, not what became of it."""
    cycle_id = cycle_id or digest(graph)
    graph = run_passes(graph, passes)
    graph = find_demand(graph)
    strands = partition(graph)
    allocation = allocate(graph, strands)
    return emit(graph, strands, allocation, cycle_id)


def lower_loop(graph: Graph, cycle_id: str) -> tuple[Emitted, Hoisted] | None:
    """Compile a captured graph that a loop goes round in, so that what no turn changes can stay; None where there is no such thing."""
    graph = find_demand(run_passes(graph, DEFAULT_PASSES))
    strands = partition(graph)
    hoisted = unchanging(graph)
    if hoisted is None or len(strands) > 1:
        return None
    return emit(graph, strands, allocate(graph, strands, hoisted.kept), cycle_id), hoisted


def link_emitted(emitted: Emitted) -> Code:
    """Code that runs in this process: the tasks are at hand, so nothing is looked up by name."""
    return Code(
        emitted.blueprint, [task.fn for task in emitted.tasks], site_slots=emitted.slots, live=emitted.live,
        resources=[resource.fn for resource in emitted.resources],
    )  # fmt: skip
