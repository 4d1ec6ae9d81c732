"""Passes: each subset of them gives the same values, from code that the verifier accepts (P11, P14)."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from graphs import random_target

from cascade_compiler.capture import capture
from cascade_compiler.lowering import link_emitted, lower
from cascade_compiler.passes import DEFAULT_PASSES, run_passes
from cascade_vm.blocking_driver import run_blocking
from cascade_vm.machine import Machine
from cascade_vm.verify import verify

SUBSETS = [subset for size in range(len(DEFAULT_PASSES) + 1) for subset in combinations(DEFAULT_PASSES, size)]


def value_of(seed: int, passes: tuple[Any, ...]) -> str:
    graph = capture(random_target(seed, size=10))
    emitted = lower(graph, passes=passes)
    verify(emitted.blueprint)
    code = link_emitted(emitted)
    outcome = run_blocking(Machine((code, [*graph.literals, 1, *code.padding], graph.sites()), {}), 0.005)
    return repr(getattr(outcome, "value", None) or (type(outcome.error), outcome.error.args))


@pytest.mark.parametrize("seed", range(60))
def test_every_subset_of_the_passes_gives_the_same(seed):
    wanted = value_of(seed, ())
    for subset in SUBSETS:
        assert value_of(seed, subset) == wanted


def test_the_hook_between_passes_sees_each_result():
    graph = capture(random_target(1))
    seen: list[Any] = []
    result = run_passes(graph, DEFAULT_PASSES, between=lambda one, after: seen.append((one, after)))
    assert [one for one, _ in seen] == list(DEFAULT_PASSES)
    assert seen[-1][1] is result


def test_the_cycle_id_names_what_was_written_not_what_became_of_it():
    graph = capture(random_target(2))
    assert lower(graph, passes=()).blueprint.cycle_id == lower(graph).blueprint.cycle_id
