"""The asyncio driver: answers what a machine asks for. The one file of this package that imports asyncio.

A lone awaitable, with nothing else in flight, is awaited in place. Several run as tasks; what has ended when the driver wakes is handed
to the machine in one batch. However a run ends, everything it started has ended before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from cascade_vm import direct, takeover
from cascade_vm.codegen import Generated
from cascade_vm.continuation import UNFINISHED
from cascade_vm.executable import Options
from cascade_vm.frame import Operation
from cascade_vm.interruption import in_flight
from cascade_vm.jobs import Job, Timer
from cascade_vm.leaving import Given, Left
from cascade_vm.link import Activation
from cascade_vm.machine import Machine
from cascade_vm.notes import add_note, other_failure_note
from cascade_vm.outcome import Error, Outcome, Value, ended
from cascade_vm.pools import Pools, Submitted
from cascade_vm.resources import RunResources
from cascade_vm.scheduler import Stop


def running_clock() -> Callable[[], float]:
    """The clock of the event loop that runs."""
    return asyncio.get_running_loop().time


def run_in_new_loop(machine: Machine, stop: Stop, time_slice: float, pools: Mapping[str, Any] | None) -> Outcome:
    """Drive a machine that has stopped with ``stop`` to its end, in an event loop made for it."""
    return asyncio.run(drive(machine, time_slice, stop, pools))


async def drive(machine: Machine, time_slice: float, stop: Stop | None = None, given: Mapping[str, Any] | None = None) -> Outcome:
    """Drive ``machine`` to its end.

    :param time_slice: seconds for which the machine may go on at tail calls before others in the loop have their turn.
    :param stop: the reason for which it stands, if it was started already.
    :param given: executors for jobs, by mode; those that are not given are made at first need, and closed at the end.
    :raises asyncio.CancelledError: the run was cancelled; what was in flight has been cancelled and awaited.
    """
    pools = Pools(given)
    try:
        try:
            outcome = await _drive(machine, time_slice, stop, pools)
        finally:
            if machine.limits is not None:
                machine.limits.land_all()
    except GeneratorExit:
        raise
    except BaseException as ending:
        await _clean_up(machine, pools, Error(ending))
        raise
    return await _clean_up(machine, pools, outcome)


async def drive_chain(activation: Activation, params: dict[str, Any], options: Options) -> Outcome:
    """Run code that has been generated as a chain: what it waits for is awaited in place, and no machine is needed.

    :raises asyncio.CancelledError: the run was cancelled.
    """
    me = asyncio.current_task()
    cancelling = me.cancelling if me is not None else _never
    cancelled = cancelling()

    async def give_way() -> float:
        await asyncio.sleep(0)
        return monotonic() + options.time_slice

    slice_end = monotonic() + options.time_slice
    while True:
        code = activation[0]
        made: Generated = code.chain
        try:
            value = await made.function(
                activation[1], cancelling, cancelled, asyncio.CancelledError, monotonic, slice_end, give_way
            )
        except BaseException as raised:
            if type(raised) is GeneratorExit and _is_closed(me):
                raise
            if cancelling() > cancelled:
                if isinstance(raised, asyncio.CancelledError):
                    raise
                raise asyncio.CancelledError from raised
            return Error(direct.annotated(raised, made, activation))
        if type(value) not in UNFINISHED:
            return Value(value)
        if type(value) is Given:
            return Value(value.value)
        if type(value) is Left:
            break
        try:
            following: Activation = value.value.activate(params, known=options.shapes)
        except BaseException as raised:  # it is no graph that can be run
            return Error(direct.annotated_end(raised, made, activation, value))
        del value
        code.hits += 1
        activation = following
        del following
        if activation[0].chain is None:
            machine = direct.machine_for(activation, params, options)
            del activation
            return await drive(machine, options.time_slice, None, options.pools)
        if monotonic() >= slice_end:
            slice_end = await give_way()
    machine = direct.machine_for(activation, params, options)
    del activation
    takeover.take_over(machine, value, made)
    return await drive(machine, options.time_slice, None, options.pools)


def _never() -> int:
    """How often a coroutine that is no task has been cancelled, as far as anybody can tell."""
    return 0


async def _clean_up(machine: Machine, pools: Pools, outcome: Outcome) -> Outcome:
    """Wait for what cannot be interrupted, then tear resources down, however often this is cancelled.

    :raises asyncio.CancelledError: the run was cancelled meanwhile, and ``outcome`` is not that already.
    """
    cancelled: asyncio.CancelledError | None = None
    while pools.running:  # a thread that goes on may still use what the run has set up
        try:
            await asyncio.wait(pools.running)
        except asyncio.CancelledError as again:
            cancelled = again
    pools.close()
    if machine.resources is not None and machine.resources.order:
        task = asyncio.get_running_loop().create_task(_tear_down(machine.resources))
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as again:  # tear-down is not cancelled: what it began must end
                cancelled = again
        outcome = ended(outcome, task.result())
    if cancelled is not None and not (type(outcome) is Error and isinstance(outcome.error, asyncio.CancelledError)):
        if type(outcome) is Error:
            add_note(cancelled, other_failure_note(outcome.error))
        raise cancelled
    return outcome


async def _tear_down(resources: RunResources) -> BaseException | None:
    """Tear all down; what failed first, if anything did."""
    steps = resources.closing(list(resources.order))
    outcome: Outcome | None = None
    while True:
        try:
            _, awaitable = steps.send(outcome) if outcome is not None else next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        try:
            outcome = Value(await awaitable)
        except BaseException as failure:
            outcome = Error(failure)


async def _drive(machine: Machine, time_slice: float, stop: Stop | None, pools: Pools) -> Outcome:
    flight = _Flight(pools)
    machine.clock = asyncio.get_running_loop().time
    if machine.teller is not None:
        machine.teller.clock = machine.clock
    outcomes: list[tuple[Operation, Outcome]] = []  # the machine empties it, so that nothing here keeps a value alive
    me = asyncio.current_task()
    cancelled = me.cancelling() if me is not None else 0
    slice_end = monotonic() + time_slice
    try:
        if stop is None:
            stop = machine.resume(outcomes, slice_end)
        while True:
            if stop is Stop.RETURNED:
                return Value(machine.value)
            if stop is Stop.FAILED:
                break
            wanted = machine.outbox
            if stop is Stop.WAITING and len(wanted) == 1 and not flight.tasks and not wanted[0].shielded:
                operation = wanted.pop()
                outcome: Outcome
                if _is_plain(operation):
                    awaitable, operation.awaitable = operation.awaitable, None
                    try:
                        outcome = Value(await awaitable)
                    except BaseException as failure:
                        outcome = Error(failure)
                    del awaitable
                else:
                    outcome = await outcome_of(operation, flight.pools)
                if type(outcome) is Error and type(outcome.error) is GeneratorExit and _is_closed(me):
                    raise outcome.error
                outcomes.append((operation, outcome))
                if me is not None and me.cancelling() > cancelled:
                    # It was thrown into the task, which may have swallowed it; the run is cancelled all the same.
                    raise in_flight(asyncio.CancelledError(), [operation])
                del operation, outcome
                if monotonic() >= slice_end:  # it may not have suspended at all
                    await asyncio.sleep(0)
                    slice_end = monotonic() + time_slice
            else:
                flight.start(wanted)
                wanted.clear()
                if stop is Stop.WAITING:
                    await flight.some_end()
                else:
                    await asyncio.sleep(0)
                flight.collect(outcomes)
                slice_end = monotonic() + time_slice
            stop = machine.resume(outcomes, slice_end)
    except GeneratorExit:  # the coroutine is being closed: there is no loop to await anything in
        machine.abandon()
        flight.cancel()
        raise
    except BaseException as ending:
        if isinstance(ending, asyncio.CancelledError):
            in_flight(ending, [*flight.tasks, *machine.outbox])
        machine.abandon()
        await _land(machine, flight, outcomes, ending)
        raise
    assert machine.failure is not None
    machine.abandon()
    await _land(machine, flight, outcomes, machine.failure)
    return Error(machine.take_failure())


async def _land(machine: Machine, flight: _Flight, untold: list[tuple[Operation, Outcome]], failure: BaseException) -> None:
    """Have all that is in flight end, after ``failure``; the machine hears of what came too late."""
    try:
        await flight.land(failure)
    finally:
        for operation, outcome in (*untold, *flight.ended):
            machine.drop(operation, outcome)
        flight.ended.clear()
        untold.clear()


class _Flight:
    """The operations of a run that are in flight as tasks, and those that have ended since the machine last looked."""

    __slots__ = ("ended", "pools", "tasks", "waker")

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.tasks: dict[Operation, asyncio.Task[None]] = {}  # also the strong references that asyncio does not keep
        self.ended: list[tuple[Operation, Outcome]] = []
        self.waker: asyncio.Future[None] | None = None

    def start(self, operations: Iterable[Operation]) -> None:
        tasks, create_task = self.tasks, asyncio.get_running_loop().create_task
        for operation in operations:
            tasks[operation] = create_task(self._fly_plain(operation) if _is_plain(operation) else self._fly(operation))

    async def _fly_plain(self, operation: Operation) -> None:
        """One operation that can be awaited as it is, with its outcome as data: a SystemExit that a task raises would otherwise stop the
        loop itself."""
        awaitable, operation.awaitable = operation.awaitable, None
        outcome: Outcome
        try:
            outcome = Value(await awaitable)
        except BaseException as failure:
            outcome = Error(failure)
        self.ended.append((operation, outcome))
        if self.waker is not None and not self.waker.done():
            self.waker.set_result(None)

    async def _fly(self, operation: Operation) -> None:
        """Any other."""
        self.ended.append((operation, await outcome_of(operation, self.pools)))
        if self.waker is not None and not self.waker.done():
            self.waker.set_result(None)

    async def some_end(self) -> None:
        """Wait until something has ended that the machine has not been told of."""
        if not self.ended:
            self.waker = asyncio.get_running_loop().create_future()
            try:
                await self.waker
            finally:
                self.waker = None

    def collect(self, outcomes: list[tuple[Operation, Outcome]]) -> None:
        """Add what has ended since the last call."""
        for operation, outcome in self.ended:
            del self.tasks[operation]
            outcomes.append((operation, outcome))
        self.ended.clear()

    def cancel(self) -> None:
        for operation, task in self.tasks.items():
            if not operation.shielded:
                task.cancel()

    async def land(self, failure: BaseException) -> None:
        """Cancel all that is in flight and wait for its end, however often this is cancelled itself. What else fails becomes notes.

        What ended, and nobody was told of, is in ``ended``.
        :raises asyncio.CancelledError: the run was cancelled meanwhile, and ``failure`` is not that already.
        """
        self.cancel()
        cancelled: asyncio.CancelledError | None = None
        while unfinished := [task for task in self.tasks.values() if not task.done()]:
            try:
                await asyncio.wait(unfinished)
            except asyncio.CancelledError as again:  # passed on, so that a task that waits in its clean-up hears of it too
                cancelled = again
                self.cancel()
        for operation in self.tasks:
            if operation.awaitable is not None:  # cancelled before its first step: never awaited
                _close(operation.awaitable)
                self.ended.append((operation, Error(asyncio.CancelledError())))
        ending: BaseException = failure
        if cancelled is not None and not isinstance(failure, asyncio.CancelledError):
            ending = cancelled
            add_note(ending, other_failure_note(failure))
        for operation, outcome in sorted(self.ended, key=lambda pair: pair[0]):
            if operation.shielded and type(outcome) is Error and isinstance(outcome.error, StopAsyncIteration):
                continue  # how the end of an async resource ends
            if type(outcome) is Error and outcome.error is not failure and not isinstance(outcome.error, asyncio.CancelledError):
                add_note(ending, other_failure_note(outcome.error))
        self.tasks.clear()
        if ending is not failure:
            raise ending


def _is_plain(operation: Operation) -> bool:
    """May it be awaited as it is? Most may; ``outcome_of`` would put two coroutines more between the loop and it."""
    return operation.timeout is None and type(operation.awaitable) is not Timer and type(operation.awaitable) is not Job


def _close(awaitable: Any) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def _is_closed(me: asyncio.Task[Any] | None) -> bool:
    """Is the driving coroutine being closed (its task is not running it), or did what it awaited raise GeneratorExit itself?"""
    return asyncio._get_running_loop() is None or asyncio.current_task() is not me


async def outcome_of(operation: Operation, pools: Pools) -> Outcome:
    """Wait for an operation, and give its outcome as data.

    A CancelledError that nobody asked for is a failure as any other; ``drive`` knows who asked.
    """
    awaitable, operation.awaitable = operation.awaitable, None
    if operation.timeout is None:
        return await _in_place(awaitable, pools)
    limit = asyncio.timeout(operation.timeout)
    try:
        async with limit:
            return await _in_place(awaitable, pools, limit)
    except TimeoutError:
        symbols = operation.frame.code.blueprint.symbols
        label = symbols[operation.instruction.aux].name.replace(":", ".")
        return Error(TimeoutError(f"{label} took longer than {operation.timeout:g} seconds"))


async def _in_place(awaitable: Any, pools: Pools, limit: asyncio.Timeout | None = None) -> Outcome:
    try:
        if type(awaitable) is Timer:
            await asyncio.sleep(awaitable.seconds)
            return Value(None)
        if type(awaitable) is Job:
            failed, result = pools.outcome(awaitable, await _of_job(awaitable, pools))
            if failed:
                return Error(result)
            return Value(result if awaitable.then is None else awaitable.then(result))
        return Value(await awaitable)
    except BaseException as failure:
        if limit is not None and isinstance(failure, asyncio.CancelledError) and limit.expired():
            raise  # the timeout's own: it makes a TimeoutError of it
        return Error(failure)


async def _of_job(job: Job, pools: Pools) -> Any:
    """What a thread or process comes to. It cannot be interrupted: if nobody wants it any more, ``pools.running`` has it to its end."""
    submitted = pools.submit(job)
    # Through run_in_executor, and not wrap_future: a loop that counts what runs in threads, as one of virtual time does, is to know of it.
    future = asyncio.get_running_loop().run_in_executor(Submitted(submitted), _nothing)  # type: ignore[arg-type]
    pools.running.add(future)
    future.add_done_callback(pools.running.discard)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        submitted.cancel()  # if it has not begun, it does not begin
        raise


def _nothing() -> None:
    """Never called: the job has been submitted already."""
