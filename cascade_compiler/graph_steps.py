"""Graph mode's steps, and which of two comes first. A step is a node or a container to rebuild, in one activation of its graph."""

from __future__ import annotations

from bisect import insort
from functools import cmp_to_key
from itertools import chain
from typing import TYPE_CHECKING, Any

import attrs

from cascade_compiler.node_kinds import MapKind
from cascade_compiler.resource import ResourceKind
from cascade_compiler.task import Task
from cascade_vm.sites import LineTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cascade_compiler.graph_evaluation import Evaluation
    from cascade_compiler.graph_map import Progress
    from cascade_compiler.graph_resources import Flight, Held
    from cascade_compiler.lazy import LazyResult
    from cascade_compiler.policy import Policy

# --- steps and their order --------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Activation:
    """One run of one graph. It knows the step that waits for its value, but none of its own, so it is freed with the last.

    The items of a map are steps of an activation of their own, whose parent is the map.
    """

    parent: Step | None
    depth: int
    held: list[Held] = attrs.field(factory=list)  # the resources that end with it


@attrs.define(eq=False)
class Gate:
    """A question that a step asks before it demands more: a condition, or the choice of a router."""

    source: Any  # the test or selector as it was written
    test: Any
    before: list[Step]  # what must have ended too
    position: int
    table: dict[Any, int] | None  # of a router: the number of each key's route
    routes: list[Any]  # of a router, with its default last; of a condition, what it has otherwise, if anything
    leads_to_io: bool = False


@attrs.define(eq=False)
class Step:
    """A node or a container to rebuild, in one activation. Among its parts, a Step stands for that step's value."""

    source: Any
    kind: Any  # what kind of node it is; of an item of a map, the task; None for a container
    activation: Activation
    position: int  # of what it does next
    policy: Policy
    gates: list[Gate]  # that are still to be asked, in order
    last_position: int  # where it stands when no gate is left
    amounts: dict[str, Any]
    args: list[Any]
    kwargs: dict[str, Any]
    before: list[Step]
    # What the plan finds out:
    users: int = 0  # so many other steps have it as a part, test, route
    holds_io: bool = False  # it may wait, or something below it
    feeds_io: bool = False  # what may wait takes it, directly or through items, containers and choices
    # How far it has come:
    is_target: bool = False
    demanded: bool = False
    waits: int = 0  # for so many ends of other steps
    readers: list[Step] = attrs.field(factory=list)  # who waits for it
    todo: Callable[[Evaluation, Step], None] | None = None  # what it does when it is its turn
    chosen: Step | None = None  # whose value it will have
    done: bool = False
    value: Any = None
    # Of a call under a policy, and of maps:
    attempt: int = 0
    call: int = 0  # its number among those that somebody is told of
    pause: float = 0.0  # seconds that it is to wait, or is waiting
    then: Callable[[Evaluation, Step], None] | None = None  # what it does after the pause
    key: tuple[int, bytes] | None = None  # of the cached call that it makes: others wait for its value
    index: int | None = None  # of an item
    progress: Progress | None = None  # of a map
    flight: Flight | None = None  # what it has in flight for a resource

    @property
    def task(self) -> Task | None:
        """What it calls, once or for each item."""
        kind = self.kind.task if isinstance(self.kind, MapKind) else self.kind
        return kind if isinstance(kind, Task) else None

    @property
    def may_wait(self) -> bool:
        """Can it have anything in flight? Then what it needs is done early (S7)."""
        policy = self.policy
        retry_waits = policy.retry is not None and policy.retry.waits
        task = self.task
        if task is None:
            return isinstance(self.kind, ResourceKind) and self.kind.is_async
        return task.waits or retry_waits or bool(policy.constraints) or policy.rate is not None

    @property
    def is_early(self) -> bool:
        """Does what it does next come before synchronous calls, wherever those stand?"""
        if self.gates:
            return self.gates[0].leads_to_io
        if isinstance(self.kind, ResourceKind):
            return True  # a set-up has its turn later (see graph_resources)
        task = self.task
        return self.feeds_io if task is None else task.waits or not self.policy.is_plain

    def parts(self) -> Iterator[Any]:
        """What it needs for its call, in order of evaluation."""
        return chain(self.amounts.values(), self.args, self.kwargs.values(), self.before)

    def asked(self) -> Iterable[Any]:
        """What it needs for what it does next."""
        return (self.gates[0].test, *self.gates[0].before) if self.gates else self.parts()

    def resolve(self) -> None:
        """Put values in the place of steps."""
        self.amounts = {name: value_of(part) for name, part in self.amounts.items()}
        self.args = [value_of(part) for part in self.args]
        self.kwargs = {name: value_of(part) for name, part in self.kwargs.items()}

    def let_go(self) -> None:
        """Values go as soon as their last reader has run, and no cycle is left for the collector."""
        self.gates, self.amounts, self.args, self.kwargs, self.before, self.progress = [], {}, [], {}, [], None


def all_below(step: Step) -> Iterator[Step]:
    """The steps that ``step`` may need, whatever is chosen."""
    for part in chain(step.parts(), *((gate.test, *gate.before, *gate.routes) for gate in step.gates)):
        if type(part) is Step:
            yield part


def where(lazy: LazyResult) -> str:
    path, line = LineTable().resolve(lazy.code, lazy.lasti)
    return f"{path}:{line}"


def value_of(part: Any) -> Any:
    return part.value if type(part) is Step else part


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
