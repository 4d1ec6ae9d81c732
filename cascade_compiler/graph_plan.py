"""Graph mode's plan: from a graph to steps, in the order in which eager Python would evaluate it.

The plan has the steps of the whole graph; which of them are demanded shows when it runs. Shares nothing with lowering.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cascade_compiler.graph_injection import injected, needed
from cascade_compiler.graph_steps import Activation, Gate, Step, all_below, where
from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import ROUTER, Literal, MapKind
from cascade_compiler.policy import NO_POLICY
from cascade_compiler.resource import ResourceKind, is_injected
from cascade_compiler.scan import Scanner
from cascade_compiler.set_order import SetOrder
from cascade_compiler.task import Task
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING
from cascade_vm.registry import lookup

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

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
    resources: dict[ResourceKind, Step] = {}
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
            step = _step(source, activation, places[id(source)], steps, order)
            if isinstance(step.kind, ResourceKind):  # it stands in a graph once, however often it is injected
                step = resources.setdefault(step.kind, step)
            steps[id(source)] = step
    found = list(dict.fromkeys(steps.values()))
    _find_what_feeds_io(found)
    return _reference(root, steps), found


def _children(source: Any, order: SetOrder) -> Iterator[Any]:
    """All that a node may need in order of evaluation, as if everything were chosen, with its own places in that order (R4)."""
    if type(source) is not LazyResult:
        yield from order.members(source)
        yield _PLACE
        return
    policy = source.policy or NO_POLICY
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
        yield from injected(source).values()
        yield from policy.after
    yield _PLACE
    yield from (condition.otherwise for condition in policy.conditions if condition.otherwise is not MISSING)


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
            beside = injected(source)
            kwargs = dict(zip((*source.kwargs, *beside), references((*source.kwargs.values(), *beside.values())), strict=True))
            kind = needed(source) if is_injected(source) else kind
            amounts = {n: _reference(a, steps) if type(a) is LazyResult else float(a) for n, a in policy.constraints}
    step = Step(source, kind, activation, places[0], policy, gates, places[-1], amounts, args, kwargs, before)
    step.done = isinstance(kind, InputKind) and not gates
    below = {id(part): part for part in all_below(step)}.values()
    step.holds_io = step.may_wait or any(part.holds_io for part in below)
    for part in below:
        part.users += 1
    return step


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


def surely_waits(root: Any, steps: list[Step], overrides: Container[str]) -> bool:
    """Is anything that waits sure to be started, whatever the conditions and caches say? Then a loop is needed."""
    may_skip: set[Step] = set()
    for step in steps:
        if any(not gate.routes for gate in step.gates) or (may_skip and any(part in may_skip for part in all_below(step))):
            may_skip.add(step)
    seen: set[Step] = set()
    stack = [root]
    while stack:
        step = stack.pop()
        if type(step) is not Step or step in seen:
            continue
        seen.add(step)
        if isinstance(step.kind, ResourceKind) and step.kind.is_async and step.kind.name not in overrides:
            return True
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
    if all(is_injected(one) for one in path[start:]):
        advice = "Resources that inject each other can never be set up: one must do without the other"
        return CompileError(f"cycle: {shown}. {advice}", code="C01")
    return CompileError(f"cycle: {shown}. A container was changed after it had been passed to a call; build a new one instead", code="C01")


def _check_call(source: Any, fits: Fits) -> None:
    task = source.task if type(source) is LazyResult else None
    if isinstance(task, MapKind):
        task = task.task
    if not isinstance(task, Task):
        return
    if task.mode == "process" and (not task.portable or lookup(task.symbol) is not task):
        raise CompileError(
            f"{task.label} runs in a process, which must find it by its name: define it with def at the top of a module that can be "
            f"imported (written at {where(source)})",
            code="C09",
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
        raise CompileError(f"{task.label}{task.signature_text} cannot be called like this: {fault}{written}", code="C02") from None
    known.add(form)


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
            raise CompileError(f"the input {kind.name!r} is declared twice, with different types, defaults or sources", code="C05")
    return merged
