"""Graph mode's plan: from a graph to steps, in the order in which eager Python would evaluate it.

A step is a node or a container to rebuild, in one activation of its graph. The plan has the steps of the whole graph; which of them are
demanded shows when it runs. Shares nothing with lowering.
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
from cascade_compiler.node_kinds import ROUTER, Literal, MapKind
from cascade_compiler.policy import NO_POLICY, Policy
from cascade_compiler.resource import is_injected
from cascade_compiler.scan import Scanner
from cascade_compiler.set_order import SetOrder
from cascade_compiler.task import Task
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING
from cascade_vm.registry import lookup
from cascade_vm.sites import LineTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cascade_compiler.graph_evaluation import Evaluation
    from cascade_compiler.graph_map import Progress

# --- steps and their order --------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Activation:
    """One run of one graph. It knows the step that waits for its value, but none of its own, so it is freed with the last.

    The items of a map are steps of an activation of their own, whose parent is the map.
    """

    parent: Step | None
    depth: int


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
    pause: float = 0.0  # seconds that it is to wait, or is waiting
    then: Callable[[Evaluation, Step], None] | None = None  # what it does after the pause
    key: tuple[int, bytes] | None = None  # of the cached call that it makes: others wait for its value
    index: int | None = None  # of an item
    progress: Progress | None = None  # of a map

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
        return task is not None and (task.waits or retry_waits or bool(policy.constraints) or policy.rate is not None)

    @property
    def is_early(self) -> bool:
        """Does what it does next come before synchronous calls, wherever those stand?"""
        if self.gates:
            return self.gates[0].leads_to_io
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


# --- from a graph to steps --------------------------------------------------------------------------------------------


Fits = WeakKeyDictionary[Task, set[tuple[Any, ...]]]  # the forms of call (arity, keywords) that are known to fit a task
# Among the children of a node: here it has a place in the order, itself or one of its gates.
_PLACE: Any = type("PLACE", (), {})()


def plan(root: Any, activation: Activation, fits: Fits) -> tuple[Any, list[Step]]:
    """(what ``root`` is: its step, or a value that needs none; the steps of all that it may need, each after its parts).

    Iterative, and linear in the graph. Inputs are the steps that are done already.

    :raises CompileError: a cycle, a call that does not fit its task, a LazyResult where nothing resolves it.
    """
    # By identity: each step keeps its source alive, so no other object can have the same id.
    steps: dict[int, Step] = {}
    places: dict[int, list[int]] = {}
    next_place = 0
    scanner = Scanner()
    order = SetOrder(scanner)
    path: list[tuple[Any, Iterator[Any]]] = [(None, iter((root,)))]
    while True:
        source, children = path[-1]
        for child in children:
            if child is _PLACE:
                places[id(source)].append(next_place)
                next_place += 1
                continue
            if id(child) in steps or not scanner.holds_lazy(child):
                continue
            if id(child) in places:
                raise _cycle([node for node, _ in path], child)
            places[id(child)] = []
            path.append((child, _children(child, order)))
            break
        else:
            path.pop()
            if not path:
                break
            _check_call(source, fits)
            steps[id(source)] = _step(source, activation, places[id(source)], steps, order)
    found = list(steps.values())
    _find_what_feeds_io(found)
    return _reference(root, steps), found


def _children(source: Any, order: SetOrder) -> Iterator[Any]:
    """All that a node may need in order of evaluation, as if everything were chosen, with its own places in that order (R4)."""
    if type(source) is not LazyResult:
        yield from order.members(source)
        yield _PLACE
        return
    policy = source.policy or NO_POLICY
    _refuse_resources(source)
    for condition in reversed(policy.conditions):
        yield condition.test
        yield _PLACE
    if source.task is ROUTER:
        yield source.args[0]
        yield from policy.after
        yield _PLACE
        yield from source.args[2:]
    else:
        yield from (amount for _, amount in policy.constraints)
        yield from source.args
        yield from source.kwargs.values()
        yield from policy.after
    yield _PLACE
    yield from (condition.otherwise for condition in policy.conditions if condition.otherwise is not MISSING)


def _refuse_resources(source: LazyResult) -> None:
    task = source.task.task if isinstance(source.task, MapKind) else source.task
    injected = getattr(task, "injected", {})
    if isinstance(task, Task) and injected:
        assert task.signature is not None
        injected = injected.keys() - {*list(task.signature.parameters)[: len(source.args)], *source.kwargs}
    if injected or is_injected(source):
        raise CompileError(f"engine='graph' does not know resources in this version (written at {where(source)}): use engine='auto'")


def _step(source: Any, activation: Activation, places: list[int], steps: dict[int, Step], order: SetOrder) -> Step:
    def references(parts: Iterable[Any]) -> list[Any]:
        return [_reference(part, steps) for part in parts]

    policy = NO_POLICY
    gates: list[Gate] = []
    amounts: dict[str, Any] = {}
    kwargs: dict[str, Any] = {}
    before: list[Step] = []
    if type(source) is not LazyResult:
        kind, args = None, references(order.members(source))
    else:
        kind, policy = source.task, source.policy or NO_POLICY
        for condition in reversed(policy.conditions):
            otherwise = references(() if condition.otherwise is MISSING else (condition.otherwise,))
            gates.append(Gate(condition.test, _reference(condition.test, steps), [], places[len(gates)], None, otherwise))
        before = references(policy.after)
        args = []
        if kind is ROUTER:
            selector, table, *routes = source.args
            gates.append(Gate(selector, _reference(selector, steps), before, places[len(gates)], table, references(routes)))
            before = []
        else:
            args = references(source.args)
            kwargs = dict(zip(source.kwargs, references(source.kwargs.values()), strict=True))
            amounts = {n: _reference(a, steps) if type(a) is LazyResult else float(a) for n, a in policy.constraints}
    step = Step(source, kind, activation, places[0], policy, gates, places[-1], amounts, args, kwargs, before)
    step.done = isinstance(kind, InputKind) and not gates
    below = {id(part): part for part in _all_below(step)}.values()
    step.holds_io = step.may_wait or any(part.holds_io for part in below)
    for part in below:
        part.users += 1
    return step


def _all_below(step: Step) -> Iterator[Step]:
    for part in chain(step.parts(), *((gate.test, *gate.before, *gate.routes) for gate in step.gates)):
        if type(part) is Step:
            yield part


def _find_what_feeds_io(steps: list[Step]) -> None:
    """Mark what is done early: ``steps`` are in an order in which each comes after all that it may need."""
    for step in reversed(steps):
        passes_on = step.may_wait or (step.feeds_io and step.task is None)
        below = [part for part in step.parts() if type(part) is Step]
        if passes_on:
            for part in below:
                part.feeds_io = True
        leads = passes_on or (bool(step.gates) and any(part.holds_io for part in below))
        for gate in reversed(step.gates):
            routes = [route for route in gate.routes if type(route) is Step]
            tests = [test for test in (gate.test, *gate.before) if type(test) is Step]
            gate.leads_to_io = leads or any(route.holds_io for route in routes) or (step.feeds_io and bool(gate.routes))
            for part in (*(routes if step.feeds_io else ()), *(tests if gate.leads_to_io else ())):
                part.feeds_io = True
            leads = gate.leads_to_io or any(test.holds_io for test in tests)


def _reference(value: Any, steps: dict[int, Step]) -> Any:
    step = steps.get(id(value))
    if step is not None:
        return step
    return value.value if type(value) is Literal else value


def surely_waits(root: Any, steps: list[Step]) -> bool:
    """Is anything that waits sure to be started, whatever the conditions and caches say? Then a loop is needed."""
    may_skip: set[Step] = set()
    for step in steps:
        if any(not gate.routes for gate in step.gates) or (may_skip and any(part in may_skip for part in _all_below(step))):
            may_skip.add(step)
    seen: set[Step] = set()
    stack = [root]
    while stack:
        step = stack.pop()
        if type(step) is not Step or step in seen:
            continue
        seen.add(step)
        waits = isinstance(step.kind, Task) and step.kind.waits and step.policy.cache is None
        if waits and not step.gates and step not in may_skip:
            return True
        stack += step.asked()
    return False


def _cycle(path: list[Any], node: Any) -> CompileError:
    start = next(i for i, one in enumerate(path) if one is node)
    labels = [one.task.label for one in path[start:] if type(one) is LazyResult]
    if len(labels) > 12:
        labels = [*labels[:6], "...", *labels[-5:]]
    shown = " -> ".join([*labels, labels[0]])
    return CompileError(f"cycle: {shown}. A container was changed after it had been passed to a call; build a new one instead")


def _check_call(source: Any, fits: Fits) -> None:
    task = source.task if type(source) is LazyResult else None
    if isinstance(task, MapKind):
        task = task.task
    if not isinstance(task, Task):
        return
    if task.mode == "process" and (not task.portable or lookup(task.symbol) is not task):
        raise CompileError(
            f"{task.label} runs in a process, which must find it by its name: define it with def at the top of a module that can be "
            f"imported (written at {where(source)})"
        )
    if task.signature is None:
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
