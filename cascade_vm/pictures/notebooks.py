"""Pictures in notebooks: not larger than a page can show, and never an error where a text would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_vm.errors import CascadeError
from cascade_vm.pictures.dot import to_dot
from cascade_vm.pictures.folding import fold
from cascade_vm.pictures.layout import can_lay_out, to_svg
from cascade_vm.pictures.mermaid import to_mermaid

if TYPE_CHECKING:
    from cascade_vm.pictured import Pictured

_MOST = 150  # nodes
_SECONDS = 20.0


def svg(shown: Pictured) -> str | None:
    """The picture of ``shown``, laid out; None where there is no Graphviz, it gives up, or there is nothing to draw."""
    if not can_lay_out():
        return None
    try:
        return to_svg(to_dot(fold(shown._drawn(), _MOST)), _SECONDS)
    except CascadeError:  # a graph without a meaning is shown as text, as before
        return None


def html(svg: str) -> str:
    """``svg`` in a frame: a large picture keeps its size and scrolls."""
    return f'<div style="overflow: auto; max-height: 80vh; background: #ffffff">{svg}</div>'


def bundle(shown: Pictured) -> dict[str, str]:
    """By MIME type: the ``repr``, and SVG in two forms, or Mermaid where there is no Graphviz."""
    found = {"text/plain": repr(shown)}
    picture = svg(shown)
    if picture is not None:
        return found | {"image/svg+xml": picture, "text/html": html(picture)}
    try:
        return found | {"text/vnd.mermaid": to_mermaid(fold(shown._drawn(), _MOST))}
    except CascadeError:
        return found
