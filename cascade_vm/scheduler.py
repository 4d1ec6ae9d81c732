"""What of a run is ready, what is in flight, and where values go: all of a machine but its loop."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec

from cascade_vm import flow, regions
from cascade_vm import resources as run_resources
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.errors import InternalError, TargetSkipped
from cascade_vm.events import TaskFailed, TaskFinished, Teller, show_error
from cascade_vm.failure import annotate
from cascade_vm.forms import Linked
from cascade_vm.frame import Frame, Operation, Ready, child_frame
from cascade_vm.instrument import instrumented, tell_of
from cascade_vm.limits import Limits
from cascade_vm.link import Activation
from cascade_vm.notes import add_note, other_failure_note
from cascade_vm.outcome import Error, Outcome
from cascade_vm.shapes import Shapes
from cascade_vm.skipping import Skipped, skipped_text
from cascade_vm.tiers import HOT, promote, warm

Turn = tuple[Frame, Iterator[Linked]]  # the next thing to run: a frame, and what is left of its strand


class Stop(enum.Enum):
    """Why a machine stopped."""

    RETURNED = enum.auto()
    FAILED = enum.auto()
    STARTING = enum.auto()
    WAITING = enum.auto()
    YIELDED = enum.auto()


_CROWDED = 64


class _NeverBegun(Exception):
    """Of a call that was handed over, and never begun."""


class Scheduler(msgspec.Struct, eq=False):
    """The state of one run, and the rules by which it goes on. Nothing is shared with another run."""

    root: Frame
    params: dict[str, Any]  # the inputs of the run as given, for graphs that are met later
    capacity: Mapping[str, float] | None = None  # as given; see limits.py
    overrides: Mapping[str, Any] | None = None  # values in place of resources, by name
    shapes: Shapes | None = None  # that the program brought along
    threshold: float = HOT  # from how many runs on code is generated
    teller: Teller | None = None  # of events, where somebody has subscribed
    clock: Callable[[], float] = monotonic
    limits: Limits | None = None
    resources: run_resources.RunResources | None = None
    ready: list[Ready] = []  # a heap; each machine has its own
    crowded: int = _CROWDED  # how many entries it may have before those that are over are looked for
    outbox: list[Operation] = []
    in_flight: int = 0  # operations whose outcome has not come, those in the outbox included
    telling: list[tuple[Frame, int, Any]] | None = None  # selects that are still to have their values
    value: Any = None
    failure: BaseException | None = None
    over: bool = False
    started: bool = False
    begin: Turn | Stop | None = None  # what to start with, if not with the root: another began the run (see takeover.py)
    slice_end: float | None = None

    # --- what is next -----------------------------------------------------------------------------------------------------

    def first(self, frame: Frame) -> Iterator[Linked]:
        """The strand of a frame that has one strand, in its tier."""
        code = frame.code
        if code.hits < self.threshold:
            if code.is_cold:
                warm(code, self.threshold)
            return iter(code.entry)
        hot = code.hot or promote(code, frame.registers, self.threshold)
        return iter(hot[0])

    def schedule(self, frame: Frame) -> None:
        """Make the first strands of a frame ready."""
        code = frame.code
        if code.is_cold:
            warm(code, self.threshold)
        if code.hot is None and code.hits >= self.threshold:
            promote(code, frame.registers, self.threshold)
        for number in frame.code.starts:
            self.make_ready(frame, number)

    def make_ready(self, frame: Frame, number: int) -> None:
        code = frame.code
        eager = code.blueprint.strands[number].eager
        heapq.heappush(self.ready, Ready(frame, eager, code.first_positions[number], number, frame.registers))
        if len(self.ready) > self.crowded:
            # Of a frame that has gone on to another graph strands may be left that nobody waits for: they come last, and would never go.
            self.ready = [entry for entry in self.ready if entry.registers is entry.frame.registers or entry.registers is None]
            heapq.heapify(self.ready)
            self.crowded = max(_CROWDED, 2 * len(self.ready))

    def next_turn(self, left: Frame | None) -> Turn | Stop:
        """The next turn, or why there is none. ``left`` is the frame whose strand has ended without ending the frame."""
        while True:
            ready = self.ready
            if left is not None and not (ready and ready[0].frame is left):
                # The frame is blocked. Whoever waits for it in the middle of a strand must not keep the rest of that strand waiting.
                above = left.parent
                while above is not None and above.flow is None:
                    if above.at >= 0:
                        flow.leave_strands(self, above)
                    above = above.parent
            left = None
            if not ready:
                break
            entry = ready[0]
            frame = entry.frame
            if entry.registers is not frame.registers and entry.registers is not None:
                # The frame has left its strands, or has gone on to another graph.
                heapq.heappop(ready)
                continue
            if self.outbox and not entry.eager:
                return Stop.STARTING
            if frame.at >= 0 and entry.run is None:  # another strand of the frame stands in its middle, at a child that gave way
                flow.leave_strands(self, frame)
                continue
            heapq.heappop(ready)
            if entry.run is None:
                frame.strand = entry.work
                code, hot = frame.code, frame.code.hot  # another thread may set it to None
                return frame, iter(code.fused[entry.work] if hot is None or code.hits < self.threshold else hot[entry.work])
            turn = entry.run(self, frame, entry.work)
            if turn is not None:
                return turn  # type: ignore[no-any-return]
            if self.failure is not None:
                return Stop.FAILED
            if self.over:
                return Stop.RETURNED
            left = frame
        if not self.in_flight:
            raise InternalError("nothing is ready, nothing is in flight, and the run is not over")
        return Stop.WAITING

    def end_strand(self, frame: Frame) -> None:
        strand = frame.strand
        frame.ended[strand] = True
        self._count_down(frame, frame.code.after_strand[strand])
        if frame.listeners:
            whole = frame.code.blueprint.strands[strand]
            for pc in [pc for pc in frame.listeners if whole.start <= pc < whole.stop]:
                if not (frame.pending and pc in frame.pending):
                    self.tell(frame, pc, regions.value_of(frame, pc))

    def _count_down(self, frame: Frame, numbers: Iterable[int]) -> None:
        """Strands wait for one thing less."""
        waits = frame.waits
        for number in numbers:
            waits[number] -= 1
            if not waits[number] and (frame.opened is None or frame.opened[frame.code.region_of[number]]):
                self.make_ready(frame, number)

    # --- values on their way ----------------------------------------------------------------------------------------------

    def launch(self, operation: Operation) -> None:
        """Put an operation into the outbox."""
        self.outbox.append(operation)
        self.in_flight += 1

    def expect(self, frame: Frame, pc: int) -> None:
        """The value of an instruction will come later."""
        if frame.pending is None:
            frame.pending = set()
        frame.pending.add(pc)

    def take_turn(self, frame: Frame, pc: int, work: Any, run: Callable[..., Any], index: int = -1, eager: bool = False) -> None:
        """Have ``run(machine, frame, work)`` called when it is the turn of instruction ``pc`` (or at once, before work: ``eager``)."""
        heapq.heappush(self.ready, Ready(frame, eager, frame.code.blueprint.instructions[pc].position, work, None, run, index))

    def activate(self, value: Any) -> Activation:
        """What a frame needs to run a continuation."""
        activation: Activation = value.activate(self.params) if self.shapes is None else value.activate(self.params, known=self.shapes)
        return activation if self.teller is None else (instrumented(activation[0], self.teller), *activation[1:])

    def arrive(self, frame: Frame, pc: int, value: Any) -> Turn | Stop | None:
        """What an instruction waited for came to ``value``: the next turn, if that follows from it."""
        ends = frame.code.ends[pc]
        if ends and frame.scope:
            return run_resources.end_step(self, frame, pc, value)
        if type(value) in CONTINUATIONS:
            activation = self.activate(value)
            if ends:
                frame.enter(*activation)
            else:
                frame = child_frame(activation, frame, pc)
            self.schedule(frame)
        elif ends:
            return self.finish(frame, value)
        else:
            self.settle(frame, pc, value)
        return None

    def settle(self, frame: Frame, pc: int, value: Any) -> None:
        """The value of an instruction that its strand did not stay for is known."""
        if frame.flow is not None:
            flow.complete(self, frame, pc, value)
            return
        code = frame.code
        if frame.pending:
            frame.pending.discard(pc)
        dst = code.dsts[pc]
        if dst >= 0:
            frame.registers[dst] = value
        waiting = code.after_wait.get(pc)
        if waiting is not None:
            self._count_down(frame, waiting)
        if frame.listeners:
            self.tell(frame, pc, value)

    def open_region(self, frame: Frame, region: int) -> None:
        """Let a region of ``frame`` run, and what opens with it."""
        opened = frame.opened
        assert opened is not None
        code = frame.code
        stack = [region]
        while stack:
            one = stack.pop()
            if opened[one]:
                continue
            opened[one] = True
            stack += code.blueprint.regions[one]
            if frame.flow is not None:
                flow.open_region(self, frame, one)
                continue
            for number in code.in_region[one]:
                if not frame.waits[number]:
                    self.make_ready(frame, number)

    def tell(self, frame: Frame, pc: int, value: Any) -> None:
        """The value of ``pc`` has come: every select that takes it has it too. Selects may take from each other: no recursion here."""
        assert frame.listeners is not None
        told = frame.listeners.pop(pc, ())
        if self.telling is not None:
            self.telling += [(frame, listener, value) for listener in told]
            return
        self.telling = [(frame, listener, value) for listener in told]
        while self.telling:
            self.settle(*self.telling.pop())
        self.telling = None

    def finish(self, frame: Frame, value: Any) -> Turn | Stop | None:
        """A frame ended with ``value``: the next turn, if it is the rest of the strand that waits for it."""
        parent = frame.parent
        if parent is None:
            self.value = value
            self.over = True
            return Stop.RETURNED
        if frame.owner is not None:
            frame.owner.item_ended(self, frame.index, value)
            return None if self.failure is None else Stop.FAILED
        at = parent.at
        # The strand that stands in its middle may stand for another child than this one, which came to its end first.
        if parent.flow is not None or at < 0 or parent.code.blueprint.strands[parent.strand].start + at != frame.pc:
            self.settle(parent, frame.pc, value)
            return None
        plain = parent.code.plain[parent.strand]
        registers = parent.registers
        places = parent.code.places[parent.strand]
        place = at if places is None else places[at]
        registers[plain[place][1]] = value
        if parent.code.dsts[frame.pc] < 0:
            registers[-1] = None  # nobody reads it: it was evaluated for its effects
        rest = iter(plain)
        rest.__setstate__(place + 1)  # type: ignore[attr-defined]
        parent.at = -1
        return parent, rest

    # --- failing ----------------------------------------------------------------------------------------------------------

    def fail(
        self, frame: Frame, pc: int, raised: BaseException, args: Sequence[Any], kwargs: Mapping[str, Any], attempt: str = ""
    ) -> Stop:
        """The run fails with ``raised``, unless it has failed already: the first failure is the run's, others become notes."""
        if self.failure is None:
            annotate(raised, frame, pc, args, kwargs, attempt)
        return self.end_with(raised)

    def fail_at(self, frame: Frame, pc: int, raised: BaseException) -> Stop:
        """The instruction at ``pc`` has raised; its operands are in the registers."""
        instruction = frame.code.blueprint.instructions[pc]
        values = [frame.registers[register] for register in instruction.reads]
        plain = len(values) - len(instruction.names)
        return self.fail(frame, pc, raised, values[:plain], dict(zip(instruction.names, values[plain:], strict=True)))

    def skip_target(self, frame: Frame, skipped: Skipped) -> Turn | Stop | None:
        """What ``frame`` stands for is skipped, and so has no value: for a run, or a task that returned such a graph, a failure."""
        failure = TargetSkipped(skipped_text(skipped))
        if frame.parent is None:
            return self.end_with(failure)
        if frame.owner is not None:
            frame.owner.take(self, frame.index, Error(failure))
            return Stop.FAILED
        return self.fail(frame.parent, frame.pc, failure, (), {})

    def end_with(self, raised: BaseException) -> Stop:
        """``fail``, without a note of an instruction."""
        if self.failure is None:
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

    def drop(self, operation: Operation, outcome: Outcome) -> None:
        """An outcome that comes when the run is over: of no use any more, but a resource that has been set up must be torn down."""
        if type(operation.to) is run_resources.Held and type(outcome) is not Error:
            operation.to.came_late(self)
        if operation.is_call:
            self.tell_end(operation, outcome)

    def tell_end(self, operation: Operation, outcome: Outcome) -> None:
        """Tell of the end of a call whose beginning has been told."""
        if self.teller is None:
            return
        attempt = max(getattr(operation.to, "attempt", 1), 1)  # of a call under a policy
        about = {"index": operation.index, "attempt": attempt, "call": operation.is_call}
        if type(outcome) is not Error:
            tell_of(self.teller, operation.frame, operation.pc, TaskFinished, **about)
        else:
            tell_of(self.teller, operation.frame, operation.pc, TaskFailed, error=show_error(outcome.error), **about)

    def abandon(self) -> None:
        """Close what was never started, so that no coroutine is left that was never awaited."""
        for operation in self.outbox:
            if operation.is_call:
                self.drop(operation, Error(_NeverBegun("the run ended before it began")))
            close = getattr(operation.awaitable, "close", None)
            if close is not None:
                close()
        self.in_flight -= len(self.outbox)
        self.outbox.clear()
        self.ready.clear()
