"""The harness itself under test: it must find every bug that is planted into a small, correct engine.

A harness that finds nothing may be a good sign for the engine, or a bad one for the harness. So each bug that an engine of this
kind has had, or could have, is planted into ``small_engine``, and a fixed pool of drawn graphs must show it. The pool is drawn once,
without randomness: what is found today is found tomorrow.
"""

from __future__ import annotations

from functools import cache

import pytest
import small_bugs
from hypothesis import HealthCheck, Phase, find, given, settings
from small_engine import BUGS, SmallEngine

from cascade_compiler.testing import (
    FEATURES,
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

FEW, OTHERS, MANY = 350, 250, 1_500  # graphs to try; others, and then many, are drawn only where the few do not show a bug
SEEDS = (None, 1)

# A bug is looked for in graphs of what it is about, so that it needs fewer; the engine without a bug must pass every second one.
_GROUPS: dict[tuple[str, ...], tuple[frozenset[str], str | None]] = {
    small_bugs.FLOW: (FLOW, None),
    small_bugs.CHOICES: (FEATURES, "choices"),
    small_bugs.ATTEMPTS: (FEATURES, "attempts"),
    small_bugs.MAPS: (FEATURES, "maps"),
    small_bugs.LIMITS: (FEATURES, "limits"),
    small_bugs.CACHES: (FEATURES, "caches"),
    small_bugs.RESOURCES: (FEATURES, "resources"),
}


@cache
def pool(size: int, features: frozenset[str] = FEATURES, focus: str | None = None) -> tuple[GraphSpec, ...]:
    """The same graphs at every run, without repetitions."""
    specs: dict[GraphSpec, None] = {}

    @settings(
        max_examples=size, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(graph_specs(features=features, focus=focus))
    def collect(spec: GraphSpec) -> None:
        specs[spec] = None

    collect()
    return tuple(specs)


def is_found(bug: str, spec: GraphSpec, seeds: tuple[int | None, ...] = SEEDS) -> bool:
    engine = SmallEngine(bug)
    try:
        check_engine(spec, engine, seeds)
        if "cancel" in bug:
            check_cancel(spec, engine, most=40 if "tear-down" in bug else 5)
    except Disagreement:
        return True
    return False


# What takes more graphs than the quick suite has time for.
_RARE = {"prunes a route that has another reader"}


@pytest.mark.parametrize("bug", [pytest.param(bug, marks=[pytest.mark.slow] if bug in _RARE else []) for bug in BUGS])
def test_every_planted_bug_is_found(bug: str) -> None:
    group = next(group for bugs, group in _GROUPS.items() if bug in bugs)
    assert any(is_found(bug, spec) for size in (FEW, OTHERS, MANY) for spec in pool(size, *group)), f"{MANY} graphs do not show it"


@pytest.mark.parametrize("group", [*_GROUPS.values(), (FEATURES, None)], ids=lambda group: group[1] or str(len(group[0])))
def test_the_engine_without_a_bug_passes(group: tuple[frozenset[str], str | None]) -> None:
    engine = SmallEngine()
    for number, spec in enumerate(pool(FEW, *group)[::2]):
        check_engine(spec, engine, SEEDS)
        if number % 10 == 0:
            check_cancel(spec, engine, most=20)
            check_together(spec, engine)
            check_unused(spec, engine)


def test_two_runs_of_different_engines_are_told_apart() -> None:
    spec = next(spec for spec in pool(FEW, FLOW) if is_found("loses a keyword", spec))
    good, bad = (observe(SmallEngine(bug), spec, source=bug or "right") for bug in (None, "loses a keyword"))
    with pytest.raises(Disagreement, match=r"(?s)right and loses a keyword disagree:.*As a test:.*def test_regression"):
        assert_agree(good, bad)


def test_examples_shrink() -> None:
    smallest = find(
        graph_specs(max_nodes=4, depth=1, features=FEATURES),
        lambda spec: is_found("awaits one after the other", spec, (None,)),
        settings=settings(max_examples=400, derandomize=True, database=None, deadline=None),
    )
    assert len(repr(smallest)) <= 100, smallest
