"""The harness itself under test: it must find every bug that is planted into a small, correct engine.

A harness that finds nothing may be a good sign for the engine, or a bad one for the harness. So each bug that an engine of this
kind has had, or could have, is planted into ``small_engine``, and fixed pools of drawn graphs must show it. They are drawn
without chance: what is found today is found tomorrow.
"""

from __future__ import annotations

import pytest
import small_bugs
from drawn import Pools
from hypothesis import find, settings
from small_engine import BUGS, SmallEngine

from cascade_compiler.testing import (
    Disagreement,
    GraphSpec,
    assert_agree,
    check_cancel,
    check_engine,
    check_together,
    check_unused,
    graph_specs,
    observe,
)
from cascade_compiler.testing.value_strategies import FLOW

MOST = 12  # pools to look through
SEEDS = (None, 1)

# A bug is looked for in graphs of what it is about, so that it needs fewer: the pools of these focuses take turns.
_GROUPS: dict[tuple[str, ...], tuple[str, ...]] = {
    small_bugs.FLOW: ("all", "races", "waits", "loops", "values"),
    small_bugs.CHOICES: ("choices",),
    small_bugs.ATTEMPTS: ("attempts",),
    small_bugs.MAPS: ("maps",),
    small_bugs.LIMITS: ("limits",),
    small_bugs.CACHES: ("caches",),
    small_bugs.RESOURCES: ("resources",),
    small_bugs.JUMPS: ("jumps",),
    small_bugs.MODES: ("modes",),
}


def is_found(bug: str, spec: GraphSpec, seeds: tuple[int | None, ...] = SEEDS) -> bool:
    engine = SmallEngine(bug)
    try:
        check_engine(spec, engine, seeds)
        if "cancel" in bug:
            check_cancel(spec, engine, most=40 if "tear-down" in bug else 5)
    except Disagreement:
        return True
    return False


def finds(pools: Pools, bug: str) -> bool:
    focuses = next(focuses for bugs, focuses in _GROUPS.items() if bug in bugs)
    for number in range(MOST):
        pool = pools(focuses[number % len(focuses)], number)
        # Most bugs need no other order of what is simultaneous; and what a graph is small for is found sooner.
        if any(is_found(bug, spec, (seed,)) for seed in SEEDS for spec in pool):
            return True
    return False


@pytest.mark.parametrize("bug", BUGS)
def test_every_planted_bug_is_found(bug: str, pools: Pools) -> None:
    assert finds(pools, bug), f"{MOST} pools do not show it"


@pytest.mark.parametrize("focus", [*(focus for focuses in _GROUPS.values() for focus in focuses)])
def test_the_engine_without_a_bug_passes(focus: str, pools: Pools) -> None:
    engine = SmallEngine()
    for number, spec in enumerate(pools(focus)):
        check_engine(spec, engine, SEEDS)
        if number % 10 == 0:
            check_cancel(spec, engine, most=20)
            check_together(spec, engine)
            check_unused(spec, engine)


def test_two_runs_of_different_engines_are_told_apart(pools: Pools) -> None:
    spec = next(spec for spec in pools("all") if is_found("loses a keyword", spec))
    good, bad = (observe(SmallEngine(bug), spec, source=bug or "right") for bug in (None, "loses a keyword"))
    with pytest.raises(Disagreement, match=r"(?s)right and loses a keyword disagree:.*As a test:.*def test_regression"):
        assert_agree(good, bad)


def test_examples_shrink() -> None:
    smallest = find(
        graph_specs(max_nodes=4, depth=1, features=FLOW),
        lambda spec: is_found("awaits one after the other", spec, (None,)),
        settings=settings(max_examples=400, derandomize=True, database=None, deadline=None),
    )
    assert len(repr(smallest)) <= 100, smallest
