"""From what is in a graph to what is drawn: nodes, edges, boxes.

A container or an item that only one call takes is no node: the call shows it among its arguments, and the edges go past it.
"""

from __future__ import annotations

import msgspec

from cascade_vm.pictures import labels
from cascade_vm.pictures.plan import HIDDEN, Argument, Plan, Value, Vertex

EDGES = ("data", "route", "condition", "order", "jump")  # the kinds of edges
_DEEP = 4  # levels of containers in the arguments of a call
_PASSED = ("container", "item")
_ROUND, _SQUARE, _CURLY = ("(", ")"), ("[", "]"), ("{", "}")
_BRACKETS = {"list": _SQUARE, "gather": _SQUARE, "tuple": _ROUND, "set": _CURLY, "frozenset": _CURLY, "dict": _CURLY}
_MEMBERS = 12


class Node(msgspec.Struct, gc=False):
    """``count`` is how many nodes it stands for, ``inner`` how many edges there are between those; ``box`` is the number of the box around
    it, or -1."""

    kind: str
    mode: str
    title: str
    arguments: str
    where: str
    marks: tuple[str, ...]
    name: str
    over: str = ""  # of a map: what its box says
    box: int = -1
    is_result: bool = False
    count: int = 1
    inner: int = 0


class Edge(msgspec.Struct, frozen=True, gc=False):
    """From one node to another, by number. ``count`` is how many edges of this kind and label it stands for."""

    source: int
    target: int
    kind: str
    label: str = ""
    count: int = 1


class Box(msgspec.Struct, frozen=True, gc=False):
    """Around nodes: a "strand", or a "section": a graph beside the one that is drawn. ``parent`` is the box around it, or -1."""

    kind: str
    title: str
    parent: int = -1


class Picture(msgspec.Struct):
    """What is drawn. ``folded`` says by what nodes were put together; empty where each stands for itself."""

    nodes: list[Node]
    edges: list[Edge]
    boxes: list[Box]
    folded: str = ""

    def nesting(self) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """The nodes in each box, and the boxes in each box, by number; -1 is outside of all."""
        inside: dict[int, list[int]] = {}
        for at, node in enumerate(self.nodes):
            inside.setdefault(node.box, []).append(at)
        around: dict[int, list[int]] = {}
        for at, box in enumerate(self.boxes):
            around.setdefault(box.parent, []).append(at)
        return inside, around


def draw(plan: Plan) -> Picture:
    """The picture of ``plan``, with a node for each vertex that is drawn. Linear in vertices and references."""
    return _Drawing(plan).picture()


class _Drawing:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.vertices = plan.vertices
        self.passed = _passed(plan)
        self.number: dict[int, int] = {}  # of a vertex, that of its node
        self.nodes: list[Node] = []
        self.edges: dict[tuple[int, int, str, str], int] = {}
        self.boxes: list[Box] = []

    def picture(self) -> Picture:
        results = set(self.plan.results)
        box_of = self.make_boxes()
        for at, vertex in enumerate(self.vertices):
            if at not in self.passed:
                self.number[at] = len(self.nodes)
                self.nodes.append(self.node(at, vertex, at in results, box_of.get((vertex.section, vertex.strand), -1)))
        for at, vertex in enumerate(self.vertices):
            if at not in self.passed:
                self.draw_edges(self.number[at], vertex)
        edges = [Edge(*key, count) for key, count in self.edges.items()]
        return Picture(self.nodes, edges, self.boxes)

    def make_boxes(self) -> dict[tuple[int, int], int]:
        """A box for each section, and in it one for each strand of more than one node; a strand of one node is told by a mark."""
        found: dict[tuple[int, int], int] = {}
        sizes: dict[tuple[int, int], int] = {}
        for at, vertex in enumerate(self.vertices):
            if at not in self.passed:
                key = (vertex.section, vertex.strand)
                sizes[key] = sizes.get(key, 0) + 1
        sections: dict[int, int] = {-1: -1}
        for number in sorted({section for section, _ in sizes} - {-1}):
            sections[number] = len(self.boxes)
            self.boxes.append(Box("section", self.plan.sections[number]))
        for key in sorted(sizes):
            section, strand = key
            if strand >= 0 and sizes[key] > 1:
                found[key] = len(self.boxes)
                self.boxes.append(Box("strand", f"strand {strand}", sections[section]))
            else:
                found[key] = sections[section]
        return found

    def node(self, at: int, vertex: Vertex, is_result: bool, box: int) -> Node:
        marks = vertex.marks
        marks += tuple([f"if {test}" for test, _ in vertex.tests if isinstance(test, str)])
        marks += tuple([f"else {other}" for _, other in vertex.tests if isinstance(other, str)])
        marks += tuple([labels.plain(f"{key}: {value}", labels.MARK) for key, value in vertex.routes if isinstance(value, str)])
        if vertex.strand >= 0 and (box < 0 or self.boxes[box].kind != "strand"):
            marks += (f"strand {vertex.strand}",)
        shown = ""
        if vertex.kind in ("call", "map", "container", "resource") and (vertex.arguments or vertex.kind == "container"):
            opening, closing = _BRACKETS.get(vertex.title, _ROUND) if vertex.kind == "container" else _ROUND
            shown = labels.plain(f"{opening}{self.listed(vertex, 0)}{closing}", labels.ARGUMENTS)
        elif vertex.kind in ("router", "choice") and isinstance(vertex.selector, str):
            shown = f"by {vertex.selector}"
        return Node(vertex.kind, vertex.mode, vertex.title, shown, vertex.where, marks, vertex.name, vertex.over, box, is_result)

    def listed(self, vertex: Vertex, level: int) -> str:
        hidden = [self.is_hidden(one) for one in vertex.arguments]
        if len(hidden) > 3 and all(hidden):
            return f"{HIDDEN} × {len(hidden):,}"
        parts = [f"{one.name}={text}" if one.name else text for one in vertex.arguments[:_MEMBERS] for text in (self.text(one, level),)]
        if vertex.kind == "container" and vertex.title == "dict":
            parts = [": ".join(parts[at : at + 2]) for at in range(0, len(parts), 2)]
        if len(vertex.arguments) > _MEMBERS:
            parts.append("…")
        return ", ".join(parts)

    def is_hidden(self, argument: Argument) -> bool:
        value = argument.value
        return not argument.name and isinstance(value, int) and (value not in self.passed or self.vertices[value].kind == "item")

    def text(self, argument: Argument, level: int) -> str:
        value = argument.value
        if isinstance(value, str):
            return value
        inner = self.vertices[value]
        if value not in self.passed or inner.kind == "item":
            return HIDDEN  # whatever comes along an edge
        opening, closing = _BRACKETS.get(inner.title, _ROUND)
        return f"{opening}{self.listed(inner, level + 1) if level < _DEEP else '…'}{closing}"

    # --- edges ------------------------------------------------------------------------------------------------------------------

    def draw_edges(self, node: int, vertex: Vertex) -> None:
        kind = "route" if vertex.kind in ("router", "choice") else "data"
        for one in vertex.arguments:
            self.flow(one.value, node, kind, "each" if one.each else "")
        for name, amount in vertex.amounts:
            self.flow(amount, node, "data", name)
        for test, other in vertex.tests:
            self.flow(test, node, "condition", "if")
            self.flow(other, node, "condition", "else")
        self.flow(vertex.selector, node, "condition", "by" if vertex.kind == "router" else "if")
        for key, value in vertex.routes:
            self.flow(value, node, "route", key)
        for one_before in vertex.after:
            self.flow(one_before, node, "order", "")
        for turn in vertex.turns:
            self.flow(turn, node, "jump", "next turn")
        for label, target in vertex.jumps:
            self.edge(node, self.number[target], "jump", label)

    def flow(self, value: Value | None, node: int, kind: str, label: str) -> None:
        """Edges from whatever ``value`` is made of: past containers and items that are not drawn."""
        if value is None or isinstance(value, str):
            return
        stack = [(value, label)]
        while stack:
            at, text = stack.pop()
            if at not in self.passed:
                self.edge(self.number[at], node, kind, text)
                continue
            vertex = self.vertices[at]
            if vertex.kind == "item":
                text = labels.plain(f"{text} {vertex.title}".strip(), labels.ROUTE)
            stack += [(one.value, text) for one in reversed(vertex.arguments) if isinstance(one.value, int)]

    def edge(self, source: int, target: int, kind: str, label: str) -> None:
        key = (source, target, kind, label)
        self.edges[key] = self.edges.get(key, 0) + 1


def _passed(plan: Plan) -> set[int]:
    """Containers and items that are shown in the one call that takes them."""
    uses: dict[int, int] = {}
    by_call: set[int] = set()
    for vertex in plan.vertices:
        flows: list[Value | None] = [one.value for one in vertex.arguments]
        if vertex.kind in ("call", "map", "resource", "container"):
            by_call.update(one for one in flows if isinstance(one, int))
        flows += [amount for _, amount in vertex.amounts]
        flows += [value for _, value in vertex.routes]
        flows += [value for pair in vertex.tests for value in pair]
        flows += [vertex.selector, *vertex.after, *vertex.turns, *(target for _, target in vertex.jumps)]
        for one in flows:
            if isinstance(one, int):
                uses[one] = uses.get(one, 0) + 1
    results = set(plan.results)
    found = set()
    for at, vertex in enumerate(plan.vertices):
        if vertex.kind not in _PASSED or uses.get(at) != 1 or at in results or at not in by_call or vertex.tests or vertex.after:
            continue
        if vertex.jumps or (vertex.kind == "item" and len([one for one in vertex.arguments if isinstance(one.value, int)]) != 1):
            continue
        found.add(at)
    return found
