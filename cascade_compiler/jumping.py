"""Explicit jumps: a task says where to go on by a key, and the graph says what the keys mean (S26).

    loop = bind(step(0), select_jump({"again": step(0), "done": None}))

    @task
    def step(n):
        return Jump("done", n) if n == 10 else Jump("again", n + 1)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal
from cascade_compiler.policy import with_policy
from cascade_compiler.task import Task
from cascade_vm.continuation import Continuation
from cascade_vm.errors import RouteNotFound
from cascade_vm.inputs import MISSING
from cascade_vm.notes import short


class Jump(Continuation):
    """Returned by a bound task: go on with the route of ``key``.

    ``data`` overrides the arguments of that route: a dict by the names of its parameters, any other value its first parameter. Where the
    route is None, the loop ends, and ``data`` is its value.
    """

    __slots__ = ("data", "key")

    def __init__(self, key: Any, data: Any = MISSING) -> None:
        self.key = key
        self.data = data

    def __repr__(self) -> str:
        return f"Jump({short(self.key)})" if self.data is MISSING else f"Jump({short(self.key)}, {short(self.data)})"

    def activate(self, *_: Any, **__: Any) -> NoReturn:
        """A jump that comes here was returned by a task without routes.

        :raises RouteNotFound: always.
        """
        raise RouteNotFound(
            f"{self!r} leads nowhere: the task that returned it is not bound. Give its call routes with "
            f"bind(call, select_jump({{{short(self.key)}: ...}}))"
        )


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
            raise RouteNotFound(
                f"there is no route for {value!r}: the routes are {', '.join(short(key) for key in self._routes)}"
            ) from None
        if route is None:
            return None if value.data is MISSING else Literal(value.data) if isinstance(value.data, Continuation) else value.data
        if route.policy is None or route.policy.jumps is None:
            route = with_policy(route, jumps=self)
        return route if value.data is MISSING else _overridden(route, value.data)

    def __repr__(self) -> str:
        return f"<select_jump: {', '.join(short(key) for key in self._routes)}>"


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


def bind(step: LazyResult, routes: JumpTable | Mapping[Any, LazyResult | None], /) -> LazyResult:
    """The call ``step`` again, with routes for the jumps that it returns. A route that is not bound itself keeps them.

    :raises TypeError: ``step`` is no call of a task; ``routes`` is no ``select_jump(...)``.
    """
    if type(step) is not LazyResult or type(step.task) is not Task:
        raise TypeError(f"bind takes a call of a task, such as step(0), not {short(step)}")
    table = routes if type(routes) is JumpTable else select_jump(routes)  # type: ignore[arg-type]
    return with_policy(step, jumps=table)


def _overridden(route: LazyResult, data: Any) -> LazyResult:
    """``route`` with other arguments, whichever way each was given before."""
    task = route.task
    assert type(task) is Task
    names = list(task.signature.parameters) if task.signature is not None else []
    if type(data) is dict:
        given = data
    elif names:
        given = {names[0]: data}
    else:
        raise TypeError(f"{task.label} takes no argument that {short(data)} could be: Jump with a dict, by the names of parameters")
    args, kwargs = list(route.args), dict(route.kwargs)
    for name, value in given.items():
        place = names.index(name) if name in names else -1
        if 0 <= place < len(args):
            args[place] = value
        else:
            kwargs[name] = value
    if task.signature is not None:
        try:
            task.signature.bind(*args, **kwargs)
        except TypeError as fault:
            raise TypeError(f"the data of a jump does not fit {task.label}{task.signature_text}: {fault}") from None
    return LazyResult(task, tuple(args), kwargs, route.policy, route.code, route.lasti)
