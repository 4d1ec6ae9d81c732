"""Flame views of profiles: stacks of calls, as wide as the time that they took.

The folded form is that of Brendan Gregg's FlameGraph (https://github.com/brendangregg/FlameGraph): ``root;call;call microseconds``,
one stack a line. A call that returns a graph has the calls of that graph on top of it; what a loop went on with is a level ``tail: task``,
once, however often it went round. What a call waited for stands on top of it in parentheses: ``(suspended)``. Times of calls that overlap
add up, so the whole may be wider than the run was long.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from colorsys import hls_to_rgb
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from cascade_vm.probe import Level

if TYPE_CHECKING:
    from cascade_vm.profiling import Profile

_WIDTH = 1200
_ROW = 18
_LEAST = 0.5  # pixels: what is narrower is not drawn
_LETTER = 6.6  # pixels, of the font below


class _Box(NamedTuple):
    label: str
    seconds: float
    begin: float  # seconds from the left
    depth: int
    waits: bool
    calls: int


def stacks(profile: Profile) -> dict[tuple[str, ...], tuple[float, int]]:
    """Seconds and calls of each stack, by its labels, in the order in which they came."""
    found: dict[tuple[str, ...], tuple[float, int]] = {}

    def add(path: tuple[str, ...], seconds: float, calls: int) -> None:
        was = found.get(path, (0.0, 0))
        found[path] = (was[0] + seconds, was[1] + calls)

    for run in profile.runs:
        todo: list[tuple[Level, tuple[str, ...]]] = [(run.root, ())]
        while todo:
            level, above = todo.pop()
            path = (*above, level.label)
            add(path, level.own, level.calls)
            for kind, seconds in list(level.waiting.items()):
                add((*path, f"({kind})"), seconds, 0)
            todo += [(one, path) for one in reversed(list(level.beneath.values()))]
    return found


def folded(profile: Profile) -> str:
    """One stack a line, with whole microseconds; stacks that took less than one are left out."""
    lines = []
    for path, (seconds, _) in stacks(profile).items():
        if round(seconds * 1e6) > 0:
            lines.append(f"{';'.join(label.replace(';', ',') for label in path)} {round(seconds * 1e6)}\n")
    return "".join(lines)


def _boxes(profile: Profile) -> tuple[list[_Box], float]:
    """Where everything stands, and how wide the whole is."""
    given = stacks(profile)
    totals: dict[tuple[str, ...], float] = {}
    calls: dict[tuple[str, ...], int] = {}
    beneath: dict[tuple[str, ...], list[tuple[str, ...]]] = {(): []}
    for path, (seconds, count) in given.items():
        for depth in range(1, len(path) + 1):
            part = path[:depth]
            if part not in totals:
                totals[part] = 0.0
                beneath.setdefault(part[:-1], []).append(part)
            totals[part] += seconds
        calls[path] = count
    whole = sum(totals[one] for one in beneath[()])
    boxes: list[_Box] = []
    todo = []
    at = 0.0
    for one in beneath[()]:
        todo.append((one, at))
        at += totals[one]
    while todo:
        path, at = todo.pop()
        boxes.append(_Box(path[-1], totals[path], at, len(path) - 1, path[-1].startswith("("), calls.get(path, 0)))
        for one in beneath.get(path, ()):
            todo.append((one, at))
            at += totals[one]
    return sorted(boxes, key=lambda one: (one.depth, one.begin)), whole


def svg(profile: Profile) -> str:
    """An SVG, with the root at the bottom; what is pointed at tells its time."""
    from cascade_vm.profile_table import seconds as shown

    boxes, whole = _boxes(profile)
    levels = max((one.depth for one in boxes), default=0) + 1
    height = levels * _ROW + 58
    title = f"{len(profile.runs)} run{'s' * (len(profile.runs) != 1)}, {shown(profile.seconds)}; calls and waiting added up: {shown(whole)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="13" fill="#222222">{escape(title)}</text>',
        f'<g transform="translate({_WIDTH - 190},11)"><rect width="11" height="11" fill="{_warm("own")}"/>'
        '<text x="16" y="10" fill="#222222">own time</text>'
        '<rect x="95" width="11" height="11" fill="#c3d0de"/><text x="111" y="10" fill="#222222">waiting</text></g>',
    ]
    for box in _drawn(boxes, whole):
        left, width = _place(box, whole)
        top = 36 + (levels - 1 - box.depth) * _ROW
        share = f"{box.seconds / whole:.1%}" if whole else "0%"
        calls = f", {box.calls:,} call{'s' * (box.calls != 1)}" if box.calls else ""
        fill = "#c3d0de" if box.waits else "#e6e2d6" if box.depth == 0 or box.label.startswith("tail: ") else _warm(box.label)
        text = _fitting(box.label, width)
        parts.append(
            f'<g><title>{escape(box.label)}: {shown(box.seconds)}, {share}{calls}</title>'
            f'<rect x="{left:.2f}" y="{top}" width="{width:.2f}" height="{_ROW - 1}" rx="2" fill="{fill}"/>'
            + (f'<text x="{left + 4:.2f}" y="{top + 12.5}" fill="#222222">{escape(text)}</text>' if text else "")
            + "</g>"
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def html(profile: Profile) -> str:
    """A page with the SVG; a click on a box shows it as wide as all, a click on the root goes back."""
    return _PAGE.replace("SVG", svg(profile).rstrip("\n"))


def _drawn(boxes: list[_Box], whole: float) -> Iterator[_Box]:
    return (one for one in boxes if whole and one.seconds / whole * (_WIDTH - 20) >= _LEAST)


def _place(box: _Box, whole: float) -> tuple[float, float]:
    scale = (_WIDTH - 20) / whole
    return 10 + box.begin * scale, max(box.seconds * scale - 0.5, 0.1)


def _fitting(label: str, width: float) -> str:
    """As much of a label as fits. Of a task the end says most, of what was waited for the beginning."""
    letters = int((width - 6) / _LETTER)
    if letters >= len(label):
        return label
    if letters < 4:
        return ""
    return f"{label[: letters - 1]}…" if label.startswith("(") else f"…{label[-(letters - 1) :]}"


def _warm(label: str) -> str:
    """A colour for a task, the same in every process."""
    seed = zlib.crc32(label.encode())
    hue, light, saturation = 20 + seed % 32, 66 + (seed >> 16) % 10, 70 + (seed >> 8) % 20
    parts = hls_to_rgb(hue / 360, light / 100, saturation / 100)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)  # hsl() is not known to all that draw SVG


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cascade: flame view</title>
<style>body { margin: 1em; background: #fff } g:hover > rect { stroke: #222; cursor: pointer }</style></head>
<body>
SVG
<script>
const boxes = [...document.querySelectorAll("g > title")].map(t => t.parentNode).map(g => {
  const rect = g.querySelector("rect"), text = g.querySelector("text");
  return { g, rect, text, full: g.querySelector("title").textContent.split(": ").slice(0, -1).join(": "),
           x: +rect.getAttribute("x"), w: +rect.getAttribute("width"), y: +rect.getAttribute("y") };
});
function show(chosen) {
  const scale = 1180 / chosen.w;
  for (const box of boxes) {
    const under = box.y > chosen.y && box.x <= chosen.x + 0.01 && box.x + box.w >= chosen.x + chosen.w - 1;
    const inside = box.x >= chosen.x - 0.01 && box.x + box.w <= chosen.x + chosen.w + 1 && box.y <= chosen.y;
    box.g.style.display = under || inside ? "" : "none";
    const x = under ? 10 : 10 + (box.x - chosen.x) * scale, w = under ? 1180 : box.w * scale;
    box.rect.setAttribute("x", x); box.rect.setAttribute("width", Math.max(w - 0.5, 0.1));
    if (!box.text) {
      box.text = document.createElementNS("http://www.w3.org/2000/svg", "text");
      box.text.setAttribute("y", box.y + 12.5); box.text.setAttribute("fill", "#222222"); box.g.append(box.text);
    }
    const letters = Math.floor((w - 6) / 6.6);
    box.text.setAttribute("x", x + 4);
    box.text.textContent = letters >= box.full.length ? box.full : letters >= 4 ? "\\u2026" + box.full.slice(-(letters - 1)) : "";
  }
}
for (const box of boxes) box.g.addEventListener("click", () => show(box));
</script></body></html>
"""
