"""A machine that checks, while it runs, what the verifier has promised of the code.

    machine = checked_machine(activation, params)
    outcome = run_blocking(machine, 0.005)
    machine.check()

It shares no analysis with the verifier: it looks at what happens. Nothing of the machine itself is changed. Its code is linked once more,
with an instruction before and one behind each, which call this file; its registers are a list that tells who reads and writes them.

What is checked, of each frame:
- a register is read only where it has a value, of the instruction that the order of the code says; no ended one, and none without (O3);
- it is written only by the instruction that runs, or by one that waits; not while others have still to read what is in it (O4);
- a strand runs once at most, in its region, when all that it waits for has ended; its instructions follow each other (O1, R1);
- no value of something skipped is read where it is not tested (D2);
- whatever has begun has ended when the frame ends, and it ends once (D1, D3, O2);
- in the end only what nobody ends is left in the registers (``lifetimes``: code that the compiler made ends everything).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cascade_compiler.cache import activate
from cascade_compiler.testing.checked_code import ITSELF, UNSET, CheckedCode
from cascade_vm import isa
from cascade_vm.asyncio_driver import drive
from cascade_vm.blocking_driver import run_blocking
from cascade_vm.blueprint import Blueprint
from cascade_vm.executable import Executable, check_capacity, presentable
from cascade_vm.frame import Frame, root_frame
from cascade_vm.link import Activation, Code
from cascade_vm.machine import Machine
from cascade_vm.outcome import Value
from cascade_vm.scheduler import Stop, Turn
from cascade_vm.skipping import Skipped

_ENDED = -3  # in place of the instruction that gave a value
_MOST = 50


class BrokenPromise(AssertionError):
    """Code that has been verified did what the verifier says that it cannot do. The text has a line for each violation."""


class CheckedMachine(Machine):
    """A machine with ``violations``: what was not as promised, each as one line. ``checked_machine`` makes it."""

    violations: list[str] = msgspec.field(default_factory=list)
    lifetimes: bool = False  # is a value that is left over in the end a violation?
    codes: dict[int, tuple[Code, CheckedCode]] = msgspec.field(default_factory=dict)  # by id of the code that was linked

    def watched(self, activation: Activation) -> Activation:
        """``activation`` with code and registers that are watched."""
        code, registers, sites = activation
        if id(code) not in self.codes:
            self.codes[id(code)] = code, CheckedCode(code, _Registers)
        checked = self.codes[id(code)][1]
        return checked, _Registers(self, checked, registers), sites

    def check(self) -> None:
        """:raises BrokenPromise: there are violations."""
        if self.violations:
            raise BrokenPromise("\n".join(self.violations))

    def violated(self, blueprint: Blueprint, what: str) -> None:
        """Keep a violation, of the first ones."""
        if len(self.violations) < _MOST:
            self.violations.append(f"{blueprint.cycle_id[:12]}: {what}")

    # --- what the machine does ------------------------------------------------------------------------------------------------

    def activate(self, value: Any) -> Activation:
        return self.watched(super().activate(value))

    def end_strand(self, frame: Frame) -> None:
        if type(frame.registers) is _Registers:
            frame.registers.strand_ended(frame.strand)
        super().end_strand(frame)

    def settle(self, frame: Frame, pc: int, value: Any) -> None:
        registers = frame.registers
        if type(registers) is not _Registers:
            super().settle(frame, pc, value)
            return
        registers.arriving(pc)
        super().settle(frame, pc, value)

    def open_region(self, frame: Frame, region: int) -> None:
        if type(frame.registers) is _Registers:
            frame.registers.opened = frame.opened
        super().open_region(frame, region)

    def finish(self, frame: Frame, value: Any) -> Turn | Stop | None:
        if frame.flow is not None:
            self._check_flow(frame)
        return super().finish(frame, value)

    def fail_at(self, frame: Frame, pc: int, raised: BaseException) -> Stop:
        if type(frame.registers) is _Registers:
            frame.registers.is_watched = False  # the note of the failure looks at operands that may have ended with the call
        return super().fail_at(frame, pc, raised)

    def _check_flow(self, frame: Frame) -> None:
        """The end of a frame that has left its strands: what was open is over."""
        code, over = frame.code, frame.flow.over
        leaves = _leaves_from_region(code, frame.opened)
        for pc in range(len(code.blueprint.instructions)):
            if _must_be_over(code, pc, frame.opened, leaves) and pc not in over:
                self.violated(code.blueprint, f"the frame ends, out of its strands, and instruction {pc} is not over")


class _Registers(list[Any]):
    """The registers of a frame, which know what is in them."""

    def __init__(self, machine: CheckedMachine, code: CheckedCode, values: list[Any]) -> None:
        super().__init__(values)
        blueprint = code.blueprint
        self.machine = machine
        self.code = code
        loaded = blueprint.literals + len(blueprint.inputs)
        self.giver = [-1] * loaded + [UNSET] * (len(values) - loaded)
        self.opened: list[bool] | None = None  # regions
        self.is_watched = True
        self.current = -1  # the instruction that runs
        self.begun: set[int] = set()
        self.over: set[int] = set()  # whose value has come
        self.coming = -1  # the instruction that waited, and whose value is about to be written
        self.strands: set[int] = set()  # begun
        self.ended_strands: set[int] = set()
        self.has_ended = False

    # --- what is read and written ---------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:
        if index == ITSELF:
            return self
        if self.is_watched and type(index) is int:
            if index < 0:
                self.violated(f"register {index} is read")
            elif self.giver[index] == UNSET:
                self.violated(f"R{index} is read by instruction {self.current}, and has no value")
            elif self.giver[index] == _ENDED:
                self.violated(f"R{index} is read by instruction {self.current}, and its value has been ended")
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        blueprint = self.code.blueprint
        if not self.is_watched or index == blueprint.registers or index < 0:  # of results that nobody reads
            return
        running = blueprint.instructions[self.current] if self.current >= 0 else None
        if self.coming >= 0 and blueprint.instructions[self.coming].dst == index:
            giver, self.coming = self.coming, -1
        elif running is not None and index == running.dst and self._writes(self.current):
            giver = self.current
        elif running is not None and value is None and index in running.dead:
            self.giver[index] = _ENDED
            return
        else:
            self.violated(f"R{index} is written, and no instruction that has it as its destination is about to")
            return
        if self.giver[index] not in (UNSET, _ENDED, giver):
            self._check_readers(index, self.giver[index], giver)
        self.giver[index] = giver

    def _writes(self, pc: int) -> bool:
        return not isa.BY_CODE[self.code.blueprint.instructions[pc].opcode].waits

    def _check_readers(self, register: int, old: int, new: int) -> None:
        for reader in self.code.readers.get((old, register), ()):
            if reader not in self.begun and self.is_open(reader):
                self.violated(f"instruction {new} writes R{register}, which instruction {reader} has still to read")

    # --- what runs --------------------------------------------------------------------------------------------------------------

    def before(self, pc: int) -> None:
        """Instruction ``pc`` is about to run."""
        blueprint, code = self.code.blueprint, self.code
        i = blueprint.instructions[pc]
        number = code.home[pc]
        strand = blueprint.strands[number]
        if self.has_ended and i.opcode not in (isa.DROP, isa.SELECT):  # where a region has ended it, a select may come to nothing
            self.violated(f"instruction {pc} runs, and the frame has ended")
        if pc == strand.start:
            if number in self.strands:
                self.violated(f"strand {number} runs a second time")
            self.strands.add(number)
            if not set(strand.needs) <= self.ended_strands:
                self.violated(f"strand {number} runs before the strands {sorted(set(strand.needs) - self.ended_strands)} have ended")
            if not set(strand.awaits) <= self.over:
                self.violated(f"strand {number} runs before the values of {sorted(set(strand.awaits) - self.over)} have come")
            if not self.is_open(pc):
                self.violated(f"strand {number} runs, and its region is closed")
        elif pc - 1 not in self.begun:
            self.violated(f"instruction {pc} runs, and the one before it has not")
        if pc in self.begun:
            self.violated(f"instruction {pc} runs a second time")
        self.begun.add(pc)
        self.current = pc
        skipped = self._check_operands(pc)
        if isa.BY_CODE[i.opcode].ends and not skipped:
            self._end(pc)

    def before_item_that_ends(self, pc: int) -> None:
        """``before``, of an item that is returned at once."""
        self.before(pc)
        self.over.add(pc)
        self._end(pc + 1)

    def _check_operands(self, pc: int) -> bool:
        """Are the operands those that are meant? True where the instruction is skipped."""
        i = self.code.blueprint.instructions[pc]
        for register, meant in self.code.operands[pc]:
            if self.giver[register] >= -1 and self.giver[register] != meant:
                self.violated(f"instruction {pc} reads R{register} for the value of {meant}, and it has that of {self.giver[register]}")
        for other in self.code.waited_for[pc]:
            if other not in self.over:
                self.violated(f"instruction {pc} runs before instruction {other} is over")
        skipped = [register for register in (*i.tests, *i.reads) if type(list.__getitem__(self, register)) is Skipped]
        if any(register in i.tests for register in skipped):
            return True
        if skipped and i.opcode not in (isa.SELECT, isa.DROP):
            self.violated(f"instruction {pc} reads R{skipped[0]}, which is of something skipped")
        return False

    def after(self, pc: int) -> None:
        """Instruction ``pc`` has run, or has been passed over; of one that waits the value may come later."""
        self.current = -1
        if self._writes(pc):
            self.over.add(pc)

    def arriving(self, pc: int) -> None:
        """The value of an instruction that waits is about to come."""
        if pc not in self.begun:
            self.violated(f"the value of instruction {pc} comes, and it has not run")
        if pc in self.over:
            self.violated(f"the value of instruction {pc} comes a second time")
        self.coming = pc if self.code.blueprint.instructions[pc].dst >= 0 else -1
        self.over.add(pc)

    def strand_ended(self, number: int) -> None:
        if number in self.ended_strands:
            self.violated(f"strand {number} ends a second time")
        self.ended_strands.add(number)

    def is_open(self, pc: int) -> bool:
        region = self.code.region_of[self.code.home[pc]]
        return region == 0 or (self.opened is not None and self.opened[region])

    def _end(self, pc: int) -> None:
        self.has_ended = True
        leaves = self.code.region_of[self.code.home[pc]] != 0
        for other in range(len(self.code.blueprint.instructions)):
            if other not in self.over and _must_be_over(self.code, other, self.opened, leaves):
                self.violated(f"instruction {pc} ends the frame, and instruction {other} is not over")
        if self.machine.lifetimes:
            self._check_left(pc)

    def _check_left(self, pc: int) -> None:
        blueprint = self.code.blueprint
        last = blueprint.instructions[pc]
        kept = {*last.reads, *last.tests}
        if self.current >= 0:  # the last one, or the item that it returns at once
            kept.update(blueprint.instructions[self.current].reads)
        for choice in blueprint.choices:
            for source in choice.sources:
                if source >= 0:
                    kept.add(blueprint.instructions[self.code.pc_of[source]].dst)
                else:
                    kept.add(-2 - source)
        for i in blueprint.instructions:
            if i.opcode == isa.DROP:
                kept.update(i.dead)
        for register, giver in enumerate(self.giver):
            read = self.code.readers.get((giver, register), ())
            if giver >= -1 and register not in kept and read and all(one in self.begun for one in read):
                self.violated(f"R{register} still has the value of {giver}, which has been read by all who do")

    def violated(self, what: str) -> None:
        self.machine.violated(self.code.blueprint, what)


def _leaves_from_region(code: Code, opened: list[bool] | None) -> bool:
    """May what ends the frame be in a region?"""
    return opened is not None and any(
        code.ends[pc] and code.region_of[home] and opened[code.region_of[home]] for pc, home in enumerate(code.home)
    )


def _must_be_over(code: Code, pc: int, opened: list[bool] | None, leaves: bool) -> bool:
    """Must it be over when the frame ends? ``leaves``: that ends from a region, and selects may still wait for what ends it."""
    i = code.blueprint.instructions[pc]
    region = code.region_of[code.home[pc]]
    if region and not (opened is not None and opened[region]):
        return False
    if i.opcode == isa.DROP or code.ends[pc] or (i.opcode == isa.BUILD and i.dst == isa.NONE):
        return False
    return not (leaves and i.opcode == isa.SELECT)


# --- runs on it ---------------------------------------------------------------------------------------------------------------


def checked_machine(
    activation: Activation, params: dict[str, Any], capacity: Mapping[str, float] | None = None, *, lifetimes: bool = False
) -> CheckedMachine:
    """A machine that checks, and interprets.

    :param lifetimes: is a value that is left over in the end a violation?
    """
    machine = CheckedMachine(root_frame(activation), params, capacity, threshold=float("inf"), lifetimes=lifetimes)
    machine.root = root_frame(machine.watched(activation))
    return machine


async def arun_checked(
    target: Any, params: Mapping[str, Any] | None = None, *, capacity: Mapping[str, Any] | None = None,
    pools: Mapping[str, Any] | None = None, resources: Mapping[str, Any] | None = None,
) -> Any:  # fmt: skip
    """``arun`` on a checked machine, of code that the compiler has made.

    :raises BrokenPromise: something was not as promised.
    """
    given = dict(params or {})
    activation = activate(target, given, root=True)
    check_capacity(activation[0], capacity, activation[2])
    machine = checked_machine(activation, given, capacity, lifetimes=True)
    machine.overrides = resources
    outcome = await drive(machine, 0.005, None, pools)
    machine.check()
    if type(outcome) is Value:
        return outcome.value
    raise presentable(outcome)


def run_checked(executable: Executable, inputs: Mapping[str, Any]) -> Any:
    """``executable.run(**inputs)`` on a checked machine: of any code, also such as the compiler would not have made.

    :raises BrokenPromise: something was not as promised.
    """
    machine = checked_machine(executable._activation(dict(inputs)), dict(inputs), executable._options.capacity)
    machine.shapes = executable._options.shapes
    outcome = run_blocking(machine, 0.005)
    machine.check()
    if type(outcome) is Value:
        return outcome.value
    raise presentable(outcome)
