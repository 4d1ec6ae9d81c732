"""Graph mode: the reference evaluator, which walks the graph itself. What it does is what every other engine must do.

It is written to be read. A graph becomes a list of *steps* in the order in which eager Python would evaluate it, and then one
rule is repeated: start every asynchronous step that is ready, else do the lowest synchronous step that is ready, else wait.
(Items and containers that asynchronous steps take are done as soon as they can be, like the starts that they lead to.)
``_Evaluation`` decides and never awaits; ``_drive`` awaits on its behalf and decides nothing. Nothing here is shared with
lowering or the machine, so that a mistake in one of them shows as a difference.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cascade_compiler.graph_steps import FIRST_FIRST, Activation, Fits, Step, merge_inputs, plan, put, where
from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import ITEM, Literal
from cascade_compiler.scan import attributes, emptied, is_container
from cascade_compiler.task import Task
from cascade_vm import notes
from cascade_vm.errors import CascadeError, CompileError, EventLoopRunning
from cascade_vm.inputs import bind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Why `_Evaluation.advance` came back.
_DONE, _NEEDS_LOOP, _PASS, _WAIT = "done", "needs a loop", "one pass of the loop", "wait for a completion"


def run(
    target: Any,
    params: Mapping[str, Any] | None = None,
    declared: Sequence[InputKind] | None = None,
    *,
    time_slice: float = 0.005,
) -> Any:
    """The value of ``target``: a LazyResult, a literal, or a list, tuple, dict or set of such.

    :param params: the inputs by name. :param declared: inputs that exist beside those found in the graph.
    :param time_slice: seconds after which a tail call lets other work of the event loop run; 0 is at every tail call.
    :raises CompileError: ``target`` is something else, or its graph has a cycle, a wrong call, or inputs that disagree.
    :raises InputError: inputs are missing, unknown or ill-typed.
    :raises EventLoopRunning: the graph must wait, and this thread's event loop is running already.

    What a task raises comes out as it is, with one note. No event loop is made for a graph that never waits (S9).
    """
    evaluation = _Evaluation(target, params or {}, declared or (), time_slice)
    if evaluation.root_waits:
        _refuse_running_loop()
    if evaluation.advance() is not _DONE:
        _refuse_running_loop()
        failure = asyncio.run(_drive(evaluation))
        if failure is not None:
            raise failure
    return evaluation.result


async def arun(
    target: Any,
    params: Mapping[str, Any] | None = None,
    declared: Sequence[InputKind] | None = None,
    *,
    time_slice: float = 0.005,
) -> Any:
    """Like ``run``, inside a running event loop. Cancelling it cancels and awaits all that is in flight (S18)."""
    evaluation = _Evaluation(target, params or {}, declared or (), time_slice)
    failure = await _drive(evaluation)
    if failure is not None:
        raise failure
    return evaluation.result


async def _drive(evaluation: _Evaluation) -> BaseException | None:
    """Run to the end, with the event loop. A failure is returned: no coroutine can raise StopIteration."""
    evaluation.in_loop = True
    failure = None
    try:
        while (reason := evaluation.advance()) is not _DONE:
            await (asyncio.sleep(0) if reason is _PASS else evaluation.woken.wait())
    except BaseException as raised:
        failure = await evaluation.stop(raised)
    if isinstance(failure, asyncio.CancelledError):
        raise failure  # a cancelled task must end as cancelled; asyncio.run tells Ctrl-C by it
    return failure


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise EventLoopRunning("run() would have to wait, but this thread's event loop is running: use `await arun(...)` here")


# --- running ----------------------------------------------------------------------------------------------------------


class _Evaluation:
    """The state of one run. ``advance`` until it says that it is done; then ``result`` is the value."""

    def __init__(self, target: Any, params: Mapping[str, Any], declared: Sequence[InputKind], time_slice: float) -> None:
        if type(target) not in (LazyResult, Literal) and not is_container(type(target)):
            known = getattr(target, "task", None)
            if isinstance(known, Task):
                raise CompileError(
                    f"expected a LazyResult, and {known.label} is a task: call it, {known.qualname}(...), and run what that gives"
                )
            raise CompileError(
                f"there is nothing to run in {type(target).__name__!r}: expected a LazyResult (what calling a task gives), a literal, "
                f"or a list, tuple, dict or set of them"
            )
        self.params = params
        self.time_slice = time_slice
        self.in_loop = False
        self.woken = asyncio.Event()  # set at each completion; it asks for a loop only when it is waited for
        self.result: Any = None
        self._fits: Fits = WeakKeyDictionary()
        self._startable: list[Step] = []  # both as `put` sorts them
        self._ready: list[Step] = []
        self._in_flight: dict[Step, asyncio.Task[None]] = {}
        self._completed: list[tuple[Step, Any, BaseException | None]] = []
        self._tail_called = False

        root, steps = plan(target, Activation(None, 0), self._fits)
        self.root_waits = any(step.is_async for step in steps)
        self._schedule(self._begin(root, steps, declared, refuse_unknown=True))

    def advance(self) -> str:
        """Go on until the run is over or the event loop is needed, and tell which.

        :raises BaseException: what a task raised; things may still be in flight then (see ``stop``).
        """
        slice_end = monotonic() + self.time_slice
        self._tail_called = False
        self._take_completed()
        started = False
        while True:
            if self._startable:
                if not self._startable[-1].is_async:
                    self._do(self._startable.pop())
                elif not self.in_loop:
                    return _NEEDS_LOOP
                else:
                    self._start(self._startable.pop())
                    started = True
            elif started and self._ready:
                return _PASS  # puts the I/O into flight before the synchronous work (S7)
            elif self._ready:
                if self._tail_called and self.in_loop and monotonic() >= slice_end:
                    return _PASS
                self._tail_called = False
                self._do(self._ready.pop())
            else:
                return _WAIT if self._in_flight else _DONE

    async def stop(self, failure: BaseException) -> BaseException:
        """Cancel and await what is in flight; returns what the run fails with, the other failures in its notes."""
        while pending := [task for task in self._in_flight.values() if not task.done()]:
            for task in pending:
                task.cancel()
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as cancelled:  # also while stopping: pass it on, then go on waiting
                if not isinstance(failure, asyncio.CancelledError):
                    notes.add_note(cancelled, notes.other_failure_note(failure))
                    failure = cancelled
        for _, _, other in sorted(self._completed, key=lambda one: FIRST_FIRST(one[0])):
            if other is not None and not isinstance(other, asyncio.CancelledError):
                notes.add_note(failure, notes.other_failure_note(other))
        return failure

    def _begin(
        self, root: Any, steps: list[Step], declared: Sequence[InputKind] = (), *, refuse_unknown: bool = False
    ) -> list[Step]:
        """Bind the inputs of a planned graph; returns the steps that are ready from the start."""
        inputs = [step for step in steps if step.done]
        if inputs or refuse_unknown:
            kinds = merge_inputs([*declared, *(step.kind for step in inputs)])
            values = dict(zip(kinds, bind(kinds.values(), self.params, refuse_unknown=refuse_unknown), strict=True))
            for step in inputs:
                step.value = values[step.kind.name]
        if type(root) is not Step:
            self.result = root
            return []
        root.is_target = True
        if root.done:  # an input is all there is
            return self._finish(root, root.value)
        return [step for step in steps if not step.waits and not step.done]

    def _schedule(self, steps: list[Step]) -> None:
        for step in reversed(steps):  # they come lowest first, so each is put at the end of its queue
            at_once = step.is_async or (step.feeds_io and not isinstance(step.kind, Task))
            put(self._startable if at_once else self._ready, step)

    def _start(self, step: Step) -> None:
        _resolve(step)
        self._in_flight[step] = asyncio.create_task(self._fly(step), name=step.kind.label)

    async def _fly(self, step: Step) -> None:
        value, failure = None, None
        try:
            value = await step.kind.fn(*step.args, **step.kwargs)
        except BaseException as raised:  # as data: KeyboardInterrupt would stop the loop itself
            failure = raised
        self._completed.append((step, value, failure))
        self.woken.set()

    def _take_completed(self) -> None:
        """Handle all that has completed, lowest position first; of several failures the lowest is raised (S15)."""
        batch = sorted(self._completed, key=lambda one: FIRST_FIRST(one[0]))
        self._completed.clear()
        self.woken.clear()
        ready: list[Step] = []
        failures: list[BaseException] = []
        for step, value, failure in batch:
            del self._in_flight[step]
            if failure is None:
                try:
                    ready += self._finish(step, value)
                    continue
                except CascadeError as refused:  # the graph that it returned cannot run
                    failure = refused
            if not failures:
                _note(step, failure)
            failures.append(failure)
        if failures:
            for other in failures[1:]:
                notes.add_note(failures[0], notes.other_failure_note(other))
            raise failures[0]
        self._schedule(ready)

    def _do(self, step: Step) -> None:
        _resolve(step)
        try:
            ready = self._finish(step, _compute(step))
        except BaseException as failure:
            _note(step, failure)
            raise
        self._schedule(ready)

    def _finish(self, step: Step, value: Any) -> list[Step]:
        """``step`` came to ``value``; returns the steps that are ready now."""
        gives_graph = isinstance(step.kind, Task) or step.kind is ITEM
        if gives_graph and type(value) is Literal:
            value = value.value
        elif gives_graph and type(value) is LazyResult:
            here = step.activation
            self._tail_called = self._tail_called or step.is_target
            # A tail call takes the place of its activation, so nothing of that is kept (S24); others nest (S25).
            activation = Activation(here.parent, here.depth) if step.is_target else Activation(step, here.depth + 1)
            ready = self._begin(*plan(value, activation, self._fits))
            step.args, step.kwargs = [], {}
            return ready
        if step.is_target:
            parent = step.activation.parent
            if parent is None:
                self.result = value
                return []
            step = parent  # is no target itself: a target's graph would have taken its place
        step.value, step.done = value, True
        # Values go as soon as their last reader has run, and no cycle is left for the collector.
        step.args, step.kwargs, readers, step.readers = [], {}, step.readers, []
        for reader in readers:
            reader.waits -= 1
        return [reader for reader in dict.fromkeys(readers) if not reader.waits]


def _resolve(step: Step) -> None:
    step.args = [part.value if type(part) is Step else part for part in step.args]
    step.kwargs = {name: part.value if type(part) is Step else part for name, part in step.kwargs.items()}


def _compute(step: Step) -> Any:
    if isinstance(step.kind, Task):
        return step.kind.fn(*step.args, **step.kwargs)
    if step.kind is ITEM:
        return step.args[0][step.args[1]]
    return step.args if step.kind is not None else _rebuild(step.source, step.args)


def _rebuild(original: Any, items: list[Any]) -> Any:
    """A container of the type of ``original`` that holds ``items``; a dict's keys and values in turn (S3)."""
    kind = type(original)
    if kind in (tuple, frozenset):
        return kind(items)
    made = emptied(original)
    if issubclass(kind, (tuple, frozenset)):
        base: Any = tuple if issubclass(kind, tuple) else frozenset
        filled = base.__new__(kind, items)
        for name, part in attributes(made):
            object.__setattr__(filled, name[1:], part)
        return filled
    if issubclass(kind, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            made[key] = value
    elif issubclass(kind, list):
        made.extend(items)
    else:
        made.update(items)
    return made


def _note(step: Step, failure: BaseException) -> None:
    if step.kind is None:
        note = notes.builtin_note(type(step.source).__name__, None)
    elif isinstance(step.kind, Task):
        note = notes.task_note(step.kind.label, where(step.source), step.kind.fn, step.args, step.kwargs)
    else:
        label = f"item [{notes.short(step.args[1])}]" if step.kind is ITEM else step.kind.label
        note = notes.builtin_note(label, where(step.source))
    notes.add_note(failure, note)
