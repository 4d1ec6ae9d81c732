"""Frozen descriptions of graphs: what the generator draws, what every evaluator takes, what a failing test prints.

A spec is plain data: no task, no LazyResult, no value that anything could change. ``build`` makes the graph of it, ``eager``
computes it in plain Python, ``ideal`` says when everything should have happened. Its ``repr`` is an expression that
rebuilds it (``from math import inf, nan``), so the example that broke a test *is* the regression test; see ``as_test``.

A graph is a tuple of nodes in topological order and a target::

    GraphSpec((Call(delay=2), Call(("x", Ref(0)), (("k", ListOf((Ref(0),))),))), Ref(1))

is ``t1("x", t0(), k=[t0()])`` with one shared node ``t0``, async, of two seconds. Nodes have names, by position: ``t0``,
``t1``; the nodes of a graph that ``t1`` returns are ``t1.t0``, ``t1.t1``; the members of a loop at ``t2`` are ``t2.m0``,
``t2.m1``, and the nodes of the first step of ``t2.m1`` are ``t2.m1.s0.t0`` and so on; states of jumps are ``t2.j0``, ``t2.j1``.

**To add a construct**: give it a frozen class here, and a case in ``walks``, ``build``, ``eager`` and ``ideal`` (each matches on
the node's class and refuses what it does not know) and in ``strategies``; then plant a bug in it, and see that it is found.
What only changes one call (a retry, a timeout) is a field of ``Call`` with a default, so that old examples stay valid.
"""

from __future__ import annotations

from dataclasses import dataclass

from cascade_compiler.testing.spec_parts import (
    ABSENT,
    Arg,
    DictOf,
    Expr,
    ListOf,
    Lit,
    RateSpec,
    Ref,
    ResourceSpec,
    RetrySpec,
    SetOf,
    Spec,
    TupleOf,
    Use,
    When,
)

__all__ = [
    "ABSENT", "Again", "All", "Arg", "Call", "Const", "DictOf", "Expr", "First", "Gather", "Given", "Go", "GraphSpec", "Input",
    "Item", "Jumps", "ListOf", "Lit", "Loop", "Map", "Member", "Move", "Node", "Raises", "RaisesOn", "RateSpec", "Ref",
    "ResourceSpec", "RetrySpec", "Router", "SetOf", "Spec", "State", "Step", "TupleOf", "Use", "When",
]  # fmt: skip


# --- what a task does -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class All(Spec):
    """Returns (its name, its positional arguments, its keyword arguments as pairs): nothing that arrived stays unseen."""


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Const(Spec):
    """Returns a value without Refs: None, False, 0, "" are the interesting ones."""

    value: Expr


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class First(Spec):
    """Returns its first argument, positional or else by keyword; None without arguments."""


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Raises(Spec):
    """Raises the builtin exception of this name, with the task's name as its argument."""

    kind: str = "ValueError"


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RaisesOn(Spec):
    """Raises like ``Raises`` if its first argument is this value (of this type), else returns what ``All`` does."""

    value: Expr
    kind: str = "ValueError"


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Go(Spec):
    """Returns a graph: a tail call where the call is the target, a nested result elsewhere. Its target is one node."""

    graph: GraphSpec


# --- nodes ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Call(Spec):
    """A call of a task of its own. ``delay`` None is a sync task; an int an async one that waits so many seconds, or, with the ``mode``
    "thread" or "process", a sync one that takes so long there.

    The first ``fails`` attempts of the call raise ValueError, each after ``stuck`` seconds more than the others take. ``holds`` are
    amounts of the run's capacity, by name: numbers, or Refs to Calls that give plain numbers. ``cache`` is the name of a MemoryCache.
    ``injects`` are parameters of the task whose defaults are resources.
    """

    args: tuple[Expr, ...] = ()
    kwargs: tuple[tuple[str, Expr], ...] = ()
    does: Spec = All()
    delay: int | None = None
    after: tuple[int, ...] = ()
    when: tuple[When, ...] = ()
    fails: int = 0
    stuck: int = 0
    retry: RetrySpec | None = None
    timeout: float | None = None
    holds: tuple[tuple[str, Expr], ...] = ()
    rate: RateSpec | None = None
    cache: str | None = None
    injects: tuple[tuple[str, int], ...] = ()
    mode: str = "inline"


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Again(Spec):
    """Another node that is written exactly like the Call ``of``: same task, same arguments. It runs on its own (S2)."""

    of: int


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Item(Spec):
    """``lazy[key]``."""

    of: int
    key: Expr


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Gather(Spec):
    items: tuple[Expr, ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Router(Spec):
    """``Router(selector, routes, default)``: ``routes`` are pairs of a plain key and an expression."""

    selector: Expr
    routes: tuple[tuple[Expr, Expr], ...]
    default: Expr = ABSENT


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Map(Spec):
    """``task.map(*args, **kwargs, **common(...))`` of a task of its own; ``limit`` is its max_concurrency.

    An item of an async task waits ``delay`` seconds and, if its first argument is an int from 1 to 9, so many more. ``fails`` is meant
    for each item. Iterables are ListOf, TupleOf or Ref.
    """

    args: tuple[Expr, ...] = ()
    kwargs: tuple[tuple[str, Expr], ...] = ()
    common: tuple[tuple[str, Expr], ...] = ()
    does: Spec = All()
    delay: int | None = None
    after: tuple[int, ...] = ()
    when: tuple[When, ...] = ()
    fails: int = 0
    stuck: int = 0
    retry: RetrySpec | None = None
    timeout: float | None = None
    holds: tuple[tuple[str, Expr], ...] = ()
    rate: RateSpec | None = None
    cache: str | None = None
    injects: tuple[tuple[str, int], ...] = ()
    mode: str = "inline"
    limit: int | None = None


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Input(Spec):
    """``Param(name)``, declared in the ``inputs`` of the outermost graph."""

    name: str


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Step(Spec):
    """How a loop goes on: with a call ``member(n - 1, *args, **kwargs)``; left out, ``a`` and ``b`` have their defaults.

    ``nodes`` are fresh in each round: what the arguments may refer to. The count is given by keyword where ``by_name`` is
    true, and then nothing can be positional.
    """

    member: int = 0
    args: tuple[Expr, ...] = ()
    kwargs: tuple[tuple[str, Expr], ...] = ()
    by_name: bool = False
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Member(Spec):
    """``def m(n, a=..., b=...)``: for n = 0 returns (its name, a, b), else goes on with ``steps[n % len(steps)]``.

    In a step ``Arg("n")``, ``Arg("a")`` and ``Arg("b")`` are what the member was called with.
    """

    steps: tuple[Step, ...] = (Step(),)
    delay: int | None = None
    a: Expr = None
    b: Expr = None


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Loop(Spec):
    """A call of a member of a loop, with ``count`` rounds before it; ``first.nodes`` is empty, its arguments refer outward."""

    members: tuple[Member, ...]
    count: int
    first: Step = Step()
    after: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Move(Spec):
    """What a state does while n is not 0: it returns a Jump to the route of the state ``to``.

    ``how``: "first" is ``Jump(to, n - 1)``; "keywords" is ``Jump(to, {"n": n - 1, **kwargs})``, where ``Arg("a")`` and ``Arg("b")`` are
    what the state was called with; "nothing" is ``Jump(to)``, so that all is as the route is written, which has 0 for n.
    """

    to: int = 0
    how: str = "first"
    kwargs: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class State(Spec):
    """``def j(n, a=..., b=...)``, and its route, which is written ``j(0, **written)``. What it returns for n = 0 is in ``ends``:

    "value" a tuple (its name, a, b); "data" a Jump to the end with that; "nothing" a Jump to the end; "nowhere" one to no route.
    """

    moves: tuple[Move, ...] = (Move(),)
    delay: int | None = None
    a: Expr = None
    b: Expr = None
    ends: str = "value"
    written: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Jumps(Spec):
    """``bind(j(count, **kwargs), select_jump({0: ..., 1: ..., "end": None}))``: a call of the state ``first``, and a route for each."""

    states: tuple[State, ...]
    count: int
    first: int = 0
    kwargs: tuple[tuple[str, Expr], ...] = ()
    after: tuple[int, ...] = ()


Node = Call | Again | Item | Gather | Input | Loop | Router | Map | Jumps


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Given(Spec):
    """A declared input: its default, and the value that the caller gives. At least one of them is there."""

    name: str
    value: Expr = ABSENT
    default: Expr = ABSENT


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class GraphSpec(Spec):
    """A graph: nodes in topological order, and as target a Ref, or a ListOf, TupleOf or DictOf of Refs.

    What the run has (``inputs``, ``capacity``, ``resources``) is that of the outermost graph.

    :raises ValueError: a Ref to no earlier node, or another fault that would make the spec mean nothing.
    """

    nodes: tuple[Node, ...]
    target: Expr
    inputs: tuple[Given, ...] = ()
    capacity: tuple[tuple[str, float], ...] = ()
    resources: tuple[ResourceSpec, ...] = ()

    def __post_init__(self) -> None:
        from cascade_compiler.testing.walks import fault  # which knows all the classes of this file

        if text := fault(self.nodes, self.target):
            raise ValueError(text)
