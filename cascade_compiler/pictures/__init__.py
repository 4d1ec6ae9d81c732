"""Pictures of graphs, workflows and programs, as SVG, Mermaid and DOT.

>>> from cascade_compiler import pictures
>>> pictures.svg(report)                      # a workflow
>>> pictures.mermaid(total(price("a"), 2))    # a live graph
>>> pictures.dot(compile(report))             # a program: what was compiled, with its strands

A live graph is shown as it was written; compile it to see what became of it. Nothing is run.
"""

from __future__ import annotations

from typing import Any

from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal
from cascade_compiler.pictures.loops import add_loops, collector
from cascade_compiler.scan import is_container
from cascade_compiler.workflow import Workflow
from cascade_vm.executable import Executable
from cascade_vm.pictures.dot import to_dot
from cascade_vm.pictures.drawing import Picture, draw
from cascade_vm.pictures.folding import NODES, fold
from cascade_vm.pictures.labels import TITLE, plain
from cascade_vm.pictures.layout import CannotLayOut, can_lay_out, to_svg
from cascade_vm.pictures.mermaid import to_mermaid
from cascade_vm.pictures.of_program import plan_of
from cascade_vm.pictures.plan import Vertex
from cascade_vm.program import Program

__all__ = ["CannotLayOut", "Picture", "can_lay_out", "dot", "mermaid", "picture", "svg"]


def picture(target: Any, *, fold: bool | None = None, most: int = NODES, for_mermaid: bool = False) -> Picture:
    """What is to be drawn of ``target``: nodes, edges and boxes.

    :param target: a LazyResult, a container of them, a workflow (which is traced), a program, or what that was linked to.
    :param fold: put together what is alike, with counts: always (True), never (False), or where there are more than ``most`` nodes or
        about three times as many edges (None).
    :param for_mermaid: fold (but for ``fold=False``) until it is within what Mermaid draws unless it is told to draw more: 500 edges and
        50,000 characters.
    :raises TypeError: it is nothing that has a graph. :raises ValueError: ``most`` is less than 2.
    :raises CompileError: the graph holds a LazyResult where nothing scans; a workflow has no graph.
    """
    everything = whole(target)
    if fold is False:
        return everything
    while True:
        found = _fold(everything, most, fold is True)
        if not for_mermaid or most <= _FEW or (len(found.edges) < _EDGES and len(to_mermaid(found)) < _CHARACTERS):
            return found
        most = max(most // 2, _FEW)


def dot(target: Any, *, fold: bool | None = None, most: int = NODES, direction: str = "auto", title: str | None = None) -> str:
    """The picture of ``target`` in DOT, the language of Graphviz. It needs nothing installed.

    :param target, fold, most: as for ``picture``.
    :param direction: "TB" (down), "LR" (to the right), or "auto".
    :param title: what stands above the legend; None takes the name of a workflow or program.
    """
    _check_direction(direction)
    return to_dot(picture(target, fold=fold, most=most), _title(target) if title is None else plain(title, 2 * TITLE), direction)


def mermaid(target: Any, *, fold: bool | None = None, most: int = NODES, direction: str = "auto") -> str:
    """The picture of ``target`` as a flowchart of Mermaid. It needs nothing installed.

    :param target, fold, most: as for ``picture``; where it is folded, it is within what Mermaid draws without being told to draw more.
    :param direction: as for ``dot``.
    """
    _check_direction(direction)
    return to_mermaid(picture(target, fold=fold, most=most, for_mermaid=True), direction)


def svg(target: Any, *, fold: bool | None = None, most: int = NODES, direction: str = "auto", title: str | None = None) -> str:
    """The picture of ``target`` as SVG, laid out by Graphviz.

    :raises CannotLayOut: Graphviz is not installed (the text says how to), or gave up.
    """
    return to_svg(dot(target, fold=fold, most=most, direction=direction, title=title))


def whole(target: Any) -> Picture:
    """The picture of ``target`` with every node; as ``picture`` with ``fold=False``."""
    if isinstance(target, Executable):
        target = target.program
    if isinstance(target, Program):
        return draw(plan_of(target))
    declared: list[InputKind] = []
    if isinstance(target, Workflow):
        target, declared = target.trace()
    elif not (type(target) in (LazyResult, Literal) or is_container(type(target))):
        raise TypeError(f"there is no picture of {type(target).__name__!r}: expected a LazyResult, a workflow, a program or an executable")
    collected = collector()
    result = collected.add(target)
    plan = collected.plan
    if isinstance(result, str):
        result = len(plan.vertices)
        plan.vertices.append(Vertex("literal", collected._text(target, TITLE), type(target).__name__))
    plan.results.append(result)
    collected.declare(declared)
    add_loops(collected)
    return draw(plan)


_fold = fold
_FEW = 8  # nodes: not folded any further
_EDGES, _CHARACTERS = 480, 49_000  # with room for the legend


def _title(target: Any) -> str:
    if isinstance(target, Workflow):
        return plain(target.__qualname__, TITLE)
    if isinstance(target, (Program, Executable)):
        program = target if isinstance(target, Program) else target.program
        return f"program {program.cycle_id[:12]}"
    return ""


def _check_direction(direction: str) -> None:
    if direction not in ("auto", "TB", "LR"):
        raise ValueError(f"direction must be 'auto', 'TB' (down) or 'LR' (to the right), not {direction!r}")
