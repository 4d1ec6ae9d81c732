"""Hypothesis strategies for what stands where an argument may stand: boundary values, containers, references.

Strategies are cached by what is in reach, because to build one costs more than to draw from it.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, nan
from typing import Any

try:
    from hypothesis import strategies as st
except ImportError as missing:
    raise ImportError(
        "the strategies of cascade_compiler.testing need hypothesis, which is not installed: pip install cascade-vm[testing]"
    ) from missing

from cascade_compiler.testing.specs import Arg, DictOf, ListOf, Lit, Ref, SetOf, TupleOf

FLOW = frozenset({
    "async", "containers", "sets", "literal", "keywords", "items", "gather", "after", "inputs", "failures", "again", "nested",
    "loops", "many targets",
})  # fmt: skip
FEATURES = FLOW | {  # all that there are
    "conditions", "routers", "retry", "timeout", "map", "constraints", "rates", "caches", "resources", "jumps", "modes",
}  # fmt: skip
DEFAULT_FEATURES = FEATURES  # what ``graph_specs`` draws unless told otherwise

Strategy = st.SearchStrategy[Any]

_ATOMS = (0, None, False, True, 1, -1, "", "a", nan, inf, -0.0, 10**30, -(2**63), b"", b"\x00")

ARGUMENTS = ("x", "y", "key")  # the keywords of a call; also the keys of a dict

Keys = tuple[int | str, ...]


def atoms() -> Strategy:
    """Boundary values, as themselves."""
    return st.sampled_from(_ATOMS)


@lru_cache
def constants(depth: int = 1) -> Strategy:
    """Values without Refs: atoms, and empty and small containers of them."""
    if depth == 0:
        return atoms()
    items = st.lists(constants(depth - 1), max_size=2).map(tuple)
    pairs = _pairs(st.sampled_from(ARGUMENTS), constants(depth - 1))
    return st.one_of(
        atoms(), items.map(ListOf), items.map(TupleOf), pairs.map(DictOf), st.builds(SetOf, _plain_members(), st.booleans())
    )


@lru_cache
def exprs(nodes: int, args: Keys = (), depth: int = 2, features: frozenset[str] = DEFAULT_FEATURES) -> Strategy:
    """What may stand as an argument where ``nodes`` earlier nodes and the arguments ``args`` of the caller are in reach."""
    leaf = _leaves(nodes, args)
    if depth == 0 or "containers" not in features:
        return leaf
    inner = exprs(nodes, args, depth - 1, features)
    items = st.lists(inner, max_size=3).map(tuple)
    keys: Strategy = st.sampled_from(ARGUMENTS)
    others: list[Strategy] = []
    if "literal" in features:
        others.append(constants().map(Lit))
    if nodes and "sets" in features:
        keys = st.sampled_from([*ARGUMENTS * nodes, *map(Ref, range(nodes))])
        one = st.sampled_from([(Ref(i),) for i in range(nodes)])
        others.append(st.builds(lambda one, rest, frozen: SetOf(one + rest, frozen), one, _plain_members(), st.booleans()))
    return st.one_of(leaf, leaf, leaf, leaf, items.map(ListOf), items.map(TupleOf), _pairs(keys, inner).map(DictOf), *others)


@lru_cache
def positional(nodes: int, args: Keys, depth: int, features: frozenset[str], most: int = 3) -> Strategy:
    """A tuple of up to ``most`` exprs."""
    return st.lists(exprs(nodes, args, depth, features), max_size=most).map(tuple)


@lru_cache
def keywords(nodes: int, args: Keys, depth: int, features: frozenset[str], names: tuple[str, ...] = ARGUMENTS) -> Strategy:
    """Pairs of a name and an expr, each name once."""
    return _pairs(st.sampled_from(names), exprs(nodes, args, depth, features)) if names else st.just(())


@lru_cache
def _leaves(nodes: int, args: Keys) -> Strategy:
    """An atom or a reference, in one draw; about as many references as atoms."""
    # The latest nodes twice: it makes long graphs, where uniform draws make wide ones.
    known = [*map(Ref, range(nodes)), *map(Ref, range(max(0, nodes - 2), nodes)), *map(Arg, args)]
    repeated = known * (len(_ATOMS) // len(known) + 1) if known else []
    return st.sampled_from([*_ATOMS, *repeated])


def _pairs(keys: Strategy, values: Strategy) -> Strategy:
    return st.lists(st.tuples(keys, values), max_size=2, unique_by=lambda pair: pair[0]).map(tuple)


def _plain_members() -> Strategy:
    return st.lists(st.sampled_from(("a", "", None, b"")), max_size=2, unique=True).map(tuple)
