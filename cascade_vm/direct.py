"""Runs that need no machine as long as all goes as expected, which is nearly always.

A generated strand that is a whole program is a plain function: it is called, and what it returns is the value of the run. One that is
interpreted, and only calls, is run by straight.py. Only where it has been left in its middle, or has given a continuation, a machine takes
over from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_vm import straight, takeover
from cascade_vm.blocking_driver import start_blocking
from cascade_vm.codegen import Generated
from cascade_vm.continuation import UNFINISHED
from cascade_vm.failure import annotate
from cascade_vm.frame import Frame, root_frame
from cascade_vm.leaving import SPECIAL, Given, Going, Left, Raised
from cascade_vm.link import Activation
from cascade_vm.machine import Machine
from cascade_vm.outcome import TAKEN, Error, Outcome, Value
from cascade_vm.tiers import THRESHOLDS, restore, where_raised

if TYPE_CHECKING:
    from cascade_vm.executable import Options


def run(activation: Activation, params: dict[str, Any], options: Options) -> Outcome:
    """Run ``activation``, whose code has been generated as a whole."""
    made: Generated = activation[0].whole
    try:
        value = made.function(activation[1], None) if made.loops else made.function(activation[1])
    except BaseException as raised:
        return Error(annotated(raised, made, activation))
    if type(value) not in UNFINISHED:
        return Value(value)
    if type(value) is Given:
        return Value(value.value)
    return go_on(value, made, activation, params, options)


def interpret(activation: Activation, params: dict[str, Any], options: Options) -> Outcome:
    """Run ``activation``, whose code is straight, without generating anything."""
    code, registers, _ = activation
    value = straight.run(code.entry, registers)
    return Value(value) if type(value) not in SPECIAL else end_of(value, activation, params, options)


def end_of(left: Any, activation: Activation, params: dict[str, Any], options: Options) -> Outcome:
    """What comes of a run that ``straight`` has not brought to a value."""
    if type(left) is Raised:
        raised, left.error = left.error, TAKEN  # whoever holds ``left`` is in the traceback, and must not hold the exception
        return Error(_annotated_at(raised, root_frame(activation), left.at, {}, None))
    code, registers, sites = activation
    machine = machine_for((code, registers.copy(), sites), params, options)
    registers.clear()  # callers hold that list, and shall not hold the values of the run
    return _go_on(machine, left, None, options)


def go_on(left: Left | Going, made: Generated, activation: Activation, params: dict[str, Any], options: Options) -> Outcome:
    """Have a machine go on where the function has been left, or with the continuation that it gave."""
    return _go_on(machine_for(activation, params, options), left, made, options)


def _go_on(machine: Machine, left: Left | Going, made: Generated | None, options: Options) -> Outcome:
    takeover.take_over(machine, left, made)
    return start_blocking(machine, options.time_slice, options.pools)


def machine_for(activation: Activation, params: dict[str, Any], options: Options) -> Machine:
    """A machine for a run of which nobody is told."""
    threshold = THRESHOLDS[options.engine]
    return Machine(root_frame(activation), params, options.capacity, options.resources, options.shapes, threshold)


def annotated(raised: BaseException, made: Generated, activation: Activation) -> BaseException:
    """What the function raised, with the note of the instruction that it came from."""
    frame = root_frame(activation)
    pc, names = where_raised(frame.code, made, raised.__traceback__)
    return _annotated_at(raised, frame, max(pc, 0), names, made)


def annotated_end(raised: BaseException, made: Generated, activation: Activation, going: Going) -> BaseException:
    """What came of a continuation that is no graph, with the note of the tail call that gave it."""
    return _annotated_at(raised, root_frame(activation), going.at, going.names, made)


def _annotated_at(raised: BaseException, frame: Frame, pc: int, names: dict[str, Any], made: Generated | None) -> BaseException:
    restore(frame, names, made)
    instruction = frame.code.blueprint.instructions[pc]
    values = [frame.registers[register] for register in instruction.reads]
    plain = len(values) - len(instruction.names)
    annotate(raised, frame, pc, values[:plain], dict(zip(instruction.names, values[plain:], strict=True)))
    frame.registers.clear()
    return raised
