"""The intermediate representation: a list of operations in single-assignment form.

An operation's place in ``Graph.ops`` is the number of the value that it computes, and the order of the list is the order in which
eager Python would have evaluated the same expression (S6). Operands are numbers of earlier operations. What an operation may do
besides computing its value is in its effects, and passes look at nothing else to decide what may move or vanish.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
from msgspec.structs import replace

from cascade_vm.bounded import shown

if TYPE_CHECKING:
    from cascade_compiler.inputs import InputKind
    from cascade_compiler.task import Task
    from cascade_vm.policies import CallPolicy, LivePolicy


class Effects(enum.Flag):
    """What an operation does besides computing its value from its operands."""

    NONE = 0
    IMPURE = enum.auto()  # may do or see anything: keeps its place among its like, is never merged, never dropped
    RAISES = enum.auto()  # may fail
    WAITS = enum.auto()  # hands something to the driver; its value comes later


class Kind(enum.Enum):
    """What an operation is."""

    LITERAL = "literal"  # the value in slot `detail` of the graph's literals
    INPUT = "input"  # the input whose declaration is `detail`
    CALL = "call"  # a call of `task`
    ITEM = "item"  # args[0][args[1]]
    BUILD = "build"  # a container of kind `detail`
    MAP = "map"  # calls of `task` over operands; `detail` is a Mapped
    BRANCH = "branch"  # which route a value takes: args[0] is tested, or looked up in the table args[1]
    RESOURCE = "resource"  # the value of the resource `detail`, set up with named operands
    SELECT = "select"  # the value of the route that the branch args[0] has chosen, among `routes`


# To look a member of an enum up takes CPython 3.11 as long as to make an Op: so what is asked of each operation asks by these.
_CALL, _MAP, _SELECT, _RESOURCE = Kind.CALL, Kind.MAP, Kind.SELECT, Kind.RESOURCE
PRELOADED = (Kind.LITERAL, Kind.INPUT)
_LATER = (_MAP, _SELECT, _RESOURCE)

SKIPPED = -1  # a route without a value: who takes it is skipped


class Mapped(msgspec.Struct, frozen=True, gc=False):
    """Which operands of a MAP are iterated, by number; how many items may be in progress; its name, for notes."""

    iterated: tuple[int, ...]
    max_concurrency: int | None
    label: str

    __repr__ = shown


class Op(msgspec.Struct, eq=False, gc=False):
    """One operation. ``names`` are the keywords of the last ``len(names)`` operands of a call; amounts of constraints that are not constant
    are its first operands. ``routes`` are those of a SELECT: values, or SKIPPED.

    What was written as a call has a creation site (``code``, ``lasti``) and a ``slot``: its number among the sites of the graph.

    The cycle collector does not see operations (``gc=False``): of a large graph it would visit each several times while others are made,
    which takes as long as making them. So a task must never lead to an operation of its own: who keeps a graph keeps a ``Kept``.
    """

    kind: Kind
    args: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    after: tuple[int, ...] = ()
    task: Task | None = None
    detail: Any = None
    code: CodeType | None = None
    lasti: int = 0
    slot: int = -1
    policy: CallPolicy | None = None
    live: LivePolicy | None = None
    routes: tuple[int, ...] = ()
    bound: bool = False  # a call that may jump: its routes are an operand before its arguments
    # Found by the analysis of demand (demand.py):
    region: int = 0  # runs only where this region is open
    tests: tuple[int, ...] = ()  # operands that may be those of something skipped

    __repr__ = shown

    @property
    def effects(self) -> Effects:
        if self.kind is _CALL or self.kind is _MAP:
            assert self.task is not None
            effects = Effects.RAISES
            if self.waits:
                effects |= Effects.WAITS
            if not self.task.pure or self.policy is not None:  # a cache, a limit: the world can tell how often it was asked
                effects |= Effects.IMPURE
            return effects
        if self.kind is _SELECT:
            return Effects.WAITS
        if self.kind is _RESOURCE:
            return Effects.WAITS | Effects.RAISES | Effects.IMPURE
        if self.preloaded or (self.kind is Kind.BUILD and self.detail in ("list", "tuple")):  # others hash what they hold
            return Effects.NONE
        return Effects.RAISES

    @property
    def preloaded(self) -> bool:
        """True for values that are in their registers before the first instruction runs."""
        return self.kind in PRELOADED

    @property
    def waits(self) -> bool:
        """Does its value come later, from outside of its strand?"""
        if self.kind is _CALL:
            return self.policy is not None or (self.task is not None and self.task.waits)
        return self.kind in _LATER

    @property
    def takes_turn(self) -> bool:
        """Does it make synchronous calls, and so has a place in their order (S6)?"""
        if self.kind is _RESOURCE:
            return not self.detail.is_async
        return (self.kind is _CALL or self.kind is _MAP) and self.task is not None and not self.task.waits

    @property
    def flies(self) -> bool:
        """May it hand something to the driver, so that it should be issued early (S7)?"""
        if self.kind is _RESOURCE:
            return bool(self.detail.is_async)
        if self.kind is not _CALL and self.kind is not _MAP:
            return False
        assert self.task is not None
        limits = self.policy
        if self.task.waits or limits is None:
            return self.task.waits
        begins = limits.cache is not None or bool(limits.constraints)  # what it asks for first is asked for at once
        return (limits.retry is not None and limits.retry.waits) or begins or limits.rate is not None


class Node(msgspec.Struct, frozen=True, eq=False):
    """How a node was written that is more than a plain call: what a matcher looks for in the next graph. Operands are values.

    ``conditions`` are (test, otherwise or None); ``constraints`` (name, constant amount or None, operand or None); ``policy`` is the node's
    own, for what of it is compared as a whole; ``jumps`` the literal of its routes. ``sites`` are the operations that have its site.
    """

    kind: Any
    args: tuple[int, ...]
    kwargs: tuple[int, ...]
    names: tuple[str, ...]
    after: tuple[int, ...]
    conditions: tuple[tuple[int, int | None], ...]
    constraints: tuple[tuple[str, float | None, int | None], ...]
    policy: Any
    jumps: int | None
    sites: tuple[int, ...]

    __repr__ = shown


@attrs.define(eq=False)
class Graph:
    """A captured graph. ``result`` is the number of the target's value; ``literals`` are values, kept by nobody else."""

    ops: Sequence[Op]  # where there are many, a tuple: the collector soon looks away from a tuple of what it does not see
    result: int
    literals: list[Any]
    inputs: list[InputKind]
    classes: list[type] = attrs.Factory(list)  # of containers that are not plain builtins, as they are met
    nodes: dict[int, Node] = attrs.Factory(dict)  # of a captured graph, by the value that each has
    regions: list[tuple[int, ...]] = attrs.Factory(lambda: [()])  # of each, the others that open with it; see demand.py
    rewritten: bool = False  # has a pass changed it since it was captured?

    def __repr__(self) -> str:
        return f"<Graph: {len(self.ops):,} operations>"  # `render` has all of them

    def sites(self) -> tuple[Any, ...]:
        """The creation sites of a captured graph, flat: code, offset, code, offset, ..."""
        return tuple([part for op in self.ops if op.slot >= 0 for part in (op.code, op.lasti)])

    def operands(self, op: Op) -> tuple[int, ...]:
        """Everything that must be there before ``op`` runs: its data, and what it comes after. (Not the routes of a SELECT.)"""
        return op.args + op.after if op.after else op.args

    def reads(self, op: Op) -> tuple[int, ...]:
        """The values that ``op`` looks at: its data, and what it must test beside them."""
        more = tuple([x for x in op.tests if x not in op.args]) if op.tests else ()
        return op.args + more


class Kept:
    """A graph that a task may lead to: without literals, and with all that operations and policies refer to where the collector sees it."""

    __slots__ = ("_graph", "_seen", "_told")

    def __init__(self, graph: Graph) -> None:
        self._seen = [(op.task, op.detail, op.live) for op in graph.ops]
        self._told = {at: (node.policy.errors, node.policy.cache) for at, node in graph.nodes.items() if node.policy is not None}
        ops = [replace(op, task=None, detail=None, live=None) for op in graph.ops]
        nodes = graph.nodes | {at: _with(graph.nodes[at], (), None) for at in self._told}
        self._graph = Graph(ops, graph.result, [None] * len(graph.literals), graph.inputs, nodes=nodes)

    @property
    def result(self) -> int:
        return self._graph.result

    def graph(self) -> Graph:
        """The graph again, with operations of its own: let go of it soon."""
        kept = self._graph
        pairs = zip(kept.ops, self._seen, strict=True)
        ops = [replace(op, task=task, detail=detail, live=live) for op, (task, detail, live) in pairs]
        nodes = kept.nodes | {at: _with(kept.nodes[at], *told) for at, told in self._told.items()}
        return Graph(ops, kept.result, kept.literals, kept.inputs, nodes=nodes)


def _with(node: Node, errors: tuple[type[BaseException], ...], cache: Any) -> Node:
    return replace(node, policy=replace(node.policy, errors=errors, cache=cache))


def render(graph: Graph) -> str:
    """The graph as text, one operation a line, for tests and for people.

    >>> %2 = call shop.price(%0, currency=%1)
    """
    return "\n".join([*(f"%{at} = {_render(op)}" for at, op in enumerate(graph.ops)), f"result %{graph.result}"])


def _render(op: Op) -> str:
    plain = len(op.args) - len(op.names)
    args = [f"%{a}" for a in op.args[:plain]] + [f"{n}=%{a}" for n, a in zip(op.names, op.args[plain:], strict=True)]
    after = f" after {', '.join(f'%{a}' for a in op.after)}" if op.after else ""
    tail = after + (f" tests {', '.join(f'%{a}' for a in op.tests)}" if op.tests else "")
    tail += f" in region {op.region}" if op.region else ""
    match op.kind:
        case Kind.LITERAL:
            return f"literal {op.detail}"
        case Kind.INPUT:
            return f"input {op.detail.name}"
        case Kind.CALL:
            assert op.task is not None
            word = "perform" if op.policy is not None else "spawn" if op.waits else "call"
            return f"{word}{' bound' if op.bound else ''} {op.task.label}({', '.join(args)}){tail}"
        case Kind.MAP:
            assert op.task is not None
            return f"map {op.task.label}({', '.join(args)}) over {op.detail.iterated}{tail}"
        case Kind.ITEM:
            return f"item %{op.args[0]}[%{op.args[1]}]{tail}"
        case Kind.BUILD:
            return f"build {op.detail}({', '.join(args)}){tail}"
        case Kind.RESOURCE:
            return f"enter {op.detail.label}({', '.join(args)}){tail}"
        case Kind.BRANCH:
            return f"branch {'on' if len(op.args) == 1 else 'by'} {', '.join(args)}{tail}"
        case Kind.SELECT:
            return f"select {args[0]} of {', '.join('skipped' if r == SKIPPED else f'%{r}' for r in op.routes)}{tail}"
