"""Mermaid flowcharts: https://mermaid.js.org/syntax/flowchart.html. Pages on GitHub, GitLab and in notebooks show them as they are."""

from __future__ import annotations

from collections.abc import Iterator

from cascade_vm.pictures import labels
from cascade_vm.pictures.drawing import Node, Picture
from cascade_vm.pictures.levels import way
from cascade_vm.pictures.looks import FRAME, LINES, MAP, SECTION, STRANDS, heading, legend, look, style_name


def to_mermaid(picture: Picture, direction: str = "auto") -> str:
    """``picture`` as a flowchart: one statement a line, nodes as ``n0``, ``n1``. ``direction`` is as for DOT."""
    return "\n".join(_lines(picture, way(picture) if direction == "auto" else direction)) + "\n"


def _lines(picture: Picture, direction: str) -> Iterator[str]:
    yield f"flowchart {direction}"
    yield from _box(picture, -1, *picture.nesting(), 1)
    kinds: dict[str, list[int]] = {}
    for number, edge in enumerate(picture.edges):
        label = (edge.label + (f" ×{edge.count:,}" if edge.count > 1 else "")).strip()
        shown = f'|"{labels.mermaid(label)}"|' if label else ""
        yield f"  n{edge.source} {LINES[edge.kind].arrow}{shown} n{edge.target}"
        kinds.setdefault(edge.kind, []).append(number)
    nodes, edges, boxes, remarks = legend(picture)
    remarks += [box.meaning for box in boxes if box.fill == STRANDS[0]]
    if edges or remarks:
        yield '  subgraph legend["legend"]'
        yield "    direction LR"
        for number, kind in enumerate(edges):
            yield f'    l{number}[" "]:::remark {LINES[kind].arrow}|"{labels.mermaid(LINES[kind].meaning)}"| m{number}[" "]:::remark'
            kinds[kind].append(len(picture.edges) + number)
        if remarks:
            yield f'    remarks["{"<br/>".join(labels.mermaid(one) for one in remarks)}"]:::remark'
        yield "  end"
        yield "  style legend fill:#ffffff,stroke:#cccccc"
    for kind, numbers in kinds.items():
        line = LINES[kind]
        dash = ",stroke-dasharray:2 3" if line.style == "dotted" else ""
        yield f"  linkStyle {','.join(map(str, numbers))} stroke:{line.colour},stroke-width:{line.width:g}px{dash}"
    for node in nodes:
        one = look(node)
        text = ",color:#ffffff" if node.kind == "end" else ",color:#1a1a1a"
        yield f"  classDef {_class(node)} fill:{one.fill},stroke:{one.border}{text}"
    yield "  classDef result stroke-width:3px"
    yield "  classDef remark fill:none,stroke:none,text-align:left"
    for at, box in enumerate(picture.boxes):
        fill, stroke = (STRANDS[at % 2], STRANDS[at % 2]) if box.kind == "strand" else (SECTION, FRAME)
        yield f"  style b{at} fill:{fill},stroke:{stroke}"
    maps = [at for at, node in enumerate(picture.nodes) if node.kind == "map"]
    yield from (f"  style m_n{at} fill:none,stroke:{MAP},stroke-dasharray:5 3" for at in maps)


def _box(picture: Picture, number: int, inside: dict[int, list[int]], around: dict[int, list[int]], level: int) -> Iterator[str]:
    indent = "  " * level
    for at in inside.get(number, ()):
        node = picture.nodes[at]
        if node.kind == "map":
            yield f'{indent}subgraph m_n{at}["{labels.mermaid(node.over)}"]'
            yield f"{indent}  {_node(at, node)}"
            yield f"{indent}end"
        else:
            yield f"{indent}{_node(at, node)}"
    for at in around.get(number, ()):
        yield f'{indent}subgraph b{at}["{labels.mermaid(picture.boxes[at].title)}"]'
        yield from _box(picture, at, inside, around, level + 1)
        yield f"{indent}end"


def _node(at: int, node: Node) -> str:
    opening, closing = look(node).brackets
    result = f"\n  class n{at} result" if node.is_result else ""
    return f'n{at}{opening}"{_label(node)}"{closing}:::{_class(node)}{result}'


def _class(node: Node) -> str:
    return f"k_{style_name(node)}"  # "end" is a word of the language


def _label(node: Node) -> str:
    title = labels.mermaid(heading(node))
    lines = [f"<b>{title}</b>" if node.kind not in ("literal", "container", "item") else title]
    if node.count > 1:
        lines[0] += f" × {node.count:,}"
    if node.arguments and not title:
        lines[0] = labels.mermaid(node.arguments) + lines[0]
    elif node.arguments:
        lines.append(labels.mermaid(node.arguments))
    small = ([node.mode] if node.mode else []) + list(node.marks)
    if small:
        lines.append(labels.mermaid(" · ".join(small)))
    if node.where:
        lines.append(f"<small>{labels.mermaid(node.where)}</small>")
    return "<br/>".join(lines)
