"""Hypothesis strategies that draw graphs: ``graph_specs()``, and the parts it is made of.

    @given(graph_specs())
    def test_my_engine(spec):
        assert_lawful(observe(my_engine, spec))

The draw is biased towards what breaks engines: few nodes that are used often, values that are false in an ``if``, simultaneous
completions, ``after`` where there is no data, rounds of a loop that differ in shape. Alternatives are listed simplest first, and
nodes are drawn in topological order, so examples shrink towards few plain sync calls.

**To leave constructs out** (an engine that does not know them yet), name those that you want:
``graph_specs(features={"after"})``.
**To add one**, add its name to ``FEATURES``, and a branch where it can occur.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, nan
from typing import TYPE_CHECKING, Any

try:
    from hypothesis import strategies as st
except ImportError as missing:
    raise ImportError(
        "the strategies of cascade_compiler.testing need hypothesis, which is not installed: pip install cascade-vm[testing]"
    ) from missing

from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    All,
    Arg,
    Call,
    Const,
    DictOf,
    Expr,
    First,
    Gather,
    Given,
    Go,
    GraphSpec,
    Input,
    Item,
    ListOf,
    Lit,
    Loop,
    Member,
    Node,
    Raises,
    Ref,
    SetOf,
    Spec,
    Step,
    TupleOf,
    uses,
)

if TYPE_CHECKING:
    from collections.abc import Collection

FEATURES = frozenset({
    "async", "containers", "sets", "literal", "keywords", "items", "gather", "after", "inputs", "failures", "again", "nested",
    "loops", "many targets",
})  # fmt: skip

Strategy = st.SearchStrategy[Any]

_ATOMS = (0, None, False, True, 1, -1, "", "a", nan, inf, -0.0, 10**30, -(2**63), b"", b"\x00")
_DELAYS = (0, 0, 1, 2, 5)
_NAMES = ("x", "y", "key")
_NOTHING: tuple[Any, ...] = ()


def atoms() -> Strategy:
    """Boundary values, as themselves."""
    return st.sampled_from(_ATOMS)


@lru_cache
def constants(depth: int = 1) -> Strategy:
    """Values without Refs: atoms, and empty and small containers of them."""
    if depth == 0:
        return atoms()
    items = st.lists(constants(depth - 1), max_size=2).map(tuple)
    pairs = st.lists(st.tuples(st.sampled_from(_NAMES), constants(depth - 1)), max_size=2, unique_by=lambda p: p[0]).map(tuple)
    return st.one_of(
        atoms(), items.map(ListOf), items.map(TupleOf), pairs.map(DictOf), st.builds(SetOf, _plain_members(), st.booleans())
    )


def _plain_members() -> Strategy:
    return st.lists(st.sampled_from(("a", "", None, b"")), max_size=2, unique=True).map(tuple)


@lru_cache(maxsize=1024)
def exprs(nodes: int, args: tuple[int | str, ...] = (), depth: int = 2, features: frozenset[str] = FEATURES) -> Strategy:
    """What may stand as an argument where ``nodes`` earlier nodes and the arguments ``args`` of the caller are in reach."""
    known: list[Strategy] = []
    if nodes:
        # The latest nodes more often: it makes long graphs, where uniform draws make wide ones.
        known.append(st.sampled_from([Ref(i) for i in reversed(range(nodes))]))
        known.append(st.sampled_from([Ref(i) for i in range(nodes)]))
    if args:
        known.append(st.sampled_from([Arg(key) for key in args]))
    plain = [atoms(), atoms(), atoms()]
    if depth == 0 or "containers" not in features:
        return st.one_of(*plain, *known, *known)
    if "literal" in features:
        plain.append(constants().map(Lit))
    inner = exprs(nodes, args, depth - 1, features)
    items = st.lists(inner, max_size=3).map(tuple)
    keys: Strategy = st.sampled_from(_NAMES)
    if nodes and "sets" in features:
        keys = st.one_of(keys, keys, keys, st.sampled_from([Ref(i) for i in range(nodes)]))
    pairs = st.lists(st.tuples(keys, inner), max_size=2, unique_by=lambda pair: pair[0]).map(tuple)
    nested = [items.map(ListOf), items.map(TupleOf), pairs.map(DictOf)]
    if nodes and "sets" in features:
        one = st.sampled_from([(Ref(i),) for i in range(nodes)])
        nested.append(st.builds(lambda one, rest, frozen: SetOf(one + rest, frozen), one, _plain_members(), st.booleans()))
    return st.one_of(*plain, *known, *known, *known, *nested)


def _keywords(values: Strategy, names: tuple[str, ...] = _NAMES, most: int = 2) -> Strategy:
    return st.lists(st.tuples(st.sampled_from(names), values), max_size=most, unique_by=lambda pair: pair[0]).map(tuple)


@lru_cache
def _behaviours(features: frozenset[str]) -> Strategy:
    const = st.sampled_from([Const(value) for value in (None, False, 0, "", ListOf(), True, nan)])
    some: list[Strategy] = [st.just(All()), st.just(All()), st.just(All()), st.just(First()), const]
    return st.one_of(*some)


def _rarely(draw: Any, one_in: int) -> bool:
    """True once in ``one_in`` draws; shrinks to False."""
    return bool(draw(st.integers(0, one_in - 1)) == one_in - 1)


class _Drawing:
    """What is the same for all nodes of one graph: the features, whether tasks are async, fail, or race to fail first."""

    def __init__(self, draw: Any, features: frozenset[str], inputs: tuple[Given, ...]) -> None:
        self.draw = draw
        self.features = features
        self.inputs = inputs
        self.sync = _rarely(draw, 4)
        self.failing = "failures" in features and _rarely(draw, 3)
        self.racing = self.failing and not self.sync and "async" in features and _rarely(draw, 2)
        if not _rarely(draw, 4):  # what is not hashable hides other failures: in few graphs only
            self.features = features - {"sets"}

    def delay(self) -> int | None:
        if self.racing:
            return int(self.draw(st.sampled_from((1, 1, 2))))
        if self.sync or "async" not in self.features or not _rarely(self.draw, 2):
            return None
        return int(self.draw(st.sampled_from(_DELAYS)))

    def call(self, before: list[Node], args: tuple[int | str, ...], depth: int) -> Call:
        draw, count = self.draw, len(before)
        values = exprs(count, args, 2, self.features)
        given = draw(st.lists(values, max_size=3).map(tuple))
        named = draw(_keywords(values)) if "keywords" in self.features and _rarely(draw, 2) else _NOTHING
        after: tuple[int, ...] = ()
        if count and "after" in self.features and _rarely(draw, 4):
            after = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=2, unique=True).map(tuple))
        does: Spec = draw(_behaviours(self.features))
        if self.failing and _rarely(draw, 2 if self.racing else 3):
            does = Raises(draw(st.sampled_from(("ValueError", "KeyError", "LookupError"))))
        elif depth and "nested" in self.features and _rarely(draw, 5):
            keys: tuple[int | str, ...] = (*range(len(given)), *(name for name, _ in named))
            nodes = self.nodes(3, keys, depth - 1)
            does = Go(GraphSpec(nodes, Ref(len(nodes) - 1)))
        return Call(given, named, does, self.delay(), after)

    def nodes(self, most: int, args: tuple[int | str, ...], depth: int) -> tuple[Node, ...]:
        made: list[Node] = []
        for _ in range(self.draw(st.integers(1, most))):
            made.append(self.node(made, args, depth))
        return tuple(made)

    def node(self, before: list[Node], args: tuple[int | str, ...], depth: int) -> Node:
        draw, features = self.draw, self.features
        full = [i for i, node in enumerate(before) if isinstance(node, Loop) or (isinstance(node, Call) and node.does == All())]
        calls = [i for i, node in enumerate(before) if isinstance(node, Call)]
        possible = {
            "items": bool(full), "gather": bool(before), "inputs": bool(self.inputs), "again": bool(calls), "loops": depth > 0,
        }  # fmt: skip
        kinds = [kind for kind, is_possible in possible.items() if is_possible and kind in features]
        match draw(st.sampled_from(["call"] * 6 + kinds)):
            case "items":
                wrong = self.failing and _rarely(draw, 4)
                return Item(draw(st.sampled_from(full)), draw(st.sampled_from((7, "x") if wrong else (0, 1, 2, -1))))
            case "gather":
                return Gather(draw(st.lists(exprs(len(before), args, 1, features), max_size=3).map(tuple)))
            case "inputs":
                return Input(draw(st.sampled_from([given.name for given in self.inputs])))
            case "again":
                return Again(draw(st.sampled_from(calls)))
            case "loops":
                return draw(loops(self, len(before), args))  # type: ignore[no-any-return]
        return self.call(before, args, depth)


@st.composite
def loops(draw: Any, drawing: _Drawing, count: int, args: tuple[int | str, ...] = ()) -> Loop:
    """A loop of one to three members, each with one or two ways to go on."""
    features = drawing.features
    size = draw(st.integers(1, 3))

    def step(nodes: tuple[Node, ...], reach: int, keys: tuple[int | str, ...]) -> Step:
        values = exprs(reach, keys, 1, features)
        member = draw(st.integers(0, size - 1))
        if draw(st.booleans()):
            return Step(member, (), draw(_keywords(values, ("a", "b"))), draw(st.booleans()), nodes)
        given = draw(st.lists(values, max_size=2).map(tuple))
        named = draw(_keywords(values, ("a", "b")[len(given) :])) if len(given) < 2 else ()
        return Step(member, given, named, False, nodes)

    def inner() -> Step:
        nodes = drawing.nodes(2, ("n", "a", "b"), 0) if _rarely(draw, 2) else ()
        return step(nodes, len(nodes), ("n", "a", "b"))

    members = tuple(
        Member(
            tuple(inner() for _ in range(draw(st.integers(1, 2)))),
            drawing.delay(),
            draw(atoms()),
            draw(atoms()),
        )
        for _ in range(size)
    )
    rounds = draw(st.integers(0, 5))
    return Loop(members, rounds, step((), count, args))


@st.composite
def graph_specs(
    draw: Any, *, max_nodes: int = 6, depth: int = 2, features: Collection[str] = FEATURES
) -> GraphSpec:
    """Graphs of up to ``max_nodes`` nodes, with graphs that tasks return up to ``depth`` deep.

    :param features: the constructs that may occur, of ``FEATURES``. Positional sync calls always do.
    :raises ValueError: an unknown feature.
    """
    if unknown := sorted(set(features) - FEATURES):
        raise ValueError(f"unknown features {unknown}; there are {sorted(FEATURES)}")
    chosen = frozenset(features)
    inputs: tuple[Given, ...] = ()
    if "inputs" in chosen and _rarely(draw, 4):
        # Where an input is seen only inside a graph that a task returns, it has its default: so each has one.
        values = st.one_of(st.just(ABSENT), constants())
        defaults = st.sampled_from((0, None, "", True))
        inputs = tuple(Given(name, draw(values), draw(defaults)) for name in ("p", "q")[: draw(st.integers(1, 2))])
    drawing = _Drawing(draw, chosen, inputs)
    nodes = drawing.nodes(max_nodes, (), depth)
    if "loops" in chosen and _rarely(draw, 4):  # at the target: a tail call
        nodes = (*nodes, draw(loops(drawing, len(nodes))))
    elif drawing.racing or not _rarely(draw, 3):
        # At the target: a call that needs all that nothing else needs, so that most of the graph runs.
        used = {i for node in nodes for i in uses(node)}
        open_ends = tuple(Ref(i) for i in range(len(nodes)) if i not in used)
        given = open_ends if "containers" not in chosen or draw(st.booleans()) else (ListOf(open_ends),)
        nodes = (*nodes, Call(given, delay=drawing.delay()))
    last = len(nodes) - 1
    if "many targets" in chosen and _rarely(draw, 4):
        some = st.lists(st.integers(0, last).map(Ref), max_size=3)
        items = draw(some.map(tuple))
        kind = draw(st.sampled_from((ListOf, TupleOf, DictOf)))
        target: Expr = DictOf(tuple(zip("xyz", items, strict=False))) if kind is DictOf else kind(items)
        return GraphSpec(nodes, target, inputs)
    unneeded = len(nodes) > 1 and _rarely(draw, 6)
    return GraphSpec(nodes, Ref(draw(st.integers(0, last)) if unneeded else last), inputs)
