"""Fewer nodes: what is alike becomes one node with a count.

The picture of a large graph is that of its quotient by some likeness, finest first:

    1 calls written alike, and fed and used alike, as in a fan-out; and those in a row, as in a chain
    2 calls of one task, written on one line      3 calls of one task      4 the most frequent ones, and all the others as one

Counts of nodes add up to those of the whole graph, and so do counts of edges, with those between the nodes that became one. A node that
stands for several in a row has an edge to itself in the graph, which is not drawn, but counted as ``inner``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from cascade_vm.pictures import labels
from cascade_vm.pictures.drawing import Box, Edge, Node, Picture
from cascade_vm.pictures.levels import levels

NODES, EDGES_OF_A_NODE = 500, 3  # what is drawn without folding, and how many edges for each of these
CROWD = 40  # so many nodes that are alike in all become one in any case, unless nothing is to be folded
_OTHERS = "others"


def fold(picture: Picture, most: int = NODES, always: bool = False) -> Picture:
    """``picture``, with at most ``most`` nodes and about three times as many edges; and without crowds.

    :param always: put together what is alike even where there are few nodes.
    :raises ValueError: ``most`` is less than 2.
    """
    if most < 2:
        raise ValueError(f"a picture is folded to at least 2 nodes, not {most}")
    if not always and _fits(picture, most):
        return _without_crowds(picture)
    result = picture
    for name, likeness in _LIKENESSES:
        result = _quotient(picture, likeness(picture), name)
        if _fits(result, most):
            return result
    few = max(2, most // 2)
    while True:
        result = _quotient(picture, _frequent(picture, few), "task; the rare ones as one node")
        if _fits(result, most) or few <= 2:
            return result
        few = max(2, few // 2)


def _without_crowds(picture: Picture) -> Picture:
    """``picture`` with one node for each crowd: that many alike side by side are a column taller than any page."""
    if len(picture.nodes) < CROWD:
        return picture
    sections = _sections(picture.boxes)
    alike = _by_surroundings(picture, rows=False)
    classes = _numbered([(one, sections[node.box]) for one, node in zip(alike, picture.nodes, strict=True)])
    sizes = Counter(classes)
    if max(sizes.values()) < CROWD:
        return picture
    alone = len(picture.nodes)  # behind the numbers of classes
    return _quotient(picture, [one if sizes[one] >= CROWD else alone + at for at, one in enumerate(classes)], f"likeness, from {CROWD} on")


def _sections(boxes: list[Box]) -> list[int]:
    """Of each box, the section it is or is in; -1 for none, which box -1 (the last of the list) is in, too."""
    found: list[int] = []
    for at, box in enumerate(boxes):  # a box comes behind the one around it
        found.append(at if box.kind == "section" else found[box.parent] if box.parent >= 0 else -1)
    return [*found, -1]


def _fits(picture: Picture, most: int) -> bool:
    return len(picture.nodes) <= most and len(picture.edges) <= EDGES_OF_A_NODE * most


# --- what is alike: a class for each node ---------------------------------------------------------------------------------------


def _look(node: Node) -> Any:
    return (node.kind, node.mode, node.title, node.name, node.where, node.marks, node.over, node.is_result)


def _by_surroundings(picture: Picture, rows: bool = True) -> list[int]:
    """Alike in look, in all that leads to them and in all that they lead to; then, with ``rows``, what stands in a row of its like.

    What leads to a node is told by the likeness of its sources, theirs by that of theirs, in the order of the graph; and so the other way.
    """
    count = len(picture.nodes)
    looks = _numbered([_look(node) for node in picture.nodes])
    into: list[list[tuple[str, str, int]]] = [[] for _ in range(count)]
    out: list[list[tuple[str, str, int]]] = [[] for _ in range(count)]
    for edge in picture.edges:
        if edge.kind != "jump":
            into[edge.target].append((edge.kind, edge.label, edge.source))
            out[edge.source].append((edge.kind, edge.label, edge.target))
    order = sorted(range(count), key=levels(picture).__getitem__)
    fed = _told(order, looks, into)
    used = _told(order[::-1], looks, out)
    classes = _numbered(list(zip(fed, used, strict=True)))
    if not rows:
        return classes
    parent = list(range(count))
    first: dict[int, int] = {}
    for at, one in enumerate(classes):
        _join(parent, at, first.setdefault(one, at))
    # In a row: the one class that a class leads to looks like it, and is fed by no other class of that look.
    sources: list[set[int]] = [set() for _ in first]
    targets: list[set[int]] = [set() for _ in first]
    for edge in picture.edges:
        targets[classes[edge.source]].add(classes[edge.target])
        sources[classes[edge.target]].add(classes[edge.source])
    look_of = [looks[at] for at in first.values()]
    for one, led in enumerate(targets):
        other = next(iter(led)) if len(led) == 1 else one
        if other != one and [source for source in sources[other] if look_of[source] == look_of[other]] == [one]:
            _join(parent, first[one], first[other])
    return _numbered([_top(parent, at) for at in range(count)])


def _told(order: list[int], looks: list[int], ends: list[list[tuple[str, str, int]]]) -> list[int]:
    """A class for each node, by its look and those of its ends, which come before it in ``order`` (or are in a loop with it)."""
    known: dict[Any, int] = {}
    found = [-1] * len(looks)
    for at in order:
        told = frozenset([(kind, label, found[other]) for kind, label, other in ends[at]])
        found[at] = known.setdefault((looks[at], told), len(known))
    return found


def _by_line(picture: Picture) -> list[int]:
    return _numbered([_look(node) for node in picture.nodes])


def _by_task(picture: Picture) -> list[int]:
    return _numbered([(node.kind, node.mode, node.title, node.name, node.is_result) for node in picture.nodes])


def _frequent(picture: Picture, most: int) -> list[int]:
    classes = _by_task(picture)
    size: dict[int, int] = {}
    for at, one in enumerate(classes):
        size[one] = size.get(one, 0) + picture.nodes[at].count
    kept = set(sorted(size, key=lambda one: (-size[one], one))[: most - 1])
    return _numbered([one if one in kept else -1 for one in classes])


_LIKENESSES: tuple[tuple[str, Callable[[Picture], list[int]]], ...] = (
    ("likeness", _by_surroundings), ("task and line", _by_line), ("task", _by_task),
)  # fmt: skip


def _numbered(keys: Sequence[Any]) -> list[int]:
    """A number for each key, in the order in which they come."""
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _top(parent: list[int], at: int) -> int:
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = parent[at]
    return at


def _join(parent: list[int], one: int, other: int) -> None:
    one, other = _top(parent, one), _top(parent, other)
    parent[max(one, other)] = min(one, other)


# --- the picture of the classes -------------------------------------------------------------------------------------------------


def _quotient(picture: Picture, classes: list[int], name: str) -> Picture:
    members: dict[int, list[int]] = {}
    for at, one in enumerate(classes):
        members.setdefault(one, []).append(at)
    number = {one: at for at, one in enumerate(members)}
    nodes = [_merged([picture.nodes[at] for at in group]) for group in members.values()]
    edges: dict[tuple[int, int, str, str], int] = {}
    for edge in picture.edges:
        source, target = number[classes[edge.source]], number[classes[edge.target]]
        if source == target and edge.source != edge.target and edge.kind != "jump":
            nodes[source].inner += edge.count
            continue
        key = (source, target, edge.kind, edge.label)
        edges[key] = edges.get(key, 0) + edge.count
    found = _bounded([Edge(*key, count) for key, count in edges.items()], EDGES_OF_A_NODE * NODES)
    used = {node.box for node in nodes}
    boxes, places = _kept(picture.boxes, used)
    for node in nodes:
        node.box = places[node.box]
    return Picture(nodes, found, boxes, name)


def _bounded(edges: list[Edge], most: int) -> list[Edge]:
    """Where there are very many, those of one kind between the same nodes become one, whatever their labels."""
    if len(edges) <= most:
        return edges
    merged: dict[tuple[int, int, str], tuple[str, int]] = {}
    for edge in edges:
        label, count = merged.get((edge.source, edge.target, edge.kind), (edge.label, 0))
        merged[edge.source, edge.target, edge.kind] = (label if label == edge.label else "", count + edge.count)
    return [Edge(*key, label, count) for key, (label, count) in merged.items()]


def _merged(group: list[Node]) -> Node:
    """One node for several: of what they differ in nothing is said."""
    first = group[0]
    if len(group) == 1:
        return replace(first)

    def same(get: Callable[[Node], Any], otherwise: Any) -> Any:
        value = get(first)
        return value if all(get(one) == value for one in group) else otherwise

    title = same(lambda one: one.title, labels.plain(_OTHERS, labels.TITLE))
    return replace(
        first,
        kind=same(lambda one: one.kind, _OTHERS), mode=same(lambda one: one.mode, ""), title=title, name=same(lambda one: one.name, ""),
        arguments=same(lambda one: one.arguments, ""), where=same(lambda one: one.where, ""), marks=same(lambda one: one.marks, ()),
        over=same(lambda one: one.over, "maps"), box=same(lambda one: one.box, -1), is_result=any(one.is_result for one in group),
        count=sum(one.count for one in group), inner=sum(one.inner for one in group),
    )  # fmt: skip


def _kept(boxes: list[Box], used: set[int]) -> tuple[list[Box], dict[int, int]]:
    """The boxes that still hold something, and where each is now."""
    wanted = set(used)
    for at in range(len(boxes) - 1, -1, -1):  # a box comes behind the one around it
        if at in wanted:
            wanted.add(boxes[at].parent)
    places = {-1: -1}
    kept: list[Box] = []
    for at, box in enumerate(boxes):
        if at in wanted:
            places[at] = len(kept)
            kept.append(replace(box, parent=places[box.parent]))
    return kept, places
