"""Hypothesis strategies that draw graphs: ``graph_specs()``, and the parts it is made of.

    @given(graph_specs())
    def test_my_engine(spec):
        assert_lawful(observe(my_engine, spec))

The draw is biased towards what breaks engines: few nodes that are used often, values that are false in an ``if``, simultaneous
completions, ``after`` where there is no data, rounds of a loop that differ in shape. Alternatives are listed simplest first, and
nodes are drawn in topological order, so examples shrink towards few plain sync calls.

**To leave constructs out** (an engine that does not know them yet), name those that you want:
``graph_specs(features={"after"})``.
**To add one**, add its name to ``FEATURES`` (in ``value_strategies``), and a branch where it can occur.
"""

from __future__ import annotations

from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING, Any

# First: it says what to install where hypothesis is missing.
from cascade_compiler.testing.value_strategies import (
    DEFAULT_FEATURES,
    FEATURES,
    FLOW,
    Keys,
    atoms,
    constants,
    exprs,
    keywords,
    positional,
)

from hypothesis import strategies as st  # isort: skip
from cascade_compiler.testing.jump_strategies import draw_jumps
from cascade_compiler.testing.limit_strategies import CAPACITIES, draw_limits
from cascade_compiler.testing.policy_strategies import draw_attempts, draw_conditions, draw_map, draw_router, is_certain
from cascade_compiler.testing.resource_strategies import PARAMETERS, draw_resources, draw_uses
from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    All,
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
    Loop,
    Member,
    Node,
    Raises,
    Ref,
    ResourceSpec,
    Spec,
    Step,
    TupleOf,
)
from cascade_compiler.testing.walks import counts_attempts, uses

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["DEFAULT_FEATURES", "FEATURES", "FOCUSES", "atoms", "constants", "exprs", "graph_specs", "loops"]

_DELAYS = (0, 0, 1, 2, 5)
_BEHAVIOURS = st.sampled_from((
    *[All()] * 10, *[First()] * 4, *(Const(value) for value in (None, False, 0, "", ListOf(), True, nan)),
))  # fmt: skip
_MANY = (1, 2, 4, 4, 5, 5, 6, 6)  # nodes of a race
_SHALLOW = st.sampled_from((0, 0, 1))  # the depth of containers in a gather
_DEFAULTS = st.tuples(atoms(), atoms())


# Half of the graphs have few constructs, and so more of each: bugs in one construct need less luck, and are smaller.
_FOCUS = {
    "waits": frozenset({"async", "after", "gather", "keywords", "again", "many targets"}),
    "races": frozenset({"async", "after", "failures", "gather"}),
    "loops": frozenset({"async", "loops", "keywords"}),
    "values": frozenset({"inputs", "containers", "sets", "literal", "keywords", "items", "gather", "nested"}),
}
_FOCUS_ON_POLICIES = {
    "choices": frozenset({"async", "after", "items", "gather", "keywords", "nested", "conditions", "routers"}),
    "attempts": frozenset({"async", "after", "failures", "nested", "retry", "timeout", "map"}),
    "maps": frozenset({"async", "after", "containers", "failures", "keywords", "nested", "map", "retry"}),
    "limits": frozenset({"async", "after", "failures", "nested", "map", "retry", "timeout", "constraints", "rates"}),
    "resources": frozenset({
        "async", "after", "conditions", "failures", "keywords", "loops", "nested", "map", "resources", "routers", "jumps",
    }),
    "jumps": frozenset({"async", "after", "conditions", "failures", "keywords", "nested", "jumps", "caches"}),
    "modes": frozenset({"async", "after", "failures", "nested", "map", "retry", "timeout", "constraints", "resources", "modes"}),
    "caches": frozenset({
        "async", "after", "again", "failures", "keywords", "loops", "nested", "map", "retry", "constraints", "rates", "caches",
    }),
}  # fmt: skip
_POLICIES = FEATURES - FLOW
FOCUSES = {**_FOCUS, **_FOCUS_ON_POLICIES}
_OF_LIMITS = frozenset({"constraints", "rates", "caches"})
_POINTED = ("choices", "attempts", "maps")  # whose graphs fail often
_MAIN = {  # without which a focus is none
    "limits": frozenset({"constraints", "rates"}), "caches": frozenset({"caches"}), "resources": frozenset({"resources"}),
    "jumps": frozenset({"jumps"}), "modes": frozenset({"modes"}),
}  # fmt: skip
_CHOOSING = st.sampled_from((
    All(), All(), *(Const(value) for value in (None, False, 0, "", ListOf(), True, "a", 1)),
))  # fmt: skip


def _rarely(draw: Any, one_in: int) -> bool:
    """True once in ``one_in`` draws; shrinks to False."""
    return bool(draw(st.integers(0, one_in - 1)) == one_in - 1)


def _often(draw: Any, one_in: int) -> bool:
    """False once in ``one_in`` draws; shrinks to False."""
    return bool(draw(st.integers(0, one_in - 1)) > 0)


@lru_cache
def _focuses(features: frozenset[str]) -> tuple[str, ...]:
    """What the graphs of these features may concentrate on, with repetitions; "all" is nothing in particular."""
    if not features & _POLICIES:
        return ("all", "all", "all", "all", *_FOCUS)
    flow = [name for name, needed in _FOCUS.items() if needed <= features]
    policies = [name for name, needed in _FOCUS_ON_POLICIES.items() if needed & features & (_MAIN.get(name) or _POLICIES)]
    return ("all", "all", *flow, *policies, *policies, *(["choices"] if "choices" in policies else []))


class _Drawing:
    """What is the same for all nodes of one graph: the features, whether tasks are async, fail, or race to fail first."""

    def __init__(self, draw: Any, features: frozenset[str], focus: str, inputs: tuple[Given, ...], depth: int) -> None:
        self.draw = draw
        self.features = features
        self.inputs = inputs
        self.depth = depth
        self.racing = focus == "races" and {"async", "failures"} <= features
        self.attempting = focus == "attempts"
        self.failing = self.racing or ("failures" in features and _rarely(draw, 2 if focus in _POINTED else 4))
        self.sync = not self.racing and _rarely(draw, 4)
        self.counting = True  # may calls fail in their first attempts?
        self.choosing = focus == "choices" or bool({"conditions", "routers"} & features and _rarely(draw, 3))
        self.mapping = focus in ("maps", "attempts")
        self.limiting = focus == "limits"
        self.caching = focus == "caches"
        self.providing = focus == "resources"
        self.pooling = focus == "modes"
        self.jumping = focus == "jumps"
        self.resources: tuple[ResourceSpec, ...] = ()
        if "resources" in features and (self.providing or _rarely(draw, 4)):
            self.resources = draw_resources(draw, failing=self.failing, waiting=not self.sync and "async" in features)
        self.capacity: tuple[tuple[str, float], ...] = ()
        if "constraints" in features and (self.limiting or _rarely(draw, 4)):
            self.capacity = draw(st.sampled_from(CAPACITIES))
        if not _rarely(draw, 4):  # what is not hashable hides other failures: in few graphs only
            self.features = features - {"sets"}

    def delay(self) -> int | None:
        if self.racing:
            return int(self.draw(st.sampled_from((1, 1, 2))))
        if (self.limiting or self.pooling) and _often(self.draw, 6):  # what takes time keeps others waiting
            return int(self.draw(st.sampled_from((1, 2, 3))))
        if self.sync or "async" not in self.features or not _often(self.draw, 3):
            return None
        return int(self.draw(st.sampled_from(_DELAYS)))

    def call(self, before: list[Node], args: Keys, depth: int) -> Call:
        draw, count = self.draw, len(before)
        if self.limiting and not before and _rarely(draw, 2):
            return Call(does=Const(draw(st.sampled_from((1, 1, 2)))))  # for those that hold as much as it says
        # What needs nothing can fail, or want the same, while others are in flight.
        apart = (self.racing and _often(draw, 3)) or (self.limiting and _rarely(draw, 2))
        reach = (0 if apart else count, args, 2, self.features)
        given: tuple[Expr, ...] = draw(positional(*reach))
        named: tuple[tuple[str, Expr], ...] = draw(keywords(*reach)) if "keywords" in self.features and _rarely(draw, 2) else ()
        after = self.after(count)
        does: Spec = draw(_CHOOSING if (self.choosing or self.limiting) and _rarely(draw, 2) else _BEHAVIOURS)
        often = 2 if self.racing else 3
        if self.caching and _rarely(draw, 4):
            does = Const(None)
        if self.attempting:  # what fails in a returned graph shows only if nothing has failed before
            often = 2 if depth < self.depth else 6
        if self.failing and _rarely(draw, often):
            does = Raises(draw(st.sampled_from(("ValueError", "KeyError", "LookupError"))))
        elif depth and "nested" in self.features and _rarely(draw, 3 if self.attempting or self.providing else 5):
            keys: Keys = (*range(len(given)), *(name for name, _ in named))
            nodes = self.nodes(3, keys, depth - 1)
            does = Go(GraphSpec(nodes, Ref(len(nodes) - 1)))
        delay = self.delay()
        when = draw_conditions(self, before, args)
        given, injects = draw_uses(self, given)
        if injects and _rarely(draw, 8):
            named = (*named, (PARAMETERS[0], None))  # given, so not injected
        attempts = draw_attempts(self, does, delay, delay or 0)
        limits = self.limits(before)
        return Call(given, named, does, delay, after, when, **attempts, **limits, injects=injects, mode=self.mode(does, delay))

    def mode(self, does: Spec, delay: int | None) -> str:
        """Where a task runs; nothing that is sync and inline takes time."""
        if delay is None or "modes" not in self.features or not _rarely(self.draw, 2 if self.pooling else 6):
            return "inline"
        return "thread" if isinstance(does, Go) else str(self.draw(st.sampled_from(("thread", "thread", "process"))))

    def injects(self) -> tuple[tuple[str, int], ...]:
        return draw_uses(self, ())[1]

    def limits(self, before: list[Node]) -> dict[str, Any]:
        return draw_limits(self, before) if self.features & _OF_LIMITS and not self.racing else {}

    def after(self, count: int) -> tuple[int, ...]:
        if not count or "after" not in self.features or not _rarely(self.draw, 4):
            return ()
        return tuple(self.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=2, unique=True)))

    def nodes(self, most: int, args: Keys, depth: int) -> tuple[Node, ...]:
        made: list[Node] = []
        for _ in range(self.draw(st.sampled_from([n for n in _MANY if n <= most] if self.racing else range(1, most + 1)))):
            made.append(self.node(made, args, depth))
        return tuple(made)

    def node(self, before: list[Node], args: Keys, depth: int) -> Node:
        draw, features = self.draw, self.features
        full = [
            i for i, node in enumerate(before)
            if isinstance(node, Loop) or (isinstance(node, Call) and type(node.does) is All and is_certain(node))
        ]  # fmt: skip
        calls = [i for i, node in enumerate(before) if isinstance(node, Call) and not counts_attempts(node)]
        possible = {
            "items": bool(full), "gather": bool(before), "inputs": bool(self.inputs), "again": bool(calls), "loops": depth > 0,
            "jumps": depth > 0, "routers": bool(before), "map": not self.racing,
        }  # fmt: skip
        kinds = [kind for kind, is_possible in possible.items() if is_possible and kind in features]
        # Loops are large; inputs are declared in few graphs.
        weight = {"call": 8, "loops": 1, "inputs": 4, "jumps": 6 if self.jumping else 1}
        weight |= {"map": 6 if self.mapping else 2, "routers": 4 if self.choosing else 2, "again": 6 if self.caching else 2}
        match draw(st.sampled_from([kind for kind in ["call", *kinds] for _ in range(weight.get(kind, 2))])):
            case "items":
                wrong = self.failing and _rarely(draw, 4)
                return Item(draw(st.sampled_from(full)), draw(st.sampled_from((7, "x") if wrong else (0, 1, 2, -1))))
            case "gather":
                return Gather(draw(positional(len(before), args, draw(_SHALLOW), features, 4)))
            case "inputs":
                return Input(draw(st.sampled_from([given.name for given in self.inputs])))
            case "again":
                return Again(draw(st.sampled_from(calls)))
            case "loops":
                return draw(loops(self, len(before), args))  # type: ignore[no-any-return]
            case "jumps":
                return draw_jumps(self, before, args)
            case "routers":
                return draw_router(self, before, args)
            case "map":
                return draw_map(self, before, args, depth)
        return self.call(before, args, depth)


@st.composite
def loops(draw: Any, drawing: _Drawing, count: int, args: Keys = ()) -> Loop:
    """A loop of one to three members, each with one or two ways to go on."""
    features = drawing.features
    size = draw(st.integers(1, 3))

    def step(nodes: tuple[Node, ...], reach: int, keys: Keys) -> Step:
        member = draw(st.integers(0, size - 1))
        if draw(st.booleans()):
            return Step(member, (), draw(keywords(reach, keys, 1, features, ("a", "b"))), draw(st.booleans()), nodes)
        given = draw(positional(reach, keys, 1, features, 2))
        if drawing.resources and len(given) < 2:
            given = draw_uses(drawing, given)[0]
        return Step(member, given, draw(keywords(reach, keys, 1, features, ("a", "b")[len(given) :])), False, nodes)

    def inner() -> Step:
        nodes = drawing.nodes(2, ("n", "a", "b"), 0) if _rarely(draw, 3) else ()
        return step(nodes, len(nodes), ("n", "a", "b"))

    members = tuple(
        Member(
            tuple(inner() for _ in range(draw(st.integers(1, 2)))),
            drawing.delay(),
            *draw(_DEFAULTS),
        )
        for _ in range(size)
    )
    rounds = draw(st.integers(0, 5))
    return Loop(members, rounds, step((), count, args))


@st.composite
def graph_specs(
    draw: Any, *, max_nodes: int = 6, depth: int = 2, features: Collection[str] = DEFAULT_FEATURES, focus: str | None = None
) -> GraphSpec:
    """Graphs of up to ``max_nodes`` nodes, with graphs that tasks return up to ``depth`` deep.

    :param features: the constructs that may occur, of ``FEATURES``. Positional sync calls always do.
    :param focus: what all of the graphs are about, of ``FOCUSES``; None: some about this, some about that.
    :raises ValueError: an unknown feature or focus.
    """
    if focus is not None and focus not in FOCUSES:
        raise ValueError(f"unknown focus {focus!r}; there are {sorted(FOCUSES)}")
    if unknown := sorted(set(features) - FEATURES):
        raise ValueError(f"unknown features {unknown}; there are {sorted(FEATURES)}")
    chosen = frozenset(features)
    focus = focus or str(draw(st.sampled_from(_focuses(chosen))))
    chosen &= FOCUSES.get(focus, FEATURES)
    inputs: tuple[Given, ...] = ()
    if "inputs" in chosen and _rarely(draw, 2 if focus == "values" else 3):
        # Where an input is seen only inside a graph that a task returns, it has its default: so each has one.
        values = st.one_of(st.just(ABSENT), constants())
        defaults = st.sampled_from((0, None, "", True))
        inputs = tuple(Given(name, draw(values), draw(defaults)) for name in ("p", "q")[: draw(st.integers(1, 2))])
    drawing = _Drawing(draw, chosen, focus, inputs, depth)
    nodes = drawing.nodes(2 if focus == "loops" else max_nodes, (), depth)
    if "jumps" in chosen and _rarely(draw, 2 if focus == "jumps" else 8):
        nodes = (*nodes, draw_jumps(drawing, list(nodes), ()))
    elif "loops" in chosen and (focus == "loops" or _rarely(draw, 6)):  # at the target: a tail call
        nodes = (*nodes, draw(loops(drawing, len(nodes))))
    elif drawing.racing or (_rarely(draw, 3) if drawing.providing else _often(draw, 3)):
        # At the target: a call that needs all that nothing else needs, so that most of the graph runs.
        used = {i for node in nodes for i in uses(node)}
        open_ends = tuple(Ref(i) for i in range(len(nodes)) if i not in used)
        given = (ListOf(open_ends),) if "containers" in chosen and _rarely(draw, 2) else open_ends
        nodes = (*nodes, Call(given, delay=drawing.delay()))
    last = len(nodes) - 1
    if "many targets" in chosen and _rarely(draw, 4):
        some = st.lists(st.integers(0, last).map(Ref), max_size=3)
        items = draw(some.map(tuple))
        kind = draw(st.sampled_from((ListOf, TupleOf, DictOf)))
        target: Expr = DictOf(tuple(zip("xyz", items, strict=False))) if kind is DictOf else kind(items)
        return GraphSpec(nodes, target, inputs, drawing.capacity, drawing.resources)
    unneeded = len(nodes) > 1 and _rarely(draw, 6)
    return GraphSpec(nodes, Ref(draw(st.integers(0, last)) if unneeded else last), inputs, drawing.capacity, drawing.resources)
