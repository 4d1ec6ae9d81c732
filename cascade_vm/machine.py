"""The machine: runs linked code, synchronously, and stops with a reason.

It never awaits and knows nothing of asyncio. Whoever drives it looks at the reason, does what is wanted, and resumes it:

    RETURNED  the run is over; the value is ``machine.value``
    FAILED    the run is over; the exception is ``machine.failure``. What is in flight must be cancelled and awaited
    STARTING  start the operations in ``machine.outbox``, so that they are in flight while synchronous work is done; resume at once
    WAITING   nothing goes on before an operation ends: start those in ``machine.outbox``, resume with outcomes
    YIELDED   the time slice is used up, at a tail call: resume when others have had their turn
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from time import monotonic
from typing import Any

from cascade_vm import flow
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.errors import InternalError
from cascade_vm.failure import annotate
from cascade_vm.frame import Frame, Operation, Ready
from cascade_vm.link import (
    BUILD,
    CALL_0,
    CALL_1,
    CALL_2,
    CALL_K,
    CALL_N,
    CHAIN,
    GO_ON,
    ITEM,
    ITEM_RETURN,
    SPAWN,
    TAIL_0,
    TAIL_1,
    TAIL_2,
    TAIL_K,
    TAIL_N,
    TAIL_SPAWN,
    Activation,
    Linked,
)
from cascade_vm.notes import add_note, other_failure_note
from cascade_vm.outcome import Error, Outcome


class Stop(enum.Enum):
    """Why a machine stopped."""

    RETURNED = enum.auto()
    FAILED = enum.auto()
    STARTING = enum.auto()
    WAITING = enum.auto()
    YIELDED = enum.auto()


RETURNED = Stop.RETURNED  # read at the end of every run, and a member of an enum is no plain attribute on CPython 3.11

_operation = itemgetter(0)
_NOTHING: Iterator[Any] = iter(())
Turn = tuple[Frame, Iterator[Linked]]  # the next thing to run: a frame, and what is left of its strand


_NO_LINKS: Iterator[Any] = iter(())


class Machine:
    """One run. All of its state is here and in its frames; nothing is shared with another run."""

    __slots__ = ("failure", "in_flight", "outbox", "over", "params", "ready", "root", "slice_end", "started", "value")

    def __init__(self, activation: Activation, params: dict[str, Any]) -> None:
        self.root = Frame(activation)
        self.params = params  # the inputs of the run as given, for graphs that are met later
        self.ready: list[Ready] = []  # a heap
        self.outbox: list[Operation] = []
        self.in_flight = 0  # operations whose outcome has not come, those in the outbox included
        self.value: Any = None
        self.failure: BaseException | None = None
        self.over = False
        self.started = False
        self.slice_end: float | None = None

    def resume(self, outcomes: list[tuple[Operation, Outcome]] | None = None, slice_end: float | None = None) -> Stop:
        """Go on until there is a reason to stop.

        :param outcomes: of the operations that have ended since the last stop, in any order; emptied.
        :param slice_end: when to yield, on the clock of ``time.monotonic``; None for never.
        """
        self.slice_end = slice_end
        if not self.started:
            self.started = True
            if self.root.code.single:
                return self._run(self.root, iter(self.root.code.entry))
            self.schedule(self.root)
        if outcomes:
            self._deliver(outcomes)
        if self.failure is not None:
            return Stop.FAILED
        if self.over:
            return Stop.RETURNED
        return self._run(None, _NOTHING)

    def _deliver(self, outcomes: list[tuple[Operation, Outcome]]) -> None:
        """Take in what has ended, in the order of positions: of two failures in one batch the lower one is the run's (S15)."""
        outcomes.sort(key=_operation)
        for operation, outcome in outcomes:
            self.in_flight -= 1
            failed = outcome.error if type(outcome) is Error else None
            if failed is None:
                try:
                    self.arrive(operation.frame, operation.pc, outcome.value)  # type: ignore[union-attr]
                except BaseException as raised:  # the value is a graph that cannot be run
                    failed = raised
            if failed is not None:
                self.fail(operation.frame, operation.pc, failed, operation.args, operation.kwargs)
        outcomes.clear()

    # --- the loop ---------------------------------------------------------------------------------------------------------

    def _run(self, frame: Frame | None, strand: Iterator[Linked]) -> Stop:
        """Run ``strand`` of ``frame`` (None: what is ready first), and whatever can be run after it, to a stop.

        The loop leaves a strand in four ways: it is exhausted; a form from TAIL_1 on has ended the frame; a call gave a
        continuation, which needs a frame of its own; something raised.
        """
        continuations = CONTINUATIONS
        links = _NO_LINKS  # of a CHAIN, the functions still to be called
        usual: type = type(None)
        form = at = 0
        fn: Any = None
        value: Any = None
        given: Any = None  # in a CHAIN, the argument of the call that is made
        if frame is None:
            turn = self._next(None)
            if type(turn) is Stop:
                return turn
            frame, strand = turn  # type: ignore[misc]
        while True:
            registers = frame.registers
            code = frame.code
            try:
                for form, dst, fn, a, b, names, dead, at in strand:
                    if form == CALL_1:
                        value = fn(registers[a])
                    elif form == CALL_2:
                        value = fn(registers[a], registers[b])
                    elif form == CHAIN:
                        value = registers[a]
                        registers[a] = None  # the input of the chain dies when its first call ends
                        links = iter(fn)
                        for link in links:
                            given = value
                            value = link(given)
                            if type(value) is not usual:  # the kind that came last is none
                                if type(value) in continuations:
                                    break
                                usual = type(value)
                    elif form >= TAIL_1:
                        if form == TAIL_1:
                            value = fn(registers[a])
                        elif form == TAIL_2:
                            value = fn(registers[a], registers[b])
                        elif form == TAIL_N:
                            value = fn(*a(registers))
                        elif form == TAIL_0:
                            value = fn()
                        elif form == TAIL_K:
                            value = fn(*[registers[i] for i in a], **dict(zip(names, [registers[i] for i in b], strict=True)))
                        elif form == ITEM_RETURN:
                            value = registers[a][registers[b]]
                        elif form == TAIL_SPAWN:
                            self._issue(frame, at, fn, a, b, names, dead)
                            break
                        else:  # RETURN
                            value = registers[a]
                            break
                        if type(value) in continuations:
                            guard = code.guard
                            if guard is not None and (again := guard(value)) is not None:
                                code.hits += 1
                                _, frame.registers, frame.sites = again
                                again = None  # its literals must be able to die
                            else:
                                frame.enter(*value.activate(self.params))
                            form = GO_ON
                        break
                    elif form == CALL_0:
                        value = fn()
                    elif form == CALL_N:
                        value = fn(*a(registers))
                    elif form == CALL_K:
                        value = fn(*[registers[i] for i in a], **dict(zip(names, [registers[i] for i in b], strict=True)))
                    elif form == ITEM:
                        value = registers[a][registers[b]]
                    elif form == BUILD:
                        registers[dst] = fn([registers[i] for i in a])
                        for register in dead:
                            registers[register] = None
                        continue
                    elif form == SPAWN:
                        self._issue(frame, at, fn, a, b, names, dead)
                        continue
                    else:  # DROP
                        for register in dead:
                            registers[register] = None
                        continue
                    if type(value) in continuations:
                        break
                    registers[dst] = value
                    if dead:
                        value = None  # it may be among them: nobody reads it
                        for register in dead:
                            registers[register] = None
                else:
                    form = -1
            except BaseException as raised:
                stop = self._fail_instruction(frame, raised, form, fn, at, links, given)
                # The frames of this function hang on to the traceback; the values of the run must not.
                frame = registers = strand = links = value = given = None  # type: ignore[assignment]
                return stop

            if form == GO_ON:
                value = given = None  # its literals are in the new registers, and must be able to die
                if self.slice_end is not None and monotonic() >= self.slice_end:
                    self.schedule(frame)
                    return Stop.YIELDED
                code = frame.code
                if code.single:
                    strand = iter(code.entry)
                    continue
                self.schedule(frame)
                turn = self._next(frame)
            elif form >= TAIL_1:
                if form == TAIL_SPAWN:
                    turn = self._next(frame)
                elif frame.parent is None:
                    self.value = value
                    self.over = True
                    return RETURNED
                else:
                    turn = self.finish(frame, value) or self._next(None)
            elif form >= 0:
                try:
                    turn = self._nest(frame, form, fn, at, links, dst, dead, value) or self._next(frame)
                except BaseException as raised:  # the continuation is no graph that can be run
                    stop = self._fail_instruction(frame, raised, form, fn, at, links, given)
                    frame = registers = strand = links = value = given = None  # type: ignore[assignment]
                    return stop
            else:
                if not frame.code.single:
                    self._end_strand(frame)
                turn = self._next(frame)
            if type(turn) is Stop:
                return turn
            frame, strand = turn  # type: ignore[misc]
            value = given = None

    # --- what is next -----------------------------------------------------------------------------------------------------

    def schedule(self, frame: Frame) -> None:
        """Make the first strands of a frame ready."""
        for number in frame.code.starts:
            self._make_ready(frame, number)

    def _make_ready(self, frame: Frame, number: int) -> None:
        code = frame.code
        eager = code.blueprint.strands[number].eager
        heapq.heappush(self.ready, Ready(frame, eager, code.first_positions[number], number))

    def _next(self, left: Frame | None) -> Turn | Stop:
        """The next turn, or why there is none. ``left`` is the frame whose strand has ended without ending the frame."""
        ready = self.ready
        if left is not None and not (ready and ready[0].frame is left):
            # The frame is blocked. Whoever waits for it in the middle of a strand must not keep the rest of that strand waiting.
            above = left.parent
            while above is not None and above.flow is None:
                if above.at >= 0:
                    flow.leave_strands(self, above)
                above = above.parent
        while ready:
            entry = ready[0]
            frame = entry.frame
            if entry.registers is not frame.registers:  # the frame has left its strands, or has gone on to another graph
                heapq.heappop(ready)
                continue
            if self.outbox and not entry.eager:
                return Stop.STARTING
            if frame.at >= 0 and entry.run is None:  # another strand of the frame stands in its middle, at a child that gave way
                flow.leave_strands(self, frame)
                continue
            heapq.heappop(ready)
            if entry.run is not None:
                turn = entry.run(self, frame, entry.work)
                if turn is not None:
                    return turn  # type: ignore[no-any-return]
            else:
                frame.strand = entry.work
                return frame, iter(frame.code.fused[entry.work])
        if not self.in_flight:
            raise InternalError("nothing is ready, nothing is in flight, and the run is not over")
        return Stop.WAITING

    def _end_strand(self, frame: Frame) -> None:
        frame.ended[frame.strand] = True
        waits = frame.waits
        for number in frame.code.after_strand[frame.strand]:
            waits[number] -= 1
            if not waits[number]:
                self._make_ready(frame, number)

    # --- values on their way ----------------------------------------------------------------------------------------------

    def launch(self, frame: Frame, pc: int, awaitable: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Put an operation into the outbox."""
        self.outbox.append(Operation(frame, pc, awaitable, args, kwargs))
        self.in_flight += 1
        if frame.pending is None:
            frame.pending = set()
        frame.pending.add(pc)

    def arrive(self, frame: Frame, pc: int, value: Any) -> None:
        """An operation ended with ``value``."""
        ends = frame.code.ends[pc]
        if type(value) in CONTINUATIONS:
            activation = value.activate(self.params)
            if ends:
                frame.enter(*activation)
            else:
                frame = Frame(activation, frame, pc)
            self.schedule(frame)
        elif ends:
            self.finish(frame, value)
        else:
            self.settle(frame, pc, value)

    def settle(self, frame: Frame, pc: int, value: Any) -> None:
        """The value of an instruction that its strand did not stay for is known."""
        if frame.flow is not None:
            flow.complete(self, frame, pc, value)
            return
        code = frame.code
        frame.pending.discard(pc)  # type: ignore[union-attr]
        dst = code.blueprint.instructions[pc].dst
        if dst >= 0:
            frame.registers[dst] = value
        for number in code.after_wait.get(pc, ()):
            frame.waits[number] -= 1
            if not frame.waits[number]:
                self._make_ready(frame, number)

    def finish(self, frame: Frame, value: Any) -> Turn | Stop | None:
        """A frame ended with ``value``: the next turn, if it is the rest of the strand that waits for it."""
        parent = frame.parent
        if parent is None:
            self.value = value
            self.over = True
            return Stop.RETURNED
        if parent.flow is not None or parent.at < 0:
            self.settle(parent, frame.pc, value)
            return None
        plain = parent.code.plain[parent.strand]
        registers = parent.registers
        registers[plain[parent.at][1]] = value
        if parent.code.blueprint.instructions[frame.pc].dst < 0:
            registers[-1] = None  # nobody reads it: it was evaluated for its effects
        rest = iter(plain)
        rest.__setstate__(parent.at + 1)  # type: ignore[attr-defined]
        parent.at = -1
        return parent, rest

    def _issue(self, frame: Frame, at: int, fn: Any, a: Any, b: Any, names: Any, dead: tuple[int, ...]) -> None:
        registers = frame.registers
        args = [registers[i] for i in a]
        kwargs = dict(zip(names, [registers[i] for i in b], strict=True)) if names else {}
        self.launch(frame, frame.code.blueprint.strands[frame.strand].start + at, fn(*args, **kwargs), args, kwargs)
        for register in dead:
            registers[register] = None

    def _nest(
        self, frame: Frame, form: int, fn: Any, at: int, links: Iterator[Any], dst: int, dead: tuple[int, ...], value: Any
    ) -> Turn | None:
        """Open a child frame for a continuation that an instruction of the running strand gave."""
        at += _link_index(form, fn, links)
        pc = frame.code.blueprint.strands[frame.strand].start + at
        child = Frame(value.activate(self.params), frame, pc)
        frame.at = at
        frame.registers[dst] = None
        for register in dead:
            frame.registers[register] = None
        if child.code.single:
            return child, iter(child.code.entry)
        self.schedule(child)
        return None

    # --- failing ----------------------------------------------------------------------------------------------------------

    def fail(self, frame: Frame, pc: int, raised: BaseException, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Stop:
        """The run fails with ``raised``, unless it has failed already: the first failure is the run's, others become notes."""
        if self.failure is None:
            annotate(raised, frame, pc, args, kwargs)
            self.failure = raised
            self.root = None  # type: ignore[assignment]  # the run is over: let its values die
            self.ready.clear()
        elif raised is not self.failure:
            add_note(self.failure, other_failure_note(raised))
        return Stop.FAILED

    def take_failure(self) -> BaseException:
        """The exception that the run failed with, once: a machine that kept it would be part of a cycle through its traceback."""
        failure, self.failure = self.failure, None
        assert failure is not None
        return failure

    def abandon(self) -> None:
        """Close what was never started, so that no coroutine is left that was never awaited."""
        for operation in self.outbox:
            close = getattr(operation.awaitable, "close", None)
            if close is not None:
                close()
        self.in_flight -= len(self.outbox)
        self.outbox.clear()
        self.ready.clear()

    def _fail_instruction(
        self, frame: Frame, raised: BaseException, form: int, fn: Any, at: int, links: Iterator[Any], given: Any
    ) -> Stop:
        at += _link_index(form, fn, links)
        pc = frame.code.blueprint.strands[frame.strand].start + at
        instruction = frame.code.blueprint.instructions[pc]
        values = [given] if form == CHAIN else [frame.registers[register] for register in instruction.reads]
        plain = len(values) - len(instruction.names)
        return self.fail(frame, pc, raised, values[:plain], dict(zip(instruction.names, values[plain:], strict=True)))


def _link_index(form: int, fn: Any, links: Iterator[Any]) -> int:
    """How far into a CHAIN its loop has come; 0 for any other form."""
    return len(fn) - links.__length_hint__() - 1 if form == CHAIN else 0  # type: ignore[attr-defined]
