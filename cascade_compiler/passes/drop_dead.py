"""Drop what is dead: operations that do nothing but compute a value that nobody reads, and literals that nobody reads.

Only ahead of time: a matcher gives the literals of a live graph by their slots, all of them.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from cascade_compiler.ir import Effects, Graph, Kind, Op
from cascade_compiler.passes.renumber import moved, rewritten


def drop_dead(graph: Graph) -> Graph:
    """What has no effects and no reader goes; slots of literals are numbered anew.

    Before::

        %0 = literal 0
        %1 = literal 1
        %2 = build list(%0)
        %3 = call show(%1)

    After::

        %0 = literal 0
        %1 = call show(%0)

    The effects decide: what is IMPURE stays, what WAITS, and what RAISES, a pure call as well. A captured graph has nothing dead in it,
    since capture begins at the target; other passes leave some behind.
    """
    if not graph.rewritten:
        return graph
    ops = graph.ops
    needed = bytearray(len(ops))
    needed[graph.result] = 1
    for at in range(len(ops) - 1, -1, -1):
        op = ops[at]
        if needed[at] or op.effects is not Effects.NONE:
            needed[at] = 1
            for x in op.args:
                needed[x] = 1
            for x in (*op.after, *op.routes) if op.after or op.routes else ():
                if x >= 0:
                    needed[x] = 1
    if 0 not in needed:
        return graph
    became: list[int] = []
    kept: list[Op] = []
    slots: dict[int, int] = {}
    literals: list[Any] = []
    for at, old in enumerate(ops):
        became.append(len(kept))
        if not needed[at]:
            continue  # nobody asks for its number
        op = moved(old, became)
        if op.kind is Kind.LITERAL:
            if op.detail not in slots:
                slots[op.detail] = len(literals)
                literals.append(graph.literals[op.detail])
            op = replace(op, detail=slots[op.detail])
        kept.append(op)
    return rewritten(graph, kept, became[graph.result], literals)
