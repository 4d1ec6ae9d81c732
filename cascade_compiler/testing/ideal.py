"""What should happen, and when: the schedule of a machine that starts each call the moment its inputs are there.

No task is run here: values and times are thought through together. A node is looked at when it is first demanded, and demands what it
needs, all of it at the same time. Synchronous work takes no time, an async attempt takes its delay, and a value is there at the latest
time of what it needs: so the time of the target is the critical path.

A failure does not stop the computation, only what depends on it. So the schedule also says what *else* would have failed,
and when: a run must raise one of the earliest failures, and must have started, by then, all that was due before.
"""

from __future__ import annotations

import builtins
from functools import lru_cache, partial
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn

from cascade_compiler.testing.behaviour import (
    Scope,
    Skip,
    arguments,
    choose,
    duration,
    in_vain,
    perform,
    skip,
    timed_out,
)
from cascade_compiler.testing.ideal_maps import Items
from cascade_compiler.testing.plan import READINGS, Failure, Ideal, Planned, Reading
from cascade_compiler.testing.show import show, show_call, show_failure
from cascade_compiler.testing.spec_tools import constant, has_only_sync_tasks, values
from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    Arg,
    Call,
    DictOf,
    Expr,
    Gather,
    Go,
    GraphSpec,
    Input,
    Item,
    ListOf,
    Lit,
    Loop,
    Map,
    Node,
    Ref,
    RetrySpec,
    Router,
    SetOf,
    Step,
    TupleOf,
)
from cascade_compiler.testing.thought import Job, Place, Poisoned, World
from cascade_compiler.testing.walks import places, refs

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Called


def critical_path(spec: GraphSpec) -> float:
    """The time, in virtual seconds, in which an unconstrained run of ``spec`` must end (P5)."""
    return ideal(spec).makespan


def ideal(spec: GraphSpec, reading: Reading = READINGS[0]) -> Ideal:
    """The schedule of ``spec``. The order of sync calls means something only where there are no others."""
    thought = _Thought(reading)
    job = thought.world.start(_Graph(thought, spec.nodes, spec.target, Scope(inputs=values(spec)), ()).value("target"))
    thought.world.run()
    plan = thought.plan
    if plan.failures:
        plan.makespan = plan.failures[0].time
    else:
        assert job.done, "the schedule does not come to its end"
        plan.makespan, plan.result = thought.world.now, show(job.value)
    return plan


@lru_cache(maxsize=64)
def readings(spec: GraphSpec) -> tuple[Ideal, ...]:
    """The schedules of ``spec`` under all readings of what the rules leave open."""
    return tuple(ideal(spec, reading) for reading in READINGS)


def sync_orders(spec: GraphSpec) -> set[tuple[Called, ...]]:
    """The orders of sync calls that a run of ``spec`` may show, if all of its tasks are sync."""
    return {tuple(plan.sync_order) for plan in readings(spec)}


def raised(plan: Ideal, spec: GraphSpec) -> list[Failure]:
    """The failures of which a run may raise any: exactly one, unless timing or the order of building containers decides.

    Where places decide (nothing is async), it is the first in their order. Failures that come straight from waits that
    end at the same instant come in one tick: then it is the lowest position (S15).
    """
    if len(plan.failures) < 2 or any(not failure.task for failure in plan.failures):
        return plan.failures
    if has_only_sync_tasks(spec):
        return list(dict.fromkeys(one.failures[0] for one in readings(spec)))
    first = [failure for failure in plan.failures if failure.time == plan.makespan]
    return [min(first, key=lambda failure: failure.place)] if all(failure.waited for failure in first) else first


class _Thought:
    """What is the same for all graphs of one run."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.world = World()
        self.plan = Ideal()

    def call(self, task: str, args: str, seconds: float, *, is_async: bool) -> None:
        now = self.world.now
        self.plan.calls.append(Planned(task, args, now, now + seconds, is_async))
        if not is_async and not self.plan.failures:
            self.plan.sync_order.append((task, args))

    def fail(self, failure: Exception, place: Place, task: str = "", waited: bool = False) -> NoReturn:
        self.plan.failures.append(Failure(self.world.now, task, show_failure(failure), place, waited))
        raise Poisoned from failure


class _Graph:
    """One activation of a graph: each of its nodes is a job, which begins when the node is first demanded."""

    def __init__(self, thought: _Thought, nodes: tuple[Node, ...], target: Expr, scope: Scope, prefix: Place) -> None:
        self._thought = thought
        self._world = thought.world
        self._nodes = nodes
        self._target = target
        self._scope = scope
        self._prefix = prefix
        self._places = places(nodes, target)
        self._jobs: dict[int, Job] = {}

    async def value(self, task: str) -> Any:
        """The value of the graph, which ``task`` has returned."""
        value = await self.expr(self._target)
        if type(value) is Skip:
            self._thought.fail(value.error(), self._prefix, task)
        return value

    async def _compute(self, position: int, node: Node, name: str) -> Any:
        place = (*self._prefix, self._places[position])
        match node:
            case Again(of):
                return await self._compute(position, self._nodes[of], self._scope.name(of))
            case Call() | Map():
                for when in reversed(node.when):
                    test = await self.expr(when.test)
                    if type(test) is Skip:
                        return test
                    if not test:
                        if when.otherwise is ABSENT:
                            return skip(self._nodes, node, name, when.test, self._scope)
                        return await self.expr(when.otherwise)
                return await (self._call(node, name, place) if isinstance(node, Call) else self._map(node, name, place))
            case Router(selector):
                key = await self.expr(selector)
                if type(key) is Skip:
                    return key
                try:
                    route = choose(node, key)
                except Exception as failure:
                    self._thought.fail(failure, place)
                return await self.expr(route)
            case Loop(first=first):
                parts = await self.parts(first.args, first.kwargs, node.after)
                return parts if type(parts) is Skip else await self._rounds(name, node, place, *parts)
            case Item(of, key):
                found = await self._all((Ref(of), key))
                if type(found) is Skip:
                    return found
                await self._built(place)
                try:
                    return found[0][found[1]]
                except Exception as failure:
                    self._thought.fail(failure, place)
            case Gather(items):
                found = await self._all(items)
                await self._built(place)
                return found
            case Input(key):
                return self._scope.inputs[key]
        raise NotImplementedError(f"node {node!r}")

    # --- calls ---

    async def _call(self, node: Call, name: str, place: Place) -> Any:
        parts = await self.parts(node.args, node.kwargs, node.after)
        if type(parts) is Skip:
            return parts
        if node.delay is None:
            await self._world.turn(place)
        return await self._attempts(node, name, place, *parts)

    async def _attempts(self, node: Call | Map, name: str, place: Place, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """All attempts of a call, or of an item of a map, whose turn it is for the first of them."""
        retry = node.retry or RetrySpec(1)
        is_async = node.delay is not None
        for attempt in count(1):
            failing = attempt <= node.fails
            seconds: float = duration(node, args, kwargs, failing=failing)
            cut = node.timeout is not None and seconds > node.timeout
            seconds = node.timeout if cut and node.timeout is not None else seconds
            self._thought.call(name, show_call(args, kwargs), seconds, is_async=is_async)
            await self._world.sleep(seconds)
            failure: Exception
            if cut:
                failure = timed_out(name, seconds)
            elif failing:
                failure = in_vain(name)
            else:
                try:
                    result = perform(name, node.does, args, kwargs)
                    break
                except Exception as error:
                    failure = error
            if attempt >= retry.attempts or not any(isinstance(failure, getattr(builtins, error)) for error in retry.on):
                self._thought.fail(failure, place, name, waited=seconds > 0 and node.retry is None and node.timeout is None)
            if wait := retry.delay * retry.backoff ** (attempt - 1):
                await self._world.sleep(wait)
                if not is_async:
                    await self._world.turn(place)
        if type(result) is Go:
            scope = self._scope.inside(name, arguments(args, kwargs))
            return await _Graph(self._thought, result.graph.nodes, result.graph.target, scope, place).value(name)
        return result

    async def _map(self, node: Map, name: str, place: Place) -> Any:
        parts = await self.parts(node.args, (*node.kwargs, *node.common), node.after)
        if type(parts) is Skip:
            return parts
        if node.delay is None:
            await self._world.turn(place)
        args, named = parts
        common = {key: named.pop(key) for key, _ in node.common}
        try:
            rows = list(zip(*args, *named.values(), strict=True))
        except Exception as failure:
            self._thought.fail(failure, place)
        calls = [(row[: len(args)], dict(zip(named, row[len(args) :], strict=True)) | common) for row in rows]
        begin = partial(self._attempts, node, name)
        return await Items(self._world, self._thought.reading, node, place).run(
            [lambda place, call=call: begin(place, *call) for call in calls]  # type: ignore[misc]
        )

    async def _rounds(self, name: str, loop: Loop, place: Place, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        step: Step = loop.first
        n: int = loop.count
        while True:
            member = loop.members[step.member]
            own = f"{name}.m{step.member}"
            bound = {"a": constant(member.a), "b": constant(member.b)}
            bound |= {**dict(zip("ab", args, strict=False)), **kwargs}
            a, b = bound["a"], bound["b"]
            if member.delay is None:
                await self._world.turn(place)
            self._thought.call(own, show_call((n, a, b), {}), member.delay or 0, is_async=member.delay is not None)
            await self._world.sleep(member.delay or 0)
            if n == 0:
                return (own, a, b)
            index = n % len(member.steps)
            step = member.steps[index]
            target = ListOf((*step.args, *(value for _, value in step.kwargs)))
            inner = _Graph(
                self._thought, step.nodes, target, self._scope.inside(f"{own}.s{index}", {"n": n, "a": a, "b": b}), place
            )
            parts = await inner.parts(step.args, step.kwargs, ())
            if type(parts) is Skip:
                self._thought.fail(parts.error(), place, own)
            args, kwargs = parts
            place = (*place, len(inner._places))
            n -= 1

    # --- values ---

    async def parts(self, args: tuple[Expr, ...], kwargs: tuple[tuple[str, Expr], ...], after: tuple[int, ...]) -> Any:
        """The arguments by position and by name, or the first Skip among them and what is in ``after``."""
        found = await self._all((*args, *(value for _, value in kwargs), *map(Ref, after)))
        if type(found) is Skip:
            return found
        return tuple(found[: len(args)]), {key: value for (key, _), value in zip(kwargs, found[len(args) :], strict=False)}

    async def _all(self, exprs: tuple[Expr, ...]) -> Any:
        """All values, or the first Skip among them; but only when all have ended."""
        found = await self._world.all([self._world.start(self.expr(expr)) for expr in exprs])
        return next((one for one in found if type(one) is Skip), found)

    async def expr(self, expr: Expr) -> Any:
        match expr:
            case Ref(node):
                if node not in self._jobs:
                    self._jobs[node] = self._world.start(self._compute(node, self._nodes[node], self._scope.name(node)))
                return await self._world.join(self._jobs[node])
            case Arg(key):
                return self._scope.args[key]
            case ListOf(items) | TupleOf(items) | SetOf(items):
                kind: Any = {ListOf: list, TupleOf: tuple, SetOf: set}[type(expr)]
                if isinstance(expr, SetOf) and expr.frozen:
                    kind = frozenset
                return await self._container(kind, expr, items)
            case DictOf(pairs):
                flat = tuple([part for pair in pairs for part in pair])
                return await self._container(lambda found: dict(zip(found[::2], found[1::2], strict=True)), expr, flat)
            case Lit(value):
                return await self.expr(value)
            case _:
                return expr

    async def _container(self, kind: Any, expr: Expr, members: tuple[Expr, ...]) -> Any:
        found = await self._all(members)
        if type(found) is Skip:
            return found
        last = max((self._places[node] for node in refs(expr)), default=None)
        place = self._prefix if last is None else (*self._prefix, last + 0.5)
        if last is not None:
            await self._built(place)
        try:
            return kind(found)
        except TypeError as failure:
            self._thought.fail(failure, place)

    async def _built(self, place: Place) -> None:
        if self._thought.reading.takes_turns:
            await self._world.turn(place)
