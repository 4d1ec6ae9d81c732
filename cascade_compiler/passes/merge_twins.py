"""Merge calls of pure tasks that have the same operands (S2 allows it, for tasks declared pure)."""

from __future__ import annotations

from cascade_compiler.ir import Effects, Graph, Kind, Op
from cascade_compiler.passes.renumber import moved, rewritten


def merge_twins(graph: Graph) -> Graph:
    """Calls without effects on the same operands become one.

    Before::

        %1 = call area(%0)
        %2 = call area(%0)
        %3 = call add(%1, %2)

    After::

        %1 = call area(%0)
        %2 = call add(%1, %1)

    Only operands that are the same value count: two equal literals are two values, since the next graph of this shape may have
    different ones there. The order of the rest, which is the order of evaluation, does not change.
    """
    if not any(op.task is not None and op.task.pure for op in graph.ops):  # an early way out; the effects decide
        return graph
    first: dict[tuple[object, ...], int] = {}
    became: list[int] = []
    kept: list[Op] = []
    for old in graph.ops:
        op = moved(old, became)
        if op.kind is Kind.CALL and Effects.IMPURE not in op.effects:
            key = (op.task, op.args, op.names, op.after)
            twin = first.get(key)
            if twin is not None:
                became.append(twin)
                continue
            first[key] = len(kept)
        became.append(len(kept))
        kept.append(op)
    return rewritten(graph, kept, became[graph.result])
