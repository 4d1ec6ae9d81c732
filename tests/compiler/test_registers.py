"""Register allocation, held against a checker that shares no code with it."""

from __future__ import annotations

import msgspec
import pytest
from allocation_checker import Misallocated, check_allocation
from graphs import random_graph, wait, work

from cascade_compiler.capture import capture
from cascade_compiler.demand import find_demand
from cascade_compiler.lowering import lower
from cascade_compiler.passes import DEFAULT_PASSES, run_passes
from cascade_vm import isa
from cascade_vm.verify import verify


@pytest.mark.parametrize("block", range(20))
def test_every_reader_finds_its_value_and_nothing_dead_is_kept(block):
    """P6, P11: on random graphs, on random orders of strands and completions; and the verifier agrees."""
    for seed in range(block * 20, block * 20 + 20):
        graph = random_graph(seed, size=4 + seed % 25)
        blueprint = lower(graph).blueprint
        verify(blueprint)
        rewritten = run_passes(graph, DEFAULT_PASSES)
        for order in range(5):
            assert check_allocation(rewritten, blueprint, order) <= blueprint.registers


@pytest.mark.parametrize("block", range(20))
def test_with_conditions_and_routers_too(block):
    """The same, where parts of the graph run only sometimes (P6, P11)."""
    for seed in range(block * 20, block * 20 + 20):
        graph = random_graph(seed, size=4 + seed % 20, choices=True)
        blueprint = lower(graph).blueprint
        verify(blueprint)
        rewritten = find_demand(run_passes(graph, DEFAULT_PASSES))
        for order in range(5):
            assert check_allocation(rewritten, blueprint, order) <= blueprint.registers


def test_the_checker_finds_an_early_reuse():
    """The harness itself: two instructions made to share a register must be caught by some order, and by the verifier."""
    caught = 0
    for seed in range(40):
        graph = random_graph(seed, size=10)
        blueprint = lower(graph, passes=()).blueprint
        for pc, i in enumerate(blueprint.instructions):
            if i.dst > 0 and i.opcode in (isa.CALL, isa.SPAWN):
                broken = msgspec.structs.replace(i, dst=i.dst - 1)
                instructions = (*blueprint.instructions[:pc], broken, *blueprint.instructions[pc + 1 :])
                mutant = msgspec.structs.replace(blueprint, instructions=instructions)
                try:
                    for order in range(10):
                        check_allocation(graph, mutant, order)
                except Misallocated:
                    caught += 1
                break
    assert caught > 25


def test_a_chain_needs_one_register():
    node = work(1)
    for _ in range(1000):
        node = work(node)
    assert lower(capture(node)).blueprint.registers == 1


def test_a_chain_of_waits_needs_one_register():
    node = wait(1)
    for _ in range(100):
        node = wait(node)
    assert lower(capture(node)).blueprint.registers == 1


def test_the_live_set_of_a_tree_is_its_depth():
    """A balanced tree of sums of 64 literals: literals aside, one value a level is live, not one a node."""
    level = [work(n) for n in range(64)]
    while len(level) > 1:
        level = [work(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    assert lower(capture(level[0])).blueprint.registers == 64  # the results all fit where the literals were


def test_a_value_read_in_several_strands_is_ended_by_a_strand_of_its_own():
    shared = work(1)
    left, right = wait(shared), wait(2)
    blueprint = lower(capture(work(work(shared, left), work(shared, right)))).blueprint
    (drop,) = [i for i in blueprint.instructions if i.opcode == isa.DROP]
    strand = next(s for s in blueprint.strands if blueprint.instructions[s.start] is drop)
    assert strand.eager
    assert len(strand.needs) >= 2
