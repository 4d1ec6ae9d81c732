"""Walks through a spec: what a node needs, in which order, and which specs mean nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    Call,
    Const,
    DictOf,
    Expr,
    Gather,
    Go,
    GraphSpec,
    Item,
    Jumps,
    ListOf,
    Loop,
    Map,
    Node,
    Ref,
    ResourceSpec,
    Router,
    SetOf,
    Spec,
    Step,
    TupleOf,
    Use,
    When,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def refs(expr: Expr) -> Iterator[int]:
    """The nodes that an expression refers to, in the order of evaluation, repetitions included; of a resource ``-1`` minus its number."""
    match expr:
        case Use(resource):
            yield -1 - resource
        case Ref(node):
            yield node
        case ListOf(items) | TupleOf(items) | SetOf(items) | Gather(items):
            for item in items:
                yield from refs(item)
        case DictOf(pairs):
            for pair in pairs:
                for part in pair:
                    yield from refs(part)


def needs(node: Node) -> Iterator[int]:
    """What a node may need before it can run, in the order of evaluation: tests (the last first), amounts, data, then ``after``."""
    data: tuple[Expr, ...]
    match node:
        case Call(args) | Map(args):
            data = (*args, *(value for _, value in named(node)), *map(Ref, node.after))
        case Loop(first=Step(_, args, kwargs)):
            data = (*args, *(value for _, value in kwargs), *map(Ref, node.after))
        case Jumps(kwargs=kwargs):
            data = (*(value for _, value in kwargs), *map(Ref, node.after))
        case Again(of):
            data = (Ref(of),)
        case Item(of, key):
            data = (Ref(of), key)
        case Gather():
            data = (node,)
        case Router(selector, routes, default):
            data = (selector, *(route for _, route in routes), default)
        case _:
            return
    amounts = sorted(node.holds) if isinstance(node, (Call, Map)) else ()
    for expr in (*(when.test for when in reversed(conditions(node))), *(amount for _, amount in amounts), *data):
        yield from refs(expr)


def named(node: Call | Map) -> tuple[tuple[str, Expr], ...]:
    """What a call takes by name: what it is given, then what is injected where nothing is given."""
    given = (*node.kwargs, *node.common) if isinstance(node, Map) else node.kwargs
    names = {name for name, _ in given}
    return (*given, *((name, Use(resource)) for name, resource in node.injects if name not in names))


def uses(node: Node) -> Iterator[int]:
    """All that a node may need: like ``needs``, and then what stands for it where a condition is false."""
    yield from needs(node)
    for when in conditions(node):
        yield from refs(when.otherwise)


def routed(node: Node) -> Iterator[int]:
    """The nodes that the routes of jumps refer to: they run anew in each round, in a graph of its own."""
    if isinstance(node, Jumps):
        for state in node.states:
            for _, expr in state.written:
                yield from refs(expr)


def below(nodes: tuple[Node, ...], positions: Iterable[int]) -> set[int]:
    """The nodes at ``positions``, and all that they may need."""
    found: set[int] = set()
    rest = [position for position in positions if position >= 0]
    while rest:
        position = rest.pop()
        if position not in found:
            found.add(position)
            rest += [used for used in (*uses(nodes[position]), *routed(nodes[position])) if used >= 0]
    return found


def taken_resources(nodes: tuple[Node, ...], positions: Iterable[int], resources: tuple[ResourceSpec, ...]) -> set[int]:
    """The resources that something in a graph takes that is not replaced itself."""
    taken: set[int] = set()
    for position in positions:
        if position >= 0:
            node = nodes[position]
            taken.update(-1 - used for used in uses(nodes[node.of] if isinstance(node, Again) else node) if used < 0)
    for number in range(len(resources) - 1, -1, -1):
        if number in taken and resources[number].given is ABSENT:
            taken.update(resources[number].needs)
    return taken


def users(nodes: tuple[Node, ...], positions: Iterable[int]) -> Counter[int]:
    """How many nodes and containers take each node's value, among those at ``positions``."""
    found: Counter[int] = Counter()

    def count(exprs: Iterable[Expr]) -> None:
        direct: set[int] = set()
        for expr in exprs:
            match expr:
                case Ref(node):
                    direct.add(node)
                case ListOf(items) | TupleOf(items) | SetOf(items):
                    count(items)
                case DictOf(pairs):
                    count([part for pair in pairs for part in pair])
        found.update(direct)

    for position in positions:
        node = nodes[position]
        node = nodes[node.of] if isinstance(node, Again) else node
        exprs: list[Expr] = [part for when in conditions(node) for part in (when.test, when.otherwise)]
        match node:
            case Call(args) | Map(args):
                exprs += [*args, *(value for _, value in (*named(node), *node.holds)), *map(Ref, node.after)]
            case Loop(first=Step(_, args, kwargs)):
                exprs += [*args, *(value for _, value in kwargs), *map(Ref, node.after)]
            case Jumps(kwargs=kwargs):
                exprs += [*(value for _, value in kwargs), *map(Ref, node.after)]
            case Item(of, key):
                exprs += [Ref(of), key]
            case Gather(items):
                exprs += items
            case Router(selector, routes, default):
                exprs += [selector, *(route for _, route in routes), default]
        count(exprs)
    return found


def conditions(node: Node) -> tuple[When, ...]:
    return node.when if isinstance(node, (Call, Map)) else ()


def is_limited(node: Call | Map) -> bool:
    """Does a call ask for more than its turn, before it is made?"""
    return bool(node.holds) or node.rate is not None or node.cache is not None


def demanded(spec: GraphSpec) -> frozenset[int]:
    """The nodes that the target may need, whatever its conditions and routers choose. Nothing else runs (S10)."""
    return frozenset(position for position in places(spec.nodes, spec.target, spec.resources) if position >= 0)


def places(nodes: tuple[Node, ...], target: Expr, resources: tuple[ResourceSpec, ...] = ()) -> dict[int, int]:
    """Which of the nodes a graph has, and the place of each: its number in the walk that decides the order of sync calls.

    The walk goes depth first, and a node stands behind what it may need, but before what stands for it where it does not run.
    """
    found: dict[int, int] = {}
    entered: set[int] = set()

    def visit(position: int) -> None:
        if position in entered:
            return
        entered.add(position)
        if position < 0:  # a resource
            for needed in resources[-1 - position].needs if resources else ():
                visit(-1 - needed)
            found[position] = len(found)
            return
        node = nodes[position]
        if isinstance(node, Again):  # it needs what the original needs, not the original
            node = nodes[node.of]
        for needed in needs(node):
            visit(needed)
        found[position] = len(found)
        for needed in uses(node):
            visit(needed)

    for position in refs(target):
        visit(position)
    return found


# --- what would mean nothing ----------------------------------------------------------------------------------------------


def fault(nodes: tuple[Node, ...], target: Expr) -> str:
    """Why there can be no graph of these nodes; "" if there can."""
    for position, node in enumerate(nodes):
        if any(used >= position for used in (*uses(node), *routed(node))):
            return f"node {position} refers to a node that is not before it: {node!r}"
        if text := _fault(nodes, node):
            return f"node {position} {text}: {node!r}"
    return f"the target refers to no node: {target!r}" if any(used >= len(nodes) for used in refs(target)) else ""


def _fault(nodes: tuple[Node, ...], node: Node) -> str:
    match node:
        case Again(of) if not isinstance(nodes[of], Call):
            return "repeats what is no Call"
        case Again(of) if counts_attempts(nodes[of]):
            return "repeats what counts its attempts, and could not tell its own from those of the original"
        case Call(does=Go(graph)) | Map(does=Go(graph)) if not isinstance(graph.target, Ref):
            return "returns a graph, and the target of such a graph is one node, so a Ref"
        case Call(holds=holds) | Map(holds=holds) if not all(_is_amount(nodes, amount) for _, amount in holds):
            return "holds what is no number, and no Call that gives a plain one"
        case Call(mode=mode, delay=None) | Map(mode=mode, delay=None) if mode != "inline":
            return "has a mode, and does not say how long it takes"
        case Call(mode="process", does=Go()) | Map(mode="process", does=Go()):
            return "returns a graph from a process, which none can leave"
        case Jumps() if any(counts_attempts(nodes[one]) for one in below(nodes, routed(node))):
            return "leads to what counts its attempts, and may run several times at once"
        case Router(routes=routes) if not routes or len({key for key, _ in routes}) < len(routes):
            return "has no routes, or two with equal keys"
        case Map(args, kwargs):
            iterables = (*args, *(value for _, value in kwargs))
            if not iterables or not all(isinstance(one, (ListOf, TupleOf, Ref)) for one in iterables):
                return "goes over nothing, or over what is no ListOf, TupleOf or Ref"
            if len({len(one.items) for one in iterables if not isinstance(one, Ref)}) > 1:
                return "goes over lists of different lengths, which is refused where it is written"
            if isinstance(node.does, Go) and counts_attempts(node.does):
                return "has items that return graphs with calls that count their attempts, and could not tell them apart"
            if node.fails and not _all_differ(iterables[0]):
                return "counts the attempts of its items, but its first arguments are not different constants"
    return ""


def amount(nodes: tuple[Node, ...], expr: Expr) -> Any:
    """The value of an amount that a call holds, which is written down somewhere; None if it is not."""
    node = nodes[expr.node] if isinstance(expr, Ref) else None
    if isinstance(node, Call) and isinstance(node.does, Const) and not node.when and not isinstance(node.does.value, Spec):
        return node.does.value
    return None if isinstance(expr, Spec) else expr


def _is_amount(nodes: tuple[Node, ...], expr: Expr) -> bool:
    return amount(nodes, expr) is not None and (isinstance(expr, Ref) or type(expr) in (int, float))


def counts_attempts(spec: Spec) -> bool:
    """Does a call do something else in its first attempts than later, here or in a graph that is returned?"""
    match spec:
        case Call(fails=fails, does=does) | Map(fails=fails, does=does):
            return fails > 0 or counts_attempts(does)
        case Go(graph):
            return any(map(counts_attempts, graph.nodes))
        case Loop(members=members):
            return any(counts_attempts(node) for member in members for step in member.steps for node in step.nodes)
    return False


def _all_differ(items: Expr) -> bool:
    return not isinstance(items, Ref) and not any(refs(items)) and len(set(map(repr, items.items))) == len(items.items)
