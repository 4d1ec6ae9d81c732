"""Running linked code: from an activation to a value or an exception."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_vm import constants, direct, straight
from cascade_vm.blocking_driver import go_on_blocking, run_blocking
from cascade_vm.capacity import Capacity
from cascade_vm.codegen import Generated, can_generate, generate
from cascade_vm.events import SUBSCRIBERS, RunStarted, Teller, someone_listens
from cascade_vm.frame import root_frame
from cascade_vm.inputs import bind
from cascade_vm.leaving import SPECIAL, Going, Left
from cascade_vm.link import Activation, Code
from cascade_vm.machine import RETURNED, Machine
from cascade_vm.notes import add_note, builtin_note
from cascade_vm.outcome import TAKEN, Error, Outcome, Value
from cascade_vm.routes import Tables
from cascade_vm.shapes import Shapes
from cascade_vm.tiers import THRESHOLDS, warm
from cascade_vm.tracebacks import trimmed

if TYPE_CHECKING:
    from cascade_vm.program import Program


class Options(NamedTuple):
    """How to run. ``time_slice`` in seconds; ``pools`` are executors, by mode; ``resources`` values in place of some, by name; ``shapes``
    are those that a program brought along."""

    time_slice: float = 0.005
    capacity: Mapping[str, float] | None = None
    pools: Mapping[str, Any] | None = None
    resources: Mapping[str, Any] | None = None
    engine: str = "auto"
    shapes: Shapes | None = None


def run_activation(activation: Activation, params: dict[str, Any], options: Options) -> Outcome:
    """Run on this thread; ``params`` are the inputs as given, for graphs that are met later."""
    if not SUBSCRIBERS and not options.capacity:
        code, threshold = activation[0], THRESHOLDS[options.engine]
        if code.whole is not None and threshold != inf:
            return direct.run(activation, params, options)
        if code.hits < threshold:
            if code.is_cold:
                warm(code, threshold)
            if code.straight:
                return direct.interpret(activation, params, options)
    machine = _machine(activation, params, options)
    del activation  # the machine alone holds the literals now, and lets go of them as they die
    if machine.teller is None:
        return run_blocking(machine, options.time_slice, options.pools)
    with _told(machine.teller) as told:
        told.outcome = run_blocking(machine, options.time_slice, options.pools)
    return told.outcome


async def arun_activation(activation: Activation, params: dict[str, Any], options: Options) -> Outcome:
    """Run in the running event loop."""
    from cascade_vm.asyncio_driver import drive, drive_chain

    if activation[0].chain is not None and options.engine != "interpreter" and not SUBSCRIBERS and not options.capacity:
        driven = drive_chain(activation, params, options)
        del activation
        return await driven
    machine = _machine(activation, params, options, in_loop=True)
    del activation
    if machine.teller is None:
        return await drive(machine, options.time_slice, None, options.pools)
    with _told(machine.teller) as told:
        told.outcome = await drive(machine, options.time_slice, None, options.pools)
    return told.outcome


def _machine(activation: Activation, params: dict[str, Any], options: Options, in_loop: bool = False) -> Machine:
    if activation[0].constrained or options.capacity:
        check_capacity(activation[0], options.capacity, activation[2])
    if not someone_listens():
        machine = Machine(root_frame(activation), params, options.capacity)
    else:
        from cascade_vm.instrument import instrumented

        clock: Callable[[], float] = monotonic
        if in_loop:
            from cascade_vm.asyncio_driver import running_clock

            clock = running_clock()
        teller = Teller(clock)
        kind = Machine
        if teller.probe is not None:
            kind = teller.probe.machine_kind()
        machine = kind(root_frame((instrumented(activation[0], teller), *activation[1:])), params, options.capacity)
        machine.teller = teller
    machine.overrides = options.resources
    machine.shapes = options.shapes
    if options.engine != "auto":
        machine.threshold = THRESHOLDS[options.engine]
    if machine.teller is not None and machine.teller.probe is not None:
        machine.watch(machine.teller.probe)  # type: ignore[attr-defined]
    return machine


class _told:
    """Tells the first and the last event of a run, however that ends."""

    __slots__ = ("outcome", "teller")

    def __init__(self, teller: Teller) -> None:
        self.teller = teller
        self.outcome: Outcome = Value(None)

    def __enter__(self) -> _told:
        self.teller.tell(RunStarted)
        return self

    def __exit__(self, kind: Any, failure: BaseException | None, traceback: Any) -> None:
        if failure is not None:  # the run itself gave up: it was cancelled, or could not wait
            gave_up = isinstance(failure, (Exception, KeyboardInterrupt, SystemExit))
            self.teller.finish("failed" if gave_up else "cancelled", failure)
        elif type(self.outcome) is Error:
            self.teller.finish("failed", self.outcome.error)
        else:
            self.teller.finish("returned")


def check_capacity(code: Code, capacity: Mapping[str, float] | None, sites: tuple[Any, ...] | None = None) -> None:
    """:raises CapacityError: a call of ``code`` needs what the run does not have. :raises TypeError, ValueError: no capacity."""
    if capacity is not None and not isinstance(capacity, Mapping):
        raise TypeError(f"capacity takes a dict of amounts by name, not {type(capacity).__name__!r}")
    whole = Capacity(capacity or {})
    for pc, policy in code.policies():
        try:
            whole.check({name: amount for name, amount in policy.constraints if amount is not None})
        except ValueError as fault:  # nothing has run: it is the call that is wrong, not what it did
            add_note(fault, builtin_note(f"task {code.label(pc).removesuffix('.map')}", code.where(sites, pc)))
            raise


def presentable(outcome: Outcome) -> BaseException:
    """The exception of a failed run, as it was raised, without the engine's frames in its traceback.

    The outcome lets go of it: a caller's frame, which the traceback will hold, must not hold the exception in turn.
    """
    assert type(outcome) is Error
    failure, outcome.error = outcome.error, TAKEN
    return failure.with_traceback(trimmed(failure.__traceback__))


def check_time_slice(time_slice: float) -> None:
    """:raises ValueError: it is no number of seconds."""
    if (
        isinstance(time_slice, bool)
        or not isinstance(time_slice, (int, float))
        or not math.isfinite(time_slice)
        or time_slice < 0
    ):
        raise ValueError(f"time_slice must be a number of seconds, 0 or more, not {time_slice!r}")


class Executable:
    """A linked program, ready to run, as often and as concurrently as one likes: what a run changes is in its own machine."""

    def __init__(self, program: Program, code: Code, options: Options, tables: Tables | None = None) -> None:
        self.program = program
        self._code = code
        self._inputs = tuple(program.inputs.values())
        self._options = options
        check_capacity(code, options.capacity)
        self._constants = _Constants(program.data.constants, program.data.literals, tables)
        # The registers of every run, where no input and no mutable literal goes into them and nothing has to be waited for.
        fixed = not self._inputs and not self._constants.mutable and not code.waits_for_io
        self._template = self._constants.values() + code.padding if fixed else None
        # When ``run`` has been called often enough, code generated for this very program takes its place in the instance.
        self._runs: float = 0 if fixed and code.single and can_generate(code, 0) else -inf
        self._threshold = THRESHOLDS[options.engine]
        self._whole: Generated | None = None
        if not self._threshold and self._runs == 0:
            self._generate()
        elif self._threshold == inf and fixed:
            self._straighten()

    def __repr__(self) -> str:
        return f"<Executable of {self.program!r}>"

    def run(self, /, **inputs: Any) -> Any:
        """Run to the end and return the value.

        :param inputs: by name; validated and converted before anything runs.
        :raises InputError: inputs are missing, unknown or ill-typed; all of them in one error.
        :raises EventLoopRunning: the program has to wait, and this thread runs an event loop already.
        """
        return self._interpret(inputs)

    def _generate(self) -> None:
        """Make ``run`` of the instructions: from now on it is that function."""
        self._whole = generate(self._code, literals=self._constants.values())
        function = self._whole.function
        function.__globals__.update(interpret=self._interpret, failed=self._failed, go_on=self._go_on)
        self.__dict__["run"] = function

    def _straighten(self) -> None:
        """Make ``run`` of what interprets straight code, where it is nothing else for ever."""
        code, template, options, interpret = self._code, self._template, self._options, self._interpret
        assert template is not None
        code.warm_up()
        if not code.straight:
            return
        strand, relied = straight.sure(code, self._constants.values())

        def run(**inputs: Any) -> Any:
            if inputs or SUBSCRIBERS:
                return interpret(inputs)
            for function, proven in relied:
                if function.__code__ is not proven:
                    return interpret(inputs)
            registers = template.copy()
            value = straight.run(strand, registers)
            if type(value) not in SPECIAL:
                return value
            outcome = direct.end_of(value, (code, registers, None), inputs, options)
            if type(outcome) is Value:
                return outcome.value
            raise presentable(outcome)

        self.__dict__["run"] = run

    def _interpret(self, inputs: dict[str, Any]) -> Any:
        """Run without generated code."""
        code = self._code
        code.hits += 1
        if self._template is not None and not inputs and not SUBSCRIBERS:
            self._runs += 1
            if self._runs == self._threshold:
                self._generate()
            options, registers = self._options, self._template.copy()
            if code.straight and code.hits < self._threshold:
                value = straight.run(code.entry, registers)
                if type(value) not in SPECIAL:
                    return value
                outcome = direct.end_of(value, (code, registers, None), inputs, options)
            else:
                root = root_frame((code, registers, None))
                machine = Machine(root, inputs, options.capacity, options.resources, options.shapes, self._threshold)
                del root, registers  # they hold the values of the run
                stop = machine.resume()
                if stop is RETURNED and machine.resources is None:
                    return machine.value
                outcome = go_on_blocking(machine, stop, options.time_slice, options.pools)
                del machine  # it holds the failure, and the traceback will hold this frame
        else:
            outcome = run_activation(self._activation(inputs), inputs, self._options)
        if type(outcome) is Value:
            return outcome.value
        raise presentable(outcome)

    def _go_on(self, left: Left | Going) -> Any:
        """Have a machine go on where ``run`` has been left, or with the continuation that it came to."""
        assert self._template is not None
        assert self._whole is not None
        outcome = direct.go_on(left, self._whole, (self._code, self._template.copy(), None), {}, self._options)
        if type(outcome) is Value:
            return outcome.value
        raise presentable(outcome)

    def _failed(self, raised: BaseException) -> BaseException:
        """What ``run`` is to raise."""
        assert self._template is not None
        assert self._whole is not None
        beneath = raised.__traceback__.tb_next if raised.__traceback__ is not None else None
        if beneath is not None and beneath.tb_frame.f_code is Executable._go_on.__code__:
            return raised  # by the machine, which has written its note
        annotated = direct.annotated(raised, self._whole, (self._code, self._template.copy(), None))
        return annotated.with_traceback(trimmed(annotated.__traceback__))

    async def arun(self, /, **inputs: Any) -> Any:
        """``run`` inside an event loop."""
        outcome = await arun_activation(self._activation(inputs), inputs, self._options)
        if type(outcome) is Value:
            return outcome.value
        raise presentable(outcome)

    def _activation(self, inputs: dict[str, Any]) -> Activation:
        values = bind(self._inputs, inputs) if self._inputs or inputs else []
        return self._code, self._constants.values() + values + self._code.padding, None


class _Constants:
    """The literals of a program's entry. A mutable one is made anew for each run, so that no run sees what another did to it (S4)."""

    def __init__(self, encoded: Sequence[bytes], literals: Sequence[int], tables: Tables | None = None) -> None:
        pool = [constants.decode(one) for one in encoded]
        self._literals = tuple(literals)
        self._encoded = encoded
        self.mutable = [at for at, value in enumerate(pool) if not constants.is_immutable(value)]
        self._pool = pool
        self._tables = tables or Tables((), ())
        if not self.mutable:
            self._tables.shared = pool
        self._whole = self._tables.fill(literals, pool)

    def values(self) -> list[Any]:
        if not self.mutable:
            return self._whole
        pool = self._pool.copy()
        for at in self.mutable:
            pool[at] = constants.decode_again(self._encoded[at])
        return self._tables.fill(self._literals, pool)
