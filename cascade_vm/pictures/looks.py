"""How things look: colours and line styles, the same in DOT and in Mermaid. No two kinds differ by colour alone."""

from __future__ import annotations

from typing import NamedTuple

from cascade_vm.pictures.drawing import EDGES, Node, Picture


class Look(NamedTuple):
    """Of a node: its shape in DOT, opening and closing in Mermaid, fill, border, what the legend says."""

    shape: str
    brackets: tuple[str, str]
    fill: str
    border: str
    meaning: str


class Line(NamedTuple):
    """Of an edge: colour, style and arrow head in DOT, arrow in Mermaid, width, what the legend says."""

    colour: str
    style: str
    head: str
    arrow: str
    width: float
    meaning: str


_SMALL = ("[", "]")
_CALLS = {
    "": Look("box", ("(", ")"), "#e8f0fb", "#3b6db3", "task, on the caller's thread"),
    "async": Look("box", ("([", "])"), "#e3f4e7", "#2f8a4b", "async task"),
    "thread": Look("box", ("[/", "/]"), "#fdf2d8", "#b7791f", "task in a thread"),
    "process": Look("box", ("[[", "]]"), "#fbe6e0", "#b8502f", "task in a process"),
}
_OTHERS = {
    "input": Look("ellipse", ("{{", "}}"), "#ffffff", "#555555", "input"),
    "literal": Look("note", _SMALL, "#ffffff", "#999999", "value"),
    "container": Look("box", _SMALL, "#f5f5f5", "#999999", "container"),
    "item": Look("box", _SMALL, "#f5f5f5", "#999999", "item of a value"),
    "router": Look("hexagon", ("{{", "}}"), "#dff1f3", "#1f7a86", "router: takes one route"),
    "choice": Look("hexagon", ("{{", "}}"), "#dff1f3", "#1f7a86", "choice of one value"),
    "resource": Look("cylinder", ("[(", ")]"), "#f0ebe3", "#7d6b4f", "resource"),
    "jump": Look("diamond", ("{{", "}}"), "#f1e6f8", "#7b3fa0", "jump: goes on by its key"),
    "end": Look("circle", ("((", "))"), "#7b3fa0", "#7b3fa0", "end of a loop"),
    "others": Look("box", _SMALL, "#ffffff", "#555555", "various"),
}
LINES = {
    "data": Line("#4d4d4d", "solid", "normal", "-->", 1.0, "data"),
    "route": Line("#1f7a86", "solid", "onormal", "-->", 1.4, "route, with its key"),
    "condition": Line("#c2570c", "dashed", "normal", "-.->", 1.3, "condition"),
    "order": Line("#7a7a7a", "dotted", "vee", "-.->", 1.5, "order only (after)"),
    "jump": Line("#7b3fa0", "bold", "normal", "==>", 2.4, "goes on with"),
}
STRANDS = ("#eef4ee", "#f3eef6")  # in turn
SECTION, FRAME = "#faf7fc", "#7b3fa0"
MAP = "#3b6db3"


def look(node: Node) -> Look:
    """How a node looks."""
    return _CALLS[node.mode] if node.kind in ("call", "map") else _OTHERS[node.kind]


def heading(node: Node) -> str:
    """What stands first in a node: its title, unless its brackets say the same."""
    return "" if node.kind == "container" and node.arguments and node.title in ("list", "tuple", "dict", "set") else node.title


def style_name(node: Node) -> str:
    """A name for that: of a class in Mermaid and in SVG."""
    return (node.mode or "task") if node.kind in ("call", "map") else node.kind


class Sample(NamedTuple):
    """Of a box in the legend: fill, border, width and style of that, meaning."""

    fill: str
    border: str
    width: int
    style: str
    meaning: str


def legend(picture: Picture) -> tuple[list[Node], list[str], list[Sample], list[str]]:
    """What the legend tells of: a node of each look, the kinds of edges, the boxes, and remarks. Only what there is."""
    nodes: dict[str, Node] = {}
    for node in picture.nodes:
        nodes.setdefault(style_name(node), node)
    used = {edge.kind for edge in picture.edges}
    boxes = []
    kinds = {box.kind for box in picture.boxes}
    if any(node.is_result for node in picture.nodes):
        boxes.append(Sample("#ffffff", "#333333", 2, "solid", "bold: the result"))
    if any(node.kind == "map" for node in picture.nodes):
        boxes.append(Sample("#ffffff", MAP, 1, "dashed", "map: one call for each item"))
    if "strand" in kinds:
        boxes.append(Sample(STRANDS[0], STRANDS[0], 1, "solid", "strand: run without a stop"))
    if "section" in kinds:
        boxes.append(Sample(SECTION, FRAME, 1, "solid", "what a run may go on with"))
    remarks = []
    if picture.folded:
        shown, whole = len(picture.nodes), sum(node.count for node in picture.nodes)
        remarks.append(f"folded by {picture.folded}: {whole:,} nodes shown as {shown:,}")
    return list(nodes.values()), [kind for kind in EDGES if kind in used], boxes, remarks
