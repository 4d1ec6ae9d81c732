"""Partition into strands: what is cut, what is not, and in which order."""

from __future__ import annotations

import pytest
from graphs import random_graph, wait, work

from cascade_compiler import Param
from cascade_compiler.capture import capture
from cascade_compiler.lowering import lower
from cascade_compiler.strands import partition
from cascade_vm import isa


def names(target: object) -> list[list[str]]:
    """The strands of a target: of each its operations, as `kind` and number among those that are not preloaded."""
    graph = capture(target)
    return [[f"{graph.ops[at].kind.value}{'~' if graph.ops[at].waits else ''}" for at in plan.ops] for plan in partition(graph)]


def test_a_graph_without_waits_is_one_strand():
    assert names(work(work(1), [work(2)], {"a": work(3)["k"]})) == [["call", "call", "build", "call", "item", "build", "call"]]


def test_a_preloaded_target_is_an_empty_strand():
    assert names(Param("x")) == [[]]


def test_two_chains_do_not_wait_for_each_other():
    """S7: the second half of each chain awaits the first half of its own alone."""
    blueprint = lower(capture(work(wait(wait(1)), wait(wait(2))))).blueprint
    first, left, right, join = blueprint.strands
    assert (first.stop - first.start, first.awaits) == (2, ())
    assert {left.awaits, right.awaits} == {(0,), (1,)}
    assert join.awaits == (2, 3)


def test_what_waits_is_issued_before_synchronous_work_that_does_not_feed_it():
    """S7: `work` comes first in eager order, but the wait needs nothing of it."""
    (first, second, *_) = names(work(work(1), wait(2)))
    assert (first, second) == (["call~"], ["call"])


def test_a_wait_is_issued_right_after_the_call_that_feeds_it():
    strands = names(work(wait(work(1)), work(2), work(3)))
    assert strands[:2] == [["call", "call~"], ["call", "call"]]


def test_a_container_that_feeds_a_wait_goes_with_it():
    strands = names(work(work(1), wait([Param("x")])))
    assert strands[0] == ["build", "call~"]


def test_calls_keep_their_order_across_strands():
    """S6: q waits for something that p and r do not; r must not run before q if all are ready, so they are cut apart."""
    p, q, r = work(1), work(wait(2)), work(3)
    assert names(work(p, q, r)) == [["call~"], ["call"], ["call"], ["call"], ["call"]]


def test_items_of_a_wait_join_the_strand_after_it():
    assert names(wait(1)["key"]) == [["call~"], ["item"]]


def test_order_without_data_counts_as_a_need():
    """S8"""
    blueprint = lower(capture(work(work(1).after(wait(2)), 3))).blueprint
    assert blueprint.strands[-1].awaits == (0,)
    assert any(i.after for i in blueprint.instructions)


@pytest.mark.parametrize("seed", range(150))
def test_strands_cover_every_operation_once_and_wait_for_what_they_need(seed):
    graph = random_graph(seed, size=5 + seed % 40)
    strands = partition(graph)
    work_ops = [at for at, op in enumerate(graph.ops) if not op.preloaded]
    assert sorted(at for strand in strands for at in strand.ops) == work_ops
    home = {at: number for number, strand in enumerate(strands) for at in strand.ops}
    for number, strand in enumerate(strands):
        seen: set[int] = set()
        for at in strand.ops:
            for x in graph.operands(graph.ops[at]):
                if graph.ops[x].preloaded or x in seen:
                    assert not graph.ops[x].waits
                elif graph.ops[x].waits:
                    assert x in strand.awaits
                else:
                    assert home[x] in strand.needs
                    assert home[x] < number
            if not graph.ops[at].waits:
                seen.add(at)


def test_the_number_of_strands_is_linear():
    """P19: a comb of 2,000 joins has a bounded number of strands a join."""
    node = wait(0)
    for n in range(2000):
        node = work(node, wait(n))
    graph = capture(node)
    assert len(partition(graph)) <= 3 * 2000
    assert sum(len(s.needs) + len(s.awaits) for s in partition(graph)) <= 4 * 2000


def test_every_program_ends_once():
    for seed in range(60):
        blueprint = lower(random_graph(seed)).blueprint
        assert sum(isa.BY_CODE[i.opcode].ends for i in blueprint.instructions) == 1
