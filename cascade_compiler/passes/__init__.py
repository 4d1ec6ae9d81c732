"""Passes: rewrites of the IR, from a valid graph to a valid graph of the same meaning.

A pass is one file with one function, ``Graph -> Graph``, whose docstring opens with before and after. ``DEFAULT_PASSES`` is their
order. docs/adding-a-pass.md walks through adding one.
"""

from __future__ import annotations

from collections.abc import Callable

from cascade_compiler.ir import Graph
from cascade_compiler.passes.merge_twins import merge_twins

Pass = Callable[[Graph], Graph]

DEFAULT_PASSES: tuple[Pass, ...] = (merge_twins,)


def run_passes(graph: Graph, passes: tuple[Pass, ...], between: Callable[[Pass, Graph], None] | None = None) -> Graph:
    """Apply ``passes`` in order. ``between`` is called after each with its result: to print, to time, to check."""
    for one in passes:
        graph = one(graph)
        if between is not None:
            between(one, graph)
    return graph
