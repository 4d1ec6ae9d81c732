"""What there is to see of a machine that stands still: frames, registers, what is waiting, what is ready. For a debugger.

All of these are pictures of a moment: data to read, which nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_vm.bounded import bounded
from cascade_vm.frame import Frame, Operation, Ready
from cascade_vm.invocation import Invocation
from cascade_vm.jobs import Timer
from cascade_vm.link import Code
from cascade_vm.listing import instruction_text, symbol_names
from cascade_vm.notes import short
from cascade_vm.probe import target_label
from cascade_vm.resources import Held
from cascade_vm.skipping import Skipped
from cascade_vm.stepping import PRELOADED, told

if TYPE_CHECKING:
    from cascade_vm.stepping import SteppedMachine


class Place(NamedTuple):
    """An instruction of a frame: its number and position in the listing, its text, and "path:line" of its call where that is known."""

    pc: int
    position: int
    text: str
    where: str | None


class FrameView(NamedTuple):
    """A frame. ``label`` is what its graph calls last, of which the value is its own; ``turn`` counts the graphs that it has begun (tail
    calls); ``strand`` is None where it has left the order of its strands; ``item`` is the number of the map item that it computes, or None.
    ``number`` is of this frame alone, in the process.
    """

    frame: Frame
    number: int
    depth: int
    label: str
    cycle_id: str
    turn: int
    strand: int | None
    eager: bool
    item: int | None
    place: Place


class Register(NamedTuple):
    """A register that holds a value. ``holds`` names that as the listing does: "%3 call shop:price(R1)", "input day", "literal"."""

    number: int
    holds: str
    value: Any

    @property
    def shown(self) -> str:
        """The value on one line."""
        return f"skipped: {self.value.call}" if type(self.value) is Skipped else bounded(short(self.value), 200)


class Waiting(NamedTuple):
    """A call, or what else an instruction waits for. ``item`` is the number of a map item, or None; ``attempt`` counts from 1."""

    label: str
    where: str | None
    pc: int
    position: int
    item: int | None
    attempt: int
    state: str  # "in flight", "about to start", or what it waits for


class Line(NamedTuple):
    """A line of a listing. ``pc`` is None where a strand begins."""

    pc: int | None
    text: str
    where: str | None
    is_current: bool


def place(frame: Frame, pc: int) -> Place:
    """Instruction ``pc`` of ``frame``."""
    return Place(pc, frame.code.blueprint.instructions[pc].position, _text(frame.code, pc), frame.code.where(frame.sites, pc))


def frames(frame: Frame, pc: int) -> list[FrameView]:
    """The frames from the root to ``frame``, which stands at ``pc``."""
    found = []
    at: Frame | None = frame
    while at is not None:
        found.append(view(at, pc))
        pc, at = at.pc, at.parent
    found.reverse()
    return found


def view(frame: Frame, pc: int) -> FrameView:
    """One frame, which stands at ``pc``."""
    code = frame.code
    strand = None if frame.flow is not None else code.home[pc]
    eager = strand is not None and code.blueprint.strands[strand].eager
    item = frame.index if frame.index >= 0 else None
    label = target_label(code)
    known = told(frame)
    return FrameView(frame, known.number, frame.depth, label, code.blueprint.cycle_id, known.turn, strand, eager, item, place(frame, pc))


def registers(frame: Frame) -> list[Register]:
    """The registers of ``frame`` that hold something; of one that has left its strands, the values that are still to be read."""
    code = frame.code
    if frame.flow is not None:
        instructions = code.blueprint.instructions
        held = [
            (instructions[giver].dst if giver >= 0 else -1 - giver, max(giver, PRELOADED), value)
            for giver, value in frame.flow.values.items()
        ]
        return [Register(number, _holds(code, number, giver), value) for number, giver, value in sorted(held, key=lambda one: one[:2])]
    live = told(frame).live
    return [Register(number, _holds(code, number, live[number]), frame.registers[number]) for number in sorted(live)]


def _holds(code: Code, register: int, giver: int) -> str:
    if giver != PRELOADED:
        return f"%{code.blueprint.instructions[giver].position} {_text(code, giver).partition(' = ')[2]}"
    at = register - code.blueprint.literals
    return f"input {code.blueprint.inputs[at]}" if at >= 0 else "literal"


def waiting(machine: SteppedMachine) -> list[Waiting]:
    """What is in flight or about to start, and the calls that wait for something else, in the order of positions."""
    stepper = machine.stepper
    starting = set(map(id, machine.outbox))
    found = []
    seen: set[int] = set()
    for operation in sorted(machine.flying):
        call = operation.to.call if type(operation.to) is Invocation else 0
        seen.add(call)
        blocked = stepper.blocked.get(call)
        state = blocked.reason if blocked is not None else _state(operation, id(operation) in starting)
        found.append(_waiting(operation.frame, operation.pc, operation.index, getattr(operation.to, "attempt", 1), state))
    for call, blocked in stepper.blocked.items():
        if call not in seen and call in stepper.calls:
            index = -1 if blocked.index is None else blocked.index
            found.append(_waiting(*stepper.calls[call], index, blocked.attempt, blocked.reason))
    if machine.limits is not None:
        for others in machine.limits.being_made.values():
            found += [_waiting(one.frame, one.pc, one.index, one.attempt, "the same call is being made") for one in others]
    return found


def _state(operation: Operation, is_starting: bool) -> str:
    if type(operation.awaitable) is Timer:  # (what is in flight has lost its awaitable)
        return "time to pass"
    return "about to start" if is_starting else "being torn down" if operation.shielded else "in flight"


def _waiting(frame: Frame, pc: int, index: int, attempt: int, state: str) -> Waiting:
    code = frame.code
    position = code.blueprint.instructions[pc].position
    label = code.label(pc).removesuffix(".map")
    return Waiting(label, code.where(frame.sites, pc), pc, position, index if index >= 0 else None, max(attempt, 1), state)


def ready(machine: SteppedMachine) -> list[str]:
    """What can be done now, in the order in which it will be, a line each."""
    return [_entry(one) for one in sorted(machine.ready) if one.registers is None or one.registers is one.frame.registers]


def _entry(entry: Ready) -> str:
    frame = entry.frame
    code = frame.code
    of = f"frame {frame.depth} ({target_label(code)})"
    if entry.run is None:
        strand = code.blueprint.strands[entry.work]
        first = f": {strand.start} {_text(code, strand.start)}" if strand.stop > strand.start else ""
        return f"{of}, strand {entry.work}{first}"
    if type(entry.work) is int:  # of a frame that has left its strands
        return f"{of}: {entry.work} {_text(code, entry.work)}"
    work: Any = entry.work
    pc = code.pc_of[entry.position]
    item = f", item {entry.index}" if entry.index >= 0 else ""
    what = "set-up of " if isinstance(work, tuple) and type(work[0]) is Held else "its turn: "
    return f"{of}: {what}{code.label(pc)}{item}"


def listing(frame: Frame, pc: int, around: int) -> Iterator[Line]:
    """The instructions of ``frame`` as they stand in the listing, up to ``around`` before and behind ``pc``."""
    code = frame.code
    first, last = max(pc - around, 0), pc + around
    for number, strand in enumerate(code.blueprint.strands):
        shown = range(max(strand.start, first), min(strand.stop, last + 1))
        if not shown:
            continue
        waits = "".join(f" {word} {' '.join(map(str, of))}" for word, of in (("needs", strand.needs), ("awaits", strand.awaits)) if of)
        region = f" region {strand.region}" if strand.region else ""
        yield Line(None, f"strand {number}{' eager' if strand.eager else ''}{region}{waits}", None, False)
        for at in shown:
            one = place(frame, at)
            yield Line(at, f"{at:4}  %{one.position:<4} {one.text}", one.where, at == pc)


def _text(code: Code, pc: int) -> str:
    blueprint = code.blueprint
    return instruction_text(blueprint, blueprint.instructions[pc], symbol_names(blueprint))
