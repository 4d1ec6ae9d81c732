"""The one thing that the machine knows of the language above it: some values mean "go on with me".

The compiler's LazyResult derives from ``Continuation``. When a task returns one, the machine asks it for linked code
and registers, and never learns what it was. So ``cascade_vm`` needs no import of the compiler: the value brings it along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascade_vm.link import Activation
    from cascade_vm.shapes import Shapes

# All concrete continuation classes. The machine tests `type(value) in CONTINUATIONS` after every call: an exact type
# test against a set costs half of isinstance(), and no proxy object can answer it with code of its own.
CONTINUATIONS: set[type] = set()

# Those, and what generated code gives instead of a value where it has been left (see codegen.py).
UNFINISHED: set[type] = set()


class Continuation:
    """Base of the values that a machine goes on with instead of returning them."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        CONTINUATIONS.add(cls)
        UNFINISHED.add(cls)

    def activate(self, params: dict[str, Any], *, known: Shapes | None = None) -> Activation:
        """Return what a frame needs to run this value: linked code, its registers, and the creation sites.

        ``params`` are the inputs of the run, by name, as the caller gave them; ``known`` are shapes that the program brought along.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to go on")
