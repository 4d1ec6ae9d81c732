"""``compile``: a workflow or a graph to a Program that can be saved, loaded elsewhere and run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cascade_compiler.capture import capture
from cascade_compiler.emit import Emitted
from cascade_compiler.inputs import InputKind
from cascade_compiler.ir import Graph, Kind
from cascade_compiler.lowering import lower
from cascade_compiler.task import Task
from cascade_compiler.workflow import Workflow
from cascade_vm import constants, registry, types
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING
from cascade_vm.program import InputSpec, Live, Program, ProgramData, SourceMap
from cascade_vm.sites import LineTable


def compile(target: Any) -> Program:
    """Compile ``target`` ahead of time.

    :param target: a workflow (traced once, with Params for its parameters), or whatever ``run`` takes; its Params become inputs.
    :raises CompileError: the graph has no meaning, or holds a constant that no artifact can hold (make that a Param).
    """
    declared: Sequence[InputKind] = ()
    if isinstance(target, Workflow):
        target, declared = target.trace()
    graph = capture(target, declared)
    if any(op.bound for op in graph.ops):
        raise CompileError(
            "a call that is bound to routes (bind, select_jump) cannot be part of a compiled program yet: its routes are graphs. "
            "Run it with run(...), or let a task of the program return it"
        )
    emitted = lower(graph)
    blueprint = emitted.blueprint
    pool, slots = _constants(graph)
    specs, unsavable = _inputs(graph.inputs)
    unsavable = _tasks(emitted) + unsavable + _policies(emitted)
    data = ProgramData(blueprint.cycle_id, (blueprint,), tuple(pool), tuple(slots), tuple(specs))
    functions = {blueprint.cycle_id: [task.fn for task in emitted.tasks]}
    resources = {blueprint.cycle_id: [one.fn for one in emitted.resources]}
    live = Live(functions, {blueprint.cycle_id: emitted.live}, resources, graph.inputs, unsavable)
    return Program(data, {blueprint.cycle_id: _source_map(graph, emitted)}, live)


def _constants(graph: Graph) -> tuple[list[bytes], list[int]]:
    """The pool, and for each literal its place there. One object in two places is one constant, and stays one object in a run."""
    pool: list[bytes] = []
    by_identity: dict[int, int] = {}
    by_value: dict[tuple[type, bytes], int] = {}
    slots = []
    for slot, value in enumerate(graph.literals):
        at = by_identity.get(id(value))
        if at is None:
            try:
                encoded = constants.encode(value)
            except constants.NotEncodable as fault:
                if _path(graph, slot) == _ROUTER:
                    raise CompileError(
                        f"{_ROUTER} {fault.what}, which cannot be stored in a program: use numbers, texts, None or tuples of "
                        f"them as keys"
                    ) from None
                raise CompileError(
                    f"{_path(graph, slot)}{fault.path} is {fault.what}, which cannot be stored in a program. "
                    f"Make it a Param, or build it inside a task"
                ) from None
            key = (type(value), encoded)
            at = by_value.get(key) if constants.is_immutable(value) else None
            if at is None:
                at = len(pool)
                pool.append(encoded)
                by_value[key] = at
            by_identity[id(value)] = at
        slots.append(at)
    return pool, slots


_ROUTER = "among the keys of a router,"


def _path(graph: Graph, slot: int) -> str:
    """How a literal is reached from the call that takes it: ``report.args[0]['rows']``."""
    at = next(number for number, op in enumerate(graph.ops) if op.kind is Kind.LITERAL and op.detail == slot)
    path = ""
    for number in range(at + 1, len(graph.ops)):
        op = graph.ops[number]
        if at not in op.args:
            continue
        place = op.args.index(at)
        plain = len(op.args) - len(op.names)
        if op.task is not None:
            inner = f".kwargs[{op.names[place - plain]!r}]" if place >= plain else f".args[{place}]"
            return f"{op.task.label}{inner}{path}"
        if op.kind is Kind.BRANCH and at in op.args[1:]:
            return _ROUTER
        if op.kind is Kind.ITEM:
            return f"the key of an item{path}"
        if op.detail == "dict":
            key = graph.ops[op.args[place - 1]]
            shown = repr(graph.literals[key.detail]) if key.kind is Kind.LITERAL else "..."
            path = (f"[{shown}]" if place % 2 else " (a key)") + path
        else:
            path = f"[{place}]{path}"
        at = number
    return f"the target{path}"


def _inputs(kinds: Sequence[InputKind]) -> tuple[list[InputSpec], list[str]]:
    specs, unsavable = [], []
    for kind in kinds:
        text, default = "any", None
        try:
            text = types.describe(kind.type)
            if kind.default is not MISSING:
                default = constants.encode(kind.default)
        except constants.NotEncodable as fault:
            unsavable.append(f"input {kind.name!r}: its default is {fault.what}")
        except ValueError as fault:
            unsavable.append(f"input {kind.name!r}: {fault}. Use builtin types, and convert inside a task")
        specs.append(InputSpec(kind.name, kind.source, text, default))
    return specs, unsavable


def _tasks(emitted: Emitted) -> list[str]:
    """Tasks that another process could not find."""
    return [f"task {task.label} {why}" for task in emitted.tasks if (why := _why_not_found(task)) is not None]


def _policies(emitted: Emitted) -> list[str]:
    """What of the policies no artifact can hold."""
    caches = [policy.cache for policy in emitted.blueprint.policies if policy.cache is not None]
    found = [f"the cache {name.replace(':', '.')} of a call lives in this process alone: an artifact cannot hold it" for name in caches]
    found += [
        f"with_retry(on={error.__qualname__}): the class is not defined at the top of a module that can be imported"
        for live in emitted.live
        for error in live.errors
        if "<" in error.__qualname__ or "." in error.__qualname__ or error.__module__ == "__main__"
    ]
    found += [
        f"{one.label} is not defined at the top of a module, where another process could import it"
        for one in emitted.resources
        if not one.portable or one.symbol.startswith("__main__:")
    ]
    return found


def _why_not_found(task: Task) -> str | None:
    if "<lambda>" in task.fn_name:
        return "is a lambda: give it a name, with def, at the top of a module"
    if not task.portable:
        return "is not defined at the top of a module, where another process could import it"
    if task.symbol.startswith("__main__:"):
        return "is defined in the script that runs (__main__): put it into a module of its own"
    if registry.lookup(task.symbol) is not task:
        return "has been replaced by a later definition of the same name"
    return None


def _source_map(graph: Graph, emitted: Emitted) -> SourceMap:
    table = LineTable()
    by_slot = {op.slot: op for op in graph.ops if op.slot >= 0}
    files: dict[str, int] = {}
    lines = []
    for slot in emitted.slots:
        op = by_slot.get(slot)
        if op is None or op.code is None:
            lines.append((-1, 0))
            continue
        path, line = table.resolve(op.code, op.lasti)
        lines.append((files.setdefault(path, len(files)), line))
    return SourceMap(tuple(files), tuple(lines))
