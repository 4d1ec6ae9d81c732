"""What stops a machine before each of its instructions, for a debugger (see debugging.py).

As for a profile (see probe.py), the strands of code that is debugged are iterators of this file, from which the machine's loop takes its
next instruction: before it gets that, whoever debugs is called, on the thread that runs, and the machine stands still until the call comes
back. Such code is never generated, and its calls are never fused. Other code has no trace of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import Any, Protocol, TypeVar

import msgspec

from cascade_vm import isa
from cascade_vm.events import TaskBlocked, Teller
from cascade_vm.forms import ISSUE, SPAWN, TAIL_1, TEST, Linked
from cascade_vm.frame import Frame, Operation
from cascade_vm.invocation import Invocation
from cascade_vm.link import Code
from cascade_vm.machine import Machine
from cascade_vm.outcome import Error, Outcome
from cascade_vm.scheduler import Stop, Turn

_T = TypeVar("_T")
_NUMBERS = itertools.count(1)
PRELOADED = -1  # in place of the instruction that wrote a register


class Listener(Protocol):
    """Who debugs. What its methods raise is kept as ``ending``, and ends the run."""

    ending: BaseException | None

    def came_to(self, frame: Frame, pc: int) -> None:
        """The machine is about to run an instruction."""

    def failed(
        self, frame: Frame, pc: int, raised: BaseException, args: Sequence[Any] | None, kwargs: Mapping[str, Any], attempt: str
    ) -> None:
        """The run is about to fail: nothing has been torn down yet. ``args`` is None where it is no instruction that raised."""


class Told:
    """What is known of a frame: kept in ``frame.told``."""

    __slots__ = ("fresh", "left", "live", "number", "over", "registers", "turn")

    def __init__(self, frame: Frame) -> None:
        self.number = next(_NUMBERS)  # tells it from every other, also from one that is gone
        self.turn = 0
        self.over = False  # has it come to its value?
        self._begin(frame)

    def _begin(self, frame: Frame) -> None:
        self.turn += 1  # how many graphs it has begun: tail calls run in the same frame
        self.registers: Any = frame.registers
        blueprint = frame.code.blueprint
        # What wrote the value that a register holds; those that hold none are missing.
        self.live = dict.fromkeys(range(blueprint.literals + len(blueprint.inputs)), PRELOADED)
        self.left: set[int] = set()  # strands whose last instruction has been begun
        self.fresh: list[int] = []  # registers that were written since somebody looked

    def look(self, frame: Frame) -> None:
        """Has the frame begun another graph since the last look?"""
        if frame.flow is None and self.registers is not frame.registers:
            self._begin(frame)

    def wrote(self, frame: Frame, pc: int) -> None:
        """Instruction ``pc`` has its value."""
        dst = frame.code.blueprint.instructions[pc].dst
        if dst != isa.NONE:
            self.live[dst] = pc
            self.fresh.append(dst)

    def died(self, registers: Sequence[int]) -> None:
        for register in registers:
            self.live.pop(register, None)


def told(frame: Frame) -> Told:
    """What is known of ``frame``."""
    known: Told | None = frame.told
    if known is None:
        known = frame.told = Told(frame)
    known.look(frame)
    return known


class Stepper:
    """The probe of one run that is debugged."""

    def __init__(self, teller: Teller, listener: Listener, begun: Callable[[SteppedMachine], object]) -> None:
        self.teller = teller
        self.listener = listener
        self.begun = begun  # called when there is a machine
        self.frame: Any = None  # that has its turn
        self.pc = 0
        self.calls: dict[int, tuple[Frame, int]] = {}  # of maps and policies, by number, until they have ended
        self.blocked: dict[int, TaskBlocked] = {}  # of these, why they wait
        # What attempts of calls raised that may be tried again, by number, with arguments: until the machine has looked at them.
        self.raised: dict[int, tuple[BaseException, Sequence[Any], Mapping[str, Any]]] = {}

    def machine_kind(self) -> type[SteppedMachine]:
        return SteppedMachine

    def count_steps(self, code: Code) -> None:
        """Have the strands of ``code`` stop before each step."""
        starts = [strand.start for strand in code.blueprint.strands]
        for pc, _ in code.policies():
            code.callees[pc] = _Attempt(self, code.callees[pc])
        code.replace([_Stepped(self, start, linked) for start, linked in zip(starts, code.plain, strict=True)])

    def step(self, frame: Frame, pc: int) -> None:
        """A frame that has left its strands is about to run an instruction."""
        told(frame)
        self.come_to(frame, pc)

    def come_to(self, frame: Frame, pc: int) -> None:
        self.frame, self.pc = frame, pc
        self.listener.came_to(frame, pc)

    def begin_call(self, call: int, frame: Frame | None, pc: int) -> None:
        """A call has its number; ``frame`` is given of maps and policies alone."""
        if frame is not None:
            self.calls[call] = frame, pc

    def ran(self, call: int, seconds: float, began: float | None = None) -> None:
        """Times are of no interest."""

    def over(self) -> None:
        """The run is over: hold nothing of it."""
        self.frame = None
        for kept in (self.calls, self.blocked, self.raised):
            kept.clear()


class _Attempt:
    """What a call under a policy calls: what that raises may never leave the policy, and is kept for the debugger."""

    __slots__ = ("fn", "stepper")

    def __init__(self, stepper: Stepper, fn: Callable[..., Any]) -> None:
        self.stepper = stepper
        self.fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.fn(*args, **kwargs)
        except BaseException as failure:
            self.stepper.raised[self.stepper.teller.latest] = failure, args, kwargs
            raise


class _Stepped(list[Linked]):
    """The instructions of a strand."""

    __slots__ = ("start", "stepper")

    def __init__(self, stepper: Stepper, start: int, linked: list[Linked]) -> None:
        super().__init__(linked)
        self.stepper = stepper
        self.start = start

    def __iter__(self) -> Iterator[Linked]:
        return _Steps(self)


class _Steps:
    """Goes through a strand for one frame; as an iterator of a list, it can be told where to go on."""

    __slots__ = ("at", "before", "frame", "strand")

    def __init__(self, strand: _Stepped) -> None:
        self.strand = strand
        self.frame: Frame = strand.stepper.frame
        self.at = 0
        self.before: Linked | None = None

    def __iter__(self) -> _Steps:
        return self

    def __setstate__(self, at: int) -> None:
        self.at = at

    def __next__(self) -> Linked:
        strand, frame, before = self.strand, self.frame, self.before
        known = told(frame)
        tested = before is not None and before[0] == TEST  # then what comes is that which was tested, run or passed over
        if before is not None and not tested and before[0] not in (SPAWN, ISSUE):
            known.wrote(frame, strand.start + before[7])
            known.died(before[6])
        if self.at >= len(strand):
            self.before = None
            raise StopIteration
        taken = self.before = strand[self.at]
        self.at += 1
        if not tested:
            strand.stepper.come_to(frame, strand.start + taken[7])
        if taken[0] in (SPAWN, ISSUE):
            known.died((taken[1], *taken[6]))  # before it has its value, which may come at once, and go where an operand was
        elif taken[0] >= TAIL_1:
            known.left.add(frame.strand)
        return taken


class SteppedMachine(Machine):
    """A machine that knows which frame has its turn, and what is in flight."""

    stepper: Stepper = None  # type: ignore[assignment]  # set before anything runs
    flying: dict[Operation, None] = msgspec.field(default_factory=dict)  # as they were launched
    said: BaseException | None = None  # the failure that whoever debugs has been told of

    def watch(self, stepper: Stepper) -> None:
        """Begin with ``stepper``; nothing is generated."""
        self.stepper = stepper
        self.threshold = inf
        stepper.begun(self)

    def resume(self, outcomes: list[tuple[Operation, Outcome]] | None = None, slice_end: float | None = None) -> Stop:
        raised = self.stepper.raised
        for operation, outcome in outcomes or ():
            self.flying.pop(operation, None)
            if type(outcome) is Error and type(operation.to) is Invocation:
                raised[operation.to.call] = outcome.error, operation.to.args, operation.to.kwargs
        try:
            stop = super().resume(outcomes, slice_end)
        finally:
            raised.clear()
        if self.failure is not None and self.failure is self.stepper.listener.ending:
            raise self.take_failure()  # as a cancellation would be: it is no failure of the run
        return stop

    def first(self, frame: Frame) -> Iterator[Linked]:
        self.stepper.frame = frame
        return super().first(frame)

    def next_turn(self, left: Frame | None) -> Turn | Stop:
        return self._noted(super().next_turn(left))

    def finish(self, frame: Frame, value: Any) -> Turn | Stop | None:
        told(frame).over = True
        above = frame.parent
        stands = above is not None and frame.owner is None and above.flow is None and above.at >= 0  # else it is settled
        turn = super().finish(frame, value)
        if above is not None and stands:
            told(above).wrote(above, frame.pc)
        return self._noted(turn)

    def nest(
        self, frame: Frame, form: int, fn: Any, at: int, links: Iterator[Any], dst: int, dead: tuple[int, ...], value: Any
    ) -> Turn | None:
        turn = super().nest(frame, form, fn, at, links, dst, dead, value)
        told(frame).died((dst, *dead))
        return turn

    def settle(self, frame: Frame, pc: int, value: Any) -> None:
        if frame.flow is None:
            told(frame).wrote(frame, pc)
        super().settle(frame, pc, value)

    def launch(self, operation: Operation) -> None:
        self.flying[operation] = None
        super().launch(operation)

    def drop(self, operation: Operation, outcome: Outcome) -> None:
        self.flying.pop(operation, None)
        super().drop(operation, outcome)

    def _fail_instruction(
        self, frame: Frame, raised: BaseException, code: Code, form: int, fn: Any, at: int, links: Any, given: Any
    ) -> Stop:
        if raised is self.stepper.listener.ending:  # before the instruction: the machine does not know yet where it is
            return self.end_with(raised)
        return super()._fail_instruction(frame, raised, code, form, fn, at, links, given)

    def fail(
        self, frame: Frame, pc: int, raised: BaseException, args: Sequence[Any], kwargs: Mapping[str, Any], attempt: str = ""
    ) -> Stop:
        listener = self.stepper.listener
        if raised is listener.ending:
            return self.end_with(raised)
        if self.failure is None:
            self.said = raised
            try:
                listener.failed(frame, pc, raised, args, kwargs, attempt)
            except BaseException as ending:  # it is ``listener.ending``
                return super().end_with(ending)
        return super().fail(frame, pc, raised, args, kwargs, attempt)

    def end_with(self, raised: BaseException) -> Stop:
        listener = self.stepper.listener
        if self.failure is None and raised is not self.said and raised is not listener.ending:  # of no instruction
            self.said = raised
            try:
                listener.failed(self.stepper.frame, self.stepper.pc, raised, None, {}, "")
            except BaseException as ending:  # as above
                return super().end_with(ending)
        return super().end_with(raised)

    def _noted(self, turn: _T) -> _T:
        if isinstance(turn, tuple):
            frame, strand = turn
            self.stepper.frame = frame
            if type(strand) is _Steps:
                strand.frame = frame
        return turn
