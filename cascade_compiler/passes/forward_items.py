"""Forward items: take what was put into a container from where it came, and not out of the container.

Only ahead of time: which item is taken is a literal, and the next graph of the shape may take another.
"""

from __future__ import annotations

from msgspec.structs import replace

from cascade_compiler.ir import Graph, Kind, Op
from cascade_compiler.passes.renumber import moved, rewritten
from cascade_vm.continuation import CONTINUATIONS

_MOST_BEFORE = 8  # what the readers of an item may come to wait for by name: the pass stays linear
_COMPUTED = (Kind.CALL, Kind.MAP, Kind.BUILD, Kind.ITEM)  # never a graph, which as an item would be gone on with (N7)


def forward_items(graph: Graph) -> Graph:
    """The item of a list or tuple that was built in the graph is the part that it was built of.

    Before::

        %2 = build list(%0, %1)
        %3 = literal 0
        %4 = item %2[%3]
        %5 = call show(%4)

    After::

        %2 = build list(%0, %1)
        %3 = literal 0
        %4 = call show(%0) after %1

    The container is left to ``drop_dead``. A reader of the item waited for all parts of the container, and still does. A list is passed
    over where a task gets hold of it, which could change it; so is the target, which as a call would be a tail call, and all where
    something may be skipped: which condition is told of then depends on the container.
    """
    ops = graph.ops
    item, select = Kind.ITEM, Kind.SELECT
    if not any(op.kind is item for op in ops) or any(op.kind is select for op in ops):
        return graph
    whole = {graph.result}  # containers that somebody gets hold of
    for op in ops:
        whole.update(op.args[1:] if op.kind is Kind.ITEM else op.args)
    part: dict[int, int] = {}  # of each item that is forwarded, the operation that computes it,
    before: dict[int, tuple[int, ...]] = {}  # and what its readers come after
    became: list[int] = []
    kept: list[Op] = []
    for at, old in enumerate(ops):
        op = old
        if op.kind is Kind.ITEM and at != graph.result:
            container = ops[op.args[0]]
            taken = _part(graph, op, container)
            if taken is not None and (container.detail == "tuple" or op.args[0] not in whole):
                others = _settled([taken, *container.args, *container.after, *op.after], part, before)
                place = others.pop(0)
                others = [x for x in dict.fromkeys(others) if x != place and not ops[x].preloaded]
                if len(others) <= _MOST_BEFORE:
                    part[at], before[at] = place, tuple(others)
                    became.append(became[place])
                    continue
        if part:
            more = [y for x in op.args if x in before for y in before[x]]
            after = _settled(list(op.after), part, before)
            if more or len(after) > len(op.after):
                given = {part.get(x, x) for x in op.args}
                op = replace(op, after=tuple([x for x in dict.fromkeys([*after, *more]) if x not in given]))
        became.append(len(kept))
        kept.append(moved(op, became))
    return rewritten(graph, kept, became[graph.result]) if part else graph


def _part(graph: Graph, op: Op, container: Op) -> int | None:
    """The part of ``container`` that the item ``op`` is, where that is known."""
    key = graph.ops[op.args[1]]
    if container.kind is not Kind.BUILD or container.detail not in ("list", "tuple") or key.kind is not Kind.LITERAL:
        return None
    number = graph.literals[key.detail]
    if type(number) is not int or not -len(container.args) <= number < len(container.args):
        return None
    part = container.args[number]
    if graph.ops[part].kind is Kind.LITERAL:
        return None if type(graph.literals[graph.ops[part].detail]) in CONTINUATIONS else part
    return part if graph.ops[part].kind in _COMPUTED else None


def _settled(values: list[int], part: dict[int, int], before: dict[int, tuple[int, ...]]) -> list[int]:
    """``values``, with what was forwarded as its part and all that goes before that."""
    found: list[int] = []
    for x in values:
        found.append(part.get(x, x))
        found += before.get(x, ())
    return found
