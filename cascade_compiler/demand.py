"""Demand: which operations run only if something is chosen, and which values may be those of something skipped (S10 to S12).

What the target needs whatever is chosen is in region 0. The value of a route, and what it alone needs, is in a region of its own, which
the branch opens that chooses the route. What is needed from several regions is in one that opens with each of them. So a region
is opened by whoever needs it first, and an operation needs no test at run time but the one of its strand.

In reverse order all who need a value are seen before the value itself, so one sweep finds the regions; one forward sweep finds what may
be skipped. Both are linear. The regions of a graph are what dominators are in control flow: the parts with one entrance.
"""

from __future__ import annotations

from msgspec.structs import replace

from cascade_compiler.ir import SKIPPED, Graph, Kind


def find_demand(graph: Graph) -> Graph:
    """``graph`` with the region and the tests of each operation, and the regions that open with each region.

    Before::

        %1 = branch on %0
        %2 = call mail(%0)
        %3 = select %1 of %2, skipped

    After::

        %1 = branch on %0
        %2 = call mail(%0) in region 1
        %3 = select %1 of %2, skipped
    """
    select = Kind.SELECT
    if not any(op.kind is select for op in graph.ops):  # the common case: everything always runs
        return graph
    region, opens = _regions(graph)
    tests = _tests(graph)
    ops = [replace(op, region=region[at], tests=tests[at]) for at, op in enumerate(graph.ops)]
    return Graph(ops, graph.result, graph.literals, graph.inputs, graph.classes, graph.nodes, opens)


def _regions(graph: Graph) -> tuple[list[int], list[tuple[int, ...]]]:
    ops = graph.ops
    needed_in: list[set[int]] = [set() for _ in ops]  # regions from which a value is needed whatever they choose
    chosen_in: list[set[int]] = [set() for _ in ops]  # regions in which it may be chosen
    region = [0] * len(ops)
    opens: list[set[int]] = [set()]
    needed_in[graph.result].add(0)
    for at in range(len(ops) - 1, -1, -1):
        op = ops[at]
        if op.preloaded:
            continue
        needed, chosen = needed_in[at], chosen_in[at]
        if 0 in needed:
            mine = 0
        elif len(needed) == 1 and chosen <= needed:
            (mine,) = needed
        else:
            mine = len(opens)
            opens.append(set())
            for other in needed:
                opens[other].add(mine)
        region[at] = mine
        for x in graph.operands(op):
            needed_in[x].add(mine)
        for x in op.routes:
            if x != SKIPPED:
                chosen_in[x].add(mine)
    return region, [tuple(sorted(one)) for one in opens]


def _tests(graph: Graph) -> list[tuple[int, ...]]:
    may_skip = [False] * len(graph.ops)
    found: list[tuple[int, ...]] = []
    for at, op in enumerate(graph.ops):
        tests = tuple(dict.fromkeys(x for x in graph.operands(op) if may_skip[x]))
        if op.kind is Kind.SELECT:
            may_skip[at] = bool(tests) or any(x == SKIPPED or may_skip[x] for x in op.routes)
            tests = ()  # what its branch was given is passed on by the branch
        else:
            may_skip[at] = bool(tests)
        found.append(tests)
    return found
