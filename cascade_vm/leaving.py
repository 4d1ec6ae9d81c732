"""How generated code, and what is interpreted without a machine, is left before it has come to a value."""

from __future__ import annotations

from typing import Any, Protocol

from cascade_vm.continuation import UNFINISHED

BEGIN = -1  # of Left.at: nothing has been run


class Left:
    """A generated strand has been left in its middle: its instruction ``at`` gave ``value``, a continuation; or, at BEGIN, the literals
    are not of the types, or the functions not of the code, that the strand was made for. ``names`` are its local variables."""

    __slots__ = ("at", "names", "value")

    def __init__(self, at: int, value: Any, names: dict[str, Any]) -> None:
        self.at = at
        self.value = value
        self.names = names


class Going:
    """A generated strand has ended with a continuation: its tail call, the instruction ``at``, gave ``value``."""

    __slots__ = ("at", "names", "value")

    def __init__(self, at: int, value: Any, names: dict[str, Any]) -> None:
        self.at = at
        self.value = value
        self.names = names


class Paused:
    """A generated loop has used up its time slice. ``names`` are its local variables."""

    __slots__ = ("names",)

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names


class Ended:
    """A generated strand has ended, and the frame has not."""


class Given:
    """A generated strand returns a literal, which is a value even where it is a continuation (``literal(lazy)``)."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Raised:
    """What was interpreted without a machine has raised: ``error``, at its instruction ``at``. Its operands are in the registers."""

    __slots__ = ("at", "error")

    def __init__(self, at: int, error: BaseException) -> None:
        self.at = at
        self.error = error


ENDED = Ended()
SPECIAL = frozenset({Left, Going, Paused, Ended, Given, Raised})
UNFINISHED.update(SPECIAL)


class Guard(Protocol):
    """The text of what recognises the next graph of a loop (see the compiler's matcher)."""

    root: str  # the variable of the graph
    hoisted: frozenset[int]  # instructions that need not run again while the literals of the registers ``leaves`` do not change
    leaves: tuple[int, ...]
    # The function of the tail call in a form whose own tail calls build no graph, or None: ``function``, as long as ``is_current()``.
    turning: Any
    names: dict[str, Any]  # what the text refers to, once it is written

    def looped(self, code: Any) -> Any:
        """The code that goes round: ``code``, or one whose unchanging values have registers of their own."""

    def write(self, miss: str) -> tuple[list[str], list[str], list[tuple[str, str]]]:
        """Statements that take the graph apart, or do ``miss``; the variables that hold parts of it; those of the creation sites. Literals
        are put into the variables of their registers."""
