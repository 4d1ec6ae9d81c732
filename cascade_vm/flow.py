"""Frames that have left the order of their strands.

A call in the middle of a strand may give a continuation, and that may have to wait. The compiler could not know; the rest of the strand,
and all that does not need the value, must go on meanwhile (S7, S25). Such a frame is taken apart: from then on each of its instructions
is counted and made ready by itself, with values kept by the instruction that computed them, since registers are shared in
the order of the strands only. It is slower than a strand, and happens only where there is something to wait for.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from cascade_vm import isa
from cascade_vm.blueprint import SKIP
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.errors import InternalError
from cascade_vm.frame import Frame, Operation, Ready, child_frame
from cascade_vm.instrument import tell_skip_of
from cascade_vm.link import BUILDERS, ENDINGS, HANDLERS
from cascade_vm.skipping import Skipped

if TYPE_CHECKING:
    from cascade_vm.link import Code
    from cascade_vm.scheduler import Scheduler, Stop, Turn


class FlowState:
    """What a frame without strands keeps: live values and how often each will be read, and what each instruction waits for."""

    __slots__ = ("chosen", "missing", "over", "then", "uses", "values")

    def __init__(self) -> None:
        self.chosen: dict[int, Any] = {}  # as values, of what a select may take: kept to the end
        self.over: set[int] = set()  # instructions that have ended
        self.values: dict[int, Any] = {}  # by the instruction that computed it; -1 - register for what was preloaded
        self.uses: dict[int, int] = {}
        self.missing: dict[int, int] = {}  # instruction -> how many must still end before it
        self.then: dict[int, list[int]] = {}  # instruction -> those that it is missing for


def leave_strands(machine: Scheduler, frame: Frame) -> None:
    """Take ``frame`` apart. One of its strands stands at an instruction whose child frame is blocked."""
    code = frame.code
    blueprint = code.blueprint
    dataflow = code.flow
    state = FlowState()
    begun: set[int] = set()
    for number, strand in enumerate(blueprint.strands):
        if number == frame.strand:
            begun.update(range(strand.start, strand.start + frame.at + 1))
        elif not code.single and frame.ended[number]:
            begun.update(range(strand.start, strand.stop))
    coming = frame.pending or set()
    current = blueprint.strands[frame.strand].start + frame.at
    over = state.over = begun - coming - {current}
    sources = {source for choice in blueprint.choices for source in choice.sources}
    for source in sources:
        if source < SKIP:
            state.chosen[-1 - (-2 - source)] = frame.registers[-2 - source]
        elif source >= 0 and (giver := code.pc_of[source]) in over and not code.ends[giver]:
            state.chosen[giver] = frame.registers[blueprint.instructions[giver].dst]
    for pc, instruction in enumerate(blueprint.instructions):
        if pc in begun or instruction.opcode == isa.DROP:
            continue
        values = (*dataflow.defs[pc], *dataflow.tested[pc])
        for value, register in zip(values, (*instruction.reads, *instruction.tests), strict=True):
            state.uses[value] = state.uses.get(value, 0) + 1
            if value < 0 or value in over:
                state.values[value] = frame.registers[register]
        missing = 0
        for other in dataflow.before[pc]:
            if other not in over:
                missing += 1
                state.then.setdefault(other, []).append(pc)
        state.missing[pc] = missing
    frame.flow = state
    frame.registers.clear()  # some entries of ready strands still refer to them
    frame.registers = []
    for pc, missing in state.missing.items():
        if not missing:
            _make_ready(machine, frame, pc)
    for giver in [one for one in frame.listeners or () if one in over]:  # it was to be told of at the end of its strand
        machine.tell(frame, giver, state.chosen[giver])


def open_region(machine: Scheduler, frame: Frame, region: int) -> None:
    """Make ready what waited for nothing but its region."""
    state: FlowState = frame.flow
    for number in frame.code.in_region[region]:
        strand = frame.code.blueprint.strands[number]
        for pc in range(strand.start, strand.stop):
            if state.missing.get(pc) == 0:
                _make_ready(machine, frame, pc)


def complete(machine: Scheduler, frame: Frame, pc: int, value: Any) -> None:
    """The value of an instruction is known: keep it if it will be read, and make ready what waited for it alone."""
    state: FlowState = frame.flow
    state.over.add(pc)
    if state.uses.get(pc):
        state.values[pc] = value
    if frame.listeners is not None:
        state.chosen[pc] = value
        machine.tell(frame, pc, value)
    for other in state.then.pop(pc, ()):
        state.missing[other] -= 1
        if not state.missing[other]:
            _make_ready(machine, frame, other)


def _make_ready(machine: Scheduler, frame: Frame, pc: int) -> None:
    code = frame.code
    if frame.opened is not None and not frame.opened[code.region_of[code.home[pc]]]:
        return  # it is made ready when its region opens
    instruction = code.blueprint.instructions[pc]
    eager = isa.BY_CODE[instruction.opcode].waits or (instruction.opcode in (isa.BUILD, isa.ITEM, isa.BRANCH) and code.flow.feeds[pc])
    heapq.heappush(machine.ready, Ready(frame, eager, instruction.position, pc, frame.registers, _step))


def _step(machine: Scheduler, frame: Frame, pc: int) -> Turn | Stop | None:
    """Run one instruction: what to run next, if that follows from it."""
    code = frame.code
    state: FlowState = frame.flow
    instruction = code.blueprint.instructions[pc]
    opcode = instruction.opcode
    if machine.teller is not None and machine.teller.probe is not None:
        machine.teller.probe.step(frame, pc)
    values = [state.values[value] for value in code.flow.defs[pc]]
    skipped = next((one for at in code.flow.tested[pc] if type(one := state.values[at]) is Skipped), None)
    for value in (*code.flow.defs[pc], *code.flow.tested[pc]):
        state.uses[value] -= 1
        if not state.uses[value]:
            del state.values[value], state.uses[value]
    if skipped is not None:
        if machine.teller is not None:
            tell_skip_of(machine.teller, frame, pc, skipped)
        if isa.BY_CODE[opcode].ends:
            return machine.skip_target(frame, skipped)
        complete(machine, frame, pc, skipped)
        return None
    plain = len(values) - len(instruction.names)
    args, kwargs = values[:plain], dict(zip(instruction.names, values[plain:], strict=True))
    try:
        if code.has_steps and opcode in ENDINGS:
            return ENDINGS[opcode](machine, frame, pc, values)  # type: ignore[no-any-return]
        if opcode == isa.RETURN:
            return machine.finish(frame, values[0])
        if opcode == isa.BUILD:
            result = BUILDERS[instruction.aux](values)
        elif opcode == isa.ITEM:
            result = values[0][values[1]]
        elif opcode in HANDLERS:
            return HANDLERS[opcode](machine, frame, pc, values)  # type: ignore[no-any-return]
        elif isa.BY_CODE[opcode].aux != "symbol":
            raise InternalError(f"opcode {opcode} has no meaning in a frame that has left its strands")
        else:
            result = code.callees[pc](*args, **kwargs)
            if isa.BY_CODE[opcode].waits:
                machine.launch(Operation(frame, pc, result, args, kwargs))
                return None
        if opcode == isa.TAIL_CALL or (opcode == isa.ITEM and not code.has_steps and _is_returned(code, pc)):
            if type(result) in CONTINUATIONS:
                frame.enter(*machine.activate(result))
                machine.schedule(frame)
                return None
            return machine.finish(frame, result)
        if type(result) in CONTINUATIONS and opcode != isa.BUILD:
            machine.schedule(child_frame(machine.activate(result), frame, pc))
            return None
    except BaseException as raised:
        return machine.fail(frame, pc, raised, args, kwargs)
    complete(machine, frame, pc, result)
    return None


def _is_returned(code: Code, pc: int) -> bool:
    """Is it returned at once, as in a strand? Not where something is waited for or tested before."""
    instructions = code.blueprint.instructions
    after = instructions[pc + 1] if pc + 1 < len(instructions) else None
    return (
        after is not None and after.opcode == isa.RETURN and after.reads == (instructions[pc].dst,)
        and not after.tests and not after.after and code.home[pc] == code.home[pc + 1]
    )  # fmt: skip
