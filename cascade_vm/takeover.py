"""From generated code back to the machine: what it does where a function has been left, or has come to a continuation."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from cascade_vm import isa
from cascade_vm.forms import STRAND
from cascade_vm.frame import Frame, child_frame
from cascade_vm.leaving import BEGIN, Ended, Going, Left, Paused
from cascade_vm.scheduler import Stop, Turn
from cascade_vm.tiers import HOT, not_as_assumed, restore

if TYPE_CHECKING:
    from cascade_vm.codegen import Generated
    from cascade_vm.machine import Machine

_NOTHING: Iterator[Any] = iter(())


def leave(machine: Machine, frame: Frame, left: Left | Going | Paused | Ended, made: Generated) -> Turn | Stop:
    """Go on where the generated strand of a frame has not come to a value."""
    if type(left) is Going:
        return _begin_another(machine, frame, left, made)
    if type(left) is Ended:
        machine.end_strand(frame)
        return machine.next_turn(frame)
    restore(frame, left.names, made)  # type: ignore[union-attr]
    if type(left) is Paused:
        machine.schedule(frame)
        return Stop.YIELDED
    assert type(left) is Left
    return _leave_at(machine, frame, left, made)


def take_over(machine: Machine, left: Left | Going, made: Generated | None) -> None:
    """Have a machine begin where what had none has left a run: generated code, or, without ``made``, the interpreter.

    ``left`` is emptied: who still holds it holds nothing.
    """
    frame = machine.root
    if type(left) is Going:
        machine.begin = _begin_another(machine, frame, left, made)
        return
    assert type(left) is Left
    restore(frame, left.names, made)
    if left.at == BEGIN and not frame.code.single:
        not_as_assumed(frame.code, left)
        return  # as if nothing had been there
    machine.begin = _leave_at(machine, frame, left, made) if frame.code.single else _leave_chain(machine, frame, left, made)


def _begin_another(machine: Machine, frame: Frame, going: Going, made: Generated | None) -> Turn | Stop:
    """Begin the graph of a tail call in its frame."""
    code = frame.code
    value, going.value = going.value, None
    try:
        again = None if code.guard is None else code.guard(value)
        if again is None:
            frame.enter(*machine.activate(value))
        else:  # a loop begins
            code.hits += 1
            is_hot = code.hits >= machine.threshold or (code.hoists and machine.threshold <= HOT)
            frame.enter(code.go_round(HOT) if is_hot else code, *again[1:])
    except BaseException as raised:  # it is no graph that can be run
        restore(frame, going.names, made)
        return machine.fail_at(frame, going.at, raised)
    going.names.clear()
    del value, again  # its literals are in the new registers, and must be able to die
    if machine.slice_end is not None and monotonic() >= machine.slice_end:
        machine.schedule(frame)
        return Stop.YIELDED
    if frame.code.single:
        return frame, machine.first(frame)
    machine.schedule(frame)
    return machine.next_turn(frame)


def _leave_at(machine: Machine, frame: Frame, left: Left, made: Generated | None) -> Turn | Stop:
    at, value, left.value = left.at, left.value, None
    left.names.clear()
    if made is not None:
        not_as_assumed(frame.code, left)
    if at == BEGIN:
        return frame, iter(frame.code.fused[frame.strand])
    return _nest(machine, frame, frame.code.blueprint.strands[frame.strand].start + at, value, made)


def _leave_chain(machine: Machine, frame: Frame, left: Left, made: Generated | None) -> Turn | Stop:
    """The frame is as if its strands had been run up to the instruction that gave a continuation."""
    code = frame.code
    pc, value, left.value = left.at, left.value, None
    left.names.clear()
    here = frame.strand = code.home[pc]
    instruction = code.blueprint.instructions[pc]
    issued = isa.BY_CODE[instruction.opcode].waits
    over = here + issued  # the strands before this one have ended
    for number in range(over):
        frame.ended[number] = True
    for number in range(over, len(frame.waits)):
        strand = code.blueprint.strands[number]
        frame.waits[number] = sum(other >= over for other in strand.needs) + sum(other >= pc for other in strand.awaits)
    if not issued:
        return _nest(machine, frame, pc, value, made)
    machine.expect(frame, pc)
    try:
        child = child_frame(machine.activate(value), frame, pc)
    except BaseException as raised:
        return _no_graph(machine, frame, pc, raised, made)
    for register in (*instruction.dead, instruction.dst):
        frame.registers[register] = None
    machine.schedule(child)
    return machine.next_turn(None)


def _nest(machine: Machine, frame: Frame, pc: int, value: Any, made: Generated | None) -> Turn | Stop:
    instruction = frame.code.blueprint.instructions[pc]
    at = pc - frame.code.blueprint.strands[frame.strand].start
    try:
        turn = machine.nest(frame, STRAND, None, at, _NOTHING, instruction.dst, instruction.dead, value)
    except BaseException as raised:
        return _no_graph(machine, frame, pc, raised, made)
    return turn or machine.next_turn(frame)


def _no_graph(machine: Machine, frame: Frame, pc: int, raised: BaseException, made: Generated | None) -> Stop:
    """The continuation that an instruction gave is no graph that can be run."""
    instruction = frame.code.blueprint.instructions[pc]
    if made is not None and (instruction.dst in instruction.reads or pc in made.nested):  # what the call was given is not there any more
        return machine.fail(frame, pc, raised, (), {})
    return machine.fail_at(frame, pc, raised)
