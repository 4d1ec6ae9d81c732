"""From a blueprint that a program brought along, and a graph of its cycle_id, to what would otherwise be compiled of the graph.

The blueprint comes from a file, which anybody may have made: it has been verified, but nothing says that it means this graph. Whatever of
it can be compared with the graph is compared; what does not fit is not used.
"""

from __future__ import annotations

from collections.abc import Sequence

from cascade_compiler.emit import Emitted
from cascade_compiler.ir import Graph, Kind, Op
from cascade_compiler.jumping import JumpTable
from cascade_compiler.resource import ResourceKind
from cascade_compiler.task import Task
from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Resource, Symbol
from cascade_vm.policies import LivePolicy
from cascade_vm.verify_jumps import routes_of


def fitted(blueprint: Blueprint, sites: Sequence[int], graph: Graph) -> Emitted | None:
    """``blueprint`` with the tasks, resources and policies of ``graph``; None where it is not for such a graph."""
    by_slot = {op.slot: op for op in graph.ops if op.slot >= 0}
    if blueprint.literals != len(graph.literals) or blueprint.inputs != tuple([kind.name for kind in graph.inputs]):
        return None
    if len(sites) != len(blueprint.instructions) or any(site >= 0 and site not in by_slot for site in sites):
        return None
    tasks = _tasks(blueprint, graph)
    live = _live(blueprint, [by_slot.get(site) for site in sites])
    resources = _resources(blueprint, graph)
    if tasks is None or live is None or resources is None or not _routes_fit(blueprint, graph) or not _tables_fit(blueprint, graph):
        return None
    return Emitted(blueprint, tasks, tuple(sites), live, resources)


def _routes_fit(blueprint: Blueprint, graph: Graph) -> bool:
    """Does each bound call read its routes where the graph has some?"""
    for i in blueprint.instructions:
        if isa.BY_CODE[i.opcode].aux == "symbol" and blueprint.symbols[i.aux].bound:
            register = i.reads[blueprint.policies[i.spec].dynamic if i.spec != isa.NONE and i.opcode != isa.MAP else 0]
            if type(graph.literals[register]) is not JumpTable:
                return False
    return True


def _tables_fit(blueprint: Blueprint, graph: Graph) -> bool:
    """Does each branch look its routes up in a table of as many? In a program that is a constant, and rule P10 of the verifier."""
    counts: dict[int, int] = {}
    for i in blueprint.instructions:
        if i.opcode == isa.BRANCH and blueprint.choices[i.aux].keyed:
            register = i.reads[1]
            if register not in counts:
                counts[register] = routes_of(graph.literals[register])
            count = counts[register]
            if count < 0 or not 0 <= len(blueprint.choices[i.aux].sources) - count <= 1:
                return False
    return True


def symbol_of(task: Task, bound: bool) -> Symbol:
    """A task as a blueprint knows it."""
    return Symbol(task.symbol, task.version, task.is_async, task.signature_text, task.mode, bound)


def _tasks(blueprint: Blueprint, graph: Graph) -> tuple[Task, ...] | None:
    known: dict[Symbol, Task] = {}
    for task, bound in dict.fromkeys([(op.task, op.bound) for op in graph.ops]):  # few, where there are many calls
        if task is not None and known.setdefault(symbol_of(task, bound), task) is not task:
            return None  # two tasks of one name: which of them is meant cannot be told
    if not all(symbol in known for symbol in blueprint.symbols):
        return None
    return tuple([known[symbol] for symbol in blueprint.symbols])


def _live(blueprint: Blueprint, ops: Sequence[Op | None]) -> tuple[LivePolicy, ...] | None:
    """What stands beside each policy: beside that of the call which the instruction was written as."""
    found: list[LivePolicy | None] = [None] * len(blueprint.policies)
    for i, op in zip(blueprint.instructions, ops, strict=True):
        number = blueprint.maps[i.spec].policy if i.opcode == isa.MAP else i.spec
        if number == isa.NONE:
            continue
        if op is None or op.live is None or op.policy != blueprint.policies[number] or found[number] not in (None, op.live):
            return None
        found[number] = op.live
    return tuple([one for one in found if one is not None]) if None not in found else None


def _resources(blueprint: Blueprint, graph: Graph) -> tuple[ResourceKind, ...] | None:
    known: dict[Resource, ResourceKind] = {}
    for op in graph.ops:
        if op.kind is Kind.RESOURCE:
            kind = op.detail
            if known.setdefault(Resource(kind.symbol, kind.scope, kind.is_async), kind) is not kind:
                return None
    if not all(resource in known for resource in blueprint.resources):
        return None
    return tuple([known[resource] for resource in blueprint.resources])
