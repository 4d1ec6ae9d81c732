"""What a graph means, in its plainest form: the undecorated functions, called at once, one after the other.

No LazyResult is made and nothing overlaps: depth first, arguments left to right, then what ``after`` names, then the call. An
async function is awaited on the spot. A value that is used twice is computed once; what nobody needs is not computed.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.behaviour import NextRound, Scope, call_function, member_function
from cascade_compiler.testing.spec_tools import is_sync, values
from cascade_compiler.testing.specs import (
    Again,
    Arg,
    Call,
    DictOf,
    Expr,
    Gather,
    GraphSpec,
    Input,
    Item,
    ListOf,
    Lit,
    Loop,
    Node,
    Ref,
    SetOf,
    Step,
    TupleOf,
)

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Log


async def eager(spec: GraphSpec, log: Log) -> Any:
    """The value of ``spec``, computed in plain Python; its calls are in ``log``.

    :raises Exception: the first failure in the order of evaluation.
    """
    return await _Graph(spec.nodes, Scope(inputs=values(spec)), log).expr(spec.target)


def eager_sync(spec: GraphSpec, log: Log) -> Any:
    """``eager`` for a spec without async tasks: no event loop is needed, as there is nothing to wait for.

    :raises ValueError: the spec has async tasks.
    """
    if not is_sync(spec):
        raise ValueError("the spec has async tasks: use `await eager(...)`")
    evaluation = eager(spec, log)
    try:
        evaluation.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a sync task waited")


class _Graph:
    """One activation of a graph: each of its nodes is computed at most once in it."""

    def __init__(self, nodes: tuple[Node, ...], scope: Scope, log: Log) -> None:
        self._nodes = nodes
        self._scope = scope
        self._log = log
        self._values: dict[int, Any] = {}

    async def _value(self, position: int) -> Any:
        if position not in self._values:
            self._values[position] = await self._compute(self._nodes[position], self._scope.name(position))
        return self._values[position]

    async def _compute(self, node: Node, name: str) -> Any:
        match node:
            case Again(of):
                return await self._compute(self._nodes[of], self._scope.name(of))
            case Call(args, kwargs):
                function = call_function(name, node, self._scope, self._log, lambda graph, scope: _GoOn(graph, scope))
                given = [await self.expr(arg) for arg in args]
                named = {key: await self.expr(value) for key, value in kwargs}
                for position in node.after:
                    await self._value(position)
                result = await _call(function, given, named)
                if isinstance(result, _GoOn):
                    return await _Graph(result.graph.nodes, result.scope, self._log).expr(result.graph.target)
                return result
            case Loop(first=first):
                given = [await self.expr(arg) for arg in first.args]
                named = {key: await self.expr(value) for key, value in first.kwargs}
                for position in node.after:
                    await self._value(position)
                return await self._rounds(name, node, given, named)
            case Item(of, key):
                value = await self._value(of)
                return value[await self.expr(key)]
            case Gather(items):
                return [await self.expr(item) for item in items]
            case Input(key):
                return self._scope.inputs[key]
        raise NotImplementedError(f"node {node!r}")

    async def _rounds(self, name: str, loop: Loop, args: list[Any], kwargs: dict[str, Any]) -> Any:
        step: Step = loop.first
        n: int = loop.count
        while True:
            member = member_function(name, loop, step.member, self._log, lambda round_: round_)
            result = await (_call(member, [], {"n": n, **kwargs}) if step.by_name else _call(member, [n, *args], kwargs))
            if not isinstance(result, NextRound):
                return result
            step = loop.members[result.member].steps[result.step]
            n = result.args["n"] - 1
            inner = _Graph(step.nodes, self._scope.inside(f"{result.name}.s{result.step}", result.args), self._log)
            args = [await inner.expr(arg) for arg in step.args]
            kwargs = {key: await inner.expr(value) for key, value in step.kwargs}

    async def expr(self, expr: Expr) -> Any:
        match expr:
            case Ref(node):
                return await self._value(node)
            case Arg(key):
                return self._scope.args[key]
            case ListOf(items):
                return [await self.expr(item) for item in items]
            case TupleOf(items):
                return tuple([await self.expr(item) for item in items])
            case SetOf(items, frozen):
                members = {await self.expr(item) for item in items}
                return frozenset(members) if frozen else members
            case DictOf(pairs):
                return {await self.expr(key): await self.expr(value) for key, value in pairs}
            case Lit(value):
                return await self.expr(value)
            case _:
                return expr


class _GoOn:
    """What a task that returns a graph returns here: the graph, still to be computed."""

    def __init__(self, graph: GraphSpec, scope: Scope) -> None:
        self.graph = graph
        self.scope = scope


async def _call(function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    result = function(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result
