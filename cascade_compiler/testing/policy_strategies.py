"""Hypothesis strategies for what a call is told beyond its arguments, for routers and for maps.

Values that are false in an ``if`` are what conditions and selectors mostly get, and a call that is tried again mostly succeeds in the
end. Times of timeouts end in a half, so that no attempt ends at the very moment at which it is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from cascade_compiler.testing.value_strategies import ARGUMENTS, Keys, exprs

from hypothesis import strategies as st  # isort: skip
from cascade_compiler.testing.specs import (
    ABSENT,
    All,
    Arg,
    Call,
    Const,
    DictOf,
    Expr,
    First,
    Gather,
    Go,
    GraphSpec,
    ListOf,
    Lit,
    Map,
    Node,
    Raises,
    RaisesOn,
    Ref,
    ResourceSpec,
    RetrySpec,
    Router,
    Spec,
    When,
)
from cascade_compiler.testing.walks import conditions, uses

if TYPE_CHECKING:
    from cascade_compiler.testing.value_strategies import Strategy

    class Drawing(Protocol):
        """What ``strategies`` knows of the graph that is drawn."""

        draw: Any
        features: frozenset[str]
        failing: bool
        racing: bool
        choosing: bool
        attempting: bool
        limiting: bool
        caching: bool
        providing: bool
        pooling: bool
        resources: tuple[ResourceSpec, ...]
        capacity: tuple[tuple[str, float], ...]
        counting: bool

        def delay(self) -> int | None: ...
        def mode(self, does: Spec, delay: int | None) -> str: ...
        def injects(self) -> tuple[tuple[str, int], ...]: ...
        def limits(self, before: list[Node]) -> dict[str, Any]: ...
        def after(self, count: int) -> tuple[int, ...]: ...
        def nodes(self, most: int, args: Keys, depth: int) -> tuple[Node, ...]: ...


_KEYS = (None, False, 0, "", True, "a", 1)
_FALSE = (False, None, 0, "", ListOf(), Lit(ListOf()), DictOf(), True, 1)
_TIMEOUTS = (0.5, 1.5, 2.5, 3.5, 6.5, 14.5)
_NUMBERS = ((), (1,), (1, 0), (2, 1, 0), (3, 1, 2, 0), (1, 3, 0, 2), (2, 3, 1), (3, 0, 1, 2))  # seconds that items take
_EQUALS = ((1, 1), (2, 1, 2), (0, 0, 1), (1, 2, 1, 2))
_ON = (("Exception",), ("Exception",), ("Exception",), ("ValueError",), ("LookupError",), ("KeyError", "ValueError"), ("OSError",))


def one_in(draw: Any, count: int) -> bool:
    """True once in ``count`` draws; shrinks to False."""
    return bool(draw(st.integers(0, count - 1)) == count - 1)


# --- conditions -----------------------------------------------------------------------------------------------------------


def draw_conditions(drawing: Drawing, before: list[Node], args: Keys) -> tuple[When, ...]:
    """The conditions of one call; mostly none."""
    draw, count = drawing.draw, len(before)
    if "conditions" not in drawing.features or not one_in(draw, 2 if drawing.choosing else 4):
        return ()
    # What is false, and what may be skipped, more often than the rest.
    telling = [Ref(i) for i, node in enumerate(before) if value_of(node) is not ABSENT or conditions(node)]
    skipped = [Ref(i) for i, node in enumerate(before) if any(_is_false(when) for when in conditions(node))]
    last = [ListOf((Ref(count - 1),))] if before else []
    tests = [*map(Ref, range(count)), *telling * 3, *skipped * 4, *map(Arg, args), *_FALSE, *last]

    def condition() -> When:
        test = draw(st.sampled_from(skipped if skipped and drawing.choosing and one_in(draw, 3) else tests))
        return When(test, draw(_choices(before, args, drawing.features))) if not one_in(draw, 3) else When(test)

    return (condition(), condition()) if one_in(draw, 5) else (condition(),)


def _is_false(when: When) -> bool:
    return when.otherwise is ABSENT and not isinstance(when.test, Spec) and not when.test


def value_of(node: Node) -> Any:
    """What a call gives, where that is plain and known; else ABSENT."""
    plain = isinstance(node, Call) and isinstance(node.does, Const) and not isinstance(node.does.value, Spec)
    return node.does.value if plain and node.does.value == node.does.value else ABSENT  # type: ignore[union-attr]


def _choices(before: list[Node], args: Keys, features: frozenset[str]) -> Strategy:
    """What may be chosen: mostly a node that nothing else needs yet, so that it shows whether it runs."""
    used = {i for node in before for i in uses(node)}
    unused = [Ref(i) for i in range(len(before)) if i not in used]
    usual = exprs(len(before), args, 1, features)
    return st.one_of(st.sampled_from(unused), st.sampled_from(unused), usual) if unused else usual


def is_certain(node: Node) -> bool:
    """Is the value what the call gives, if there is one?"""
    return all(when.otherwise is ABSENT for when in conditions(node))


# --- attempts -------------------------------------------------------------------------------------------------------------


def draw_attempts(drawing: Drawing, does: Spec, delay: int | None, longest: int) -> dict[str, Any]:
    """The fields of a Call or a Map that are about its attempts, of at most ``longest`` seconds."""
    draw, features = drawing.draw, drawing.features
    made: dict[str, Any] = {}
    if drawing.racing:
        return made
    often = drawing.attempting or drawing.limiting or drawing.pooling or isinstance(does, (Raises, RaisesOn))
    if "retry" in features and one_in(draw, 2 if often else 4):
        attempts = draw(st.sampled_from((2, 3, 1, 4)))
        made["retry"] = RetrySpec(attempts, draw(st.sampled_from((0, 0, 1, 2))), draw(st.sampled_from((1, 2))))
        if drawing.failing:
            made["retry"] = RetrySpec(attempts, made["retry"].delay, made["retry"].backoff, draw(st.sampled_from(_ON)))
        if drawing.counting:
            made["fails"] = draw(st.integers(0, attempts if drawing.failing and one_in(draw, 3) else attempts - 1))
    if "timeout" in features and delay is not None and one_in(draw, 2 if drawing.attempting or drawing.pooling else 4):
        enough = [t for t in _TIMEOUTS if t > longest][:2]  # for one attempt, not for two
        made["timeout"] = draw(st.sampled_from(_TIMEOUTS if drawing.failing and one_in(draw, 2) else enough))
        if made.get("fails"):
            made["stuck"] = draw(st.sampled_from((20, 0, 3)))
    return made


# --- routers --------------------------------------------------------------------------------------------------------------


def draw_router(drawing: Drawing, before: list[Node], args: Keys) -> Router:
    """A router; its selector is mostly a call of which it is known what it gives."""
    draw, count = drawing.draw, len(before)
    known = {i: value_of(node) for i, node in enumerate(before) if value_of(node) is not ABSENT}
    likely: tuple[Any, ...] = ()
    selector: Expr
    if known and not one_in(draw, 6):
        chosen = draw(st.sampled_from(sorted(known)))
        selector = Ref(chosen)
        likely = (known[chosen],) if not one_in(draw, 4) else ()
    else:
        selector = draw(exprs(count, args, 1, drawing.features))
    others = draw(st.lists(st.sampled_from([key for key in _KEYS if key not in likely]), max_size=2, unique_by=lambda key: key))
    keys = [*others, *likely] if likely and one_in(draw, 2) else [*likely, *others]
    choices = _choices(before, args, drawing.features)
    routes = tuple([(key, draw(choices)) for key in keys or [0]])
    needless = drawing.failing or (likely and is_certain(before[selector.node]))
    return Router(selector, routes, ABSENT if needless and one_in(draw, 2) else draw(choices))


# --- maps -----------------------------------------------------------------------------------------------------------------


def draw_map(drawing: Drawing, before: list[Node], args: Keys, depth: int) -> Map:
    """A map over one or two iterables: lists that are written, or nodes that give lists and tuples."""
    draw, count, features = drawing.draw, len(before), drawing.features
    delay = drawing.delay()
    lists = [i for i, node in enumerate(before) if _gives_items(node)]
    leaves = exprs(count, args, 0, features)
    iterables: list[Expr]
    if lists and one_in(draw, 3):
        iterables = [Ref(draw(st.sampled_from(lists)))]
        if drawing.failing and one_in(draw, 4):
            iterables.append(ListOf((1, 2)))
    else:
        usual = _EQUALS if drawing.caching and one_in(draw, 2) else _NUMBERS
        items = draw(st.lists(leaves, max_size=4)) if one_in(draw, 3) else draw(st.sampled_from(usual))
        iterables = [ListOf(tuple(items))]
        if one_in(draw, 3):
            iterables.append(ListOf(tuple([draw(leaves) for _ in items])))
    names = list(draw(st.permutations(ARGUMENTS)))
    named: tuple[tuple[str, Expr], ...] = ()
    if "keywords" in features and one_in(draw, 2):
        named = ((names.pop(), iterables.pop()),)
    common: tuple[tuple[str, Expr], ...] = ()
    if one_in(draw, 2):
        common = ((names.pop(), draw(exprs(count, args, 1, features))),)
    does: Spec = draw(st.sampled_from((*[All()] * (1 if drawing.caching else 3), First(), Const(None))))
    if drawing.failing and one_in(draw, 2):
        first = (iterables or [named[0][1]])[0]
        does = RaisesOn(draw(st.sampled_from([item for item in getattr(first, "items", ()) if not isinstance(item, Spec)] or [1])))
    elif depth and "nested" in features and one_in(draw, 4):
        keys: Keys = (*range(len(iterables)), *(name for name, _ in (*named, *common)))
        counting, drawing.counting = drawing.counting, False
        nodes = drawing.nodes(2, keys, depth - 1)
        drawing.counting = counting
        does = Go(GraphSpec(nodes, Ref(len(nodes) - 1)))
    attempts = draw_attempts(drawing, does, delay, 3 + (delay or 0))
    firsts = (iterables or [named[0][1]])[0]
    if "fails" in attempts and (isinstance(firsts, Ref) or not _differ(firsts.items)):
        attempts.pop("stuck", None)
        attempts["fails"] = 0
    return Map(
        tuple(iterables), named, common, does, delay, drawing.after(count), draw_conditions(drawing, before, args),
        limit=draw(st.sampled_from((1, 1, None, 2) if drawing.caching else (None, 2, 1, 3))), **attempts, **drawing.limits(before),
        injects=drawing.injects(), mode=drawing.mode(does, delay),
    )  # fmt: skip


def _gives_items(node: Node) -> bool:
    """Is the value, if there is one, a list or a tuple of a few members?"""
    if not is_certain(node):
        return False
    return isinstance(node, (Gather, Map)) or (isinstance(node, Call) and (type(node.does) is All or node.does == Const(ListOf())))


def _differ(items: tuple[Expr, ...]) -> bool:
    return len(set(map(repr, items))) == len(items) and not any(isinstance(item, Spec) for item in items)
