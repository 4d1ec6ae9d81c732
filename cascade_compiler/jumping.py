"""Explicit jumps: a task says where to go on by a key, and the graph says what the keys mean (S26).

    loop = bind(step(0), select_jump({"again": step(0), "done": None}))

    @task
    def step(n):
        return Jump("done", n) if n == 10 else Jump("again", n + 1)
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import GATHER, ITEM, Literal
from cascade_compiler.policy import NO_POLICY, with_policy
from cascade_compiler.scan import ATOMS, Scanner, is_container, members
from cascade_compiler.task import Task
from cascade_vm.continuation import Continuation
from cascade_vm.inputs import MISSING
from cascade_vm.jumps import Evaluations, Jump, does_not_fit, no_argument, no_route, shown_routes
from cascade_vm.notes import short

__all__ = ["Jump", "JumpTable", "bind", "places", "select_jump"]


class JumpTable:
    """What the keys of jumps mean: made by ``select_jump``, given to a call by ``bind``. Immutable."""

    __slots__ = ("_routes",)

    def __init__(self, routes: Mapping[Any, LazyResult | None]) -> None:
        self._routes = dict(routes)

    def resolve(self, value: Any) -> Any:
        """What the value of a bound call stands for: a jump for the call that it leads to, or for its data at the end; else itself.

        :raises RouteNotFound: there is no such key. :raises TypeError: the data does not fit the parameters of the route.
        """
        if type(value) is not Jump:
            return value
        try:
            route = self._routes[value.key]
        except (KeyError, TypeError):
            raise no_route(value, self._routes) from None
        if route is None:
            return None if value.data is MISSING else Literal(value.data) if isinstance(value.data, Continuation) else value.data
        route = self.bound(route)
        return route if value.data is MISSING else _overridden(route, value.data)

    @property
    def routes(self) -> Mapping[Any, LazyResult | None]:
        """The routes, as they were given."""
        return self._routes

    def bound(self, route: LazyResult) -> LazyResult:
        """A route with the routes that it is made under: its own, or these."""
        return with_policy(route, jumps=self) if route.policy is None or route.policy.jumps is None else route

    def __repr__(self) -> str:
        return shown_routes(self._routes)


def select_jump(routes: Mapping[Any, LazyResult | None], /) -> JumpTable:
    """The routes of jumps, by key: a call to go on with, or None to end.

    :raises TypeError: a route is neither a call of a task nor None. :raises ValueError: there are no routes.
    """
    if not isinstance(routes, Mapping):
        raise TypeError(f"select_jump takes a dict of routes by key, not {type(routes).__name__!r}")
    if not routes:
        raise ValueError("select_jump needs at least one route")
    for key, route in routes.items():
        if route is not None and not (type(route) is LazyResult and type(route.task) is Task):
            raise TypeError(f"select_jump: the route {key!r} must be a call of a task, or None to end; not {short(route)}")
    return JumpTable(routes)


def bind(step: LazyResult, routes: JumpTable | Mapping[Any, LazyResult | None], /) -> LazyResult[Any]:
    """The call ``step`` again, with routes for the jumps that it returns. A route that is not bound itself keeps them.

    :raises TypeError: ``step`` is no call of a task; ``routes`` is no ``select_jump(...)``.
    """
    if type(step) is not LazyResult or type(step.task) is not Task:
        raise TypeError(f"bind takes a call of a task, such as step(0), not {short(step)}")
    table = routes if type(routes) is JumpTable else select_jump(routes)  # type: ignore[arg-type]
    return with_policy(step, jumps=table)


def places(route: LazyResult) -> tuple[dict[str, int], int]:
    """Which parameters the positional arguments of a route are for; and the place of the first one, if that takes several: else -1."""
    task = route.task
    assert type(task) is Task
    parameters = list(_parameters(task).values())
    named = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    takes_several = bool(route.args and parameters) and parameters[0].kind is parameters[0].VAR_POSITIONAL
    return {name: place for place, name in enumerate(named[: len(route.args)])}, 0 if takes_several else -1


def _parameters(task: Task) -> Mapping[str, Parameter]:
    return task.signature.parameters if task.signature is not None else {}


def _overridden(route: LazyResult, data: Any) -> LazyResult:
    """``route`` with other arguments, whichever way each was given before."""
    task = route.task
    assert type(task) is Task
    args, kwargs = list(route.args), dict(route.kwargs)
    place_of, first = places(route)
    if type(data) is dict:
        given = data
    elif first >= 0:
        args[first], given = data, {}
    elif _parameters(task):
        given = {next(iter(_parameters(task))): data}
    else:
        raise no_argument(task.label, data)
    # Arguments that the route has not come behind those that it has, in the order of the parameters: not in that of the data, on which
    # the shape of the graph should not depend.
    for name in (*(name for name in _parameters(task) if name in given), *given):
        place = place_of.get(name)
        if place is not None:
            args[place] = given[name]
        else:
            kwargs[name] = given[name]
    if task.signature is not None:
        try:
            task.signature.bind(*args, **kwargs)
        except TypeError as fault:
            raise does_not_fit(task.label, task.signature_text, fault) from None
    return LazyResult(task, tuple(args), kwargs, route.policy, route.code, route.lasti)


def _evaluations(values: list[Any]) -> Evaluations | None:
    """What of the data of a jump holds LazyResults, or is a literal(...); for a program, whose routes are compiled already.

    :raises CompileError: a LazyResult is hidden where nothing scans.
    """
    scanner = Scanner()
    lazy = [at for at, value in enumerate(values) if type(value) not in ATOMS and (type(value) is Literal or scanner.holds_lazy(value))]
    if not lazy:
        return None
    alone = values.copy()
    for at in lazy:
        if not isinstance(values[at], Continuation):
            alone[at] = _node(ITEM, _node(GATHER, values[at]), 0)
    shared = _sharing({at: values[at] for at in lazy}, scanner)
    if not shared:
        return Evaluations(alone)
    return Evaluations(alone, _node(GATHER, *(value if at in shared else None for at, value in enumerate(values))), shared)


Jump.evaluations = staticmethod(_evaluations)


def _node(kind: Any, *args: Any) -> LazyResult:
    return LazyResult(kind, args, {}, None, _evaluations.__code__, 0)


def _sharing(values: dict[int, Any], scanner: Scanner) -> frozenset[int]:
    """Which of the values have a node or a container that another of them would evaluate too."""
    owner: dict[int, int] = {}  # id of a node or container -> the value that it was met in first
    found = set()
    for number, value in values.items():
        stack = [value]
        while stack:
            part = stack.pop()
            if type(part) is not LazyResult and not (is_container(type(part)) and scanner.holds_lazy(part)):
                continue
            if id(part) not in owner:
                owner[id(part)] = number
                stack += _parts(part)
            elif owner[id(part)] != number:
                found |= {owner[id(part)], number}
    return frozenset(found)


def _parts(part: Any) -> list[Any]:
    if type(part) is not LazyResult:
        return list(members(part))
    policy = part.policy or NO_POLICY
    told = [value for condition in policy.conditions for value in (condition.test, condition.otherwise)]
    return [*part.args, *part.kwargs.values(), *policy.after, *told, *(amount for _, amount in policy.constraints)]
