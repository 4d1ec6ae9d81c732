"""Register allocation: a value gets a register for as long as somebody may still read it.

Strands are not run in a fixed order, so a register may pass from one value to the next only where every reader of the first has
ended before the second is written, in every order that the waits allow. That is so within a strand, and from a strand to one that
waits for it. So each strand keeps a list of free registers, and leaves it, when it ends, to one heir among the strands that wait
for it. A value that is read in several strands, none of which waits for all others, is ended by a strand of its own that waits for
its readers.
Linear in operations and operands. tests/compiler/allocation_checker.py checks the outcome without sharing any of this.
"""

from __future__ import annotations

import attrs

from cascade_compiler.ir import Graph, Kind
from cascade_compiler.strands import Plan


@attrs.define(eq=False)
class Allocation:
    """``register`` of each value (-1: nobody reads it), the values that die at each operation, and strands that end values."""

    register: list[int]
    count: int
    dying: dict[int, list[int]]  # operation -> values read there for the last time
    drops: list[tuple[tuple[int, ...], list[int]]]  # (strands to wait for, values)


def allocate(graph: Graph, strands: list[Plan]) -> Allocation:
    """Assign registers; ``strands`` are in an order in which each comes after what it waits for."""
    ops = graph.ops
    preloaded = sum(op.preloaded for op in ops)
    register = [-1] * len(ops)
    _preload(graph, register)
    home = {at: number for number, strand in enumerate(strands) for at in strand.ops}
    last, drops = _last_uses(graph, strands)
    dying: dict[int, list[int]] = {}
    used: list[bool] = [False] * len(ops)
    for value, at in last.items():
        dying.setdefault(at, []).append(value)
        used[value] = True
    for _, values in drops:
        for value in values:
            used[value] = True
    used[graph.result] = True
    for value in _chosen(graph):
        used[value] = True

    count = preloaded
    legacy: list[list[int]] = [[] for _ in strands]  # free registers that a strand inherits
    heirs = _heirs(strands, home)
    for number, strand in enumerate(strands):
        free = legacy[number]
        for at in strand.ops:
            for value in dying.get(at, ()):
                if register[value] >= 0:
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
    return Allocation(register, count, dying, drops)


def _chosen(graph: Graph) -> set[int]:
    """Values that a SELECT may take. It does not wait for those that it does not take, so the frame keeps them to its end."""
    return {x for op in graph.ops for x in op.routes if x >= 0}


def _preload(graph: Graph, register: list[int]) -> None:
    """Literals first, by slot, then inputs in the order of their declaration."""
    names = {(kind.source, kind.name): at for at, kind in enumerate(graph.inputs)}
    for at, op in enumerate(graph.ops):
        if op.kind is Kind.LITERAL:
            register[at] = op.detail
        elif op.kind is Kind.INPUT:
            register[at] = len(graph.literals) + names[op.detail.source, op.detail.name]


def _heirs(strands: list[Plan], home: dict[int, int]) -> list[int | None]:
    """To whom each strand leaves its free registers: the first strand that waits for it or for something it issued."""
    heirs: list[int | None] = [None] * len(strands)
    for number, strand in enumerate(strands):
        for parent in {*strand.needs, *(home[at] for at in strand.awaits)}:
            if heirs[parent] is None:
                heirs[parent] = number
    return heirs


def _last_uses(graph: Graph, strands: list[Plan]) -> tuple[dict[int, int], list[tuple[tuple[int, ...], list[int]]]]:
    """(value -> the operation that reads it last, drops for values that have no such operation)."""
    readers: dict[int, list[int]] = {}  # value -> strands, ascending
    last: dict[int, int] = {}
    for number, strand in enumerate(strands):
        for at in strand.ops:
            for x in graph.reads(graph.ops[at]):
                homes = readers.setdefault(x, [])
                if not homes or homes[-1] != number:
                    homes.append(number)
                last[x] = at
    shared: dict[tuple[int, ...], list[int]] = {}
    kept = {graph.result, *_chosen(graph)}
    for value, homes in readers.items():
        if value in kept:
            del last[value]
        elif len(homes) > 1 and not set(homes[:-1]) <= set(strands[homes[-1]].needs):
            del last[value]
            shared.setdefault(tuple(homes), []).append(value)
    return last, list(shared.items())
