"""Hoisting: what no turn of a loop changes is computed in the first turn alone (S2, S26).

A tail call or a jump begins a graph anew, and its dependencies run again there. Those that are calls of pure tasks on nothing but
literals give the same again as long as the literals are the same; whether they are, the loop itself asks in each turn. Here is only found
what that may hold for. Effects decide, never names.
"""

from __future__ import annotations

import attrs

from cascade_compiler.ir import Effects, Graph, Kind

_MOVES = (Kind.CALL, Kind.ITEM, Kind.BUILD)


@attrs.define(frozen=True)
class Hoisted:
    """Operations that need not run again, the literals that they depend on (slots), and the values that must last from turn to turn."""

    ops: frozenset[int]
    leaves: tuple[int, ...]
    kept: frozenset[int]


def unchanging(graph: Graph) -> Hoisted | None:
    """What of ``graph`` depends on literals alone, by pure calls. Linear.

    >>> %1 = call config(%0)        # hoisted, with the leaf %0
    >>> %3 = call step(%2, %1)      # %1 is kept
    """
    ops = graph.ops
    if not any(op.task is not None and op.task.pure for op in ops):  # an early way out; the effects decide
        return None
    steady = [False] * len(ops)
    for at, op in enumerate(ops):
        if op.kind is Kind.LITERAL:
            steady[at] = True
        elif op.kind in _MOVES and not op.after and at != graph.result:
            steady[at] = not op.effects & (Effects.IMPURE | Effects.WAITS) and all(steady[x] for x in op.args)
    read_again = [False] * len(ops)  # by something that runs in every turn
    hoisted: set[int] = set()
    kept: set[int] = set()
    for at in range(len(ops) - 1, -1, -1):
        op = ops[at]
        if op.preloaded:
            continue
        # A container must be a new one for whoever takes it in another turn.
        stays = steady[at] and not (op.kind is Kind.BUILD and read_again[at])
        if stays:
            hoisted.add(at)
            if read_again[at]:
                kept.add(at)
        else:
            for x in graph.operands(op):
                read_again[x] = True
    read_again[graph.result] = True
    if not any(ops[at].kind is Kind.CALL for at in hoisted):
        return None
    leaves = {x for at in hoisted for x in ops[at].args if ops[x].kind is Kind.LITERAL}
    return Hoisted(frozenset(hoisted), tuple(sorted(ops[x].detail for x in leaves)), frozenset(kept | leaves))
