"""What a graph means, in its plainest form: the undecorated functions, called at once, one after the other.

No LazyResult is made and nothing overlaps: depth first, arguments left to right, then what ``after`` names, then the call. An
async function is awaited on the spot. A value that is used twice is computed once; what nobody needs is not computed: a test comes
before what depends on it, and of several routes only one is taken.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.amounts import check_at_once, checked
from cascade_compiler.testing.behaviour import (
    NextJump,
    NextRound,
    Scope,
    Skip,
    cached_call,
    call_function,
    choose,
    jumped,
    member_function,
    resource_name,
    skip,
    state_function,
    timed_out,
)
from cascade_compiler.testing.resource_functions import parameter, resource_function
from cascade_compiler.testing.spec_tools import constant, is_sync, values
from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    Arg,
    Call,
    DictOf,
    Expr,
    Gather,
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
    ResourceSpec,
    Router,
    SetOf,
    Step,
    TupleOf,
    Use,
)
from cascade_compiler.testing.walks import named as named_parts
from cascade_compiler.testing.walks import places, taken_resources

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Log

    Exprs = tuple[Expr, ...]
    Named = tuple[tuple[str, Expr], ...]


async def eager(spec: GraphSpec, log: Log) -> Any:
    """The value of ``spec``, computed in plain Python; its calls are in ``log``.

    :raises Exception: the first failure in the order of evaluation.
    """
    check_at_once(spec)
    run = _Run(log, dict(spec.capacity))
    async with run.resources:
        return await _Graph(spec.nodes, Scope(inputs=values(spec), resources=spec.resources), run).target(spec.target)


def eager_sync(spec: GraphSpec, log: Log) -> Any:
    """``eager`` for a spec in which nothing waits: no event loop is needed.

    :raises ValueError: the spec has async tasks, or waits between attempts.
    """
    if not is_sync(spec):
        raise ValueError("the spec has async tasks, or waits between attempts: use `await eager(...)`")
    evaluation = eager(spec, log)
    try:
        evaluation.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a sync task waited")


@dataclass
class _Run:
    """What all graphs of one run share."""

    log: Log
    capacity: dict[str, float]
    stored: dict[tuple[str, str], Any] = field(default_factory=dict)
    resources: _Resources = field(default_factory=lambda: _Resources())


class _Resources:
    """What is set up in one scope; at its end it is torn down, the last first."""

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}
        self._generators: list[Any] = []

    async def set_up(self, number: int, spec: ResourceSpec, needs: list[Any], log: Log) -> Any:
        if number not in self.values:
            named = dict(zip(map(parameter, spec.needs), needs, strict=True))
            generator = resource_function(resource_name(number), spec, log, {})(**named)
            self.values[number] = next(generator) if spec.delay is None else await anext(generator)
            self._generators.append(generator)
        return self.values[number]

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: Any, failure: BaseException | None, trace: Any) -> None:
        first = failure
        for generator in reversed(self._generators):
            try:
                if inspect.isasyncgen(generator):
                    await anext(generator, None)
                else:
                    next(generator, None)
            except Exception as fault:
                first = first or fault
        if failure is None and first is not None:
            raise first


class _Graph:
    """One activation of a graph: each of its nodes is computed at most once in it, when it is first asked for."""

    def __init__(self, nodes: tuple[Node, ...], scope: Scope, run: _Run) -> None:
        self._nodes = nodes
        self._scope = scope
        self._run = run
        self._values: dict[int, Any] = {}
        self._resources = _Resources()
        self._places: tuple[int, ...] = ()

    async def target(self, target: Expr) -> Any:
        self._places = tuple(places(self._nodes, target, self._scope.resources))
        async with self._resources:
            value = await self.expr(target)
            if type(value) is Skip:
                raise value.error()
            return value

    async def _resource(self, number: int) -> Any:
        spec = self._scope.resources[number]
        if spec.given is not ABSENT:  # then what it injects is set up only for others
            taken = taken_resources(self._nodes, self._places, self._scope.resources)
            for one in spec.needs:
                if one in taken:
                    await self.expr(Use(one))
            return constant(spec.given)
        needs = [await self.expr(Use(one)) for one in spec.needs]
        scope = self._run.resources if spec.scope == "run" else self._resources
        return await scope.set_up(number, spec, needs, self._run.log)

    async def _value(self, position: int) -> Any:
        if position not in self._values:
            self._values[position] = await self._compute(self._nodes[position], self._scope.name(position))
        return self._values[position]

    async def _compute(self, node: Node, name: str) -> Any:
        match node:
            case Again(of):
                return await self._compute(self._nodes[of], self._scope.name(of))
            case Call() | Map():
                for when in reversed(node.when):
                    test = await self.expr(when.test)
                    if type(test) is Skip:
                        return test
                    if not test:
                        if when.otherwise is ABSENT:
                            return skip(self._nodes, node, name, when.test, self._scope)
                        return await self.expr(when.otherwise)
                return await (self._call(node, name) if isinstance(node, Call) else self._map(node, name))
            case Router(selector):
                key = await self.expr(selector)
                return key if type(key) is Skip else await self.expr(choose(node, key))
            case Loop(first=first):
                parts = await self._parts(first.args, first.kwargs, node.after)
                return parts if type(parts) is Skip else await self._rounds(name, node, *parts[:2])
            case Jumps(kwargs=kwargs):
                parts = await self._parts((), kwargs, node.after)
                return parts if type(parts) is Skip else await self._jumps(name, node, parts[1])
            case Item(of, key):
                found = await self.expr(ListOf((Ref(of), key)))
                return found if type(found) is Skip else found[0][found[1]]
            case Gather(items):
                return await self.expr(ListOf(items))
            case Input(key):
                return self._scope.inputs[key]
        raise TypeError(f"{node!r} is no node of a spec")

    async def _call(self, node: Call, name: str) -> Any:
        parts = await self._parts(node.args, named_parts(node), node.after, node.holds)
        return parts if type(parts) is Skip else await self._made(node, name, *parts)

    async def _map(self, node: Map, name: str) -> Any:
        parts = await self._parts(node.args, named_parts(node), node.after, node.holds)
        if type(parts) is Skip:
            return parts
        args, named, amounts = parts
        common = {key: named.pop(key) for key in list(named) if key not in dict(node.kwargs)}
        rows = zip(*args, *named.values(), strict=True)
        if len({len(one) for one in (*args, *named.values())}) > 1:
            raise ValueError("the iterables of a map must have one length")
        return [
            await self._made(node, name, list(row[: len(args)]), dict(zip(named, row[len(args) :], strict=True)) | common, amounts)
            for row in rows
        ]

    async def _made(self, node: Call | Map, name: str, args: list[Any], kwargs: dict[str, Any], amounts: dict[str, Any]) -> Any:
        """What a call comes to, a graph that it returns included."""
        key = (node.cache or "", cached_call(name, args, kwargs))
        if node.cache is not None and key in self._run.stored:
            return self._run.stored[key]
        checked(amounts, self._run.capacity)
        result = await self._attempts(node, name, args, kwargs)
        if isinstance(result, _GoOn):
            return await _Graph(result.graph.nodes, result.scope, self._run).target(result.graph.target)
        if node.cache is not None:
            self._run.stored[key] = result
            self._run.log.store(node.cache, result)
        return result

    async def _attempts(self, node: Call | Map, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        function = call_function(name, replace(node, mode="inline"), self._scope, self._run.log, lambda graph, scope: _GoOn(graph, scope))
        wait, attempts, errors = 0, 1, ()
        if node.retry is not None:
            wait, attempts, errors = node.retry.delay, node.retry.attempts, tuple(getattr(builtins, e) for e in node.retry.on)
        while True:
            attempts -= 1
            try:
                return await _call(function, args, kwargs, name, node.timeout)
            except errors:
                if not attempts:
                    raise
            if wait:
                await asyncio.sleep(wait)
                wait *= node.retry.backoff if node.retry is not None else 1

    async def _parts(
        self, args: Exprs, kwargs: Named, after: tuple[int, ...] = (), amounts: Named = ()
    ) -> Any:
        """The arguments by position and by name, and the amounts; or the first Skip among them and what is in ``after``."""
        amounts = tuple(sorted(amounts))
        parts = (*(amount for _, amount in amounts), *args, *(value for _, value in kwargs), *map(Ref, after))
        found = [await self.expr(expr) for expr in parts]
        first, last = len(amounts), len(amounts) + len(args)
        named = {key: value for (key, _), value in zip(kwargs, found[last:], strict=False)}
        held = {name: amount for (name, _), amount in zip(amounts, found, strict=False)}
        return next((one for one in found if type(one) is Skip), (found[first:last], named, held))

    async def _rounds(self, name: str, loop: Loop, args: list[Any], kwargs: dict[str, Any]) -> Any:
        step: Step = loop.first
        n: int = loop.count
        result = await self._round(name, loop, step, n, args, kwargs)
        while isinstance(result, NextRound):
            step = loop.members[result.member].steps[result.step]
            n = result.args["n"] - 1
            inner = _Graph(step.nodes, self._scope.inside(f"{result.name}.s{result.step}", result.args), self._run)
            inner._places = tuple(places(step.nodes, ListOf((*step.args, *(value for _, value in step.kwargs))), self._scope.resources))
            async with inner._resources:
                parts = await inner._parts(step.args, step.kwargs)
                if type(parts) is Skip:
                    raise parts.error()
                result = await self._round(name, loop, step, n, *parts[:2])
        return result

    async def _round(self, name: str, loop: Loop, step: Step, n: int, args: list[Any], kwargs: dict[str, Any]) -> Any:
        member = member_function(name, loop, step.member, self._run.log, lambda round_: round_)
        return await (_call(member, [], {"n": n, **kwargs}) if step.by_name else _call(member, [n, *args], kwargs))

    async def _jumps(self, name: str, node: Jumps, kwargs: dict[str, Any]) -> Any:
        result = await self._state(name, node, node.first, {"n": node.count, **kwargs})
        while isinstance(result, NextJump):
            target = jumped(node, result)
            if target is None:
                return None if result.data is ABSENT else result.data
            number, data = target
            written = tuple([(key, expr) for key, expr in node.states[number].written if key not in data])
            inner = _Graph(self._nodes, self._scope, self._run)
            inner._places = tuple(places(self._nodes, ListOf(tuple([expr for _, expr in written])), self._scope.resources))
            async with inner._resources:
                parts = await inner._parts((), written)
                if type(parts) is Skip:
                    raise parts.error()
                result = await self._state(name, node, number, {**data, **parts[1]})
        return result

    async def _state(self, name: str, node: Jumps, number: int, kwargs: dict[str, Any]) -> Any:
        return await _call(state_function(name, node, number, self._run.log, lambda jump: jump), [], kwargs)

    async def expr(self, expr: Expr) -> Any:
        match expr:
            case Ref(node):
                return await self._value(node)
            case Use(resource):
                return await self._resource(resource)
            case Arg(key):
                return self._scope.args[key]
            case ListOf(items) | TupleOf(items) | SetOf(items):
                found = [await self.expr(item) for item in items]
                kind: Any = {ListOf: list, TupleOf: tuple, SetOf: set}[type(expr)]
                if isinstance(expr, SetOf) and expr.frozen:
                    kind = frozenset
                return next((one for one in found if type(one) is Skip), None) or kind(found)
            case DictOf(pairs):
                found = [await self.expr(part) for pair in pairs for part in pair]
                skipped = next((one for one in found if type(one) is Skip), None)
                return skipped or dict(zip(found[::2], found[1::2], strict=True))
            case Lit(value):
                return await self.expr(value)
            case _:
                return expr


class _GoOn:
    """What a task that returns a graph returns here: the graph, still to be computed."""

    def __init__(self, graph: GraphSpec, scope: Scope) -> None:
        self.graph = graph
        self.scope = scope


async def _call(function: Any, args: list[Any], kwargs: dict[str, Any], name: str = "", timeout: float | None = None) -> Any:
    result = function(*args, **kwargs)
    if not inspect.isawaitable(result):
        return result
    try:
        async with asyncio.timeout(timeout) as limit:
            return await result
    except TimeoutError:
        if limit.expired() and timeout is not None:
            raise timed_out(name, timeout) from None
        raise
