"""The whole pipeline on one screen: from a LazyResult to code that a machine can run.

    target ──capture──▶ Graph ──passes──▶ Graph ──find_demand──▶ Graph with regions
           ──partition──▶ strands ──allocate──▶ registers ──emit──▶ Blueprint ──link──▶ Code

Each stage is a function in a file of its own and knows only what comes before it.
"""

from __future__ import annotations

from cascade_compiler.demand import find_demand
from cascade_compiler.emit import Emitted, emit
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


def link_emitted(emitted: Emitted) -> Code:
    """Code that runs in this process: the tasks are at hand, so nothing is looked up by name."""
    return Code(
        emitted.blueprint, [task.fn for task in emitted.tasks], site_slots=emitted.slots, live=emitted.live,
        resources=[resource.fn for resource in emitted.resources],
    )  # fmt: skip
