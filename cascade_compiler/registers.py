"""Register allocation: a value gets a register for as long as somebody may still read it.

Strands are not run in a fixed order, so a register may pass from one value to the next only where every reader of the first has
ended before the second is written, in every order that the waits allow. That is so within a strand, and from a strand to one that
waits for it. So each strand keeps a list of free registers, and leaves it, when it ends, to one heir among the strands that wait
for it. A value that is read in several strands, none of which waits for all others, is ended by a strand of its own that waits for
its readers.
Linear in operations and operands. tests/compiler/allocation_checker.py checks the outcome without sharing any of this.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from cascade_compiler.ir import Graph, Kind
from cascade_compiler.strands import Plan


@attrs.define(eq=False)
class Allocation:
    """``register`` of each value (-1: nobody reads it), the operation at which each dies (-1: none), and strands that end values."""

    register: list[int]
    count: int
    last: list[int]
    drops: list[tuple[tuple[int, ...], list[int]]]  # (strands to wait for, values)


def allocate(graph: Graph, strands: list[Plan], keep: Collection[int] = ()) -> Allocation:
    """Assign registers; ``strands`` are in an order in which each comes after what it waits for. Values to ``keep`` last to the end."""
    ops = graph.ops
    register = _preloaded(graph)
    chosen = _chosen(graph) | set(keep)
    last, used, drops = _last_uses(graph, strands, chosen)
    used[graph.result] = True
    for value in chosen:
        used[value] = True

    count = len(graph.literals) + len(graph.inputs)
    legacy: list[list[int]] = [[] for _ in strands]  # free registers that a strand inherits
    heirs = _heirs(strands, len(ops))
    freed = [False] * len(ops)  # an operation may read one value twice
    for number, strand in enumerate(strands):
        free = legacy[number]
        for at in strand.ops:
            op = ops[at]
            reads = graph.reads(op) if op.tests else op.args
            for value in reads:
                if last[value] == at and not freed[value]:
                    freed[value] = True
                    free.append(register[value])
            if used[at]:
                if free:
                    register[at] = free.pop()
                else:
                    register[at] = count
                    count += 1
        heir = heirs[number]
        if heir is not None:
            legacy[heir].extend(free)
        legacy[number] = []
    return Allocation(register, count, last, drops)


def _chosen(graph: Graph) -> set[int]:
    """Values that a SELECT may take. It does not wait for those that it does not take, so the frame keeps them to its end."""
    return {x for op in graph.ops if op.routes for x in op.routes if x >= 0}


def _preloaded(graph: Graph) -> list[int]:
    """The registers of literals, by slot, then of inputs in the order of their declaration; -1 for all else."""
    literal, given = Kind.LITERAL, Kind.INPUT
    names = {(kind.source, kind.name): at for at, kind in enumerate(graph.inputs, len(graph.literals))}
    register = [-1] * len(graph.ops)
    for at, op in enumerate(graph.ops):
        if op.kind is literal:
            register[at] = op.detail
        elif op.kind is given:
            register[at] = names[op.detail.source, op.detail.name]
    return register


def _heirs(strands: list[Plan], ops: int) -> list[int | None]:
    """To whom each strand leaves its free registers: the first strand that waits for it or for something it issued."""
    heirs: list[int | None] = [None] * len(strands)
    if len(strands) == 1:
        return heirs
    home = [0] * ops
    for number, strand in enumerate(strands):
        for at in strand.ops:
            home[at] = number
    for number, strand in enumerate(strands):
        for parent in {*strand.needs, *(home[at] for at in strand.awaits)}:
            if heirs[parent] is None:
                heirs[parent] = number
    return heirs


def _last_uses(
    graph: Graph, strands: list[Plan], chosen: set[int]
) -> tuple[list[int], list[bool], list[tuple[tuple[int, ...], list[int]]]]:
    """(the operation that reads each value last or -1, whether anybody reads it, drops for values that have no such operation)."""
    ops = graph.ops
    last = [-1] * len(ops)
    used = [False] * len(ops)
    reader = [-1] * len(ops)  # the strand that has read a value last
    several: dict[int, list[int]] = {}  # values that several strands read -> those, ascending
    for number, strand in enumerate(strands):
        for at in strand.ops:
            op = ops[at]
            for x in graph.reads(op) if op.tests else op.args:
                last[x] = at
                if reader[x] != number:
                    if used[x]:
                        several.setdefault(x, [reader[x]]).append(number)
                    used[x] = True
                    reader[x] = number
    for value in (graph.result, *chosen):  # kept to the end
        last[value] = -1
    shared: dict[tuple[int, ...], list[int]] = {}
    for value, homes in several.items():
        if value != graph.result and value not in chosen and not set(homes[:-1]) <= set(strands[homes[-1]].needs):
            last[value] = -1
            shared.setdefault(tuple(homes), []).append(value)
    return last, used, list(shared.items())
