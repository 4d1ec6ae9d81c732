"""Regions: the parts of a frame that run only where something is chosen, and the instructions that choose (S11, S12).

``branch`` finds the route that a value takes and opens its region; where there is nothing to take, its own value is a ``Skipped``.
``select`` has the value of that route once it is there. A region that nobody opens never runs. What is skipped has a ``Skipped`` for its
value, which passes through all that would have taken it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Choice
from cascade_vm.errors import RouteNotFound
from cascade_vm.instrument import tell_skip_of
from cascade_vm.link import HANDLERS, Code
from cascade_vm.notes import short
from cascade_vm.skipping import Skipped

if TYPE_CHECKING:
    from cascade_vm.frame import Frame
    from cascade_vm.scheduler import Scheduler


def skipped_among(registers: list[Any], tested: tuple[int, ...]) -> Skipped | None:
    """The first of these registers that holds what was skipped."""
    for register in tested:
        value = registers[register]
        if type(value) is Skipped:
            return value
    return None


def branch(machine: Scheduler, frame: Frame, pc: int, values: list[Any]) -> None:
    """Choose a route, and open its region."""
    instruction = frame.code.blueprint.instructions[pc]
    choice = frame.code.blueprint.choices[instruction.aux]
    route: Any
    if choice.keyed:
        route = _keyed_route(choice, values[0], values[1])
    else:
        route = 0 if values[0] else 1
        if route == 1:
            skipped = Skipped(_call_text(frame, pc, choice), _condition_text(frame.code, pc, values[0]))
            if machine.teller is not None and choice.sources[0] >= 0:
                tell_skip_of(machine.teller, frame, frame.code.pc_of[choice.sources[0]], skipped)
            if choice.sources[1] == SKIP:
                route = skipped
    if frame.flow is not None:
        machine.settle(frame, pc, route)
    else:
        frame.registers[instruction.dst] = route
    if type(route) is int:
        machine.open_region(frame, choice.regions[route])


def _keyed_route(choice: Choice, key: Any, table: dict[Any, int]) -> int:
    try:
        return table[key]
    except (KeyError, TypeError):  # it is not among them, or cannot be hashed
        if len(choice.sources) > len(table):
            return len(table)
    raise RouteNotFound(f"there is no route for {short(key)}: the routes are {', '.join(short(one) for one in table)}")


def select(machine: Scheduler, frame: Frame, pc: int, values: list[Any]) -> None:
    """Take the value of the chosen route: now if it is there, else when it comes."""
    code = frame.code
    (route,) = values
    machine.expect(frame, pc)
    if type(route) is Skipped:
        machine.settle(frame, pc, route)
        return
    choice = code.blueprint.choices[code.blueprint.instructions[pc].aux]
    source = choice.sources[route]
    if source < SKIP:
        machine.settle(frame, pc, preloaded(frame, -2 - source))
    else:
        giver = code.pc_of[source]
        if code.ends[giver]:
            return  # it is the frame's own result, and never comes here
        if is_there(frame, giver):
            machine.settle(frame, pc, value_of(frame, giver))
        else:
            assert frame.listeners is not None
            frame.listeners.setdefault(giver, []).append(pc)


def is_there(frame: Frame, pc: int) -> bool:
    """Has the value of instruction ``pc`` come?"""
    if frame.flow is not None:
        return pc in frame.flow.over
    return frame.ended[frame.code.home[pc]] and not (frame.pending and pc in frame.pending)


def value_of(frame: Frame, pc: int) -> Any:
    return frame.flow.chosen[pc] if frame.flow is not None else frame.registers[frame.code.blueprint.instructions[pc].dst]


def preloaded(frame: Frame, register: int) -> Any:
    return frame.flow.chosen[-1 - register] if frame.flow is not None else frame.registers[register]


# --- what errors call them ------------------------------------------------------------------------------------------------


def called(code: Code, choice: Choice) -> str:
    """The label of what a condition decides on."""
    return code.label(code.pc_of[choice.sources[0]]) if choice.sources[0] >= 0 else "an input"


def _call_text(frame: Frame, pc: int, choice: Choice) -> str:
    where = frame.code.where(frame.sites, pc)
    return called(frame.code, choice) + (f" (called at {where})" if where else "")


def _condition_text(code: Code, pc: int, tested: Any) -> str:
    """What the branch at ``pc`` tests: the call that gave it, or the input, or the value itself."""
    giver = code.flow.defs[pc][0]
    if giver >= 0:
        return code.label(giver)
    at = -1 - giver - code.blueprint.literals
    return f"Param {code.blueprint.inputs[at]}" if at >= 0 else short(tested)


HANDLERS[isa.BRANCH] = branch
HANDLERS[isa.SELECT] = select
