"""Passes: rewrites of the IR, from a valid graph to a valid graph of the same meaning.

A pass is one file with one function, ``Graph -> Graph``, whose docstring opens with before and after. ``DEFAULT_PASSES`` is the order of
those that know nothing of the values of literals: what they make of a graph serves every graph of its shape. Ahead of time the
literals are constants, and there is more to gain. docs/adding-a-pass.md walks through adding one.
"""

from __future__ import annotations

from collections.abc import Callable

from cascade_compiler.ir import Graph
from cascade_compiler.passes.drop_dead import drop_dead
from cascade_compiler.passes.fold import fold
from cascade_compiler.passes.forward_items import forward_items
from cascade_compiler.passes.merge_twins import merge_twins

Pass = Callable[[Graph], Graph]

DEFAULT_PASSES: tuple[Pass, ...] = (merge_twins,)


def passes_ahead_of_time(graph: Graph, folding: bool = False) -> tuple[Pass, ...]:
    """The passes for a graph whose literals are the constants of a program.

    :param folding: shall pure tasks be called on constants?

    Not so where a call is bound: jumps put values into registers of literals, and graphs of one shape share what they are compiled to.
    """
    if any(op.bound for op in graph.ops):
        return DEFAULT_PASSES
    return (*((fold,) if folding else ()), *DEFAULT_PASSES, forward_items, drop_dead)


def run_passes(graph: Graph, passes: tuple[Pass, ...], between: Callable[[Pass, Graph], None] | None = None) -> Graph:
    """Apply ``passes`` in order. ``between`` is called after each with its result: to print, to time, to check."""
    for one in passes:
        graph = one(graph)
        if between is not None:
            between(one, graph)
    return graph
