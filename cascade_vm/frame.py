"""Frames, what is in flight, and the order of what is ready: the data that a machine works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from cascade_vm.blueprint import Instruction
from cascade_vm.link import Activation, Code
from cascade_vm.outcome import Outcome

_NOTHING: Any = ()  # what a frame of one strand counts


class Frame(msgspec.Struct, eq=False):
    """One activation of a blueprint. Frames live on the heap, linked to their parents: depth is bounded by memory alone."""

    code: Code
    registers: list[Any]
    sites: tuple[Any, ...] | None
    parent: Frame | None = None
    pc: int = 0  # the parent's instruction whose value this frame computes
    owner: Owner | None = None  # who takes the value, if it is not simply that of the instruction: a map
    index: int = -1  # and which of its items it is
    depth: int = 0
    position: int = 0  # of the parent's instruction
    strand: int = 0  # the strand that runs
    at: int = -1  # in it, the index of the instruction whose child frame is running; -1: none
    flow: Any = None  # set when the frame has left the order of its strands (see flow.py)
    pending: set[int] | None = None  # instructions whose values are still to come from outside their strand
    waits: list[int] = _NOTHING
    ended: list[bool] = _NOTHING
    scope: list[Any] | None = None  # resources that end with this graph
    opened: list[bool] | None = None  # regions
    listeners: dict[int, list[int]] | None = None  # instruction -> the selects that take its value
    told: Any = None  # of a run that is profiled or debugged alone

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
            self.opened = self.listeners = None
            self.count()

    def count(self) -> None:
        """Begin to count what the strands of its code wait for, of which there are several."""
        code = self.code
        self.waits = code.waits.copy()
        self.ended = [False] * len(self.waits)
        if code.chooses:
            self.opened, self.listeners = [True] + [False] * (code.regions - 1), {}


def root_frame(activation: Activation) -> Frame:
    """The frame of a run."""
    frame = Frame(*activation)
    if not frame.code.single:
        frame.count()
    return frame


def child_frame(activation: Activation, parent: Frame, pc: int, owner: Owner | None = None, index: int = -1) -> Frame:
    """The frame of a graph that instruction ``pc`` of ``parent`` came to."""
    code, registers, sites = activation
    position = parent.code.blueprint.instructions[pc].position
    frame = Frame(code, registers, sites, parent, pc, owner, index, parent.depth + 1, position)
    if not code.single:
        frame.count()
    return frame


class Owner(Protocol):
    """Whose frame it is, if not simply its parent's: a map, whose item has gone on with a graph."""

    def item_ended(self, machine: Any, index: int, value: Any) -> None:
        """The graph of item ``index`` has come to ``value``."""

    def take(self, machine: Any, index: int, outcome: Outcome) -> None:
        """It has failed."""


class Receiver(Protocol):
    """Who takes outcomes that are not yet the value of an instruction: a call under a policy, a map."""

    def take(self, machine: Any, index: int, outcome: Outcome, args: Any = ..., kwargs: Any = ...) -> None:
        """``outcome`` is that of item ``index``, or of a single thing waited for; the arguments are for the note of a failure."""


class Operation(msgspec.Struct, eq=False):
    """Something in flight: the awaitable that instruction ``pc`` of ``frame`` waits for.

    Named by (cycle_id, pc, map index), never by a running counter. Its arguments are kept for the note of a failure.
    """

    frame: Frame
    pc: int
    awaitable: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    to: Receiver | None = None  # who takes its outcome; None: it is the instruction's own
    index: int = -1
    timeout: float | None = None  # seconds
    is_call: int = 0  # the number of the call whose beginning has been told: its end must be, too
    shielded: bool = False  # the end of a resource: it is never cancelled

    @property
    def instruction(self) -> Instruction:
        return self.frame.code.blueprint.instructions[self.pc]

    @property
    def name(self) -> tuple[str, int, int]:
        return self.frame.code.blueprint.cycle_id, self.pc, self.index

    def __lt__(self, other: Operation) -> bool:
        if self.frame is other.frame:
            instructions = self.frame.code.blueprint.instructions
            one, two = instructions[self.pc].position, instructions[other.pc].position
            return one < two or (one == two and self.index < other.index)
        return precedes(self.frame, self.instruction.position, self.index, other.frame, other.instruction.position, other.index)


class Ready(msgspec.Struct, eq=False):
    """Work that can be done now: a strand of a frame, or what ``run`` does.

    Sorted eager work first, then in the order in which eager Python would come to it.
    """

    frame: Frame
    eager: bool
    position: int
    work: Any  # a strand's number, where there is no ``run``; else what that is given
    registers: list[Any] | None  # tells whether the frame is still in the activation that it was ready for; None: it does not matter
    run: Callable[..., Any] | None = None
    index: int = -1  # of a map's item

    def __lt__(self, other: Ready) -> bool:
        if self.eager is not other.eager:
            return self.eager
        if self.frame is other.frame and self.position != other.position:
            return self.position < other.position
        return precedes(self.frame, self.position, self.index, other.frame, other.position, other.index)


def precedes(one: Frame, at_one: int, index_one: int, other: Frame, at_other: int, index_other: int) -> bool:
    """Would eager Python come to position ``at_one`` of one frame (item ``index_one`` of a map there) before that of the other?

    Climbs to where the two paths from the root part. No path is stored, and nothing recurses: frames may be 100,000 deep.
    """
    while one.depth > other.depth:
        at_one, index_one = one.position, one.index
        one = one.parent  # type: ignore[assignment]
    while other.depth > one.depth:
        at_other, index_other = other.position, other.index
        other = other.parent  # type: ignore[assignment]
    while one is not other:
        at_one, at_other, index_one, index_other = one.position, other.position, one.index, other.index
        one, other = one.parent, other.parent  # type: ignore[assignment]
    return (at_one, index_one) < (at_other, index_other)
