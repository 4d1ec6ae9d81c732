"""A debugger of runs: stop before an instruction, look at what is there, go on.

    def control(debugger):                  # called at each stop; the run stands still until it returns
        print(debugger.stop.place.text, debugger.registers())
        debugger.step()                     # how to go on; without a word, to the next breakpoint

    with Debugger(control) as debugger:
        debugger.break_at_task("price")
        run(target, engine="interpreter")

The first run that begins within the block is debugged, to its end; it is linked for that alone (see stepping.py), and others pay nothing.
``control`` is called on the thread that runs, the first time before the first instruction. While it thinks nothing else goes on in that
thread: where there is an event loop, no timer and no other task of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from cascade_vm import isa, standing
from cascade_vm.events import (
    CacheHit,
    Event,
    RunFinished,
    Subscription,
    TaskBlocked,
    TaskEvent,
    TaskFailed,
    TaskFinished,
    TaskRetrying,
    TaskStarted,
    Teller,
    Watcher,
    subscribe,
)
from cascade_vm.failure import annotate
from cascade_vm.interruption import in_flight
from cascade_vm.notes import attempt_text, short
from cascade_vm.regions import skipped_among
from cascade_vm.skipping import Skipped, skipped_text
from cascade_vm.standing import FrameView, Line, Place, Register, Waiting
from cascade_vm.stepping import SteppedMachine, Stepper, told

if TYPE_CHECKING:
    from cascade_vm.frame import Frame


class Quit(BaseException):
    """The run is given up, as ``Debugger.quit`` was asked: what is in flight has been cancelled, resources have been torn down."""


class Breakpoint(NamedTuple):
    """Where to stop: at calls of tasks with ``task`` in their names, at instruction ``pc`` of the shape ``cycle_id``, or where an
    exception of a class called ``exception`` ("" for any) is raised, also one after which the call is tried again."""

    task: str | None = None
    pc: int | None = None
    cycle_id: str | None = None
    exception: str | None = None

    def __str__(self) -> str:
        if self.task is not None:
            return f"calls of {self.task}"
        if self.pc is not None:
            return f"instruction {self.pc} of {(self.cycle_id or '')[:12]}"
        return f"exceptions of class {self.exception}" if self.exception else "any exception"


class Halted(NamedTuple):
    """Why and where a run stands. ``kind`` is "instruction" (about to be run), "item" (of a map is about to be called), "attempt" (the next
    one of a call is about to begin), "retry" (an attempt has raised, and there will be another), or "failure" (the run is about to fail).

    ``skipped`` tells, of an instruction, why it will be skipped. ``note`` is that of the exception: the call, and its arguments.
    """

    kind: str
    place: Place
    item: int | None = None
    attempt: int = 1
    skipped: str | None = None
    exception: BaseException | None = None
    note: str = ""
    breakpoint: Breakpoint | None = None


_Goal = Callable[["Frame", int], bool]


class Debugger(Watcher):
    """Debugs one run. Methods that look at it are for ``control`` alone: between stops there is nothing that stands still.

    :param control: called with the debugger at each stop. What it raises ends the run as a cancellation would, and leaves that.
    """

    def __init__(self, control: Callable[[Debugger], object]) -> None:
        self.breakpoints: list[Breakpoint] = []
        self.stop: Halted | None = None
        self.inputs: dict[str, str] = {}  # those of the graph that the run began with, by name: short texts
        self.steps = 0  # instructions that have been come to
        self.ending: BaseException | None = None
        self._control = control
        self._subscription: Subscription | None = None
        self._run: int | None = None
        self._stepper: Stepper | None = None
        self._machine: SteppedMachine | None = None
        self._frame: Any = None
        self._goal: _Goal | None = _anywhere
        self._in_events = True  # are items and attempts stops, too, on the way to the goal?
        self._until: Breakpoint | None = None

    def __enter__(self) -> Debugger:
        self._subscription = subscribe(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None) -> None:
        if self._subscription is not None:
            self._subscription.close()

    def __repr__(self) -> str:
        at = f", at {self.stop.place.text}" if self.stop is not None else ""
        return f"<Debugger, {len(self.breakpoints)} breakpoints, {self.steps} steps{at}>"

    # --- going on ---------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Go on to what comes next: an instruction, an item of a map, another attempt."""
        self._go(_anywhere, in_events=True)

    def next_strand(self) -> None:
        """Go on until the strand that stands here has ended, with all that it calls. Beside it others may run, if it has to wait."""
        frame = self._frame
        known = told(frame)
        turn, strand = known.turn, frame.strand

        def is_over(at: Frame, pc: int) -> bool:
            now = told(frame)
            if now.over or now.turn != turn or frame.flow is not None:
                return True
            return strand in now.left or (not frame.code.single and frame.ended[strand])

        self._go(_anywhere if frame.flow is not None else is_over)

    def finish_frame(self) -> None:
        """Go on until the frame that stands here has its value; of the root, to the end of the run."""
        known = told(self._frame)
        self._go(lambda frame, pc: known.over)

    def until_turn(self, number: int) -> None:
        """Go on until the frame that stands here begins the graph of that number: tail calls begin a graph in the same frame."""
        here, known = self._frame, told(self._frame)
        self._go(lambda frame, pc: known.over or (frame is here and known.turn >= number))

    def until(self, task: str) -> None:
        """Go on to the next call of a task with that in its name."""
        self._go(None)
        self._until = Breakpoint(task=task)

    def go_on(self) -> None:
        """Go on to the next breakpoint."""
        self._go(None)

    def quit(self) -> NoReturn:
        """Give the run up. Where it is about to fail, it does that.

        :raises Quit: always; ``control`` must let it pass.
        """
        raise Quit("the run was given up")

    def interrupt(self) -> bool:
        """Have a run that goes on stop at its next instruction; False if it has been told that already. From any thread, or a signal."""
        if self._goal is _anywhere:
            return False
        self.step()
        return True

    def interruption(self) -> BaseException:
        """A KeyboardInterrupt that knows what is in flight, as those of ``run`` do: to end a run that does not come to an instruction."""
        return in_flight(KeyboardInterrupt(), () if self._machine is None else tuple(self._machine.flying))

    def _go(self, goal: _Goal | None, in_events: bool = False) -> None:
        self._goal, self._in_events, self._until = goal, in_events, None

    # --- breakpoints ------------------------------------------------------------------------------------------------------

    def break_at_task(self, name: str) -> Breakpoint:
        """Stop at each call of a task with ``name`` in its name ("shop.price", say)."""
        return self._add(Breakpoint(task=name))

    def break_at(self, pc: int) -> Breakpoint:
        """Stop at instruction ``pc`` of the shape that stands here.

        :raises ValueError: it has no such instruction.
        """
        blueprint = self._frame.code.blueprint
        if not 0 <= pc < len(blueprint.instructions):
            raise ValueError(f"there is no instruction {pc}: this shape has 0 to {len(blueprint.instructions) - 1}")
        return self._add(Breakpoint(pc=pc, cycle_id=blueprint.cycle_id))

    def break_at_exception(self, name: str = "") -> Breakpoint:
        """Stop where an exception is raised of a class of that name, or of one under it; any without a name."""
        return self._add(Breakpoint(exception=name))

    def _add(self, made: Breakpoint) -> Breakpoint:
        if made not in self.breakpoints:
            self.breakpoints.append(made)
        return made

    # --- looking ----------------------------------------------------------------------------------------------------------

    @property
    def frames(self) -> list[FrameView]:
        """From the root to the frame that stands here."""
        assert self.stop is not None
        return standing.frames(self._frame, self.stop.place.pc)

    @property
    def frame(self) -> FrameView:
        """The frame that stands here: the last of ``frames``."""
        assert self.stop is not None
        return standing.view(self._frame, self.stop.place.pc)

    def registers(self, frame: FrameView | None = None) -> list[Register]:
        """The registers that hold something, of ``frame`` or of that which stands here."""
        return standing.registers(self._frame if frame is None else frame.frame)

    @property
    def written(self) -> list[Register]:
        """The registers of the frame that stands here that were written since this was last asked for."""
        known = told(self._frame)
        fresh, known.fresh = set(known.fresh), []
        return [one for one in self.registers() if one.number in fresh] if self._frame.flow is None else []

    @property
    def waiting(self) -> list[Waiting]:
        """What is in flight, about to start, or waits for something else."""
        assert self._machine is not None
        return standing.waiting(self._machine)

    @property
    def ready(self) -> list[str]:
        """What can be done when this strand is done or waits, in that order: a line each."""
        assert self._machine is not None
        return standing.ready(self._machine)

    def listing(self, around: int = 5) -> list[Line]:
        """The instructions around the one that stands here."""
        assert self.stop is not None
        return list(standing.listing(self._frame, self.stop.place.pc, around))

    # --- what the machine tells ---------------------------------------------------------------------------------------------

    def probe(self, teller: Teller) -> Stepper | None:
        """A run begins: the first one is debugged."""
        if self._run is not None:
            return None
        self._run = teller.run
        self._stepper = Stepper(teller, self, self._begin)
        return self._stepper

    def _begin(self, machine: SteppedMachine) -> None:
        self._machine = machine
        root = machine.root
        blueprint = root.code.blueprint
        given = root.registers[blueprint.literals : blueprint.literals + len(blueprint.inputs)]
        self.inputs = {name: short(value) for name, value in zip(blueprint.inputs, given, strict=True)}

    def came_to(self, frame: Frame, pc: int) -> None:
        if self.ending is not None:  # raised while an event was told, where only some exceptions pass
            raise self.ending
        self.steps += 1
        wanted = self._goal is not None and self._goal(frame, pc)
        found = None
        if self._until is not None or self.breakpoints:
            found = next((one for one in self._sought() if self._is_at(one, frame, pc)), None)
        if wanted or found is not None:
            tested = frame.code.blueprint.instructions[pc].tests if frame.flow is None else ()
            skipped = skipped_among(frame.registers, tested)
            text = skipped_text(skipped).partition(": ")[2] if type(skipped) is Skipped else None
            self._halt(frame, Halted("instruction", standing.place(frame, pc), skipped=text, breakpoint=found))

    def failed(
        self, frame: Frame, pc: int, raised: BaseException, args: Sequence[Any] | None, kwargs: Mapping[str, Any], attempt: str
    ) -> None:
        found = next((one for one in self.breakpoints if _catches(one, raised)), None)
        note = _note(frame, pc, args, kwargs, attempt) if args is not None else ""
        try:
            self._halt(frame, Halted("failure", standing.place(frame, pc), exception=raised, note=note, breakpoint=found))
        except Quit:  # it ends as it is
            self.ending = None
        self.breakpoints = []
        self.go_on()

    def __call__(self, event: Event) -> None:
        stepper = self._stepper
        if event.run != self._run or stepper is None:
            return
        if type(event) is RunFinished:
            stepper.over()
            self._machine = self._stepper = self._frame = self.stop = None
        elif isinstance(event, TaskEvent):
            if type(event) is TaskBlocked:
                stepper.blocked[event.call] = event
                return
            stepper.blocked.pop(event.call, None)
            if type(event) is TaskRetrying:
                self._retrying(stepper, event)
            elif type(event) is TaskStarted and (event.index is not None or event.attempt > 1):
                self._calls(stepper, event)
            elif type(event) in (TaskFinished, TaskFailed, CacheHit):
                stepper.calls.pop(event.call, None)

    def _calls(self, stepper: Stepper, event: TaskStarted) -> None:
        """An item or another attempt begins, of an instruction that was come to before."""
        found = next((one for one in self._sought() if one.task is not None and one.task in event.task), None)
        at = stepper.calls.get(event.call)
        if at is not None and (self._in_events or found is not None):
            kind = "item" if event.attempt == 1 else "attempt"
            self._halt_told(at[0], Halted(kind, standing.place(*at), event.index, event.attempt, breakpoint=found))

    def _retrying(self, stepper: Stepper, event: TaskRetrying) -> None:
        at, known = stepper.calls.get(event.call), stepper.raised.get(event.call)
        if at is None or known is None:
            return
        raised, args, kwargs = known
        found = next((one for one in self.breakpoints if _catches(one, raised)), None)
        if found is not None:
            note = _note(*at, args, kwargs, attempt_text(event.index, event.attempt, event.attempt + 1).partition(" of ")[0])
            place = standing.place(*at)
            self._halt_told(at[0], Halted("retry", place, event.index, event.attempt, exception=raised, note=note, breakpoint=found))

    def _halt_told(self, frame: Frame, stop: Halted) -> None:
        try:
            self._halt(frame, stop)
        except Exception:  # who tells of events would make a warning of it: the next instruction raises it
            return

    def _sought(self) -> list[Breakpoint]:
        return self.breakpoints if self._until is None else [self._until, *self.breakpoints]

    def _is_at(self, one: Breakpoint, frame: Frame, pc: int) -> bool:
        blueprint = frame.code.blueprint
        if one.pc is not None:
            return one.pc == pc and one.cycle_id == blueprint.cycle_id
        instruction = blueprint.instructions[pc]
        if one.task is None or isa.BY_CODE[instruction.opcode].aux != "symbol":
            return False
        return one.task in blueprint.symbols[instruction.aux].name.replace(":", ".")

    def _halt(self, frame: Frame, stop: Halted) -> None:
        self.go_on()  # unless it is told otherwise
        self._frame, self.stop = frame, stop
        try:
            self._control(self)
        except BaseException as ending:
            self.ending = ending
            raise
        finally:
            self._frame = self.stop = None


def _anywhere(frame: Frame, pc: int) -> bool:
    return True


def _catches(one: Breakpoint, raised: BaseException) -> bool:
    if one.exception is None:
        return False
    kinds = type(raised).__mro__
    return not one.exception or any(one.exception in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}") for kind in kinds)


def _note(frame: Frame, pc: int, args: Sequence[Any], kwargs: Mapping[str, Any], attempt: str) -> str:
    """The note that the failure of an instruction gets."""
    carrier = Exception()
    annotate(carrier, frame, pc, args, kwargs, attempt)
    return "\n".join(carrier.__notes__)
