"""What of a run is ready, what is in flight, and where values go: all of a machine but its loop."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cascade_vm import flow
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.errors import InternalError
from cascade_vm.failure import annotate
from cascade_vm.frame import Frame, Operation, Ready
from cascade_vm.link import Activation, Linked
from cascade_vm.notes import add_note, other_failure_note

Turn = tuple[Frame, Iterator[Linked]]  # the next thing to run: a frame, and what is left of its strand


class Stop(enum.Enum):
    """Why a machine stopped."""

    RETURNED = enum.auto()
    FAILED = enum.auto()
    STARTING = enum.auto()
    WAITING = enum.auto()
    YIELDED = enum.auto()


class Scheduler:
    """The state of one run, and the rules by which it goes on. Nothing is shared with another run."""

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

    # --- what is next -----------------------------------------------------------------------------------------------------

    def schedule(self, frame: Frame) -> None:
        """Make the first strands of a frame ready."""
        for number in frame.code.starts:
            self._make_ready(frame, number)

    def _make_ready(self, frame: Frame, number: int) -> None:
        code = frame.code
        eager = code.blueprint.strands[number].eager
        heapq.heappush(self.ready, Ready(frame, eager, code.first_positions[number], number))

    def next_turn(self, left: Frame | None) -> Turn | Stop:
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

    def end_strand(self, frame: Frame) -> None:
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
