"""What is in a live graph: its calls as they were written, before anything is compiled."""

from __future__ import annotations

from typing import Any

from cascade_compiler import tracing
from cascade_compiler.capture_policy import call_policy
from cascade_compiler.inputs import InputKind
from cascade_compiler.jumping import JumpTable
from cascade_compiler.lazy import LazyResult
from cascade_compiler.mapping import Common
from cascade_compiler.node_kinds import GATHER, ITEM, ROUTER, Literal, MapKind
from cascade_compiler.policy import NO_POLICY
from cascade_compiler.resource import Named, ResourceKind
from cascade_compiler.scan import ATOMS, Scanner, is_container
from cascade_compiler.set_order import SetOrder
from cascade_compiler.task import Task
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING, show_type
from cascade_vm.pictures import labels
from cascade_vm.pictures.marks import marks, size
from cascade_vm.pictures.plan import Argument, Plan, Value, Vertex, named
from cascade_vm.sites import LineTable

_EXIT: Any = type("EXIT", (), {})()  # on the stack, behind what is left when its members are behind it
_VALUE, _KEY = 30, 20  # characters of a literal among arguments, and of the key of an item or route


class Collector:
    """Puts graphs into one plan; a node that is met again is the same vertex."""

    def __init__(self, unknown: Any = MISSING) -> None:
        self.plan = Plan([], [])
        self.tasks: dict[Task, int] = {}  # the first vertex that calls each
        self.unknown = unknown  # stands in a graph for a value of which nothing is known
        self.section = -1
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # what is known by its address
        self._scanner = Scanner()
        self._order = SetOrder(self._scanner)
        self._lines = LineTable()
        self._resources: dict[Any, Any] = {}
        self._ends: dict[int, int] = {}  # of a table of jumps, where it ends

    def add(self, target: Any) -> Value:
        """The number of ``target``'s vertex, or its text where it is a value.

        :raises CompileError: a LazyResult is hidden where nothing scans.
        """
        found = self._walk(target)
        first = len(self.plan.vertices)
        for part in found:
            self._numbers[id(part)] = first
            first += 1
        self._alive += found
        for part in found:
            self.plan.vertices.append(self._vertex(part))
        self._end_loops(found)
        return self._value(target)

    def declare(self, kinds: list[InputKind]) -> None:
        """Inputs that exist whether the graph uses them or not."""
        known = {one.task.name for one in self._alive if type(one) is LazyResult and type(one.task) is InputKind}
        for kind in kinds:
            if kind.name not in known:
                self.plan.vertices.append(self._input(kind))

    # --- what there is ----------------------------------------------------------------------------------------------------------

    def _walk(self, target: Any) -> list[Any]:
        """What has a vertex of its own and is not in the plan yet, members first. A graph with a cycle is gone through, too."""
        found: list[Any] = []
        met: set[int] = set()
        stack: list[Any] = [target]
        while stack:
            part = stack.pop()
            if part is _EXIT:
                found.append(stack.pop())
                continue
            part = self._shared(part)
            if id(part) in met or id(part) in self._numbers or not self._is_vertex(part):
                continue
            met.add(id(part))
            stack += (part, _EXIT)
            stack += reversed(self._members(part))
        return found

    def _is_vertex(self, part: Any) -> bool:
        kind = type(part)
        return kind not in ATOMS and (kind is LazyResult or kind is JumpTable or (is_container(kind) and self._scanner.holds_lazy(part)))

    def _shared(self, part: Any) -> Any:
        """Inputs of one name and requests for one resource are one vertex."""
        if type(part) is LazyResult and type(part.task) in (InputKind, Named, ResourceKind) and part.policy is None:
            key = (part.task.name, part.task.source) if type(part.task) is InputKind else self._provider(part)
            return self._resources.setdefault(key, part)
        return part

    def _provider(self, node: LazyResult) -> Any:
        kind = node.task
        if type(kind) is not Named:
            return kind
        try:
            return kind.resolve()
        except CompileError:  # nothing provides it (yet): it is drawn by its name
            return kind

    def _members(self, part: Any) -> list[Any]:
        if type(part) is JumpTable:
            return [route for route in part.routes.values() if route is not None]
        if type(part) is not LazyResult:
            return list(self._order.members(part))
        policy = part.policy or NO_POLICY
        told = [value for one in policy.conditions for value in (one.test, one.otherwise)]
        taken = [part.args[0], *part.args[2:]] if part.task is ROUTER else [*part.args, *part.kwargs.values()]
        jumps = [] if policy.jumps is None else [policy.jumps]
        return [*told, *(amount for _, amount in policy.constraints), *taken, *self._injected(part).values(), *policy.after, *jumps]

    def _injected(self, node: LazyResult) -> dict[str, LazyResult]:
        kind = node.task
        if type(kind) in (Named, ResourceKind):
            return dict(getattr(self._provider(node), "injected", {}))
        task = kind.task if type(kind) is MapKind else kind
        if type(task) is not Task or not task.injected:
            return {}
        given = {*task.places[: len(node.args)], *node.kwargs}
        return {name: one for name, one in task.injected.items() if name not in given}

    # --- what each is -----------------------------------------------------------------------------------------------------------

    def _value(self, part: Any) -> Value:
        number = self._numbers.get(id(self._shared(part)))
        return self._text(part) if number is None else number

    def _text(self, part: Any, most: int = _VALUE) -> str:
        if part is self.unknown:
            return "…"
        return labels.value(part.value if type(part) in (Literal, Common) else part, most)

    def _vertex(self, node: Any) -> Vertex:
        if type(node) is JumpTable:
            return self._table(node)
        if type(node) is not LazyResult:
            parts = [Argument(self._value(one)) for one in self._order.members(node)]
            base = next(one for one in (dict, list, tuple, set, frozenset) if issubclass(type(node), one))
            name = type(node).__name__
            return Vertex("container", base.__name__, name, arguments=tuple(parts), section=self.section)
        found = self._of_kind(node)
        if found.kind != "input" and node.code.co_filename != tracing.__file__:  # which builds what nobody wrote there
            found.where = labels.place(*self._lines.resolve(node.code, node.lasti))
        found.section = self.section
        policy = node.policy
        if policy is None:
            return found
        found.marks += marks(call_policy(policy)[0])
        found.tests = tuple(
            [(self._value(one.test), None if one.otherwise is MISSING else self._value(one.otherwise)) for one in policy.conditions]
        )
        found.after = tuple([value for one in policy.after if isinstance(value := self._value(one), int)])
        found.amounts = tuple([(name, value) for name, one in policy.constraints if isinstance(value := self._value(one), int)])
        if policy.jumps is not None:
            found.jumps = (("", self._numbers[id(policy.jumps)]),)
        return found

    def _of_kind(self, node: LazyResult) -> Vertex:
        kind: Any = node.task
        given = [Argument(self._value(one)) for one in node.args]
        given += [Argument(self._value(one), name) for name, one in node.kwargs.items()]
        if type(kind) is InputKind:
            return self._input(kind)
        if kind is ITEM:
            key = given[1].value
            plain = isinstance(key, str)
            title = f"[{labels.plain(key, _KEY) if isinstance(key, str) else '·'}]"
            return Vertex("item", title, "an item", arguments=tuple(given[:1] if plain else given))
        if kind is GATHER:
            return Vertex("container", "gather", "gather", arguments=tuple(given))
        if kind is ROUTER:
            keys = [labels.value(key, _KEY) for key in node.args[1]]
            routes = zip([*keys, "(default)"], map(self._value, node.args[2:]), strict=False)
            return Vertex("router", "Router", "Router", selector=self._value(node.args[0]), routes=tuple(routes))
        injected = [Argument(self._value(one), name) for name, one in self._injected(node).items()]
        if type(kind) in (Named, ResourceKind):
            found = self._provider(node)
            extra = [labels.plain(f"scope {found.scope}", labels.MARK)] if type(found) is ResourceKind else ["not defined"]
            if getattr(found, "is_async", False):
                extra.insert(0, "async")
            return Vertex("resource", named(found.name), found.label, arguments=tuple(injected), marks=tuple(extra))
        task: Task = kind.task if type(kind) is MapKind else kind
        self.tasks.setdefault(task, self._numbers[id(node)])
        mode = "async" if task.is_async else "" if task.mode == "inline" else task.mode
        found = Vertex("call", named(task.symbol), task.label, mode, marks=("pure",) if task.pure else ())
        if type(kind) is MapKind:
            count = len(node.args)
            given = [Argument(one.value, one.name, at < count or one.name in kind.iterated) for at, one in enumerate(given)]
            found.kind = "map"
            found.over = size(_length(node, kind), kind.max_concurrency)
        found.arguments = tuple(given + injected)
        return found

    def _input(self, kind: InputKind) -> Vertex:
        try:
            shown = show_type(kind.type)
        except Exception:  # a type is an object of the user's, and may be shown in any way
            shown = ""
        told = [] if kind.type is Any or not shown else [labels.plain(shown, labels.MARK)]
        if kind.default is not MISSING:
            told.append(f"= {labels.value(kind.default, labels.MARK - 2)}")
        name = labels.plain(kind.name, labels.TITLE)
        return Vertex("input", name, kind.label, marks=(*(["from the environment"] if kind.source == "env" else []), *told))

    # --- jumps ------------------------------------------------------------------------------------------------------------------

    def _table(self, table: JumpTable) -> Vertex:
        jumps = [(labels.value(key, _KEY), self._numbers[id(one)]) for key, one in table.routes.items() if one is not None]
        return Vertex("jump", "jump", "select_jump", jumps=tuple(jumps), section=self.section)

    def _end_loops(self, found: list[Any]) -> None:
        """Ends of the tables that have one; and from each route that is not bound itself back to the table that it is made under."""
        for part in found:
            if type(part) is not JumpTable:
                continue
            hub = self._numbers[id(part)]
            vertices = self.plan.vertices
            for key, route in part.routes.items():
                if route is None:
                    if hub not in self._ends:
                        self._ends[hub] = len(vertices)
                        vertices.append(Vertex("end", "end", "the loop ends", section=self.section))
                    vertices[hub].jumps += ((labels.value(key, _KEY), self._ends[hub]),)
                elif route.policy is None or route.policy.jumps is None:
                    bound = vertices[self._numbers[id(route)]]
                    if ("", hub) not in bound.jumps:
                        bound.jumps += (("", hub),)


def _length(node: LazyResult, kind: MapKind) -> int | None:
    """Of how many items a map is, where that is known already."""
    for value in (*node.args, *(node.kwargs[name] for name in kind.iterated)):
        one = value.value if type(value) is Literal else value
        if type(one) in (list, tuple, dict, set, frozenset, range, str, bytes):
            return len(one)
    return None
