"""When everything should happen: the schedule of a machine that starts each call the moment its inputs are there.

Nothing is run here: values and times are computed together, analytically. Synchronous work takes no time, an async call
takes its delay, and a value is there at the latest time of what it needs: so the time of the target is the critical path.

A failure does not stop the computation, only what depends on it. So the schedule also says what *else* would have failed,
and when: a run must raise one of the earliest failures, and must have started, by then, all that was due before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from cascade_compiler.testing.behaviour import Scope, arguments, perform
from cascade_compiler.testing.show import show, show_call
from cascade_compiler.testing.spec_tools import constant, is_sync, values
from cascade_compiler.testing.specs import (
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
    Node,
    Ref,
    SetOf,
    Step,
    TupleOf,
)

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Called


@dataclass(frozen=True, slots=True)
class Planned:
    """One call: when it starts, and when its own work ends (not that of a graph which it returns)."""

    task: str
    args: str
    start: int
    end: int
    is_async: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: when, of which task ("" for an item or a container), and its text. ``waited``: straight from a wait."""

    time: int
    task: str
    text: str
    waited: bool


@dataclass
class Ideal:
    """The schedule: ``calls`` and ``failures`` in eager order, ``result`` and ``makespan`` of the run.

    With failures, ``makespan`` is the time of the earliest, and ``result`` None.
    """

    calls: list[Planned] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    result: str | None = None
    makespan: int = 0

    def count(self) -> Counter[Called]:
        return Counter((call.task, call.args) for call in self.calls)


def critical_path(spec: GraphSpec) -> int:
    """The time, in virtual seconds, in which an unconstrained run of ``spec`` must end (P5)."""
    return ideal(spec).makespan


def ideal(spec: GraphSpec) -> Ideal:
    """The schedule of ``spec``."""
    plan = Ideal()
    try:
        value, plan.makespan = _Graph(spec.nodes, Scope(inputs=values(spec)), 0, plan).expr(spec.target)
        plan.result = show(value)
    except _Poisoned:
        pass
    if plan.failures:
        plan.makespan = min(failure.time for failure in plan.failures)
    return plan


def raised(plan: Ideal, spec: GraphSpec) -> list[Failure]:
    """The failures of which a run may raise any: exactly one, unless timing or the order of building containers decides.

    Where plain Python decides (nothing is async), it is the first in its order. Failures that come straight from waits that
    end at the same instant come in one tick: then it is the lowest position (S15).
    """
    if any(not failure.task for failure in plan.failures):
        return plan.failures
    if is_sync(spec):
        return plan.failures[:1]
    first = [failure for failure in plan.failures if failure.time == plan.makespan]
    return first[:1] if all(failure.waited for failure in first) else first


class _Poisoned(Exception):
    """What is asked for depends on a failure."""


Timed = tuple[Any, int]


class _Graph:
    def __init__(self, nodes: tuple[Node, ...], scope: Scope, start: int, plan: Ideal) -> None:
        self._nodes = nodes
        self._scope = scope
        self._start = start
        self._plan = plan
        self._known: dict[int, Timed | None] = {}

    def _value(self, position: int) -> Timed:
        if position not in self._known:
            self._known[position] = None
            self._known[position] = self._compute(self._nodes[position], self._scope.name(position))
        known = self._known[position]
        if known is None:
            raise _Poisoned
        return known

    def _compute(self, node: Node, name: str) -> Timed:
        match node:
            case Again(of):
                return self._compute(self._nodes[of], self._scope.name(of))
            case Call(args, kwargs):
                given, named, start = self._inputs(args, kwargs, node.after)
                end = start + (node.delay or 0)
                self._plan.calls.append(Planned(name, show_call(given, named), start, end, node.delay is not None))
                try:
                    result = perform(name, node.does, given, named)
                except Exception as failure:
                    self._fail(failure, end, name, waited=bool(node.delay))
                if type(result) is Go:
                    scope = self._scope.inside(name, arguments(given, named))
                    return _Graph(result.graph.nodes, scope, end, self._plan).expr(result.graph.target)
                return result, end
            case Loop(first=first):
                given, named, start = self._inputs(first.args, first.kwargs, node.after)
                return self._rounds(name, node, given, named, start)
            case Item(of, key):
                (value, time), (key_value, key_time) = self._all([Ref(of), key])
                time = max(time, key_time)
                try:
                    return value[key_value], time
                except Exception as failure:
                    self._fail(failure, time)
            case Gather(items):
                timed = self._all(items)
                return [value for value, _ in timed], max([self._start, *(time for _, time in timed)])
            case Input(key):
                return self._scope.inputs[key], self._start
        raise NotImplementedError(f"node {node!r}")

    def _rounds(self, name: str, loop: Loop, args: tuple[Any, ...], kwargs: dict[str, Any], time: int) -> Timed:
        step: Step = loop.first
        n: int = loop.count
        while True:
            member = loop.members[step.member]
            own = f"{name}.m{step.member}"
            bound = {"a": constant(member.a), "b": constant(member.b)}
            bound |= {**dict(zip("ab", args, strict=False)), **kwargs}
            a, b = bound["a"], bound["b"]
            end = time + (member.delay or 0)
            self._plan.calls.append(Planned(own, show_call((n, a, b), {}), time, end, member.delay is not None))
            if n == 0:
                return (own, a, b), end
            index = n % len(member.steps)
            step = member.steps[index]
            inner = _Graph(step.nodes, self._scope.inside(f"{own}.s{index}", {"n": n, "a": a, "b": b}), end, self._plan)
            args, kwargs, time = inner._inputs(step.args, step.kwargs, ())
            n -= 1

    def _inputs(
        self, args: tuple[Expr, ...], kwargs: tuple[tuple[str, Expr], ...], after: tuple[int, ...]
    ) -> tuple[tuple[Any, ...], dict[str, Any], int]:
        timed = self._all([*args, *(value for _, value in kwargs), *map(Ref, after)])
        time = max([self._start, *(time for _, time in timed)])
        given = tuple([value for value, _ in timed[: len(args)]])
        return given, {key: value for (key, _), (value, _) in zip(kwargs, timed[len(args) :], strict=False)}, time

    def _all(self, exprs: Any) -> list[Timed]:
        """All values, or ``_Poisoned``, but only after each was looked at: a machine does not stop at the first."""
        found: list[Timed] = []
        poisoned = False
        for expr in exprs:
            try:
                found.append(self.expr(expr))
            except _Poisoned:
                poisoned = True
        if poisoned:
            raise _Poisoned
        return found

    def expr(self, expr: Expr) -> Timed:
        match expr:
            case Ref(node):
                return self._value(node)
            case Arg(key):
                return self._scope.args[key], self._start
            case ListOf(items) | TupleOf(items) | SetOf(items):
                timed = self._all(items)
                kind: Any = {ListOf: list, TupleOf: tuple, SetOf: set}[type(expr)]
                if isinstance(expr, SetOf) and expr.frozen:
                    kind = frozenset
                return self._container(kind, [value for value, _ in timed], timed)
            case DictOf(pairs):
                timed = self._all([part for pair in pairs for part in pair])
                flat = [value for value, _ in timed]
                return self._container(dict, list(zip(flat[::2], flat[1::2], strict=True)), timed)
            case Lit(value):
                return self.expr(value)
            case _:
                return expr, self._start

    def _container(self, kind: Any, members: list[Any], timed: list[Timed]) -> Timed:
        time = max([self._start, *(time for _, time in timed)])
        try:
            return kind(members), time
        except TypeError as failure:
            self._fail(failure, time)

    def _fail(self, failure: Exception, time: int, task: str = "", waited: bool = False) -> NoReturn:
        self._plan.failures.append(Failure(time, task, show(failure), waited))
        raise _Poisoned from failure
