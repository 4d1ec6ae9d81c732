"""From a spec to a graph of LazyResults, as a user would write it."""

from __future__ import annotations

import asyncio
import builtins
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from cascade_compiler.inputs import Param, gather
from cascade_compiler.jumping import Jump, bind, select_jump
from cascade_compiler.mapping import common
from cascade_compiler.node_kinds import literal
from cascade_compiler.resource import ResourceKind, inject, resource
from cascade_compiler.routing import Router as make_router
from cascade_compiler.task import TaskFunction, task
from cascade_compiler.testing.behaviour import (
    NextJump,
    NextRound,
    Scope,
    call_function,
    member_function,
    resource_name,
    state_function,
)
from cascade_compiler.testing.resource_functions import parameter, resource_function
from cascade_compiler.testing.spec_tools import constant, modes
from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    Arg,
    Call,
    DictOf,
    Expr,
    Gather,
    Given,
    GraphSpec,
    Input,
    Item,
    Jumps,
    ListOf,
    Lit,
    Loop,
    Map,
    Node,
    Ref,
    Router,
    SetOf,
    Step,
    TupleOf,
    Use,
)
from cascade_compiler.testing.virtual_pool import VirtualPool
from cascade_compiler.testing.walks import demanded
from cascade_vm.memory_cache import MemoryCache

if TYPE_CHECKING:
    from cascade_compiler.lazy import LazyResult
    from cascade_compiler.testing.events import Log


@dataclass(frozen=True)
class Built:
    """A graph and what to run it with: ``run(built.target, **built.options())``.

    ``nodes`` are all nodes of the outermost graph, needed or not.
    """

    target: Any
    params: dict[str, Any]
    nodes: tuple[LazyResult, ...]
    capacity: dict[str, float] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    needs_pools: bool = False

    def options(self) -> dict[str, Any]:
        """What ``run`` and ``arun`` are to be told of the world. Threads and processes are doubles, in the time of the running loop."""
        given = {"params": self.params, "capacity": self.capacity, "resources": self.resources or None}
        if not self.needs_pools:
            return given
        pool = VirtualPool(asyncio.get_running_loop())
        return {**given, "pools": {"thread": pool, "process": pool}}


def build(spec: GraphSpec, log: Log) -> Built:
    """The graph of ``spec``. Its tasks write into ``log`` when they run; building runs none of them."""
    builder = _Builder(spec, log)
    nodes = builder.nodes(spec.nodes, Scope())
    declared = {node.name for i in demanded(spec) if isinstance(node := spec.nodes[i], Input)}
    params = {g.name: constant(g.value) for g in spec.inputs if g.name in declared and g.value is not ABSENT}
    overrides = {resource_name(i): constant(one.given) for i, one in enumerate(spec.resources) if one.given is not ABSENT}
    return Built(builder.expr(spec.target, nodes, Scope()), params, tuple(nodes), dict(spec.capacity), overrides, bool(modes(spec)))


def _jump(to: NextJump) -> Jump:
    return Jump(to.key) if to.data is ABSENT else Jump(to.key, to.data)


class _WatchedCache(MemoryCache):
    def __init__(self, log: Log, name: str) -> None:
        super().__init__()
        self._watch = (log, name)

    def put(self, key: bytes, value: Any) -> None:
        log, name = self._watch
        log.store(name, value)
        super().put(key, value)


class _Builder:
    def __init__(self, spec: GraphSpec, log: Log) -> None:
        self._log = log
        self._inputs: dict[str, Given] = {given.name: given for given in spec.inputs}
        self._defaults = {given.name: constant(given.default) for given in spec.inputs if given.default is not ABSENT}
        self._tasks: dict[str, TaskFunction[..., Any]] = {}
        self._caches: dict[str, MemoryCache] = {}
        self._resources: list[ResourceKind] = []
        for number, one in enumerate(spec.resources):
            needs = {parameter(other): inject(self._resources[other]) for other in one.needs}
            function = resource_function(resource_name(number), one, log, needs)
            self._resources.append(resource(function, scope=one.scope))

    def nodes(self, specs: tuple[Node, ...], scope: Scope) -> list[LazyResult]:
        made: list[LazyResult] = []
        for position, node in enumerate(specs):
            made.append(self._node(node, scope.name(position), made, specs, scope))
        return made

    def _node(self, node: Node, name: str, made: list[LazyResult], specs: tuple[Node, ...], scope: Scope) -> LazyResult:
        match node:
            case Again(of):
                return self._node(specs[of], scope.name(of), made, specs, scope)
            case Call(args, kwargs):
                lazy = self._task(node, name, scope)(
                    *[self.expr(arg, made, scope) for arg in args],
                    **{key: self.expr(value, made, scope) for key, value in kwargs},
                )
                return self._chained(lazy, node, made, scope)
            case Map(args, kwargs):
                lazy = self._task(node, name, scope).map(
                    *[self.expr(arg, made, scope) for arg in args],
                    **{key: self.expr(value, made, scope) for key, value in kwargs},
                    **(common(**{key: self.expr(value, made, scope) for key, value in node.common}) if node.common else {}),
                    max_concurrency=node.limit,
                )
                return self._chained(lazy, node, made, scope)
            case Router(selector, routes, default):
                table = {key: self.expr(route, made, scope) for key, route in routes}
                if default is ABSENT:
                    return make_router(self.expr(selector, made, scope), table)
                return make_router(self.expr(selector, made, scope), table, default=self.expr(default, made, scope))
            case Loop(count=count, first=first):
                lazy = self._step(node, name, count, first, made, scope)
                return lazy.after(*[made[i] for i in node.after]) if node.after else lazy
            case Jumps():
                lazy = self._jumps(node, name, made, scope)
                return lazy.after(*[made[i] for i in node.after]) if node.after else lazy
            case Item(of, key):
                return made[of][self.expr(key, made, scope)]
            case Gather(items):
                return gather(*[self.expr(item, made, scope) for item in items])
            case Input(key):
                if key in self._defaults:
                    return Param(key, default=self._defaults[key])
                return Param(key)
        raise TypeError(f"{node!r} is no node of a spec")

    def _task(self, node: Call | Map, name: str, scope: Scope) -> TaskFunction[..., Any]:
        if name not in self._tasks:
            function = call_function(name, node, scope, self._log, self._graph)
            if node.mode == "process":
                function.__qualname__ = "call_in_process"  # what has no place in a module cannot be found by another process
            if node.injects:
                function.__signature__ = self._signature(node)  # type: ignore[attr-defined]
            self._tasks[name] = task(name=name, mode=node.mode)(function)
        return self._tasks[name]

    def _signature(self, node: Call | Map) -> Signature:
        """``(*args, <injected>=inject(...), **kwargs)``"""
        injected = [Parameter(name, Parameter.KEYWORD_ONLY, default=inject(self._resources[one])) for name, one in node.injects]
        return Signature([Parameter("args", Parameter.VAR_POSITIONAL), *injected, Parameter("kwargs", Parameter.VAR_KEYWORD)])

    def _chained(self, lazy: LazyResult, node: Call | Map, made: list[LazyResult], scope: Scope) -> LazyResult:
        if node.after:
            lazy = lazy.after(*[made[i] for i in node.after])
        if node.retry is not None:
            retry = node.retry
            errors = tuple([getattr(builtins, error) for error in retry.on])
            lazy = lazy.with_retry(retry.attempts, delay=retry.delay, backoff=retry.backoff, on=errors)
        if node.timeout is not None:
            lazy = lazy.with_timeout(node.timeout)
        if node.holds:
            lazy = lazy.with_constraints(**{name: self.expr(amount, made, scope) for name, amount in node.holds})
        if node.rate is not None:
            lazy = lazy.with_rate_limit(node.rate.name, node.rate.rate, node.rate.per)
        if node.cache is not None:
            lazy = lazy.with_cache(self._caches.setdefault(node.cache, _WatchedCache(self._log, node.cache)))
        for when in node.when:
            test = self.expr(when.test, made, scope)
            lazy = lazy.run_if(test) if when.otherwise is ABSENT else lazy.run_if(test, self.expr(when.otherwise, made, scope))
        return lazy

    def _graph(self, graph: GraphSpec, scope: Scope) -> LazyResult:
        return self.expr(graph.target, self.nodes(graph.nodes, scope), scope)  # type: ignore[no-any-return]

    def _step(self, loop: Loop, name: str, n: int, step: Step, made: list[LazyResult], scope: Scope) -> LazyResult:
        own = f"{name}.m{step.member}"
        if own not in self._tasks:
            function = member_function(name, loop, step.member, self._log, lambda round_: self._next(name, round_, scope))
            self._tasks[own] = task(name=own)(function)
        args = [self.expr(arg, made, scope) for arg in step.args]
        kwargs = {key: self.expr(value, made, scope) for key, value in step.kwargs}
        if step.by_name:
            return self._tasks[own](n=n, **kwargs)
        return self._tasks[own](n, *args, **kwargs)

    def _jumps(self, node: Jumps, name: str, made: list[LazyResult], scope: Scope) -> LazyResult:
        def state(number: int, n: int, kwargs: tuple[tuple[str, Expr], ...]) -> LazyResult:
            own = f"{name}.j{number}"
            if own not in self._tasks:
                function = state_function(name, node, number, self._log, _jump)
                self._tasks[own] = task(name=own)(function)
            return self._tasks[own](n, **{key: self.expr(value, made, scope) for key, value in kwargs})

        routes: dict[Any, LazyResult | None] = {i: state(i, 0, one.written) for i, one in enumerate(node.states)}
        return bind(state(node.first, node.count, node.kwargs), select_jump({**routes, "end": None}))

    def _next(self, name: str, round_: NextRound, scope: Scope) -> LazyResult:
        step = round_.loop.members[round_.member].steps[round_.step]
        inner = scope.inside(f"{round_.name}.s{round_.step}", round_.args)
        n = round_.args["n"] - 1
        return self._step(round_.loop, name, n, step, self.nodes(step.nodes, inner), inner)

    def expr(self, expr: Expr, made: list[LazyResult], scope: Scope) -> Any:
        match expr:
            case Ref(node):
                return made[node]
            case Arg(key):
                return scope.args[key]
            case ListOf(items):
                return [self.expr(item, made, scope) for item in items]
            case TupleOf(items):
                return tuple([self.expr(item, made, scope) for item in items])
            case SetOf(items, frozen):
                members = {self.expr(item, made, scope) for item in items}
                return frozenset(members) if frozen else members
            case DictOf(pairs):
                return {self.expr(key, made, scope): self.expr(value, made, scope) for key, value in pairs}
            case Use(number):
                return inject(self._resources[number])
            case Lit(value):
                return literal(self.expr(value, made, scope))
            case _:
                return expr
