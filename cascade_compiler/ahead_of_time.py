"""``compile``: a workflow or a graph to a Program that can be saved, loaded elsewhere and run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack, overload

from cascade_compiler import descriptions, edge_types
from cascade_compiler.capture import capture
from cascade_compiler.disk_cache import lowered
from cascade_compiler.emit import Emitted
from cascade_compiler.inputs import InputKind
from cascade_compiler.ir import Graph, Kind
from cascade_compiler.jumping import JumpTable
from cascade_compiler.lazy import LazyResult
from cascade_compiler.passes import DEFAULT_PASSES, passes_ahead_of_time, run_passes
from cascade_compiler.route_graphs import literal_at, route_graphs, routes_of
from cascade_compiler.shape import digest
from cascade_compiler.shapes_ahead import Known, known_shapes
from cascade_compiler.task import Task
from cascade_compiler.workflow import Workflow
from cascade_vm import constants, isa, registry, types
from cascade_vm.about import SourceMap, told_returns
from cascade_vm.blueprint import Blueprint
from cascade_vm.caching import is_cache_name
from cascade_vm.constant_keys import check_keys, encode_for_artifact
from cascade_vm.errors import CompileError, InternalError
from cascade_vm.inputs import MISSING
from cascade_vm.jumps import ABSENT
from cascade_vm.program import Live, LiveGraph, Program, ProgramData
from cascade_vm.route_data import NOTHING, InputSpec, Part, Route, Shape, Table
from cascade_vm.sites import LineTable
from cascade_vm.version import PRODUCER

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
K = TypeVar("K")
T = TypeVar("T")


class CompileOptions(TypedDict, total=False):
    """The keywords of ``compile``, for type checkers."""

    fold: bool
    examples: Iterable[Mapping[str, Any]]


@overload
def compile(target: LazyResult[T], **options: Unpack[CompileOptions]) -> Program[T]: ...
@overload
def compile(target: Workflow[..., Any, T], **options: Unpack[CompileOptions]) -> Program[T]: ...
@overload
def compile(target: tuple[LazyResult[A], LazyResult[B]], **options: Unpack[CompileOptions]) -> Program[tuple[A, B]]: ...
@overload
def compile(
    target: tuple[LazyResult[A], LazyResult[B], LazyResult[C]], **options: Unpack[CompileOptions]
) -> Program[tuple[A, B, C]]: ...
@overload
def compile(target: tuple[LazyResult[T], ...], **options: Unpack[CompileOptions]) -> Program[tuple[T, ...]]: ...
@overload
def compile(target: list[LazyResult[T]], **options: Unpack[CompileOptions]) -> Program[list[T]]: ...
@overload
def compile(target: dict[K, LazyResult[T]], **options: Unpack[CompileOptions]) -> Program[dict[K, T]]: ...
@overload
def compile(target: set[LazyResult[T]], **options: Unpack[CompileOptions]) -> Program[set[T]]: ...
@overload
def compile(target: Any, **options: Unpack[CompileOptions]) -> Program: ...
def compile(target: Any, *, fold: bool = False, examples: Iterable[Mapping[str, Any]] = ()) -> Program:
    """Compile ``target`` ahead of time.

    A ``TypeMismatchWarning`` is given for each call that gets what it clearly does not take, by the annotations of both ends.

    :param target: a workflow (traced once, with Params for its parameters), or whatever ``run`` takes; its Params become inputs.
    :param fold: call pure tasks whose arguments are all constants now, once, and keep their values as constants of the program. A call
        that raises, or whose value no artifact can hold, stays a call. The calls of a program with jumps all stay.
    :param examples: inputs by name, one dict for each run to be made now, with all that its tasks do. The shapes of the graphs that tasks
        return in them become part of the program, beside those that the source of the tasks shows.
    :raises CompileError: the graph has no meaning, or holds a constant that no artifact can hold (make that a Param); an example fails.
    """
    declared: Sequence[InputKind] = ()
    said: dict[str, str] = {}
    if isinstance(target, Workflow):
        docstring = target.fn.__doc__
        target, declared = target.trace()
        said = descriptions.of_parameters(docstring, [one.name for one in declared])
    graph = capture(target, declared)
    edge_types.check(graph)
    return _Assembly().program(graph, fold, known_shapes(target, declared, graph, examples), said)


class _Assembly:
    """A program while it is put together: its entry, then the tables of its bound calls, and those that they lead to."""

    def __init__(self) -> None:
        self.blueprints: dict[str, Blueprint] = {}
        self.numbers: dict[str, int] = {}
        self.source_maps: dict[str, SourceMap] = {}
        self.pool: list[bytes] = []
        self.parts: list[Part] = []
        self.live: list[LiveGraph] = []
        self.tables: list[JumpTable] = []
        self.unsavable: list[str] = []
        self.caches: dict[str, Any] = {}
        self._by_identity: dict[int, int] = {}
        self._by_value: dict[tuple[type, bytes], int] = {}
        self._kept: list[Any] = []  # what is known by identity

    def program(self, captured: Graph, fold: bool, known: Known, said: Mapping[str, str]) -> Program:
        name = digest(captured)
        shapes = known.graphs
        # A graph of the entry's own shape that comes later has other literals: they must stand where the shape has them.
        graph = run_passes(captured, DEFAULT_PASSES if name in shapes else passes_ahead_of_time(captured, fold))
        literals = self.literals(graph, captured)
        specs = self.inputs(graph.inputs)
        entry = self.blueprint(graph, name, captured)
        tables = [self.table_data(table) for table in self.tables]  # of which there will be more meanwhile
        found = [shape for cycle_id in sorted(shapes) if (shape := self.shape(cycle_id, shapes[cycle_id])) is not None]
        data = ProgramData(
            entry.cycle_id, tuple(self.blueprints.values()), tuple(self.pool), literals, specs, tuple(self.parts), tuple(tables),
            tuple(found),
        )  # fmt: skip
        first, *parts = self.live
        live = Live(first, tuple(parts), tuple(dict.fromkeys(self.unsavable)))
        provenance = {"producer": PRODUCER, **descriptions.stored(said), **told_returns(known.returned)}
        return Program(data, self.source_maps, provenance=provenance, live=live)

    def shape(self, name: str, captured: Graph) -> Shape | None:
        """A graph that a task returns; None where another process could not have one like it."""
        emitted, _ = lowered(captured, name)
        if _tasks(emitted) or _resources(emitted):
            return None
        self.blueprints.setdefault(name, emitted.blueprint)
        return Shape(self.numbers.setdefault(name, len(self.numbers)), emitted.slots)

    def table_data(self, table: JumpTable) -> Table:
        try:
            check_keys(dict(table.routes), "")
        except constants.NotEncodable as fault:
            raise CompileError(_KEYS.format("jump table", fault.what), code="C10") from None
        return Table(tuple([self.route(key, route, table) for key, route in table.routes.items()]))

    def route(self, key: Any, route: LazyResult | None, table: JumpTable) -> Route:
        try:
            encoded = encode_for_artifact(key)
        except constants.NotEncodable as fault:
            raise CompileError(_KEYS.format("jump table", fault.what), code="C10") from None
        if route is None:
            return Route(encoded)
        graphs = route_graphs(route, table)
        plain, blueprint = self.part(graphs.plain)
        full, _ = self.part(graphs.full)
        call = _reader_of(blueprint, graphs.routes)
        return Route(encoded, plain, full, call, graphs.slots, graphs.first, graphs.more, graphs.joint, graphs.required)

    def part(self, captured: Graph) -> tuple[int, Blueprint]:
        """The next part: of its literals, which jumps give, the passes may suppose nothing."""
        literals = self.literals(captured, captured)
        specs = self.inputs(captured.inputs)
        blueprint = self.blueprint(run_passes(captured, DEFAULT_PASSES), digest(captured), captured)
        self.parts.append(Part(self.numbers[blueprint.cycle_id], literals, specs))
        return len(self.parts) - 1, blueprint

    def blueprint(self, graph: Graph, name: str, captured: Graph) -> Blueprint:
        """Compile a graph that the passes have been applied to: the entry's, or that of the next part."""
        emitted, _ = lowered(graph, name, passes=())
        blueprint = emitted.blueprint
        self.source_maps[name if name not in self.blueprints else f"{name}+{len(self.parts)}"] = _source_map(captured, emitted)
        self.blueprints.setdefault(name, blueprint)
        self.numbers.setdefault(name, len(self.numbers))
        functions = tuple([task.fn for task in emitted.tasks])
        self.live.append(LiveGraph(functions, emitted.live, tuple([one.fn for one in emitted.resources]), tuple(graph.inputs)))
        self.unsavable += _tasks(emitted) + _policies(emitted) + _resources(emitted)
        for policy, beside in zip(blueprint.policies, emitted.live, strict=True):
            if policy.cache is not None and self.caches.setdefault(policy.cache, beside.cache) is not beside.cache:
                self.unsavable.append(f"two caches have the name {policy.cache!r}: another process could not tell them apart")
        return blueprint

    def literals(self, graph: Graph, captured: Graph) -> tuple[int, ...]:
        """For each literal its place in the pool, or what stands there instead. One object in two places is one constant."""
        tables = {literal_at(graph, op.args[routes_of(op)]) for op in graph.ops if op.bound}
        return tuple(
            [
                NOTHING - 1 - self.table(value) if slot in tables else NOTHING if value is ABSENT else self.constant(value, captured)
                for slot, value in enumerate(graph.literals)
            ]
        )

    def table(self, table: JumpTable) -> int:
        at = self._by_identity.get(id(table))
        if at is None:
            at = self._by_identity[id(table)] = len(self.tables)
            self.tables.append(table)
        return at

    def constant(self, value: Any, captured: Graph) -> int:
        at = self._by_identity.get(id(value))
        if at is not None:
            return at
        try:
            encoded = encode_for_artifact(value)
        except constants.NotEncodable as fault:
            path = _path(captured, next(slot for slot, one in enumerate(captured.literals) if one is value))
            if path == _ROUTER:
                raise CompileError(_KEYS.format("router", fault.what), code="C10") from None
            raise CompileError(
                f"{path}{fault.path} is {fault.what}, which cannot be stored in a program. "
                f"Make it a Param, or build it inside a task",
                code="C10",
            ) from None
        key = (type(value), encoded)
        at = self._by_value.get(key) if constants.is_immutable(value) else None
        if at is None:
            at = len(self.pool)
            self.pool.append(encoded)
            self._by_value[key] = at
        self._by_identity[id(value)] = at
        self._kept.append(value)
        return at

    def inputs(self, kinds: Sequence[InputKind]) -> tuple[InputSpec, ...]:
        specs = []
        for kind in kinds:
            text, default = "any", None
            try:
                text = types.describe(kind.type)
                if kind.default is not MISSING:
                    default = encode_for_artifact(kind.default)
            except constants.NotEncodable as fault:
                self.unsavable.append(f"input {kind.name!r}: its default{fault.path} is {fault.what}")
            except ValueError as fault:
                self.unsavable.append(f"input {kind.name!r}: {fault}. Use builtin types, and convert inside a task")
            specs.append(InputSpec(kind.name, kind.source, text, default))
        return tuple(specs)


def _reader_of(blueprint: Blueprint, literal: int) -> int:
    """The bound call whose routes are this literal: each has one of its own."""
    symbols, policies = blueprint.symbols, blueprint.policies
    for pc, i in enumerate(blueprint.instructions):
        if isa.BY_CODE[i.opcode].aux != "symbol" or not symbols[i.aux].bound:
            continue
        if i.reads[policies[i.spec].dynamic if i.spec != isa.NONE else 0] == literal:
            return pc
    raise InternalError(f"no call has its routes in R{literal}")


_OWN_FILES = os.path.dirname(os.path.abspath(__file__)) + os.sep
_KEYS = "among the keys of a {}, {}, which cannot be stored in a program: use numbers, texts, None or tuples of them as keys"
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
            lead = routes_of(op) + op.bound  # what stands before its arguments
            place, plain = place - lead, plain - lead
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


def _tasks(emitted: Emitted) -> list[str]:
    """Tasks that another process could not find."""
    return [f"task {task.label} {why}" for task in emitted.tasks if (why := _why_not_found(task)) is not None]


def _policies(emitted: Emitted) -> list[str]:
    """What of the policies no artifact can hold."""
    caches = [one.cache for one in emitted.blueprint.policies if one.cache is not None and not is_cache_name(one.cache)]
    found = [
        f"the cache {name.replace(':', '.')} of a call has no name under which another process could have one: {name.rpartition(':')[2]}"
        "(..., name='results'), say"
        for name in caches
    ]
    found += [
        f"with_retry(on={error.__qualname__}): the class is not defined at the top of a module that can be imported"
        for live in emitted.live
        for error in live.errors
        if "<" in error.__qualname__ or "." in error.__qualname__ or error.__module__ == "__main__"
    ]
    return found


def _resources(emitted: Emitted) -> list[str]:
    """Resources that another process could not find."""
    return [
        f"{one.label} is not defined at the top of a module, where another process could import it"
        for one in emitted.resources
        if not one.portable or one.symbol.startswith("__main__:")
    ]


def _why_not_found(task: Task) -> str | None:
    if "<lambda>" in task.fn_name:
        return "is a lambda: give it a name, with def, at the top of a module"
    if not task.portable:
        return "is not defined at the top of a module, where another process could import it"
    if task.symbol.startswith("__main__:"):
        return "is defined in the script that runs (__main__): put it into a module of its own"
    if any(c == ":" or c.isspace() for c in task.qualname) or not task.qualname:
        return f"has the name {task.qualname!r}, which no artifact can hold: colons and spaces are not for names"
    if registry.lookup(task.symbol) is not task:
        return "has been replaced by a later definition of the same name"
    return None


def _source_map(graph: Graph, emitted: Emitted) -> SourceMap:
    table = LineTable()
    by_slot = {op.slot: op for op in graph.ops if op.slot >= 0}
    files: dict[str, int] = {}
    lines = []
    # By code object, whose own hash takes long, and offset: a few lines make most of the calls of a large graph.
    known: dict[tuple[int, int], tuple[int, int]] = {}
    for slot in emitted.slots:
        op = by_slot.get(slot)
        if op is None or op.code is None:
            lines.append((-1, 0))
            continue
        site = id(op.code), op.lasti
        place = known.get(site)
        if place is None:
            if op.code.co_filename.startswith(_OWN_FILES):  # what routes are made of was written by nobody
                place = (-1, 0)
            else:
                path, line = table.resolve(op.code, op.lasti)
                place = (files.setdefault(path, len(files)), line)
            known[site] = place
        lines.append(place)
    return SourceMap.of(files, lines)
