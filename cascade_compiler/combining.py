"""Small words for common forms of graphs: ``sequence`` (one after the other) and ``pipeline`` (each on the value of the last)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from sys import _getframe
from typing import Any, TypeVar, overload

from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import ROUTER
from cascade_compiler.scan import is_container, members

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T = TypeVar("T")

_ONLY = "in turn"  # the one key of the router that has its step wait


@overload
def sequence(steps: tuple[*tuple[Any, ...], LazyResult[T]], /) -> LazyResult[T]: ...
@overload
def sequence(steps: Iterable[LazyResult[Any]], /) -> LazyResult[Any]: ...
def sequence(steps: Iterable[LazyResult[Any]], /) -> LazyResult[Any]:
    """The last of ``steps``, ordered so that each runs after all before it have ended (S8).

    A call is ordered by ``after``. What is more than a call (a router, a call with a condition, or one that comes after something: a
    sequence, say) is taken up as a whole in its turn: its selector or test, and whatever it alone needs, does not run before the earlier
    steps have ended (N42). Every step runs because the last one comes after it. A step that is skipped does not keep those before it
    from running (S11), but those behind it.
    :raises TypeError: a step is no LazyResult, or takes an earlier step as an argument, which orders the two already.
    :raises ValueError: there are no steps.
    """
    last: LazyResult | None = None  # which comes after all before it
    originals: list[LazyResult] = []
    for place, step in enumerate(steps):
        if type(step) is not LazyResult:
            raise TypeError(f"sequence: step {place} is no LazyResult but {type(step).__name__!r}")
        held = list(_nodes_in([*step.args, *step.kwargs.values(), *_told(step)]))
        for earlier in originals:
            if step is earlier:
                raise TypeError(f"sequence: step {place}, {step!r}, stands there twice, and one call runs once")
            if any(part is earlier for part in held):
                raise TypeError(
                    f"sequence: step {place}, {step!r}, needs the step {earlier!r} itself, which would run a second time. "
                    f"A call comes after what it needs anyway: leave that step out of the sequence"
                )
        originals.append(step)
        if last is not None:
            step = _in_its_turn(step).after(last)
        last = step
    if last is None:
        raise ValueError("a sequence needs at least one step")
    return last


def _in_its_turn(step: LazyResult) -> LazyResult:
    """A node with the value of ``step``, which demands nothing for it before what it comes after has ended."""
    policy = step.policy
    if step.task is not ROUTER and (policy is None or not (policy.conditions or policy.after)):
        return step  # all that it needs are arguments
    # A router that has no choice: its route is demanded when its selector, and what it comes after, have ended (N25).
    return LazyResult(ROUTER, (_ONLY, {_ONLY: 0}, step), {}, None, step.code, step.lasti)


def _told(step: LazyResult) -> list[Any]:
    """What a step needs beside its arguments."""
    if step.policy is None:
        return []
    return [*step.policy.after, *(part for one in step.policy.conditions for part in (one.test, one.otherwise))]


def _nodes_in(parts: Iterable[Any]) -> Iterator[LazyResult]:
    """The nodes among ``parts``, and in containers among them."""
    seen: set[int] = set()
    stack = list(parts)
    while stack:
        part = stack.pop()
        if type(part) is LazyResult:
            yield part
        elif is_container(type(part)) and id(part) not in seen:
            seen.add(id(part))
            stack += members(part)


@overload
def pipeline(initial: T, steps: tuple[Callable[[T], LazyResult[A]]], /) -> LazyResult[A]: ...
@overload
def pipeline(initial: T, steps: tuple[Callable[[T], LazyResult[A]], Callable[[A], LazyResult[B]]], /) -> LazyResult[B]: ...
@overload
def pipeline(
    initial: T, steps: tuple[Callable[[T], LazyResult[A]], Callable[[A], LazyResult[B]], Callable[[B], LazyResult[C]]], /
) -> LazyResult[C]: ...
@overload
def pipeline(initial: Any, steps: Iterable[Callable[[Any], Any]], /) -> Any: ...
def pipeline(initial: Any, steps: Iterable[Callable[[Any], Any]], /) -> Any:
    """``steps[n](... steps[1](steps[0](initial)))``: each task (or workflow) is called with what the one before it gives.

    :raises TypeError: a step cannot be called (a LazyResult is a call already: pass the task itself).
    """
    caller = _getframe(1)
    value = initial
    step: Any
    for place, step in enumerate(steps):
        if type(step) is LazyResult or not callable(step):
            raise TypeError(f"pipeline: step {place} is {step!r}, and should be a task: leave out the parentheses of its call")
        value = step(value)
        if type(value) is LazyResult and value.code is pipeline.__code__:  # it was written where the pipeline was
            value = LazyResult(value.task, value.args, value.kwargs, value.policy, caller.f_code, caller.f_lasti)
    return value
