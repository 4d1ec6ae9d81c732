"""What passes share: writing operations anew when others have gone."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from cascade_compiler.ir import SKIPPED, Graph, Op


def moved(op: Op, became: Sequence[int]) -> Op:
    """``op`` with its operands by their new numbers: ``became[x]`` is that of value ``x``."""
    return replace(
        op, args=tuple([became[x] for x in op.args]), after=tuple([became[x] for x in op.after]) if op.after else (),
        routes=tuple([x if x == SKIPPED else became[x] for x in op.routes]) if op.routes else (),
    )  # fmt: skip


def rewritten(graph: Graph, ops: list[Op], result: int, literals: list[object] | None = None) -> Graph:
    """``graph`` with other operations. How its nodes were written is let go of: only a captured graph is matched against others."""
    return Graph(ops, result, graph.literals if literals is None else literals, graph.inputs, graph.classes, rewritten=True)
