"""The asyncio driver: answers what a machine asks for. The one file of this package that imports asyncio.

A lone awaitable, with nothing else in flight, is awaited in place. Several run as tasks; their ends are collected by callbacks and
handed to the machine in one batch. However a run ends, everything it started has ended before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Any

from cascade_vm.frame import Operation
from cascade_vm.machine import Machine, Stop
from cascade_vm.notes import add_note, other_failure_note
from cascade_vm.outcome import Error, Outcome, Value


def run_in_new_loop(machine: Machine, stop: Stop, time_slice: float) -> Outcome:
    """Drive a machine that has stopped with ``stop`` to its end, in an event loop made for it."""
    return asyncio.run(drive(machine, time_slice, stop))


async def drive(machine: Machine, time_slice: float, stop: Stop | None = None) -> Outcome:
    """Drive ``machine`` to its end.

    :param time_slice: seconds for which the machine may go on at tail calls before others in the loop have their turn.
    :param stop: the reason for which it stands, if it was started already.
    :raises asyncio.CancelledError: the run was cancelled; what was in flight has been cancelled and awaited.
    """
    flight = _Flight()
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
            if stop is Stop.WAITING and len(wanted) == 1 and not flight.tasks:
                operation = wanted.pop()
                outcomes.append((operation, await _in_place(operation.awaitable)))
                del operation
                if me is not None and me.cancelling() > cancelled:
                    raise asyncio.CancelledError  # it was thrown into the task, which swallowed it; the run is cancelled all the same
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
        machine.abandon()
        await flight.land(ending)
        raise
    assert machine.failure is not None
    machine.abandon()
    await flight.land(machine.failure)
    return Error(machine.take_failure())


class _Flight:
    """The tasks of a run that are in flight, and those that have ended since the machine last looked."""

    __slots__ = ("done", "started", "tasks", "waker")

    def __init__(self) -> None:
        self.tasks: dict[asyncio.Future[Any], Operation] = {}  # also the strong references that asyncio does not keep
        self.done: deque[asyncio.Future[Any]] = deque()
        self.started: list[asyncio.Future[Any]] = []
        self.waker: asyncio.Future[None] | None = None

    def start(self, operations: Iterable[Operation]) -> None:
        loop = asyncio.get_running_loop()
        self.started.clear()
        for operation in operations:
            awaitable = operation.awaitable
            task = loop.create_task(awaitable if asyncio.iscoroutine(awaitable) else _await(awaitable))
            operation.awaitable = None
            self.tasks[task] = operation
            task.add_done_callback(self._one_ended)
            self.started.append(task)

    def _one_ended(self, task: asyncio.Future[Any]) -> None:
        self.done.append(task)
        if self.waker is not None and not self.waker.done():
            self.waker.set_result(None)

    async def some_end(self) -> None:
        """Wait until something has ended that the machine has not been told of."""
        if not self.done:
            self.waker = asyncio.get_running_loop().create_future()
            try:
                await self.waker
            finally:
                self.waker = None

    def collect(self, outcomes: list[tuple[Operation, Outcome]]) -> None:
        """Add what has ended since the last call. Of what was just started that is known before asyncio calls back."""
        self.done.extend(task for task in self.started if task.done())
        self.started.clear()
        while self.done:
            task = self.done.popleft()
            operation = self.tasks.pop(task, None)
            if operation is not None:
                outcomes.append((operation, _outcome_of(task)))

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()

    async def land(self, failure: BaseException) -> None:
        """Cancel all that is in flight and wait for its end, however often this is cancelled itself. What else fails becomes notes.

        :raises asyncio.CancelledError: the run was cancelled meanwhile, and ``failure`` is not that already.
        """
        self.cancel()
        cancelled: asyncio.CancelledError | None = None
        while unfinished := [task for task in self.tasks if not task.done()]:
            try:
                await asyncio.wait(unfinished)
            except asyncio.CancelledError as again:
                cancelled = again
        for task in self.tasks:
            outcome = _outcome_of(task)
            if type(outcome) is Error and not task.cancelled() and outcome.error is not failure:
                add_note(failure, other_failure_note(outcome.error))
        self.tasks.clear()
        if cancelled is not None and not isinstance(failure, asyncio.CancelledError):
            raise cancelled from failure


async def _in_place(awaitable: Any) -> Outcome:
    """Await on the run's own task. A CancelledError that nobody asked for is a failure as any other; ``drive`` knows who asked."""
    try:
        return Value(await awaitable)
    except GeneratorExit:
        raise
    except BaseException as failure:
        return Error(failure)


async def _await(awaitable: Any) -> Any:
    return await awaitable


def _outcome_of(task: asyncio.Future[Any]) -> Outcome:
    if task.cancelled():
        return Error(asyncio.CancelledError())
    failure = task.exception()
    return Value(task.result()) if failure is None else Error(failure)
