"""Graph mode's ``map``: each item is a step of its own, which takes its arguments when it is its turn (S13, S14).

The next item stands in a queue like any other step, where the map stands, with its index for its position. So nothing is taken from the
iterables ahead of time, and a map of a synchronous task goes on item by item until something else must wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from cascade_compiler import graph_calls
from cascade_compiler.graph_steps import Activation, Step

if TYPE_CHECKING:
    from cascade_compiler.graph_evaluation import Evaluation

_DEFAULT_CONCURRENCY = 1000
_ENDED: Any = type("ENDED", (), {})()


@attrs.define(eq=False)
class Progress:
    """How far a map has come."""

    activation: Activation  # of its items
    iterators: dict[int | str, Iterator[Any]]  # by the place or name of the argument
    results: list[Any] = attrs.field(factory=list)
    in_progress: int = 0
    next_waits: bool = False  # the next item stands in a queue
    exhausted: bool = False


def start(run: Evaluation, step: Step) -> None:
    """Begin a map whose arguments are there.

    :raises ValueError: iterables that tell their lengths tell different ones. :raises TypeError: something cannot be iterated.
    """
    given: dict[int | str, Any] = dict(enumerate(step.args))
    given.update((name, value) for name, value in step.kwargs.items() if name in step.kind.iterated)
    lengths = {_shown(name): len(value) for name, value in given.items() if hasattr(type(value), "__len__")}
    if len(set(lengths.values())) > 1:
        raise _unequal(step, ", ".join(f"{name} has {length}" for name, length in lengths.items()))
    iterators = {name: iter(value) for name, value in given.items()}
    step.progress = Progress(Activation(step, step.activation.depth + 1), iterators)
    if run.teller is not None:
        run.teller.tell_map(step.kind.task.label, next(iter(lengths.values()), None))
    step.args = []
    step.kwargs = {name: value for name, value in step.kwargs.items() if name not in iterators}
    _ask(run, step, step.progress)


def item_ended(run: Evaluation, item: Step, value: Any) -> Step | None:
    """An item came to ``value``; returns the map, with its own value, if that was the last."""
    step: Any = item.activation.parent
    progress = step.progress
    progress.results[item.index] = value
    progress.in_progress -= 1
    _ask(run, step, progress)
    return _ended(step, progress)


def _ask(run: Evaluation, step: Step, progress: Progress) -> None:
    """Put the next item into a queue, if there may be one and the bound allows it."""
    bound = step.kind.max_concurrency or _DEFAULT_CONCURRENCY
    if progress.next_waits or progress.exhausted or progress.in_progress >= bound:
        return
    progress.next_waits = True
    index = len(progress.results)
    # Of the map's kind until it has its arguments: a failure until then is the map's.
    item = Step(step.source, step.kind, progress.activation, index, step.policy, [], index, step.amounts, [], {}, [])
    item.index = index
    run.put(item, _take_turn, early=step.is_early)


def _take_turn(run: Evaluation, item: Step) -> None:
    step: Any = item.activation.parent
    progress = step.progress
    progress.next_waits = False
    taken = {name: next(iterator, _ENDED) for name, iterator in progress.iterators.items()}
    ended = [_shown(name) for name, value in taken.items() if value is _ENDED]
    if ended:
        if len(ended) < len(taken):
            raise _unequal(step, f"{', '.join(ended)} ended after {item.index}")
        progress.exhausted = True
        over = _ended(step, progress)
        if over is not None:
            run.settle(over, over.value)
        return
    item.args = [taken[place] for place in taken if isinstance(place, int)]
    item.kwargs = {name: taken.get(name, step.kwargs.get(name)) for name in {**step.source.kwargs, **step.kwargs}}
    item.kind = step.kind.task
    progress.results.append(None)
    progress.in_progress += 1
    graph_calls.make(run, item)
    _ask(run, step, progress)


def _ended(step: Step, progress: Progress) -> Step | None:
    if not progress.exhausted or progress.in_progress:
        return None
    step.value = progress.results
    return step


def _shown(name: int | str) -> str:
    return f"argument {name}" if isinstance(name, int) else name


def _unequal(step: Step, what: str) -> ValueError:
    return ValueError(f"{step.kind.label}: the iterables must have one length, and {what}")
