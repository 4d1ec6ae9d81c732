"""Graph mode's resources: set up as steps, torn down in the reverse order of the ends of their set-ups (S21).

A resource stands in a graph once, as a step whose keywords are the resources that it needs. One of scope "run" belongs to the run, one of
scope "step" to the activation: it ends before the activation hands on its value, or makes way for a tail call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from cascade_compiler import graph_calls
from cascade_vm import notes
from cascade_vm.errors import ResourceError

if TYPE_CHECKING:
    from cascade_compiler.graph_evaluation import Evaluation
    from cascade_compiler.graph_steps import Step
    from cascade_compiler.resource import ResourceKind

# --- one resource -----------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Held:
    """One resource that is set up, or is being set up."""

    kind: ResourceKind
    waiting: list[Step]  # who is to have the value
    generator: Any = None
    value: Any = None
    is_set_up: bool = False

    @property
    def is_async(self) -> bool:
        return self.kind.is_async

    def end(self) -> BaseException | None:
        """Tear a synchronous resource down; what it failed with, if it did."""
        generator, self.generator = self.generator, None
        try:
            next(generator)
            generator.close()
        except StopIteration:
            return None
        except BaseException as failure:
            return self.down_failed(failure)
        return self.down_failed(self._second_yield())

    async def resume(self) -> None:
        """Tear an asynchronous resource down.

        :raises BaseException: what it failed with.
        """
        generator, self.generator = self.generator, None
        try:
            await anext(generator)
        except StopAsyncIteration:
            return
        with suppress(Exception):
            await generator.aclose()
        raise self._second_yield()

    async def outcome_of_end(self) -> BaseException | None:
        """``resume``, with the failure as data."""
        try:
            await self.resume()
        except BaseException as failure:
            return self.down_failed(failure)
        return None

    def down_failed(self, failure: BaseException) -> BaseException:
        notes.add_note(failure, notes.builtin_note(f"{self.kind.label}, while it was torn down", None))
        return failure

    def up_failed(self, failure: BaseException) -> BaseException:
        if isinstance(failure, (StopIteration, StopAsyncIteration)):
            return ResourceError(f"the {self.kind.label} ended without a yield: it must yield its value once")
        return failure

    def _second_yield(self) -> ResourceError:
        return ResourceError(f"the {self.kind.label} yielded a second time: it must yield its value once")


class Resources:
    """The resources of one run.

    :param overrides: values in place of resources, by name.
    """

    def __init__(self, overrides: Mapping[str, Any] | None) -> None:
        self.overrides = overrides or {}
        self.shared: dict[ResourceKind, Held] = {}  # those of scope "run"
        self.order: list[Held] = []  # all that are set up, in the order of the ends of their set-ups


class Flight(Protocol):
    """What a step has in flight that is no call of a task."""

    async def fly(self) -> Any: ...

    def land(self, run: Evaluation, step: Step, value: Any, failure: BaseException | None) -> None:
        """It has ended."""

    def came_late(self, run: Evaluation, failure: BaseException | None) -> BaseException | None:
        """It has ended, and the run is over; returns what is to be told of its failure."""


# --- setting up -------------------------------------------------------------------------------------------------------


def enter(run: Evaluation, step: Step) -> None:
    """Have the value of a resource, whose own needs are there: set it up, unless its scope has it already."""
    resources, kind = run.resources, step.kind
    if kind.name in resources.overrides:
        run.settle(step, resources.overrides[kind.name])
        return
    held = Held(kind, [step])
    if kind.scope == "run":
        known = resources.shared.setdefault(kind, held)
        if known.is_set_up:
            run.settle(step, known.value)
            return
        if known is not held:
            known.waiting.append(step)
            return
    held.generator = kind.fn(**step.kwargs)
    if kind.is_async:
        step.flight = _SetUp(held)
        run.put(step, graph_calls.launch, early=True)
    else:
        step.value = held
        run.put(step, _set_up, early=False)


def _set_up(run: Evaluation, step: Step) -> None:
    held: Held = step.value
    try:
        value = next(held.generator)
    except StopIteration as ended:
        raise held.up_failed(ended) from None
    _give(run, held, value)


def _give(run: Evaluation, held: Held, value: Any) -> None:
    held.value, held.is_set_up = value, True
    run.resources.order.append(held)
    waiting, held.waiting = held.waiting, []
    if held.kind.scope == "step":
        waiting[0].activation.held.append(held)
    for step in waiting:
        run.settle(step, value)


@attrs.define(eq=False)
class _SetUp:
    held: Held

    async def fly(self) -> Any:
        return await anext(self.held.generator)

    def land(self, run: Evaluation, step: Step, value: Any, failure: BaseException | None) -> None:
        step.flight = None
        if failure is not None:
            raise self.held.up_failed(failure)
        _give(run, self.held, value)

    def came_late(self, run: Evaluation, failure: BaseException | None) -> BaseException | None:
        if failure is not None:
            return self.held.up_failed(failure)
        run.resources.order.append(self.held)  # nobody gets it, but it will be torn down
        return None


# --- tearing down -----------------------------------------------------------------------------------------------------


def torn_down(run: Evaluation, step: Step, value: Any, then: Callable[[Step, Any], None]) -> bool:
    """Tear down what ends with the activation of ``step``, its target. If that must wait, ``then(step, value)`` follows it.

    :raises BaseException: what failed first, when all has been torn down.
    """
    left, step.activation.held = step.activation.held, []
    return _Ending(value, then, run.resources.order, left).go_on(run, step)


@attrs.define(eq=False)
class _Ending:
    """The end of an activation, one resource after the other."""

    value: Any
    then: Callable[[Step, Any], None]
    order: list[Held]  # of the run
    left: list[Held]  # the last set up is the first to end
    fault: BaseException | None = None

    def go_on(self, run: Evaluation, step: Step) -> bool:
        while self.left:
            held = self.left[-1]
            if held.is_async:
                step.flight = self
                run.put(step, graph_calls.launch, early=True)
                return False
            self.left.pop()
            self.order.remove(held)
            self.fault = first_of(self.fault, held.end())
        if self.fault is not None:
            run.fail_with(self.fault)
        return True

    async def fly(self) -> Any:
        self.order.remove(self.left[-1])  # not before: a run that fails meanwhile tears down what is in there
        await self.left[-1].resume()

    def land(self, run: Evaluation, step: Step, value: Any, failure: BaseException | None) -> None:
        step.flight = None
        held = self.left.pop()
        if failure is not None:
            self.fault = first_of(self.fault, held.down_failed(failure))
        if self.go_on(run, step):
            self.then(step, self.value)

    def came_late(self, run: Evaluation, failure: BaseException | None) -> BaseException | None:
        held = self.left.pop()
        return first_of(self.fault, None if failure is None else held.down_failed(failure))


def is_shielded(step: Step) -> bool:
    """Is it something that nothing may cancel? What has begun to be torn down must end."""
    return isinstance(step.flight, _Ending)


def first_of(first: BaseException | None, other: BaseException | None) -> BaseException | None:
    """The first of two failures, with the other in its notes."""
    if first is None:
        return other
    if other is not None:
        notes.add_note(first, notes.other_failure_note(other))
    return first
