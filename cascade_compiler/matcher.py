"""Matchers: generated guards that walk a new graph, check all of its shape, and take its literals out.

A matcher is straight-line Python, made once for a shape: every node's task, arity, keywords and order, every container's type and
length, what is shared and what is not, by identity. It gives what a frame starts with, or None where anything differs. It is
the only way to a cached blueprint besides the full digest, and checks as much as that does (S28).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from cascade_compiler.capture import same_declaration
from cascade_compiler.inputs import InputKind
from cascade_compiler.ir import Graph, Kind, Op
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import GATHER, ITEM, Literal
from cascade_compiler.resource import GENERATION, ResourceKind, is_injected, provider
from cascade_compiler.scan import ATOMS, Scanner
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING
from cascade_vm.link import Code

# Gives (code, registers or literals, sites), or None.
Matcher = Callable[[Any], Any]

MISS: Any = object()

_ONE_FUNCTION = 5_000  # operations of a graph whose matcher is one function
_PART = 4_000  # lines of a part of a larger one
_MOST_LOCAL = 50  # constants: each costs a little in every call


def literal_of(value: Any) -> Any:
    """``value`` as a literal operand: unwrapped, or MISS where it is a node or holds one. Called for what is no atom."""
    kind = type(value)
    if kind is Literal:
        return value.value
    try:
        return MISS if Scanner().holds_lazy(value) else value
    except CompileError:
        return MISS  # the compiler will say what is wrong, and where


def is_input(value: Any, declared: InputKind) -> bool:
    return type(value) is LazyResult and type(value.task) is InputKind and same_declaration(value.task, declared)


def is_resource(value: Any, kind: ResourceKind) -> bool:
    return is_injected(value) and provider(value) is kind


def generate(graph: Graph, code: Code) -> Matcher | None:
    """The matcher of a captured graph; None where its shape has no fixed walk (sets of nodes, subclasses of containers), and
    where the inputs must come from the new graph itself: a workflow does not use them all, or a default can be changed."""
    if any(type(node.kind) is InputKind for node in graph.nodes.values()):
        return None  # an input with a condition: rare, and left to the digest
    is_large = len(graph.ops) > _ONE_FUNCTION
    source = Source(graph, "raise Missed" if is_large else "return None", "l")
    if not all(kind.default is MISSING or type(kind.default) in ATOMS for kind in graph.inputs) or not source.write():
        return None
    if is_large:
        return _in_parts(source, code)
    text = source.text(len(graph.inputs) == 0, code.padding)
    scope: dict[str, Any] = {**SCOPE, "CODE": code, **source.constants}
    exec(compile(text, f"<matcher {code.blueprint.cycle_id[:12]}>", "exec"), scope)
    return scope["match"]  # type: ignore[no-any-return]


class Missed(Exception):
    """A large graph is of another shape."""


def _in_parts(source: Source, code: Code) -> Matcher:
    """The matcher of a large graph: its lines in functions of some thousand, since Python would take gigabytes to compile one of them all.

    What a part has found it leaves in two lists, for other parts and for the end: nodes by value, literals by slot.
    """
    scope: dict[str, Any] = {**SCOPE, "Missed": Missed, **source.constants}
    graph = source.graph
    starts = [start for before, start in pairwise([0, *source.starts]) if start // _PART != before // _PART]
    parts = []
    for start, stop in pairwise(dict.fromkeys([0, *starts, len(source.lines)])):
        lines = source.lines[start:stop]
        text = "\n".join(lines)
        found = source.found[bisect_left(source.found, (start, "")) : bisect_left(source.found, (stop, ""))]
        own = {name for _, name in found}
        others = sorted(set(re.findall(r"\bv[0-9]+\b", text)) - own)
        body = [f"{name} = nodes[{name[1:]}]" for name in others] + text.split("\n")
        body += [f"{'nodes' if name[0] == 'v' else 'literals'}[{name[1:]}] = {name}" for name in own]
        exec(
            compile("def part(nodes, literals):\n " + "\n ".join(body), f"<matcher {code.blueprint.cycle_id[:12]} {start}>", "exec"), scope
        )
        parts.append(scope.pop("part"))
    owners = source.site_owners()
    padding = [] if graph.inputs else code.padding

    def match(target: Any) -> Any:
        nodes: list[Any] = [None] * len(graph.ops)
        literals: list[Any] = [None] * len(graph.literals)
        nodes[graph.result] = target
        try:
            for part in parts:
                part(nodes, literals)
        except (Missed, ValueError):
            return None
        sites = [part for node in [nodes[at] for at in owners] for part in (node.code, node.lasti)]
        return code, literals + padding, tuple(sites)

    return match


SCOPE: dict[str, Any] = {
    "L": LazyResult, "A": ATOMS, "MISS": MISS, "literal_of": literal_of, "is_input": is_input, "MISSING": MISSING,
    "is_resource": is_resource, "GENERATION": GENERATION,
}  # fmt: skip


class Source:
    """Writes the text of a matcher: the nodes from the root down, each when it is first reached.

    ``miss`` is what it does where something differs; a literal has the variable ``literal`` and its number.
    """

    def __init__(self, graph: Graph, miss: str, literal: str) -> None:
        self.graph = graph
        self.miss = miss
        self.literal = literal
        self.held = dict.fromkeys([f"v{graph.result}"])  # variables that hold parts of the graph, in order
        self.lines: list[str] = []
        self.starts: list[int] = []  # lines at which a node or container is begun
        self.found: list[tuple[int, str]] = []  # lines that give a variable to a value, and that
        self.constants: dict[str, Any] = {}
        self.named = {graph.result}  # values that have their variable: the place where one is first met gives it
        self._names: dict[int, str] = {}

    def constant(self, value: Any) -> str:
        name = self._names.get(id(value))
        if name is None:
            name = self._names[id(value)] = f"K{len(self._names)}"
            self.constants[name] = value
        return name

    def check(self, condition: str) -> None:
        self.lines.append(f"if {condition}: {self.miss}")

    def write(self, is_lazy: bool = False) -> bool:
        """Write all checks, unless there is no fixed walk. ``is_lazy``: the root is known to be a LazyResult."""
        ops = self.graph.ops
        reached: set[int] = {self.graph.result}
        shown: set[int] = set()  # inputs
        stack = [self.graph.result]
        if ops[self.graph.result].preloaded or ops[self.graph.result].kind is Kind.RESOURCE:
            return False
        if any(op.kind is Kind.RESOURCE for op in ops):  # a name may have got another meaning since
            self.check(f"GENERATION[0] != {GENERATION[0]}")
        if self._is_node(self.graph.result) and not is_lazy:
            self.check(f"type(v{self.graph.result}) is not L")
        while stack:
            at = stack.pop()
            op = ops[at]
            self.starts.append(len(self.lines))
            if at in self.graph.nodes:
                parts: list[tuple[str, int]] | None = self._open_special(at)
            elif op.code is not None:
                parts = self._open_node(at, op)
            else:
                parts = self._open_container(at, op)
            if parts is None:
                return False
            for name, x in parts:
                child = ops[x]
                if child.kind is Kind.LITERAL:
                    self.lines.append(
                        f"if type({name}) not in A:\n {name} = literal_of({name})\n if {name} is MISS: {self.miss}"
                    )
                elif child.kind is Kind.INPUT:
                    shown.add(x)
                    self.check(f"not is_input({name}, {self.constant(child.detail)})")
                elif child.kind is Kind.RESOURCE:
                    self.check(f"not is_resource({name}, {self.constant(child.detail)})")
                elif x in reached:
                    self.check(f"{name} is not v{x}")
                else:
                    reached.add(x)
                    if self._is_node(x):
                        self.check(f"type({name}) is not L")
                    stack.append(x)
        self.starts.append(len(self.lines))
        self._check_distinct(reached)
        return len(shown) == len(self.graph.inputs)

    def _open_node(self, at: int, op: Op) -> list[tuple[str, int]]:
        """Check a LazyResult and unpack its arguments; (name, operand) for each part."""
        kind = op.task if op.kind is Kind.CALL else ITEM if op.kind is Kind.ITEM else GATHER
        task, args, kwargs, policy = f"v{at}.task", f"v{at}.args", f"v{at}.kwargs", f"v{at}.policy"
        plain = op.args[: len(op.args) - len(op.names)]
        self.check(
            f"{task} is not {self.constant(kind)}"
            + (f" or tuple({kwargs}) != {op.names!r}" if op.names else f" or {kwargs}")
            + f" or {policy} is not None"
        )
        parts = self._unpack(args, f"a{at}", plain)
        if op.names:
            parts += self._unpack(f"{kwargs}.values()", f"k{at}", op.args[len(plain) :])
        return parts

    def _is_node(self, at: int) -> bool:
        """Was this value written as a LazyResult (and not as a container)?"""
        return at in self.graph.nodes or self.graph.ops[at].code is not None

    def _open_special(self, at: int) -> list[tuple[str, int]]:
        """Check a LazyResult that is no plain call: its kind, and all that it was told."""
        node, name, policy = self.graph.nodes[at], f"v{at}", f"p{at}"
        self.check(
            f"{name}.task is not {self.constant(node.kind)}"
            + (f" or tuple({name}.kwargs) != {node.names!r}" if node.names else f" or {name}.kwargs")
        )
        parts = self._unpack(f"{name}.args", f"a{at}", node.args)
        if node.names:
            parts += self._unpack(f"{name}.kwargs.values()", f"k{at}", node.kwargs)
        self.held[policy] = None
        self.lines.append(f"{policy} = {name}.policy")
        told = node.policy
        if told is None:
            self.check(f"{policy} is not None")
            return parts
        self.check(
            f"{policy} is None or len({policy}.conditions) != {len(node.conditions)}"
            f" or len({policy}.constraints) != {len(node.constraints)}"
            f" or ({policy}.jumps is None) is not {node.jumps is None}"
        )
        if told.is_plain and not node.constraints:
            self.check(f"not {policy}.is_plain")
        else:
            kept = self.constant(told)
            self.check(
                f"{policy}.retry != {kept}.retry or {policy}.errors != {kept}.errors or {policy}.timeout != {kept}.timeout"
                f" or {policy}.cache is not {kept}.cache or {policy}.rate != {kept}.rate"
            )
        parts += self._unpack(f"{policy}.after", f"o{at}", node.after)
        for place, (test, otherwise) in enumerate(node.conditions):
            one = f"{policy}.conditions[{place}]"
            self.check(f"({one}.otherwise is MISSING) is not {otherwise is None}")
            parts += self._unpack(f"({one}.test,)", f"q{at}_{place}", (test,))
            if otherwise is not None:
                parts += self._unpack(f"({one}.otherwise,)", f"r{at}_{place}", (otherwise,))
        for place, (what, amount, operand) in enumerate(node.constraints):
            one = f"{policy}.constraints[{place}]"
            if operand is None:
                self.check(f"{one}[0] != {what!r} or type({one}[1]) is L or {one}[1] != {amount!r}")
            else:
                self.check(f"{one}[0] != {what!r}")
                parts += self._unpack(f"({one}[1],)", f"m{at}_{place}", (operand,))
        if node.jumps is not None:
            self.found.append((len(self.lines), f"{self.literal}{self.graph.ops[node.jumps].detail}"))
            self.lines.append(f"{self.literal}{self.graph.ops[node.jumps].detail} = {policy}.jumps")
        return parts

    def _open_container(self, at: int, op: Op) -> list[tuple[str, int]] | None:
        node = f"v{at}"
        match op.detail:
            case "list" | "tuple":
                self.check(f"type({node}) is not {op.detail} or len({node}) != {len(op.args)}")
                return self._unpack(node, f"c{at}", op.args)
            case "dict":
                self.check(f"type({node}) is not dict or len({node}) != {len(op.args) // 2}")
                keys = self._unpack(node, f"c{at}", op.args[::2])
                return keys + self._unpack(f"{node}.values()", f"d{at}", op.args[1::2])
        return None

    def _unpack(self, source: str, stem: str, operands: tuple[int, ...]) -> list[tuple[str, int]]:
        """Name the parts of ``source``. Another number of them raises ValueError, which the matcher takes for a miss."""
        names = []
        for place, x in enumerate(operands):
            op = self.graph.ops[x]
            if op.kind is Kind.LITERAL:
                names.append(f"{self.literal}{op.detail}")
                self.found.append((len(self.lines), names[-1]))
                continue
            if op.preloaded or x in self.named:
                names.append(f"{stem}_{place}")
            else:
                self.named.add(x)
                names.append(f"v{x}")
                self.found.append((len(self.lines), names[-1]))
            self.held[names[-1]] = None
        if names:
            self.lines.append(f"{', '.join(names)}, = {source}")
        else:
            self.check(source)
        return list(zip(names, operands, strict=True))

    def _check_distinct(self, reached: set[int]) -> None:
        """Two nodes of the shape must not be one node of the graph.

        Only those whose sub-graphs look alike can be; and of them only those whose parts, where these are nodes, are the same nodes: by
        induction from the leaves up, two nodes are known to be two, and one node cannot have both of them as the same part.
        """
        alike: dict[Any, list[int]] = {}
        looks: dict[Any, int] = {}
        look: list[int] = []
        for at, op in enumerate(self.graph.ops):
            if op.kind is Kind.LITERAL:
                key: Any = "literal"
            elif op.kind is Kind.INPUT:
                key = (op.detail.source, op.detail.name)
            else:
                parts = tuple([look[x] for x in (*op.args, *op.after)]), tuple([x if x < 0 else look[x] for x in op.routes])
                key = (op.kind, op.task, op.detail, op.code is None, op.names, parts)
            look.append(looks.setdefault(key, len(looks)))
            if at in reached:
                alike.setdefault(look[at], []).append(at)
        for group in [one for looking in alike.values() for one in self._by_parts(looking, reached)]:
            if len(group) == 2:
                self.check(f"v{group[0]} is v{group[1]}")
            elif len(group) > 2:  # nodes are hashed by identity, containers are not
                one = "v{}" if all(self._is_node(at) for at in group) else "id(v{})"
                self.check(f"len({{{', '.join(one.format(at) for at in group)}}}) != {len(group)}")

    def _by_parts(self, alike: list[int], reached: set[int]) -> list[list[int]]:
        """Those of nodes that look alike which have the same nodes as parts."""
        kinds = set()
        groups: dict[tuple[int, ...], list[int]] = {}
        for at in alike:
            op = self.graph.ops[at]
            parts = (*op.args, *op.after, *op.routes)
            kinds.add(tuple([x in reached for x in parts]))  # others are not in the graph as it is written: the branch of a condition
            groups.setdefault(tuple([x for x in parts if x in reached]), []).append(at)
        return list(groups.values()) if len(kinds) == 1 else [alike]

    def site_owners(self) -> list[int]:
        """The node of each creation site, in the order of their slots."""
        owner = {at: value for value, node in self.graph.nodes.items() for at in node.sites}
        return [owner.get(at, at) for at, op in enumerate(self.graph.ops) if op.slot >= 0]

    def text(self, whole: bool, padding: list[None]) -> str:
        """The function: with ``whole`` it returns complete registers, else the literals alone (inputs are still to come)."""
        literals = [f"{self.literal}{slot}" for slot in range(len(self.graph.literals))]
        registers = literals + ["None"] * len(padding) if whole else literals
        sites = "".join(f"v{at}.code, v{at}.lasti, " for at in self.site_owners())
        body = "\n".join("  " + line.replace("\n", "\n  ") for line in self.lines)
        # As parameters with defaults, constants are local variables, which are read faster than global ones.
        own = "".join(f", {name}={name}" for name in ("type", "L", "A", *self.constants)) if len(self.constants) <= _MOST_LOCAL else ""
        return (
            f"def match(v{self.graph.result}{own}):\n try:\n{body}\n except ValueError: return None\n"
            f" return CODE, [{', '.join(registers)}], ({sites})\n"
        )
