"""Routes of jumps ahead of time: the two graphs of a route, with a place for each argument that a jump may give.

    step(0, fetch(1))   of   def step(n, rows, total=0)

    plain   step(0, fetch(1), total=ABSENT)    a jump may put n and total into their registers
    full    step(n, rows, total=total)         where   rows = joint[1] if joint_rows else box[0] if alone_rows else fetch(1),   and so on

``cascade_vm.route_data`` says what a program keeps of them, ``cascade_vm.routes`` how jumps use them.
"""

from __future__ import annotations

from typing import Any

import attrs
from msgspec.structs import replace

from cascade_compiler.capture import capture
from cascade_compiler.ir import Graph, Kind, Op
from cascade_compiler.jumping import JumpTable, places
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import ITEM, Literal
from cascade_compiler.policy import Condition, Policy
from cascade_compiler.task import Task
from cascade_vm.jumps import ABSENT
from cascade_vm.route_data import Slot


@attrs.frozen(eq=False)
class RouteGraphs:
    """The graphs of a route. ``routes`` is the literal before the arguments of the call in the plain one; the rest as in a Route."""

    plain: Graph
    full: Graph
    routes: int
    slots: tuple[Slot, ...]
    first: int
    more: int
    joint: int
    required: tuple[int, ...]


@attrs.define(eq=False)
class _Argument:
    value: Any
    keyword: str = ""  # empty: it is positional
    name: str = ""  # of the parameter, where that can be given by name
    is_open: bool = True  # may a jump give it?
    is_injected: bool = False  # by the task itself: an argument in the full graph alone
    is_required: bool = False  # and the route does not have it


def route_graphs(route: LazyResult, table: JumpTable) -> RouteGraphs:
    """The two graphs of a route of ``table``.

    :raises CompileError: the route has no meaning.
    """
    route = table.bound(route)
    arguments, first, more = _arguments(route)
    plain = capture(_called(route, [one for one in arguments if not one.is_injected]))
    joint = _item(Literal(ABSENT), 0)
    opened = [one for one in arguments if one.is_open]
    chosen = {id(one): _chosen(one.value, _item(joint, number)) for number, one in enumerate(opened)}
    full = capture(_called(route, [attrs.evolve(one, value=chosen.get(id(one), one.value)) for one in arguments]))

    call, lead = call_of(plain)
    of_plain = dict(zip(map(id, arguments), call.args[lead:], strict=False))  # those that the task injects come last in both
    of_full = dict(zip(map(id, arguments), operands_of(full), strict=True))
    slots = []
    for one in opened:
        at = -1 if one.is_injected else literal_at(plain, of_plain[id(one)])
        slots.append(Slot(one.name, at, *_registers(full, of_full[id(one)])))
    number = {id(one): at for at, one in enumerate(opened)}
    return RouteGraphs(
        plain, full, literal_at(plain, call.args[lead - 1]), tuple(slots),
        -1 if first is None else number[id(first)], -1 if more is None else number[id(more)],
        _joint(full, of_full[id(opened[0])]) if opened else -1, tuple([at for at, one in enumerate(opened) if one.is_required]),
    )  # fmt: skip


def _arguments(route: LazyResult) -> tuple[list[_Argument], _Argument | None, _Argument | None]:
    """All arguments that a call of the route may have; that for its first parameter, and that which stands for further keywords."""
    task = route.task
    assert type(task) is Task
    place_of, several = places(route)
    found = [_Argument(value, is_open=at == several) for at, value in enumerate(route.args)]
    for name, place in place_of.items():
        found[place].name, found[place].is_open = name, True
    found += [_Argument(value, name, name) for name, value in route.kwargs.items()]
    parameters = list(task.signature.parameters.values()) if task.signature is not None else []
    known = {*place_of, *route.kwargs}
    injected = []
    for one in parameters:
        if one.name in known or one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            continue
        if one.name in task.injected:
            injected.append(_Argument(task.injected[one.name], one.name, one.name, is_injected=True))
        else:
            found.append(_Argument(Literal(ABSENT), one.name, one.name, is_required=one.default is one.empty))
    more = None
    if task.signature is None or any(one.kind is one.VAR_KEYWORD for one in parameters):
        taken = {*known, *(one.name for one in parameters)}
        more = _Argument(Literal(ABSENT), next(name for at in range(len(taken) + 1) if (name := "more" + "_" * at) not in taken))
        found.append(more)
    found += injected
    if several >= 0:
        return found, found[several], more
    return found, next((one for one in found if parameters and one.name == parameters[0].name), None), more


def _called(route: LazyResult, arguments: list[_Argument]) -> LazyResult:
    args = tuple([one.value for one in arguments if not one.keyword])
    return replace(route, args=args, kwargs={one.keyword: one.value for one in arguments if one.keyword})


def _item(value: Any, key: Any) -> LazyResult:
    return LazyResult(ITEM, (value, key), {}, None, _item.__code__, 0)


def _chosen(value: Any, of_joint: LazyResult) -> LazyResult:
    """An argument of a full graph: ``of_joint`` where the one flag is true, what is in its box where the other is, else ``value``."""
    boxed = replace(_item(Literal(ABSENT), 0), policy=Policy(conditions=(Condition(False, value),)))
    return replace(of_joint, policy=Policy(conditions=(Condition(False, boxed),)))


# --- where the places are in the captured graph -----------------------------------------------------------------------------


def call_of(graph: Graph) -> tuple[Op, int]:
    """The call that a captured route stands for, and how many operands stand before its arguments: amounts, and its routes."""
    at = graph.result
    while graph.ops[at].kind is Kind.SELECT:
        at = graph.ops[at].routes[0]  # of a condition: the call itself
    op = graph.ops[at]
    return op, routes_of(op) + 1


def routes_of(op: Op) -> int:
    """Which operand of a bound call its routes are."""
    return op.policy.dynamic if op.policy is not None else 0


def operands_of(graph: Graph) -> tuple[int, ...]:
    call, lead = call_of(graph)
    return call.args[lead:]


def literal_at(graph: Graph, value: int) -> int:
    """The number of a literal; -1 where the value is none."""
    op = graph.ops[value]
    return op.detail if op.kind is Kind.LITERAL else -1


def _registers(full: Graph, value: int) -> tuple[int, int, int]:
    """Of an argument that is chosen: the literals that are its flag for its box, its box, and its flag for the joint list."""
    outer, inner = full.ops[value], full.ops[full.ops[value].routes[1]]
    box = full.ops[inner.routes[0]].args[0]
    return _flag(full, inner), literal_at(full, box), _flag(full, outer)


def _flag(graph: Graph, select: Op) -> int:
    return literal_at(graph, graph.ops[select.args[0]].args[0])


def _joint(full: Graph, value: int) -> int:
    item = full.ops[full.ops[value].routes[0]]
    return literal_at(full, full.ops[item.args[0]].args[0])
