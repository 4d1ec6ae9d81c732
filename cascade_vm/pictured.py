"""What has a picture shows it in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascade_vm.pictures.drawing import Picture


class Pictured:
    """Gives a class the methods by which IPython and Jupyter show its objects; ``_drawn`` says what is in the picture.

    Where Graphviz is not installed, notebooks get Mermaid, which JupyterLab draws itself.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def _drawn(self) -> Picture: ...

    def _repr_svg_(self) -> str | None:
        """The picture as SVG; None where nothing can lay it out, or it has no picture."""
        from cascade_vm.pictures.notebooks import svg

        return svg(self)

    def _repr_html_(self) -> str | None:
        """The picture in a frame that scrolls; None as for SVG."""
        from cascade_vm.pictures.notebooks import html

        return html(svg) if (svg := self._repr_svg_()) is not None else None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """All forms at once, so that the picture is laid out once."""
        from cascade_vm.pictures.notebooks import bundle

        return bundle(self)
