"""Graph mode's evaluation: what is demanded, whose turn it is, and where values go.

The target is demanded, and what is demanded demands what it needs: a test first; then, if that is true, the arguments. One rule is
repeated: do what leads to waiting, lowest first; else the lowest synchronous step that is ready; else wait.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakKeyDictionary

from cascade_compiler import graph_calls, graph_events, graph_map, graph_resources
from cascade_compiler.graph_injection import leave_out
from cascade_compiler.graph_limits import Capacity, Rates
from cascade_compiler.graph_plan import Fits, merge_inputs, plan, surely_waits
from cascade_compiler.graph_pools import Pools
from cascade_compiler.graph_resources import Resources, first_of
from cascade_compiler.graph_steps import FIRST_FIRST, Activation, Step, put, value_of, where
from cascade_compiler.graph_turns import compute, decide, description
from cascade_compiler.inputs import InputKind
from cascade_compiler.jumping import Jump
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal
from cascade_compiler.scan import is_container
from cascade_compiler.task import Task
from cascade_vm import notes
from cascade_vm.errors import CompileError, TargetSkipped
from cascade_vm.inputs import bind
from cascade_vm.skipping import Skipped, skipped_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cascade_vm.events import Teller
    from cascade_vm.flights import Flight

# Why `Evaluation.advance` came back.
DONE, NEEDS_LOOP, PASS, WAIT = "done", "needs a loop", "one pass of the loop", "wait for a completion"


class Evaluation:
    """The state of one run. ``advance`` until it says that it is done; then ``result`` is the value."""

    def __init__(
        self,
        target: Any,
        params: Mapping[str, Any],
        declared: Sequence[InputKind],
        time_slice: float,
        capacity: Mapping[str, float],
        pools: Mapping[str, Any] | None = None,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        if type(target) not in (LazyResult, Literal) and not is_container(type(target)):
            known = getattr(target, "task", None)
            if isinstance(known, Task):
                raise CompileError(
                    f"expected a LazyResult, and {known.label} is a task: call it, {known.qualname}(...), and run what that gives",
                    code="C03",
                )
            raise CompileError(
                f"there is nothing to run in {type(target).__name__!r}: expected a LazyResult (what calling a task gives), a literal, "
                f"or a list, tuple, dict or set of them",
                code="C03",
            )
        self.params = params
        self.time_slice = time_slice
        self.in_loop = False
        self.is_cancelled = False  # by whoever runs it
        self.woken = asyncio.Event()  # set at each completion; it asks for a loop only when it is waited for
        self.result: Any = None
        self.in_flight: dict[Step, asyncio.Task[None]] = {}
        self.completed: list[tuple[Step, Any, BaseException | None]] = []
        self.capacity = Capacity(capacity)
        self.rates = Rates()
        self.being_made: dict[tuple[int, bytes], list[Step]] = {}  # (cache, key) -> the calls that wait for that value
        self.flights: dict[tuple[int, bytes], Flight] = {}  # of those, what other runs of the event loop may wait for
        self.pools = Pools(pools)
        self.resources = Resources(resources)
        self.teller: Teller | None = None  # of events, where somebody has subscribed
        self._fits: Fits = WeakKeyDictionary()
        self._fresh: list[Step] = []  # ready, and in neither queue yet
        self._early: list[Step] = []  # both as `put` sorts them
        self._in_turn: list[Step] = []
        self._tail_called = False
        self._failed = False

        root, steps = self._plan(target, Activation(None, 0))
        self.root_waits = surely_waits(root, steps, self.resources.overrides)
        self._bind(steps, declared, refuse_unknown=True)
        for step in steps:
            if step.amounts:
                try:
                    self.capacity.check({name: amount for name, amount in step.amounts.items() if type(amount) is not Step})
                except ValueError as fault:  # nothing has run: it is the call that is wrong, not what it did
                    notes.add_note(fault, notes.builtin_note(f"task {step.task.label if step.task else ''}", where(step.source)))
                    raise
        self._begin(root)

    def advance(self) -> str:
        """Go on until the run is over or the event loop is needed, and tell which.

        :raises BaseException: what a task raised; things may still be in flight then (see ``stop``).
        """
        slice_end = monotonic() + self.time_slice
        self._tail_called = False
        self._take_completed()
        launched = False
        while True:
            self._queue_fresh()
            if self._early:
                if self._early[-1].todo is graph_calls.launch:
                    if not self.in_loop:
                        return NEEDS_LOOP
                    launched = True
                self._do(self._early.pop())
            elif launched and self._in_turn:
                return PASS  # puts the I/O into flight before the synchronous work (S7)
            elif self._in_turn:
                if self._tail_called and self.in_loop and monotonic() >= slice_end:
                    return PASS
                self._tail_called = False
                self._do(self._in_turn.pop())
            else:
                return WAIT if self.in_flight else DONE

    async def stop(self, failure: BaseException | None) -> BaseException | None:
        """End what is in flight or in threads, then the resources; returns what the run fails with, the other failures in its notes."""
        while pending := [*(task for task in self.in_flight.values() if not task.done()), *self.pools.running]:
            for step, task in self.in_flight.items():
                if not graph_resources.is_shielded(step):
                    task.cancel()
            failure = await _ended(pending, failure)
        self.land_all()
        self.pools.close()
        for step, _, other in sorted(self.completed, key=lambda one: FIRST_FIRST(one[0])):
            if step.flight is not None:
                other = step.flight.came_late(self, other)
            else:
                graph_events.tell_end(self, step, other)
            if failure is not None and other is not None and not isinstance(other, asyncio.CancelledError):
                notes.add_note(failure, notes.other_failure_note(other))
        fault: BaseException | None = None
        while self.resources.order:
            held = self.resources.order.pop()
            if held.is_async:
                down = asyncio.create_task(held.outcome_of_end())
                while not down.done():
                    failure = await _ended([down], failure)
                fault = first_of(fault, down.result())
            else:
                fault = first_of(fault, held.end())
        return first_of(failure, fault)

    def land_all(self) -> None:
        """The run is over: what it has not come to, other runs make."""
        for flight in self.flights.values():
            flight.land(None)
        self.flights.clear()

    def stop_without_loop(self, failure: BaseException | None) -> BaseException | None:
        """``stop`` for a run that never needed a loop, and so has nothing in flight."""
        fault: BaseException | None = None
        while self.resources.order:
            fault = first_of(fault, self.resources.order.pop().end())
        return first_of(failure, fault)

    def clock(self) -> float:
        """Seconds, on the clock of the event loop where there is one."""
        return asyncio.get_running_loop().time() if self.in_loop else monotonic()

    def fail_with(self, failure: BaseException) -> NoReturn:
        """Fail with what has its note already.

        :raises BaseException: ``failure``.
        """
        self._failed = True
        raise failure

    # --- what is demanded, and when it is its turn ------------------------------------------------------------------------

    def _plan(self, target: Any, activation: Activation) -> tuple[Any, list[Step]]:
        root, steps = plan(target, activation, self._fits)
        if self.resources.overrides:
            leave_out(root, steps, self.resources.overrides)
        return root, steps

    def _bind(self, steps: list[Step], declared: Sequence[InputKind] = (), *, refuse_unknown: bool = False) -> None:
        """Give the inputs of a planned graph their values."""
        inputs = [step for step in steps if isinstance(step.kind, InputKind)]
        if inputs or refuse_unknown:
            kinds = merge_inputs([*declared, *(step.kind for step in inputs)])
            values = dict(zip(kinds, bind(kinds.values(), self.params, refuse_unknown=refuse_unknown), strict=True))
            for step in inputs:
                step.value = values[step.kind.name]

    def _begin(self, root: Any) -> None:
        """Demand the target of a planned graph, whose inputs are bound."""
        if type(root) is not Step:
            self.result = root
            return
        root.is_target = True
        if root.done:  # an input is all there is
            self.settle(root, root.value)
        else:
            self._demand([root])

    def _demand(self, steps: Iterable[Any]) -> None:
        """Demand what is not demanded yet, and what that needs first."""
        stack = [step for step in steps if type(step) is Step]
        stack.reverse()
        while stack:
            step = stack.pop()
            if not step.demanded and not step.done:
                step.demanded = True
                stack += reversed(self._await_parts(step))

    def _await_parts(self, step: Step) -> list[Step]:
        """Have ``step`` wait for what it needs next; returns that. It is ready if there is nothing."""
        parts = [part for part in step.asked() if type(part) is Step and not part.done]
        for part in parts:
            part.readers.append(step)
        step.waits = len(parts)
        if not parts:
            self._fresh.append(step)
        return parts

    def put(self, step: Step, todo: Callable[[Evaluation, Step], None], *, early: bool) -> None:
        """Have ``todo`` done when it is the turn of ``step``: before synchronous work, or among it."""
        step.todo = todo
        put(self._early if early else self._in_turn, step)

    def _queue_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        if len(fresh) > 1:
            fresh.sort(key=FIRST_FIRST)
        for step in reversed(fresh):  # lowest last, so each is put at the end of its queue
            self.put(step, decide if step.gates else compute, early=step.is_early)

    def _do(self, step: Step) -> None:
        todo, step.todo = step.todo, None
        assert todo is not None
        try:
            todo(self, step)
        except BaseException as failure:
            self._noted(failure, step)
            raise

    def _take_completed(self) -> None:
        """Handle all that has completed, lowest position first; of several failures the lowest is raised (S15)."""
        batch = sorted(self.completed, key=lambda one: FIRST_FIRST(one[0]))
        self.completed.clear()
        self.woken.clear()
        failures: list[BaseException] = []
        for step, value, outcome in batch:
            del self.in_flight[step]
            try:
                graph_calls.land(self, step, value, outcome)
            except BaseException as failure:
                self._noted(failure, step)
                failures.append(failure)
        if failures:
            for other in failures[1:]:
                notes.add_note(failures[0], notes.other_failure_note(other))
            raise failures[0]

    # --- what steps come to -----------------------------------------------------------------------------------------------

    def arrive(self, step: Step, value: Any) -> None:
        """A call or an item gave ``value``, which may be a graph to go on with."""
        if step.policy.jumps is not None and isinstance(step.kind, Task):
            value = step.policy.jumps.resolve(value)
        if type(value) is Jump:
            value.activate()  # raises: no routes
        if type(value) is Literal:
            value = value.value
        elif type(value) is LazyResult:
            here = step.activation
            if step.is_target and here.held and not graph_resources.torn_down(self, step, value, self.arrive):
                return  # it comes again
            self._tail_called = self._tail_called or step.is_target
            # A tail call takes the place of its activation, so nothing of that is kept (S24); others nest (S25).
            activation = Activation(here.parent, here.depth) if step.is_target else Activation(step, here.depth + 1)
            root, steps = self._plan(value, activation)
            self._bind(steps)
            step.let_go()
            self._begin(root)
            return
        self.settle(step, value)

    def settle(self, step: Step, value: Any) -> None:
        """``step`` has its value, perhaps a ``Skipped``: hand it on to all who wait for it."""
        step.value = value
        ended = [step]
        while ended:
            step = ended.pop()
            if step.is_target:
                parent = step.activation.parent
                if type(step.value) is Skipped:
                    raise self._noted(TargetSkipped(skipped_text(step.value)), parent, has_ended=True)
                if step.activation.held and not graph_resources.torn_down(self, step, step.value, self.settle):
                    continue  # it comes again
                if parent is None:
                    self.result = step.value
                    continue
                parent.value = step.value
                step = parent  # is no target itself: a target's graph would have taken its place
            step.done = True
            readers, step.readers = step.readers, []
            step.let_go()
            if step.index is not None:
                the_map = graph_map.item_ended(self, step, step.value)
                if the_map is not None:
                    ended.append(the_map)
            for reader in readers:
                reader.waits -= 1
                if reader.waits:
                    continue
                if reader.chosen is step:
                    reader.chosen = None
                    reader.value = step.value
                    ended.append(reader)
                else:
                    self._fresh.append(reader)

    def pass_gate(self, step: Step) -> None:
        """The condition of ``step`` is true: go on with the next, or with the arguments."""
        del step.gates[0]
        step.position = step.gates[0].position if step.gates else step.last_position
        self._demand(self._await_parts(step))

    def choose(self, step: Step, route: Any) -> None:
        """``step`` is to have the value of ``route``."""
        step.let_go()
        if type(route) is not Step or route.done:
            self.settle(step, value_of(route))
        elif step.is_target and route.users == 1:
            route.is_target = True  # in the place of ``step``, which nobody needs any more
            self._demand([route])
        else:
            step.chosen = route
            step.waits = 1
            route.readers.append(step)
            self._demand([route])

    def _noted(self, failure: BaseException, step: Step | None, has_ended: bool = False) -> BaseException:
        """``failure``, with a note of the step that failed; the run has one such note, of its first failure.

        :param has_ended: its call had ended, and what that returned has failed.
        """
        if not self._failed:
            self._failed = True
            if step is not None:
                notes.add_note(failure, description(step, has_ended))
        return failure


async def _ended(pending: Iterable[asyncio.Future[Any]], failure: BaseException | None) -> BaseException | None:
    """Wait for ``pending``. Cancelled while it waits, the run fails with that: else with ``failure``, as before."""
    try:
        await asyncio.wait(pending)
    except asyncio.CancelledError as cancelled:  # also while stopping: pass it on, then go on waiting
        if not isinstance(failure, asyncio.CancelledError):
            if failure is not None:
                notes.add_note(cancelled, notes.other_failure_note(failure))
            return cancelled
    return failure
