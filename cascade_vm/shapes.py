"""Shapes that a program brings along: how graphs are compiled which its tasks return while it runs.

What a graph is knows the compiler; the machine hands it these when a graph is met. So a program that has all the shapes it needs compiles
nothing when it runs, and may be told that it must not (``jit=False``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cascade_vm.errors import NotCompiled

if TYPE_CHECKING:
    from cascade_vm.blueprint import Blueprint


class Shapes:
    """The blueprints of shapes by cycle_id, each with the site of each of its instructions; ``jit``: may others be compiled?"""

    __slots__ = ("jit", "known")

    recording = False  # is it to be told of every graph, also of those that are recognised?

    def __init__(self, known: Mapping[str, tuple[Blueprint, tuple[int, ...]]], jit: bool) -> None:
        self.known = known
        self.jit = jit

    def check(self, cycle_id: str, target: Any) -> None:
        """:raises NotCompiled: nothing may be compiled, and the program does not have this shape."""
        if not self.jit and cycle_id not in self.known:
            raise not_compiled(cycle_id, target, "the program has no such shape")

    def meet(self, cycle_id: str, graph: Any) -> None:
        """A graph of this shape has been captured."""


def not_compiled(cycle_id: str, target: Any, why: str) -> NotCompiled:
    """The error for a graph that would have to be compiled."""
    return NotCompiled(
        f"a task returned {target!r}, a graph of the shape {cycle_id[:12]}, and {why}; it is linked with jit=False, so nothing is compiled "
        f"while it runs. Compile the program with inputs that lead there, compile(..., examples=[{{...}}]), or link it with jit=True"
    )
