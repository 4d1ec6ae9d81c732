"""DOT, the language of Graphviz: https://graphviz.org/doc/info/lang.html.

One statement a line, nodes as ``n0``, ``n1``: in the order of the picture, so the same picture gives the same text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import zip_longest

from cascade_vm.pictures import labels
from cascade_vm.pictures.drawing import Node, Picture
from cascade_vm.pictures.levels import way
from cascade_vm.pictures.looks import FRAME, LINES, MAP, SECTION, STRANDS, heading, legend, look, style_name

_FONT = "Helvetica,Arial,sans-serif"
# Room on both sides of a label, or the line goes through its first letter.
_PADDED = '<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="3" CELLSPACING="0"><TR><TD>{}</TD></TR></TABLE>'
_ONE_LINE = 20  # characters of a title with its arguments behind it
_MARGINS = {"diamond": "0,0.01", "hexagon": "0.03,0.03", "note": "0.08,0.04"}


def to_dot(picture: Picture, title: str = "", direction: str = "auto") -> str:
    """``picture`` as a digraph.

    :param direction: "TB" (down), "LR" (to the right), or "auto": down where it is narrow.
    """
    return "\n".join(_lines(picture, title, way(picture) if direction == "auto" else direction)) + "\n"


def _lines(picture: Picture, title: str, direction: str) -> Iterator[str]:
    yield "digraph cascade {"
    yield f"  graph [rankdir={direction}, nodesep=0.22, ranksep=0.42, fontname={labels.dot(_FONT)}, fontsize=11, labelloc=b, labeljust=l,"
    yield f"    bgcolor=white, margin=0.1, label={_legend(picture, title)}];"
    yield f"  node [fontname={labels.dot(_FONT)}, fontsize=11, style=\"filled,rounded\", margin=\"0.11,0.05\", height=0.3, width=0.3];"
    yield f"  edge [fontname={labels.dot(_FONT)}, fontsize=9, arrowsize=0.65];"
    yield from _box(picture, -1, *picture.nesting(), 1)
    for edge in picture.edges:
        line = LINES[edge.kind]
        label = edge.label + (f" ×{edge.count:,}" if edge.count > 1 else "")
        shown = f', label=<{_PADDED.format(labels.html(label.strip()))}>, fontcolor="{line.colour}"' if label.strip() else ""
        yield (
            f"  n{edge.source} -> n{edge.target} [class={edge.kind}, color=\"{line.colour}\", style={line.style}, arrowhead={line.head}, "
            f"penwidth={line.width}{shown}];"
        )
    yield "}"


def _box(picture: Picture, number: int, inside: dict[int, list[int]], around: dict[int, list[int]], level: int) -> Iterator[str]:
    indent = "  " * level
    for at in inside.get(number, ()):
        yield from _node(at, picture.nodes[at], indent)
    for at in around.get(number, ()):
        box = picture.boxes[at]
        yield f"{indent}subgraph cluster_{at} {{"
        if box.kind == "strand":
            shade = STRANDS[sum(one.kind == "strand" for one in picture.boxes[:at]) % 2] if at < 1000 else STRANDS[0]
            yield f'{indent}  class=strand; style="filled,rounded"; color="{shade}"; fillcolor="{shade}"; fontsize=9; fontcolor="#555555";'
        else:
            yield f'{indent}  class=section; style="filled,rounded"; color="{FRAME}"; fillcolor="{SECTION}";'
            yield f'{indent}  fontsize=10; fontcolor="{FRAME}";'
        yield f"{indent}  labelloc=t; labeljust=l; margin=9; label=<{labels.html(box.title)}>;"
        yield from _box(picture, at, inside, around, level + 1)
        yield f"{indent}}}"


def _node(at: int, node: Node, indent: str) -> Iterator[str]:
    kind = look(node)
    border = 2.4 if node.is_result else 1.1
    shape = "box" if node.count > 1 and kind.shape not in ("box", "ellipse", "hexagon", "cylinder") else kind.shape
    more = ", peripheries=2" if node.count > 1 else ""
    if node.kind == "end":
        more += ", fixedsize=true, width=0.4, height=0.4"
    elif shape not in ("box", "cylinder"):
        more += f', style=filled, margin="{_MARGINS.get(shape, "0.02,0.02")}"'
    tip = labels.dot(labels.plain(f"{node.name or node.title} {node.where}", 160))
    statement = (
        f"n{at} [class={labels.dot(style_name(node))}, shape={shape}, fillcolor=\"{kind.fill}\", color=\"{kind.border}\", "
        f"penwidth={border}{more}, tooltip={tip}, label=<{_label(node)}>];"
    )
    if node.kind != "map":
        yield indent + statement
        return
    yield f"{indent}subgraph cluster_map{at} {{"
    yield f'{indent}  class=map; style="dashed,rounded"; color="{MAP}"; fontsize=9; fontcolor="{MAP}"; labelloc=t; labeljust=l; margin=8;'
    yield f"{indent}  label=<{labels.html(node.over)}>;"
    yield f"{indent}  {statement}"
    yield f"{indent}}}"


def _label(node: Node) -> str:
    if node.kind == "end":
        return f'<FONT COLOR="white" POINT-SIZE="9">{labels.html(node.title)}</FONT>'
    title = labels.html(heading(node))
    if node.kind not in ("literal", "container", "item"):
        title = f"<B>{title}</B>"
    several = f" <B>× {node.count:,}</B>" if node.count > 1 else ""
    given = f'<FONT POINT-SIZE="9.5">{labels.html(node.arguments)}</FONT>' if node.arguments else ""
    if len(node.title) + len(node.arguments) <= _ONE_LINE:
        lines = [title + given + several]
    else:
        lines = [title + several, *([given] if given else [])]
    small = ([node.mode] if node.mode else []) + list(node.marks)
    together = 1 if look(node).shape == "hexagon" else 3  # of which the sides take room
    for first in range(0, len(small), together):
        shown = "  ·  ".join(small[first : first + together])
        lines.append(f'<FONT POINT-SIZE="8.5" COLOR="#7a3b00">{labels.html(shown)}</FONT>')
    if node.where:
        lines.append(f'<FONT POINT-SIZE="8" COLOR="#666666">{labels.html(node.where)}</FONT>')
    return "<BR/>".join(lines)


_TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="{}" CELLPADDING="{}">{}</TABLE>'
_LINE = 52  # characters of a remark in one line


def _legend(picture: Picture, title: str) -> str:
    """Two columns of samples with their meanings: nodes and boxes, edges and remarks."""
    nodes, edges, boxes, remarks = legend(picture)
    left = [(f'BGCOLOR="{look(node).fill}" COLOR="{look(node).border}" BORDER="1"', look(node).meaning) for node in nodes]
    left += [(f'BGCOLOR="{box.fill}" COLOR="{box.border}" BORDER="{box.width}" STYLE="{box.style}"', box.meaning) for box in boxes]
    right = []
    for name in edges:
        line = LINES[name]
        style = f' STYLE="{line.style}"' if line.style in ("dashed", "dotted") else ""
        right.append((f'SIDES="B" COLOR="{line.colour}" BORDER="{round(line.width)}"{style}', line.meaning))
    rows = [f'<TR><TD COLSPAN="4" ALIGN="LEFT"><B>{labels.html(title)}</B></TD></TR>'] if title else []
    for one, other in zip_longest(left, right):
        rows.append(f"<TR>{_sample(one)}{_sample(other)}</TR>")
    for remark in remarks:
        shown = '<BR ALIGN="LEFT"/>'.join(labels.html(one) for one in textwrap.wrap(remark, _LINE))
        rows.append(f'<TR><TD COLSPAN="4" ALIGN="LEFT" BALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="#555555">{shown}</FONT></TD></TR>')
    return f"<{_TABLE.format(2, 1, ''.join(rows))}>" if rows else '""'


def _sample(pair: tuple[str, str] | None) -> str:
    """Two cells: one with these attributes, and its meaning."""
    if pair is None:
        return "<TD></TD><TD></TD>"
    attributes, meaning = pair
    if attributes.startswith("SIDES"):  # a line: the lower border of a cell half as high as the row
        half = '<TR><TD WIDTH="26" HEIGHT="5" FIXEDSIZE="TRUE" {}></TD></TR>'
        cell = f"<TD>{_TABLE.format(0, 0, half.format(attributes) + half.format(''))}</TD>"
    else:
        cell = f'<TD WIDTH="26" HEIGHT="11" FIXEDSIZE="TRUE" {attributes}></TD>'
    return f'{cell}<TD ALIGN="LEFT"><FONT POINT-SIZE="9">{labels.html(meaning)}</FONT></TD>'
