"""Graph mode's events: what is told of calls, where somebody has subscribed (cascade_vm/events.py)."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cascade_vm.events import Event, TaskFailed, TaskFinished, TaskSkipped, show_error

if TYPE_CHECKING:
    from cascade_compiler.graph_evaluation import Evaluation
    from cascade_compiler.graph_steps import Step
    from cascade_vm.skipping import Skipped


def tell(run: Evaluation, step: Step, kind: Callable[..., Event], **facts: Any) -> None:
    """Tell of the call that ``step`` makes."""
    if run.teller is not None and step.task is not None:
        step.call = step.call or next(run.teller.numbers)
        run.teller.tell(kind, task=step.task.label, index=step.index, attempt=max(step.attempt, 1), call=step.call, **facts)


def tell_skipped(run: Evaluation, step: Step, skipped: Skipped) -> None:
    tell(run, step, TaskSkipped, reason=f"{skipped.condition} was false")


class TellingFailure:
    """What is raised in this block is what the call has failed with for good. No generator: some exceptions refuse a traceback."""

    def __init__(self, run: Evaluation, step: Step) -> None:
        self._run = run
        self._step = step

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None) -> None:
        if failure is not None:
            tell_failed(self._run, self._step, failure)


def tell_failed(run: Evaluation, step: Step, failure: BaseException) -> None:
    if run.teller is not None:
        tell(run, step, TaskFailed, error=show_error(failure))


def tell_end(run: Evaluation, step: Step, failure: BaseException | None) -> None:
    """Tell of an attempt that ended after the run had failed."""
    if step.pause:
        return
    if failure is None:
        tell(run, step, TaskFinished)
    else:
        tell_failed(run, step, failure)
