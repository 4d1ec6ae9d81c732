"""Graph mode: the reference evaluator, which walks the graph itself. What it does is what every other engine must do.

It is written to be read, in this order:

    graph_steps       what a step is, and which of two comes first
    graph_plan        a graph becomes a list of steps, in the order in which eager Python would evaluate it
    graph_evaluation  what is demanded, whose turn it is, and where values go
    graph_turns       what a step does when it is its turn
    graph_calls       what a call goes through that was told more than its arguments: cache, capacity, rate, attempts
    graph_limits      the books of capacity and rates
    graph_map         maps, whose items are steps too
    graph_pools       threads and processes
    graph_injection   what a node takes of resources
    graph_resources   what is set up before its first use, and torn down when its scope ends
    graph_events      what is told of calls

An ``Evaluation`` decides and never awaits; ``_drive`` awaits on its behalf and decides nothing. Nothing here is shared with
lowering or the machine, so that a mistake in one of them shows as a difference.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cascade_compiler.graph_evaluation import DONE, PASS, Evaluation
from cascade_vm.errors import EventLoopRunning
from cascade_vm.events import RunStarted, Teller, someone_listens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_compiler.inputs import InputKind


def run(
    target: Any,
    params: Mapping[str, Any] | None = None,
    declared: Sequence[InputKind] | None = None,
    *,
    time_slice: float = 0.005,
    capacity: Mapping[str, float] | None = None,
    pools: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> Any:
    """The value of ``target``: a LazyResult, a literal, or a list, tuple, dict or set of such.

    :param params: the inputs by name. :param declared: inputs that exist beside those found in the graph.
    :param time_slice: seconds after which a tail call lets other work of the event loop run; 0 is at every tail call.
    :param capacity: how much there is of what calls hold by their constraints, by name.
    :param pools: executors by mode, which stay open; without them a run makes its own.
    :param resources: values in place of resources, by name.
    :raises CompileError: ``target`` is something else, or its graph has a cycle, a wrong call, or inputs that disagree.
    :raises InputError: inputs are missing, unknown or ill-typed.
    :raises CapacityError: a call of the graph needs more than ``capacity`` has at all.
    :raises TargetSkipped: a condition was false, and the target has no value.
    :raises EventLoopRunning: the graph must wait, and this thread's event loop is running already.

    What a task raises comes out as it is, with one note. No event loop is made for a graph that never waits (S9).
    """
    evaluation = Evaluation(target, params or {}, declared or (), time_slice, capacity or {}, pools, resources)
    if evaluation.root_waits:
        _refuse_running_loop()
    with _Told(evaluation):
        failure: BaseException | None = None
        reason = DONE
        try:
            reason = evaluation.advance()
            if reason is not DONE:
                _refuse_running_loop()
        except BaseException as raised:
            failure, reason = raised, DONE
        if reason is DONE:
            failure = evaluation.stop_without_loop(failure)
        else:
            try:
                failure = asyncio.run(_drive(evaluation))
            finally:
                evaluation.in_loop = False
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame
    return evaluation.result


async def arun(
    target: Any,
    params: Mapping[str, Any] | None = None,
    declared: Sequence[InputKind] | None = None,
    *,
    time_slice: float = 0.005,
    capacity: Mapping[str, float] | None = None,
    pools: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> Any:
    """Like ``run``, inside a running event loop. Cancelling it cancels and awaits all that is in flight (S18)."""
    evaluation = Evaluation(target, params or {}, declared or (), time_slice, capacity or {}, pools, resources)
    evaluation.in_loop = True
    with _Told(evaluation):
        failure = await _drive(evaluation)
        if failure is not None:
            try:
                raise failure
            finally:
                del failure
    return evaluation.result


async def _drive(evaluation: Evaluation) -> BaseException | None:
    """Run to the end, with the event loop. A failure is returned: no coroutine can raise StopIteration."""
    evaluation.in_loop = True
    failure: BaseException | None = None
    try:
        while (reason := evaluation.advance()) is not DONE:
            try:
                await (asyncio.sleep(0) if reason is PASS else evaluation.woken.wait())
            except asyncio.CancelledError:
                evaluation.is_cancelled = True
                raise
    except BaseException as raised:
        failure = raised
    before = failure
    try:
        failure = await evaluation.stop(failure)
    finally:
        evaluation.land_all()
    if failure is not before and isinstance(failure, asyncio.CancelledError):
        evaluation.is_cancelled = True  # while it was stopping
    del before
    if isinstance(failure, asyncio.CancelledError):
        raise failure  # a cancelled task must end as cancelled; asyncio.run tells Ctrl-C by it
    return failure


class _Told:
    """Tells that the run begins and ends, if anybody has subscribed: first and last of all. No generator: see TellingFailure."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    def __enter__(self) -> None:
        if someone_listens():
            teller = self._evaluation.teller = Teller(self._evaluation.clock)
            teller.tell(RunStarted)

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None) -> None:
        teller = self._evaluation.teller
        if teller is None:
            return
        if failure is None:
            teller.finish("returned")
        else:
            teller.finish("cancelled" if self._evaluation.is_cancelled else "failed", failure)


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise EventLoopRunning("run() would have to wait, but this thread's event loop is running: use `await arun(...)` here")
