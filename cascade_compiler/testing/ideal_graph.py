"""One activation of a graph, thought through: each of its nodes is a job, which begins when the node is first demanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.behaviour import Scope, Skip, arguments, choose, skip
from cascade_compiler.testing.ideal_calls import call, mapped
from cascade_compiler.testing.ideal_loops import jumps, rounds
from cascade_compiler.testing.ideal_resources import Held
from cascade_compiler.testing.spec_tools import constant
from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    Arg,
    Call,
    DictOf,
    Expr,
    Gather,
    Go,
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
    TupleOf,
    Use,
)
from cascade_compiler.testing.walks import places, refs, taken_resources, users, uses

if TYPE_CHECKING:
    from cascade_compiler.testing.ideal_thought import Thought
    from cascade_compiler.testing.thought import Job, Place


@dataclass(frozen=True, slots=True)
class Parts:
    """What a call takes, when all of it is there."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    amounts: Mapping[str, Any] = field(default_factory=dict)

    def of_item(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Parts:
        return Parts(args, kwargs, self.amounts)


class Activation:
    """A graph of ``nodes``, of which ``target`` is wanted. ``prefix`` is the place of what returned it."""

    def __init__(self, thought: Thought, nodes: tuple[Node, ...], target: Expr, scope: Scope, prefix: Place) -> None:
        self.thought = thought
        self.world = thought.world
        self.scope = scope
        self._nodes = nodes
        self._target = target
        self._prefix = prefix
        self._places = places(nodes, target, scope.resources)
        self._jobs: dict[int, Job] = {}
        self._held = Held(thought)
        # In the place of the target; what it returns is a tail call, and nothing of this activation is kept for that.
        self._last: set[int] = {target.node} if isinstance(target, Ref) else set()

    def inner(self, nodes: tuple[Node, ...], target: Expr, scope: Scope, prefix: Place) -> Activation:
        """That of a graph that something in here returned."""
        return Activation(self.thought, nodes, target, scope, prefix)

    def again(self, target: Expr, prefix: Place) -> Activation:
        """The same nodes, in a graph of their own."""
        return Activation(self.thought, self._nodes, target, self.scope, prefix)

    @property
    def size(self) -> int:
        """How many places there are."""
        return len(self._places)

    async def value(self, task: str) -> Any:
        """The value of the graph, which ``task`` has returned."""
        value = await self.expr(self._target)
        if type(value) is Skip:
            self.thought.fail(value.error(), self._prefix, task)
        await self.end()
        return value

    async def end(self) -> None:
        """The activation has its value, or makes way for what its target returned."""
        await self._held.end()

    async def end_before_tail_call(self, position: int) -> None:
        if position in self._last:
            await self.end()

    def _choose(self, position: int, chosen: Expr) -> Expr:
        """The node at ``position`` has the value of ``chosen``, which takes its place if nothing else takes that."""
        known = [one for one in self._places if one >= 0]
        if position in self._last and isinstance(chosen, Ref) and users(self._nodes, known)[chosen.node] == 1:
            self._last.add(chosen.node)
            taken = sum(used == chosen.node for one in known for used in uses(self._nodes[one]))
            if taken > 1:  # is one that takes it twice "something else" (N28)? Its resources, and the note of a skip, depend on that
                self.thought.plan.is_settled = False
        return chosen

    async def go_on(self, result: Any, name: str, place: Place, parts: Parts, position: int = -1) -> Any:
        """What a call that returned ``result`` comes to; ``position`` is that of its node, if it has one to itself."""
        if type(result) is not Go:
            return result
        await self.end_before_tail_call(position)
        scope = self.scope.inside(name, arguments(parts.args, parts.kwargs))
        return await self.inner(result.graph.nodes, result.graph.target, scope, place).value(name)

    # --- nodes ---

    async def _compute(self, position: int, node: Node, name: str) -> Any:
        place = (*self._prefix, self._places[position])
        match node:
            case Again(of):
                return await self._compute(position, self._nodes[of], self.scope.name(of))
            case Call() | Map():
                for when in reversed(node.when):
                    test = await self.expr(when.test)
                    if type(test) is Skip:
                        return test
                    if not test:
                        if when.otherwise is ABSENT:
                            return skip(self._nodes, node, name, when.test, self.scope)
                        return await self.expr(self._choose(position, when.otherwise))
                if isinstance(node, Call):
                    return await call(self, node, name, place, position)
                return await mapped(self, node, name, place)
            case Router(selector):
                key = await self.expr(selector)
                if type(key) is Skip:
                    return key
                try:
                    route = choose(node, key)
                except Exception as failure:
                    self.thought.fail(failure, place)
                return await self.expr(self._choose(position, route))
            case Loop(first=first):
                parts = await self.parts(first.args, first.kwargs, node.after)
                return parts if type(parts) is Skip else await rounds(self, node, name, place, parts, position)
            case Jumps(kwargs=kwargs):
                parts = await self.parts((), kwargs, node.after)
                return parts if type(parts) is Skip else await jumps(self, node, name, place, parts, position)
            case Item(of, key):
                found = await self._all((Ref(of), key))
                if type(found) is Skip:
                    return found
                await self._built(place)
                try:
                    return found[0][found[1]]
                except Exception as failure:
                    self.thought.fail(failure, place)
            case Gather(items):
                found = await self._all(items)
                await self._built(place)
                return found
            case Input(key):
                return self.scope.inputs[key]
        raise TypeError(f"{node!r} is no node of a spec")

    # --- values ---

    async def parts(
        self,
        args: tuple[Expr, ...],
        kwargs: tuple[tuple[str, Expr], ...],
        after: tuple[int, ...] = (),
        amounts: tuple[tuple[str, Expr], ...] = (),
    ) -> Any:
        """The Parts of a call, or the first Skip among them and what is in ``after``."""
        amounts = tuple(sorted(amounts)) if amounts else ()
        found = await self._all(
            (*(amount for _, amount in amounts), *args, *(value for _, value in kwargs), *map(Ref, after))
        )
        if type(found) is Skip:
            return found
        first, last = len(amounts), len(amounts) + len(args)
        return Parts(
            tuple(found[first:last]),
            {key: value for (key, _), value in zip(kwargs, found[last:], strict=False)},
            {name: amount for (name, _), amount in zip(amounts, found[:first], strict=True)},
        )

    async def _all(self, exprs: tuple[Expr, ...]) -> Any:
        """All values, or the first Skip among them; but only when all have ended."""
        found = await self.world.all([self.world.start(self.expr(expr)) for expr in exprs])
        return next((one for one in found if type(one) is Skip), found)

    async def expr(self, expr: Expr) -> Any:
        match expr:
            case Ref(node):
                if node not in self._jobs:
                    self._jobs[node] = self.world.start(self._compute(node, self._nodes[node], self.scope.name(node)))
                return await self.world.join(self._jobs[node])
            case Use(resource):
                position = -1 - resource
                if position not in self._jobs:
                    self._jobs[position] = self.world.start(self._resource(resource))
                return await self.world.join(self._jobs[position])
            case Arg(key):
                return self.scope.args[key]
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

    async def _resource(self, number: int) -> Any:
        spec = self.scope.resources[number]
        if spec.given is not ABSENT:  # then what it injects is set up only for others
            taken = taken_resources(self._nodes, self._places, self.scope.resources)
            await self._all(tuple([Use(one) for one in spec.needs if one in taken]))
            return constant(spec.given)
        needs = await self._all(tuple(map(Use, spec.needs)))
        held = self.thought.held if spec.scope == "run" else self._held
        return await held.value(number, spec, needs, (*self._prefix, self._places[-1 - number]))

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
            self.thought.fail(failure, place)

    async def _built(self, place: Place) -> None:
        if self.thought.reading.takes_turns:
            await self.world.turn(place)
