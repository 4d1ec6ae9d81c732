"""Frames, what is in flight, and the order of what is ready: the data that a machine works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cascade_vm.blueprint import Instruction
from cascade_vm.link import Activation, Code

_NOTHING: Any = ()  # what a frame of one strand counts


class Frame:
    """One activation of a blueprint. Frames live on the heap, linked to their parents: depth is bounded by memory alone."""

    __slots__ = (
        "at",
        "code",
        "depth",
        "ended",
        "flow",
        "parent",
        "pc",
        "pending",
        "position",
        "registers",
        "sites",
        "strand",
        "waits",
    )

    def __init__(self, activation: Activation, parent: Frame | None = None, pc: int = 0) -> None:
        self.parent = parent
        self.pc = pc  # the parent's instruction whose value this frame computes
        if parent is None:
            self.depth = self.position = 0
        else:
            self.depth = parent.depth + 1
            self.position = parent.code.blueprint.instructions[pc].position
        # What follows is ``enter``, written out: a frame is made in each run, and for each nested result.
        code, self.registers, self.sites = activation
        self.code: Code = code
        self.strand = 0  # the strand that runs
        self.at = -1  # in it, the index of the instruction whose child frame is running; -1: none
        self.flow: Any = None  # set when the frame has left the order of its strands (see flow.py)
        self.pending: set[int] | None = None  # instructions whose values are still to come from outside their strand
        self.waits: list[int] = _NOTHING if code.single else code.waits.copy()
        self.ended: list[bool] = _NOTHING if code.single else [False] * len(self.waits)

    def enter(self, code: Code, registers: list[Any], sites: Any) -> None:
        """Begin the graph of a tail call in this frame."""
        self.code = code
        self.registers = registers
        self.sites = sites
        self.strand = 0
        self.at = -1
        self.flow = None
        self.pending = None
        if not code.single:
            self.waits = code.waits.copy()
            self.ended = [False] * len(self.waits)


class Operation:
    """Something in flight: the awaitable that instruction ``pc`` of ``frame`` waits for.

    Named by (cycle_id, pc), never by a running counter. Its arguments are kept for the note of a failure.
    """

    __slots__ = ("args", "awaitable", "frame", "kwargs", "pc")

    def __init__(self, frame: Frame, pc: int, awaitable: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.frame = frame
        self.pc = pc
        self.awaitable = awaitable
        self.args = args
        self.kwargs = kwargs

    @property
    def instruction(self) -> Instruction:
        return self.frame.code.blueprint.instructions[self.pc]

    @property
    def name(self) -> tuple[str, int]:
        return self.frame.code.blueprint.cycle_id, self.pc

    def __lt__(self, other: Operation) -> bool:
        return precedes(self.frame, self.instruction.position, other.frame, other.instruction.position)


class Ready:
    """Work that can be done now: a strand of a frame, or one instruction of a frame that has left the order of its strands.

    Sorted eager work first, then in the order in which eager Python would come to it.
    """

    __slots__ = ("eager", "frame", "position", "registers", "run", "work")

    def __init__(self, frame: Frame, eager: bool, position: int, work: int, run: Callable[..., Any] | None = None) -> None:
        self.frame = frame
        self.eager = eager
        self.position = position
        self.work = work  # a strand's number; an instruction's where ``run`` is given
        self.run = run
        self.registers = frame.registers  # tells whether the frame is still in the activation that this was ready for

    def __lt__(self, other: Ready) -> bool:
        if self.eager is not other.eager:
            return self.eager
        if self.frame is other.frame:
            return self.position < other.position
        return precedes(self.frame, self.position, other.frame, other.position)


def precedes(one: Frame, at_one: int, other: Frame, at_other: int) -> bool:
    """Would eager Python come to position ``at_one`` of one frame before ``at_other`` of the other?

    Climbs to where the two paths from the root part. No path is stored, and nothing recurses: frames may be 100,000 deep.
    """
    while one.depth > other.depth:
        at_one = one.position
        one = one.parent  # type: ignore[assignment]
    while other.depth > one.depth:
        at_other = other.position
        other = other.parent  # type: ignore[assignment]
    while one is not other:
        at_one, at_other = one.position, other.position
        one, other = one.parent, other.parent  # type: ignore[assignment]
    return at_one < at_other
