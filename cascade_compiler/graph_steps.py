"""Graph mode's plan: from a graph to steps, in the order in which eager Python would evaluate it.

A step is a call, an item, a ``gather`` or a container to rebuild, in one activation of its graph. Shares nothing with lowering.
"""

from __future__ import annotations

from bisect import insort
from functools import cmp_to_key
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import attrs

from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal
from cascade_compiler.scan import Scanner
from cascade_compiler.set_order import SetOrder
from cascade_compiler.task import Task
from cascade_vm.errors import CompileError
from cascade_vm.sites import LineTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


# --- steps and their order --------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Activation:
    """One run of one graph. It knows the step that waits for its value, but none of its own, so it is freed with the last."""

    parent: Step | None
    depth: int


@attrs.define(eq=False)
class Step:
    """A node or a container to rebuild, in one activation. Among its arguments, a Step stands for that step's value."""

    source: Any
    activation: Activation
    position: int
    args: list[Any]
    kwargs: dict[str, Any]
    waits: int = 0  # for so many ends of other steps
    readers: list[Step] = attrs.field(factory=list)
    is_target: bool = False
    feeds_io: bool = False  # an asynchronous call waits for it, directly or through items and containers
    done: bool = False
    value: Any = None

    @property
    def kind(self) -> Any:
        """What kind of node it is; None for a container."""
        return self.source.task if type(self.source) is LazyResult else None

    @property
    def is_async(self) -> bool:
        return isinstance(self.kind, Task) and self.kind.is_async


def _compare(a: Step, b: Step) -> int:
    """Negative where ``a`` comes before ``b``. A nested activation stands where the step that waits for it stands."""
    while a.activation is not b.activation:
        if a.activation.depth >= b.activation.depth:
            a = a.activation.parent  # type: ignore[assignment]  # two activations have a common ancestor below which both lie
        else:
            b = b.activation.parent  # type: ignore[assignment]
    return a.position - b.position


FIRST_FIRST: Callable[[Step], Any] = cmp_to_key(_compare)
_LAST_FIRST: Callable[[Step], Any] = cmp_to_key(lambda a, b: _compare(b, a))


def put(queue: list[Step], step: Step) -> None:
    """Insert into a queue whose first step stands at the end.

    The search begins there: a step that becomes ready mostly is among the first, and far activations are dear to compare.
    """
    low, jump = len(queue), 1
    while low and _compare(queue[low - 1], step) < 0:
        low, jump = max(0, low - jump), jump * 2
    insort(queue, step, low, key=_LAST_FIRST)


# --- from a graph to steps --------------------------------------------------------------------------------------------


Fits = WeakKeyDictionary[Task, set[tuple[Any, ...]]]  # the forms of call (arity, keywords) that are known to fit a task


def plan(root: Any, activation: Activation, fits: Fits) -> tuple[Any, list[Step]]:
    """(what ``root`` is: its step, or a value that needs none; all the steps that it needs, in order of position).

    Iterative, and linear in the graph. Inputs are the steps that are done already.

    :raises CompileError: a cycle, a call that does not fit its task, a LazyResult where nothing resolves it.
    """
    # By identity: each step keeps its source alive, so no other object can have the same id.
    steps: dict[int, Step] = {}
    entered: set[int] = set()
    scanner = Scanner()
    order = SetOrder(scanner)
    path: list[tuple[Any, Iterator[Any]]] = [(None, iter((root,)))]
    while True:
        source, children = path[-1]
        for child in children:
            if id(child) in steps or not scanner.holds_lazy(child):
                continue
            if id(child) in entered:
                raise _cycle([node for node, _ in path], child)
            entered.add(id(child))
            path.append((child, chain(*_parts(child, order))))
            break
        else:
            path.pop()
            if not path:
                break
            _check_call(source, fits)
            steps[id(source)] = _step(source, activation, steps, order)
    for step in reversed(steps.values()):
        step.feeds_io = any(one.is_async or (one.feeds_io and not isinstance(one.kind, Task)) for one in step.readers)
    return _reference(root, steps), list(steps.values())


def _parts(source: Any, order: SetOrder) -> tuple[Iterable[Any], Iterable[Any], Iterable[LazyResult]]:
    """(arguments, values of keyword arguments, nodes that only come before) of a node; the members of a container."""
    if type(source) is not LazyResult:
        return order.members(source), (), ()
    return source.args, source.kwargs.values(), source.policy.after if source.policy is not None else ()


def _step(source: Any, activation: Activation, steps: dict[int, Step], order: SetOrder) -> Step:
    args, keywords, before = ([_reference(part, steps) for part in parts] for parts in _parts(source, order))
    kwargs = dict(zip(source.kwargs, keywords, strict=True)) if keywords else {}
    step = Step(source, activation, len(steps), args, kwargs)
    step.done = isinstance(step.kind, InputKind)
    for part in chain(args, keywords, before):
        if type(part) is Step and not part.done:
            part.readers.append(step)
            step.waits += 1
    return step


def _reference(value: Any, steps: dict[int, Step]) -> Any:
    step = steps.get(id(value))
    if step is not None:
        return step
    return value.value if type(value) is Literal else value


def _cycle(path: list[Any], node: Any) -> CompileError:
    start = next(i for i, one in enumerate(path) if one is node)
    labels = [one.task.label for one in path[start:] if type(one) is LazyResult]
    if len(labels) > 12:
        labels = [*labels[:6], "...", *labels[-5:]]
    shown = " -> ".join([*labels, labels[0]])
    return CompileError(f"cycle: {shown}. A container was changed after it had been passed to a call; build a new one instead")


def _check_call(source: Any, fits: Fits) -> None:
    task = source.task if type(source) is LazyResult else None
    if not isinstance(task, Task) or task.signature is None:
        return
    form = (len(source.args), *source.kwargs)
    known = fits.setdefault(task, set())
    if form in known:
        return
    try:
        task.signature.bind(*source.args, **source.kwargs)
    except TypeError as fault:
        written = f" (written at {where(source)})"
        raise CompileError(f"{task.label}{task.signature_text} cannot be called like this: {fault}{written}") from None
    known.add(form)


def where(lazy: LazyResult) -> str:
    path, line = LineTable().resolve(lazy.code, lazy.lasti)
    return f"{path}:{line}"


def merge_inputs(kinds: Iterable[InputKind]) -> dict[str, InputKind]:
    """One declaration a name.

    :raises CompileError: two of one name disagree.
    """
    merged: dict[str, InputKind] = {}
    for kind in kinds:
        other = merged.setdefault(kind.name, kind)
        if kind is other:
            continue
        try:
            same_default = type(kind.default) is type(other.default) and bool(kind.default == other.default)
        except Exception:  # its equality has no truth value
            same_default = False
        same_default = same_default or kind.default is other.default
        if not (same_default and kind.type == other.type and kind.source == other.source):
            raise CompileError(f"the input {kind.name!r} is declared twice, with different types, defaults or sources")
    return merged
