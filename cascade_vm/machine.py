"""The machine: runs linked code, synchronously, and stops with a reason.

It never awaits and knows nothing of asyncio. Whoever drives it looks at the reason, does what is wanted, and resumes it:

    RETURNED  the run is over; the value is ``machine.value``
    FAILED    the run is over; the exception is ``machine.failure``. What is in flight must be cancelled and awaited
    STARTING  start the operations in ``machine.outbox``, so that they are in flight while synchronous work is done; resume at once
    WAITING   nothing goes on before an operation ends: start those in ``machine.outbox``, resume with outcomes
    YIELDED   the time slice is used up, at a tail call: resume when others have had their turn
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from time import monotonic
from typing import Any

from cascade_vm import flow, invocation, mapping, regions, takeover  # noqa: F401 (they fill in what instructions do)
from cascade_vm.codegen import Generated
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.forms import (
    BLOCK,
    BUILD,
    CALL_0,
    CALL_1,
    CALL_2,
    CALL_K,
    CALL_N,
    CHAIN,
    GO_ON,
    ISSUE,
    ITEM,
    ITEM_RETURN,
    LEFT,
    SKIP_ALL,
    SPAWN,
    SPAWNS,
    STRAND,
    TAIL_0,
    TAIL_1,
    TAIL_2,
    TAIL_ISSUE,
    TAIL_K,
    TAIL_N,
    TAIL_SPAWN,
    TEST,
    Linked,
)  # fmt: skip
from cascade_vm.frame import Frame, Operation, child_frame
from cascade_vm.fusing import how_far
from cascade_vm.instrument import tell_skipped
from cascade_vm.jobs import Job
from cascade_vm.leaving import SPECIAL, Given
from cascade_vm.link import Code
from cascade_vm.outcome import Error, Outcome
from cascade_vm.scheduler import Scheduler, Stop, Turn
from cascade_vm.tiers import HOT, restore, where_raised

RETURNED = Stop.RETURNED  # read at the end of every run, and a member of an enum is no plain attribute on CPython 3.11

_operation = itemgetter(0)
_NOTHING: Iterator[Any] = iter(())


class Machine(Scheduler):
    """One run. All of its state is in its scheduler and its frames."""

    def resume(self, outcomes: list[tuple[Operation, Outcome]] | None = None, slice_end: float | None = None) -> Stop:
        """Go on until there is a reason to stop.

        :param outcomes: of the operations that have ended since the last stop, in any order; emptied.
        :param slice_end: when to yield, on the clock of ``time.monotonic``; None for never.
        """
        self.slice_end = slice_end
        if not self.started:
            self.started = True
            if self.begin is not None:
                turn, self.begin = self.begin, None
                return self.go_on(turn)
            if self.root.code.single:
                return self._run(self.root, self.first(self.root))
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
        if len(outcomes) > 1:
            outcomes.sort(key=_operation)
        for operation, outcome in outcomes:
            self.in_flight -= 1
            if operation.to is not None:
                if self.failure is None:
                    operation.to.take(self, operation.index, outcome, operation.args, operation.kwargs)
                else:
                    self.drop(operation, outcome)
                    if type(outcome) is Error:
                        self.fail(operation.frame, operation.pc, outcome.error, (), {})
                continue
            if operation.is_call:
                self.tell_end(operation, outcome)
            frame, pc = operation.frame, operation.pc
            above = frame.parent
            if above is not None and above.at >= 0 and above.flow is None:  # what comes here is no turn of a strand that stands there
                flow.leave_strands(self, above)
            failed = None
            if type(outcome) is Error:
                failed = outcome.error
            elif type(outcome.value) not in CONTINUATIONS and not frame.code.ends[pc]:  # type: ignore[union-attr]
                self.settle(frame, pc, outcome.value)  # type: ignore[union-attr]
            else:
                try:
                    self.arrive(frame, pc, outcome.value)  # type: ignore[union-attr]
                except BaseException as raised:  # the value is a graph that cannot be run
                    failed = raised
            if failed is not None:
                self.fail(frame, pc, failed, operation.args, operation.kwargs)
        outcomes.clear()

    def go_on(self, turn: Turn | Stop | None = None) -> Stop:
        """Run ``turn``, or what is ready first, to a stop."""
        if type(turn) is Stop:
            return turn
        return self._run(*turn) if turn is not None else self._run(None, _NOTHING)  # type: ignore[misc]

    # --- the loop ---------------------------------------------------------------------------------------------------------

    def _run(self, frame: Frame | None, strand: Iterator[Linked]) -> Stop:
        """Run ``strand`` of ``frame`` (None: what is ready first), and whatever can be run after it, to a stop.

        The loop leaves a strand in four ways: it is exhausted; a form from TAIL_1 on has ended the frame; a call gave a
        continuation, which needs a frame of its own; something raised.
        """
        continuations = CONTINUATIONS
        threshold = self.threshold
        links = _NOTHING  # of what has been fused, the rest
        usual: type = type(None)
        form = at = 0
        fn: Any = None
        value: Any = None
        given: Any = None  # in a CHAIN, the argument of the call that is made
        if frame is None:
            turn = self.next_turn(None)
            if type(turn) is Stop:
                return turn
            frame, strand = turn  # type: ignore[misc]
        while True:
            registers = frame.registers
            code = frame.code
            try:
                for form, dst, fn, a, b, names, dead, at in strand:
                    if form == BLOCK:
                        links = iter(fn)
                        for call, a, b, dst, gone in links:
                            value = call(registers[a]) if b is None else call(registers[a], registers[b])
                            if type(value) is not usual:
                                if type(value) in continuations:
                                    dead = () if gone is None else (gone,)
                                    break
                                usual = type(value)
                            registers[dst] = value
                            if gone is not None:
                                registers[gone] = None
                        else:
                            continue
                        break
                    elif form == CALL_1:
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
                        else:
                            given = None
                    elif form >= TAIL_1:
                        if form == TAIL_1:
                            value = fn(registers[a])
                        elif form == STRAND:
                            value = fn(registers, self.slice_end) if a else fn(registers)
                            if type(value) in SPECIAL:
                                if type(value) is Given:
                                    value = value.value
                                else:
                                    form = LEFT
                                break
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
                            self._issue(frame, ((form, dst, fn, a, b, names, dead, at),))
                            break
                        elif form == TAIL_ISSUE:
                            value = self._hand_over(frame, at, fn, a, dead)
                            if self.failure is not None:
                                return Stop.FAILED
                            break
                        else:  # RETURN
                            value = registers[a]
                            break
                        if type(value) in continuations:
                            guard = code.guard
                            if guard is not None and (again := guard(value)) is not None:
                                code.hits += 1
                                if not code.loops and (code.hits >= threshold or (code.hoists and threshold <= HOT)):
                                    frame.code = code.go_round(HOT)
                                _, frame.registers, frame.sites = again
                                again = None  # its literals must be able to die
                            else:
                                frame.enter(*self.activate(value))
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
                    elif form == SPAWNS:
                        links = iter(fn)
                        self._issue(frame, links)
                        continue
                    elif form == SPAWN:
                        self._issue(frame, ((form, dst, fn, a, b, names, dead, at),))
                        continue
                    elif form == ISSUE:
                        self._hand_over(frame, at, fn, a, dead)
                        if self.failure is not None:
                            return Stop.FAILED
                        continue
                    elif form == TEST:
                        value = regions.skipped_among(registers, a)
                        if value is None:
                            continue
                        if self.teller is not None:
                            tell_skipped(self.teller, frame, at, value)
                        next(strand)  # the instruction that is tested is passed over
                        if fn.ends:
                            form = SKIP_ALL
                            break
                        for register in dead:
                            registers[register] = None
                        if fn.waits:
                            self.settle(frame, code.blueprint.strands[frame.strand].start + at, value)
                        else:
                            registers[dst] = value
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
                stop = self._fail_instruction(frame, raised, code, form, fn, at, b if form == STRAND else links, given)
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
                    hot = code.hot if code.hits >= threshold else code.fused
                    strand = self.first(frame) if hot is None or code.is_cold else iter(hot[0])
                    continue
                self.schedule(frame)
                turn = self.next_turn(frame)
            elif form >= TAIL_1:
                if form == TAIL_SPAWN:
                    turn = self.next_turn(frame)
                elif form == TAIL_ISSUE:
                    turn = value or self.next_turn(frame)
                elif form == SKIP_ALL:
                    turn = self.skip_target(frame, value) or self.next_turn(None)
                elif form == LEFT:
                    turn = takeover.leave(self, frame, value, b)
                elif frame.parent is None:
                    self.value = value
                    self.over = True
                    return RETURNED
                else:
                    turn = self.finish(frame, value) or self.next_turn(None)
            elif form >= 0:
                try:
                    turn = self.nest(frame, form, fn, at, links, dst, dead, value) or self.next_turn(frame)
                except BaseException as raised:  # the continuation is no graph that can be run
                    stop = self._fail_instruction(frame, raised, code, form, fn, at, links, given)
                    frame = registers = strand = links = value = given = None  # type: ignore[assignment]
                    return stop
            else:
                if not frame.code.single:
                    self.end_strand(frame)
                turn = self.next_turn(frame)
            if type(turn) is Stop:
                return turn
            frame, strand = turn  # type: ignore[misc]
            value = given = None

    def _issue(self, frame: Frame, spawns: Iterable[Linked]) -> None:
        """Put what instructions of the running strand begin into the outbox."""
        registers = frame.registers
        start = frame.code.blueprint.strands[frame.strand].start
        pending = frame.pending
        if pending is None:
            pending = frame.pending = set()
        for _, _, fn, a, b, names, dead, at in spawns:
            args = [registers[i] for i in a]
            pc = start + at
            if names:
                kwargs = dict(zip(names, [registers[i] for i in b], strict=True))
                operation = Operation(frame, pc, fn(*args, **kwargs), args, kwargs)
            else:
                operation = Operation(frame, pc, fn(*args), args, {})
            if self.teller is not None and type(operation.awaitable) is Job:
                operation.is_call = self.teller.latest
            self.launch(operation)
            pending.add(pc)
            for register in dead:
                registers[register] = None

    def _hand_over(self, frame: Frame, at: int, handler: Any, a: tuple[int, ...], dead: tuple[int, ...]) -> Any:
        """Let the handler of an instruction begin what it does, with the values of its registers."""
        registers = frame.registers
        values = [registers[i] for i in a]
        for register in dead:
            registers[register] = None
        return handler(self, frame, frame.code.blueprint.strands[frame.strand].start + at, values)

    def nest(
        self, frame: Frame, form: int, fn: Any, at: int, links: Iterator[Any], dst: int, dead: tuple[int, ...], value: Any
    ) -> Turn | None:
        """Open a child frame for a continuation that an instruction of the running strand gave."""
        at += how_far(form, fn, links)
        pc = frame.code.blueprint.strands[frame.strand].start + at
        child = child_frame(self.activate(value), frame, pc)
        frame.at = at
        frame.registers[dst] = None
        for register in dead:
            frame.registers[register] = None
        if child.code.single:
            return child, self.first(child)
        self.schedule(child)
        return None

    def _fail_instruction(
        self, frame: Frame, raised: BaseException, code: Code, form: int, fn: Any, at: int, links: Any, given: Any
    ) -> Stop:
        if frame.code is not code:  # an interruption, just after a tail call: it stands before the first instruction of what follows
            return self.fail_at(frame, 0, raised)
        if form == STRAND:
            made: Generated = links  # and not what its code has by now: it may have been generated anew meanwhile
            pc, names = where_raised(frame.code, made, raised.__traceback__)
            restore(frame, names, made)
            return self.fail_at(frame, max(pc, frame.code.blueprint.strands[frame.strand].start), raised)
        at += how_far(form, fn, links)
        pc = frame.code.blueprint.strands[frame.strand].start + at
        if form == CHAIN and given is not None:
            return self.fail(frame, pc, raised, [given], {})
        return self.fail_at(frame, pc, raised)
