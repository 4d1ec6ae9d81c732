"""Capture: from live LazyResults to IR.

One iterative walk, depth first, arguments left to right; linear in nodes and edges. Everything that can be known to be wrong
with the graph is found here: cycles, wrong call arguments, hidden LazyResults, inputs declared in two ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import CodeType
from typing import Any

from msgspec.structs import astuple

from cascade_compiler.capture_faults import cycle_text, not_to_run, written
from cascade_compiler.capture_nodes import described
from cascade_compiler.capture_policy import call_policy
from cascade_compiler.inputs import InputKind
from cascade_compiler.ir import SKIPPED, Graph, Kind, Mapped, Node, Op
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import GATHER, ITEM, ROUTER, Literal, MapKind
from cascade_compiler.policy import NO_POLICY, Policy
from cascade_compiler.resource import Named, ResourceKind, provider
from cascade_compiler.scan import ATOMS, Scanner, build_kind, is_container
from cascade_compiler.set_order import SetOrder
from cascade_compiler.task import Task
from cascade_vm import registry
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING

_OPEN = -1  # in _Capture.done: entered, and its members are being captured
# On the stack, behind a node: it is left when its members are behind it.
_EXIT: Any = type("EXIT", (), {})()
_EXIT_CALL: Any = type("EXIT_CALL", (), {})()

# To look a member of an enum up takes CPython 3.11 as long as to make an operation.
_LITERAL, _CALL = Kind.LITERAL, Kind.CALL


class _Gate:
    """Stands in the walk behind what a branch tests: there the branch is emitted, before all that it decides on."""

    __slots__ = ("node", "test")

    def __init__(self, node: LazyResult, test: Any) -> None:
        self.node = node
        self.test = test


class _Made:
    """Stands in the walk before the alternatives of a node: the node itself comes before them (N27)."""

    __slots__ = ("node",)

    def __init__(self, node: LazyResult) -> None:
        self.node = node


def capture(target: Any, declared: Sequence[InputKind] = ()) -> Graph:
    """The IR of ``target``: a LazyResult, a literal(), or a list, tuple, dict or set of targets.

    ``declared`` are inputs that exist whether the graph uses them or not (a workflow's parameters).
    :raises CompileError: the graph has no meaning; the text names the tasks and lines concerned.
    """
    walk = _Capture()
    for kind in declared:
        walk.input(kind, None)
    result = walk.value(target)
    return Graph(tuple(walk.ops), result, walk.literals, walk.inputs, walk.classes, walk.nodes)


class _Capture:
    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.literals: list[Any] = []
        self.inputs: list[InputKind] = []
        self.classes: list[type] = []
        self.done: dict[int, int] = {}  # id of a node or container -> its value, or _OPEN
        self.input_values: dict[str, int] = {}
        self.checked: set[tuple[Task, int, tuple[str, ...]]] = set()
        self.scanner = Scanner()
        self.order = SetOrder(self.scanner)
        self.slots = 0
        self.made: dict[int, tuple[int, range]] = {}  # nodes that have been emitted, and their alternatives not yet
        self.resources: dict[ResourceKind, int] = {}
        self.nodes: dict[int, Node] = {}
        self.branches: dict[int, list[int]] = {}  # id of a conditional node or router -> its branches, in order of evaluation

    def value(self, target: Any) -> int:
        if type(target) is Literal:
            return self.literal(target.value)
        if not (type(target) is LazyResult or is_container(type(target))):
            raise not_to_run(target)
        if not self.scanner.holds_lazy(target):
            return self.literal(target)
        done, atoms = self.done, ATOMS
        get = done.get
        stack: list[Any] = [target]
        while stack:
            node = stack.pop()
            if type(node) is LazyResult:
                seen = get(id(node))
                if seen is None:
                    task, args, kwargs, policy, code, lasti = astuple(node)  # at once: a look at one field costs as much
                    if policy is None and type(task) is Task and not task.injected:
                        members = []
                        for part in (*args, *kwargs.values()) if kwargs else args:  # nodes_among, written out for most parts
                            kind = type(part)
                            if kind is LazyResult:
                                if get(id(part), _OPEN) == _OPEN:
                                    members.append(part)
                            elif kind not in atoms:
                                members += self.nodes_among((part,), node)
                        if members:
                            done[id(node)] = _OPEN
                            stack += (node, _EXIT_CALL)
                            members.reverse()
                            stack += members
                        else:
                            done[id(node)] = self.plain_call(node, task, args, kwargs, code, lasti)
                        continue
                    if policy is None and type(task) is InputKind:
                        done[id(node)] = self.input(task, node)
                        continue
            elif node is _EXIT_CALL:
                node = stack.pop()
                task, args, kwargs, _, code, lasti = astuple(node)
                done[id(node)] = self.plain_call(node, task, args, kwargs, code, lasti)
                continue
            elif node is _EXIT:
                node = stack.pop()
                done[id(node)] = self.leave(node)
                continue
            elif type(node) is _Gate:
                self.branch(node)
                continue
            elif type(node) is _Made:
                self.made[id(node.node)] = self.make(node.node)
                continue
            else:
                seen = done.get(id(node))
            if seen is None:
                done[id(node)] = _OPEN
                stack += (node, _EXIT)
                stack += reversed(self.children(node))
            elif seen == _OPEN:
                raise CompileError(self.cycle(node, stack), code="C01")
        return done[id(target)]

    def plain_call(
        self, node: LazyResult, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any], code: CodeType, lasti: int
    ) -> int:
        """Emit a call that has arguments and nothing else, as most nodes are: this is where capturing spends its time."""
        names: tuple[str, ...] = ()
        if kwargs:
            names = tuple(kwargs)
            args = (*args, *kwargs.values())
        if (task, len(args), names) not in self.checked:
            self.check_arguments(node, task, names)
        ops, get = self.ops, self.done.get
        operands = []
        for part in args:
            value = get(id(part))
            if value is None:
                value = len(ops)
                ops.append(Op(_LITERAL, (), (), (), None, len(self.literals)))
                self.literals.append(part.value if type(part) is Literal else part)
            operands.append(value)
        slot = self.slots
        self.slots = slot + 1
        ops.append(Op(_CALL, tuple(operands), names, (), task, None, code, lasti, slot))
        return len(ops) - 1

    def cycle(self, node: Any, stack: list[Any]) -> str:
        """What is told of a cycle: what is open, from ``node`` on, in the order in which it was entered."""
        path = [stack[at - 1] for at in range(1, len(stack)) if stack[at] is _EXIT or stack[at] is _EXIT_CALL]
        return cycle_text(path[next(at for at, other in enumerate(path) if other is node) :])

    def children(self, node: Any) -> list[Any]:
        """The members of a node that are nodes or rebuilt containers themselves, and the gates between them, in order of evaluation."""
        if type(node) is not LazyResult:
            return self.nodes_among(self.order.members(node), node)
        policy = node.policy or NO_POLICY
        found: list[Any] = []
        for condition in reversed(policy.conditions):
            found += self.nodes_among((condition.test,), node)
            found.append(_Gate(node, condition.test))
        if node.task is ROUTER:
            found += self.nodes_among(node.args[:1], node)
            found += policy.after  # nothing of the routes runs before
            found.append(_Gate(node, node.args[0]))
            found += self.nodes_among(node.args[2:], node)
        else:
            found += self.nodes_among((*(amount for _, amount in policy.constraints), *node.args, *node.kwargs.values()), node)
            found += self.injected(node).values()
            found += policy.after
        others = self.nodes_among([c.otherwise for c in policy.conditions if c.otherwise is not MISSING], node)
        return [*found, _Made(node), *others] if others else found

    def injected(self, node: LazyResult) -> dict[str, LazyResult]:
        """What the node takes beside its arguments: the resources that are the defaults of parameters which the call leaves out."""
        kind = node.task
        if type(kind) in (Named, ResourceKind):
            return provider(node).injected
        task = kind.task if type(kind) is MapKind else kind
        if type(task) is not Task or not task.injected:
            return {}
        given = {*task.places[: len(node.args)], *node.kwargs}
        return {name: one for name, one in task.injected.items() if name not in given}

    def nodes_among(self, parts: Iterable[Any], owner: Any) -> list[Any]:
        """Those of ``parts`` that have operations of their own, and have not been captured yet."""
        done = self.done
        found = []
        for part in parts:
            kind = type(part)
            if kind is LazyResult:
                if done.get(id(part), _OPEN) == _OPEN:  # one that is open is a cycle, which is told of when the walk comes there
                    found.append(part)
            elif kind not in ATOMS and kind is not Literal:
                try:
                    if self.scanner.holds_lazy(part):
                        found.append(part)
                except CompileError as fault:
                    raise CompileError(f"{fault}{written(owner)}", code=fault.code) from None
        return found

    def branch(self, gate: _Gate) -> None:
        node = gate.node
        policy = node.policy or NO_POLICY
        args: tuple[int, ...] = (self.operand(gate.test),)
        after: tuple[int, ...] = ()
        branches = self.branches.setdefault(id(node), [])
        if node.task is ROUTER and len(branches) == len(policy.conditions):
            args += (self.literal(node.args[1]),)
            after = tuple([self.done[id(other)] for other in policy.after])
        branches.append(self.emit(Op(Kind.BRANCH, args, (), after, None, node.task.label, *self.site(node))))

    def leave(self, node: Any) -> int:
        """Emit the operation of ``node``, all of whose members have been emitted; and what chooses between it and its alternatives."""
        if type(node) is not LazyResult:
            return self.build(node)
        policy = node.policy or NO_POLICY
        value, own = self.made.pop(id(node)) if id(node) in self.made else self.make(node)
        branches = self.branches.pop(id(node), ())
        others: list[int | None] = []
        for condition, branch in zip(policy.conditions, reversed(branches[: len(policy.conditions)]), strict=True):
            other = SKIPPED if condition.otherwise is MISSING else self.operand(condition.otherwise)
            value = self.select(node, branch, (value, other))
            others.append(None if other == SKIPPED else other)
        if node.policy is not None or node.task is ROUTER or type(node.task) is MapKind or self.injected(node):
            after = tuple([self.done[id(other)] for other in policy.after])
            self.nodes[value] = described(node, self.ops, branches, others, after, own)
        return value

    def make(self, node: LazyResult) -> tuple[int, range]:
        """Emit the node without its conditions; its value, and the operations that are its own."""
        first = len(self.ops)
        value = self.call(node, node.policy or NO_POLICY, self.branches.get(id(node), ()))
        return value, range(first, len(self.ops))

    def call(self, node: LazyResult, policy: Policy, branches: Sequence[int]) -> int:
        if type(node.task) is InputKind:
            return self.input(node.task, node)
        if node.task is ROUTER:
            return self.select(node, branches[-1], tuple([self.operand(part) for part in node.args[2:]]))
        if type(node.task) in (Named, ResourceKind):
            return self.resource(node)
        after = tuple([self.done[id(other)] for other in policy.after])
        amounts = tuple([self.operand(amount) for _, amount in policy.constraints if type(amount) is LazyResult])
        routes = () if policy.jumps is None else (self.literal(policy.jumps),)
        args = amounts + routes + tuple([self.operand(part) for part in (*node.args, *node.kwargs.values())])
        injected = self.injected(node)
        args += tuple([self.operand(one) for one in injected.values()])
        names = (*node.kwargs, *injected)
        task = node.task.task if type(node.task) is MapKind else node.task
        if type(task) is Task:
            self.check_arguments(node, task, names)
            data, live = call_policy(policy) if not policy.is_plain else (None, None)
            op = Op(Kind.CALL, args, names, after, task, None, *self.site(node), policy=data, live=live, bound=bool(routes))
            if type(node.task) is MapKind:
                op.kind = Kind.MAP
                first = len(amounts)
                plain = len(node.args)
                named = [first + plain + at for at, name in enumerate(names) if name in node.task.iterated]
                op.detail = Mapped((*range(first, first + plain), *named), node.task.max_concurrency, node.task.label)
            return self.emit(op)
        if node.task is ITEM:
            return self.emit(Op(Kind.ITEM, args, (), after, None, None, *self.site(node)))
        if node.task is GATHER:
            return self.emit(Op(Kind.BUILD, args, (), after, None, "list", *self.site(node)))
        raise CompileError(f"{node!r} is of a kind that this compiler does not know", code="C03")

    def resource(self, node: LazyResult) -> int:
        """One operation for each resource: it is set up once."""
        if node.policy is not None:
            raise CompileError(
                f"{node.task.label} is set up when it is first needed: after, run_if and the like are for calls{written(node)}",
                code="C07",
            )
        kind = provider(node)
        known = self.resources.get(kind)
        if known is None:
            for needed in map(provider, kind.injected.values()):
                if kind.scope == "run" and needed.scope == "step":
                    raise CompileError(
                        f"{kind.label} is of scope run and injects {needed.label} of scope step, which would end before it: "
                        f"make both of one scope",
                        code="C07",
                    )
            args = tuple([self.operand(one) for one in kind.injected.values()])
            known = self.resources[kind] = self.emit(Op(Kind.RESOURCE, args, tuple(kind.injected), detail=kind))
        return known

    def select(self, node: LazyResult, branch: int, routes: tuple[int, ...]) -> int:
        return self.emit(Op(Kind.SELECT, (branch,), detail=node.task.label, routes=routes))

    def operand(self, part: Any) -> int:
        known = self.done.get(id(part))
        return self.literal(part.value if type(part) is Literal else part) if known is None else known

    def literal(self, value: Any) -> int:
        literals, ops = self.literals, self.ops
        ops.append(Op(_LITERAL, (), (), (), None, len(literals)))
        literals.append(value)
        return len(ops) - 1

    def build(self, container: Any) -> int:
        kind, prototype = build_kind(container)
        parts: tuple[int, ...] = ()
        if prototype is not None:
            self.classes.append(type(container))
            parts = (self.literal(prototype),)
        return self.emit(Op(Kind.BUILD, parts + tuple([self.operand(p) for p in self.order.members(container)]), detail=kind))

    def input(self, kind: InputKind, node: LazyResult | None) -> int:
        known = self.input_values.get(kind.name)
        if known is None:
            self.inputs.append(kind)
            known = self.input_values[kind.name] = self.emit(Op(Kind.INPUT, detail=kind))
        elif not same_declaration(self.ops[known].detail, kind):
            raise CompileError(
                f"input {kind.name!r} is declared twice in one graph, with different types, defaults or sources"
                f"{written(node)}: declare it once and use the same Param in both places",
                code="C05",
            )
        return known

    def site(self, node: LazyResult) -> tuple[CodeType, int, int]:
        return node.code, node.lasti, self.slot()

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def emit(self, op: Op) -> int:
        self.ops.append(op)
        return len(self.ops) - 1

    def check_arguments(self, node: LazyResult, task: Task, names: tuple[str, ...]) -> None:
        form = (task, len(node.args) + len(node.kwargs), names)
        if form in self.checked:
            return
        self.checked.add(form)
        if task.mode == "process" and (not task.portable or registry.lookup(task.symbol) is not task):
            raise CompileError(
                f"{task.label} runs in a process, which must find it by its name: define it with def at the top of a module that can be "
                f"imported{written(node)}",
                code="C09",
            )
        if task.signature is not None:
            try:
                task.signature.bind(*node.args, **node.kwargs)
            except TypeError as fault:
                raise CompileError(
                    f"{task.label}{task.signature_text} cannot be called like this: {fault}{written(node)}",
                    code="C02",
                ) from None


def same_declaration(one: InputKind, other: InputKind) -> bool:
    """Do two declarations of one name agree in type, default and source?"""
    if one is other:
        return True
    if one.name != other.name or one.source != other.source or one.type != other.type:
        return False
    if one.default is other.default:
        return True
    try:
        return type(one.default) is type(other.default) and bool(one.default == other.default)
    except Exception:  # defaults of a type whose equality has no truth value: only the same object is the same default
        return False
