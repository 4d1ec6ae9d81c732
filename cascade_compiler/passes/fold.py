"""Fold: call pure tasks on constants when the program is compiled, instead of in each run. Only where it is asked for.

Only ahead of time: the literals of a live graph are those of one run, and the next graph of its shape may have others.
"""

from __future__ import annotations

from typing import Any

from cascade_compiler.ir import Effects, Graph, Kind, Op
from cascade_compiler.passes.renumber import rewritten
from cascade_vm import constants, isa
from cascade_vm.builders import BUILDERS
from cascade_vm.constant_keys import encode_for_artifact

_NO_CONSTANT = object()
_CONTAINER = {name: at for at, name in enumerate(isa.CONTAINERS)}
_MUTABLE_CONTAINERS = (list, dict, set, bytearray)


def fold(graph: Graph) -> Graph:
    """What follows from constants alone becomes a constant: calls of pure tasks, and the items and containers between them.

    Before::

        %0 = literal 0
        %1 = call table(%0)
        %2 = call report(%1)

    After, where ``table`` is pure and ``report`` is not::

        %0 = literal 0
        %1 = literal 1
        %2 = call report(%1)

    A call stays where it is not plain (asynchronous, in another mode, under a policy, ordered by ``after``), where it raises (it raises
    again in the run, as if it had never been tried), and where its value is none that a program can hold: a graph to go on with, a lock.

    So does what is a condition, what has one, and what a router takes or chooses: when something is skipped, both are told of by name.

    Nobody can tell a folded value from one that was computed in the run, but by what an object is. A mutable constant is another object
    in each run, and never two objects in one; so what it goes into is folded only where nothing else reads it.
    """
    if not any(op.task is not None and op.task.pure for op in graph.ops):
        return graph
    ops = list(graph.ops)
    literals = list(graph.literals)
    constant: dict[int, Any] = {}  # the value of each operation that is constant: never given away, only copied
    readers = _readers(graph)
    named = {x for op in ops if op.kind is Kind.BRANCH or op.kind is Kind.SELECT for x in (*op.args, *op.routes)}
    changed = False
    for at, op in enumerate(ops):
        if op.kind is Kind.LITERAL:
            value = literals[op.detail]
            if readers[at] == 1 or _is_immutable(value):
                constant[at] = value
        elif op.kind in (Kind.CALL, Kind.ITEM, Kind.BUILD) and not op.after and at not in named and all(x in constant for x in op.args):
            value = _value(op, [constant[x] for x in op.args])
            if value is not _NO_CONSTANT:
                ops[at] = Op(Kind.LITERAL, detail=len(literals))
                literals.append(value)
                changed = True
                if readers[at] == 1 or _is_immutable(value):
                    constant[at] = value
    return rewritten(graph, ops, graph.result, literals) if changed else graph


def _readers(graph: Graph) -> list[int]:
    """How often each value is read; a literal that stands in several places is one value."""
    count = [0] * len(graph.ops)
    count[graph.result] = 1
    for op in graph.ops:
        for x in (*op.args, *op.routes):
            if x >= 0:
                count[x] += 1
    places: dict[int, list[int]] = {}
    for at, op in enumerate(graph.ops):
        if op.kind is Kind.LITERAL:
            places.setdefault(id(graph.literals[op.detail]), []).append(at)
    for same in places.values():
        if len(same) > 1:
            total = sum(count[at] for at in same)
            for at in same:
                count[at] = total
    return count


def _value(op: Op, operands: list[Any]) -> Any:
    """What ``op`` computes of copies of its operands, as a program would hold it; _NO_CONSTANT where it is to stay."""
    if op.kind is Kind.CALL and (op.effects & (Effects.IMPURE | Effects.WAITS) or op.bound):
        return _NO_CONSTANT
    try:
        values = [one if _is_immutable(one) else constants.decode_again(constants.encode(one)) for one in operands]
        value = _computed(op, values)
        encoded = encode_for_artifact(value)
        if constants.is_immutable(value):
            return value
        return constants.decode_again(encoded) if _holds_each_once(value) else _NO_CONSTANT
    except KeyboardInterrupt:
        raise
    except BaseException:  # whatever a task raises, SystemExit as well, it is to raise when it is run, and not here
        return _NO_CONSTANT


def _computed(op: Op, values: list[Any]) -> Any:
    if op.kind is Kind.ITEM:
        return values[0][values[1]]
    if op.kind is Kind.BUILD:
        return BUILDERS[_CONTAINER[op.detail]](values)
    assert op.task is not None
    plain = len(values) - len(op.names)
    return op.task.fn(*values[:plain], **dict(zip(op.names, values[plain:], strict=True)))


def _is_immutable(value: Any) -> bool:
    try:
        return constants.is_immutable(value)
    except RecursionError:  # so deep that no program can hold it
        return False


def _holds_each_once(value: Any) -> bool:
    """Does no mutable object stand in it twice? It would be two objects in a constant."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, _MUTABLE_CONTAINERS):
            if id(one) in seen:
                return False
            seen.add(id(one))
        if isinstance(one, dict):
            stack += one.values()  # keys are hashable, so they hold nothing mutable that could be encoded
        elif isinstance(one, (list, tuple)):
            stack += one
    return True
