"""The pictures of the page, as SVG with its text as text. They need matplotlib, from the extra ``peers``."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from bench.derived import curves
from bench.results import Recording
from bench.terminal import called, curve_called, factor, seconds

_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "cascade", "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Arial"],
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "axes.titlelocation": "left",
    "legend.frameon": False, "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.6, "axes.axisbelow": True,
}  # fmt: skip
# Dark enough on white, and told apart without red and green.
_COLOURS = {
    "by hand": "#555555", "graph": "#999933", "interpreter": "#0b5fa5", "codegen": "#c2570c", "compile": "#117a55", "first run": "#88499c",
}  # fmt: skip
_PEER = "#b9c4cf"
_NOT_TURNED = re.compile(r' transform="rotate\(-0 [^"]*\)"')
_FAMILY = re.compile(r"font-family: [^;\"]*; ")


def write(recording: Recording, folder: Path) -> dict[str, Path]:
    """Draw what ``recording`` has the data for; the files, by the name of the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Path] = {}
    pictures: list[tuple[str, Callable[[Recording], Figure | None]]] = [
        ("peers", _peers), ("growth", _growth), ("awaits", _awaits), ("steps", _steps), ("memory", _memory),
    ]  # fmt: skip
    with mpl.rc_context(_STYLE):
        for name, draw in pictures:
            figure = draw(recording)
            if figure is not None:
                drawn[name] = folder / f"{name}.svg"
                drawn[name].write_text(_svg(figure), encoding="utf-8")
    return drawn


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None, "Title": figure.get_label() or None})
    small = _NOT_TURNED.sub("", text.getvalue())
    family = next(iter(_FAMILY.findall(small)), "")
    small = _FAMILY.sub("", small).replace("<svg ", f'<svg style="{family.rstrip("; ")}" ', 1)  # said once, for all texts
    return "\n".join(line.strip() for line in small.splitlines()) + "\n"


def _seconds_axis(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value) if value > 0 else ""))
    axis.set_minor_locator(NullLocator())


def _count(value: float) -> str:
    for size, name in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{name}"
    return f"{value:g}"


def _count_axis(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    axis.set_minor_locator(NullLocator())


PEER_CASES = (
    "chain of 20 calls", "layered graph of 500 calls", "countdown", "map over 1,000,000 items", "100 awaits overlapping",
    "100 awaits in turn",
)  # fmt: skip


def _peers(recording: Recording) -> Figure | None:
    cases = [case for name in PEER_CASES if (case := recording.case(name)) is not None]
    if not cases:
        return None
    figure = Figure(figsize=(9.6, 2.75 * ((len(cases) + 1) // 2)), layout="constrained", label="Cost of a unit of work")
    panels = figure.subplots((len(cases) + 1) // 2, 2, squeeze=False).ravel()
    for panel, case in zip(panels, cases, strict=False):
        sides = [side for side in case.sides if side.seconds is not None and not side.name.startswith("by hand, ")]
        sides.reverse()
        lengths = [side.seconds.middle for side in sides if side.seconds]
        colours = [_COLOURS.get(side.name, _PEER) for side in sides]
        panel.barh([called(side.name) for side in sides], lengths, color=colours, height=0.72)
        panel.set_xscale("log")
        panel.set_xlim(min(lengths) / 2, max(lengths) * 12)
        for at, side in enumerate(sides):
            text = seconds(lengths[at]) + (f", {factor(side.ratio.middle)}" if side.ratio else "")
            panel.text(lengths[at] * 1.15, at, text, va="center", fontsize=8)
        panel.set_title(f"{case.name}: for each {case.unit}")
        panel.grid(axis="y", visible=False)
        panel.tick_params(axis="y", left=False)
        _seconds_axis(panel.xaxis)
    for panel in panels[len(cases) :]:
        panel.set_visible(False)
    return figure


def _curves(panel: Any, recording: Recording, prefix: str) -> bool:
    """One curve for each case whose name begins with ``prefix``, of what a unit costs by size."""
    ends: list[tuple[tuple[float, float], str | None]] = []
    for name, curve in curves(recording, prefix):
        points = sorted((size, side.seconds.middle) for size, side in curve.items() if side.seconds)
        if not points:
            continue
        colour = next((colour for part, colour in _COLOURS.items() if name.startswith(part)), None)
        line = "-"
        if name.startswith("again, "):
            colour = _COLOURS.get(name.removeprefix("again, "))
        elif name.startswith("first run, "):
            colour, line = _COLOURS.get(name.removeprefix("first run, ")), "--"
        panel.plot(*zip(*points, strict=True), line, color=colour, marker="o", markersize=3.5, linewidth=1.6, label=curve_called(name))
        ends.append((points[-1], colour))
    panel.set_xscale("log")
    panel.set_yscale("log")
    _count_axis(panel.xaxis)
    _seconds_axis(panel.yaxis)
    _write_ends(panel, ends)
    return bool(ends)


def _write_ends(panel: Any, ends: list[tuple[tuple[float, float], str | None]]) -> None:
    """The last value of each curve beside its end; moved up where it would stand on the one below it."""
    height = panel.figure.get_figheight() * 72 * 0.8 / (math.log10(panel.get_ylim()[1] / panel.get_ylim()[0]))  # points a decade
    taken: dict[float, float] = {}
    for (x, y), colour in sorted(ends, key=lambda end: end[0]):
        at = math.log10(y) * height
        to = max(at, taken.get(x, -math.inf) + 10)
        taken[x] = to
        place = (5, to - at)
        panel.annotate(seconds(y), (x, y), fontsize=8, color=colour, va="center", xytext=place, textcoords="offset points")


def _growth(recording: Recording) -> Figure | None:
    return _by_number(
        recording, "nodes: ", (8.2, 4.6), "Cost of a node by size", "nodes of the graph",
        "What a node costs: a straight level line is linear",
    )  # fmt: skip


def _awaits(recording: Recording) -> Figure | None:
    return _by_number(
        recording, "awaits: ", (7.4, 3.6), "Cost of an await by number", "awaits at once",
        "What an await costs, by how many there are at once",
    )  # fmt: skip


def _by_number(
    recording: Recording, curves: str, size: tuple[float, float], label: str, what: str, title: str
) -> Figure | None:
    figure = Figure(figsize=size, layout="constrained", label=label)
    panel = figure.subplots()
    if not _curves(panel, recording, curves):
        return None
    panel.set_xlabel(what)
    panel.set_title(title)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside right upper")
    return figure


def _steps(recording: Recording) -> Figure | None:
    from bench.derived import steps

    found = steps(recording)
    if not found:
        return None
    engines = list(dict.fromkeys(engine for one in found for engine in one.engines))
    found = sorted(found, key=lambda one: one.engines[engines[0]].middle)
    figure = Figure(figsize=(8.2, 0.9 + 0.3 * len(found) * (0.6 + 0.4 * len(engines))), layout="constrained", label="Cost of a step")
    panel = figure.subplots()
    height = 0.8 / len(engines)
    least = 5e-9  # where the axis begins: less than that cannot be told from nothing
    for number, engine in enumerate(engines):
        shown = [(at, one.engines[engine].middle, one.by_hand.middle) for at, one in enumerate(found) if engine in one.engines]
        places = [at + (len(engines) - 1) * height / 2 - number * height for at, _, _ in shown]
        panel.barh(places, [max(cost, least) for _, cost, _ in shown], height=height * 0.9, color=_COLOURS[engine], label=called(engine))
        for place, (_, cost, hand) in zip(places, shown, strict=True):
            panel.text(max(cost, least, hand) * 1.1, place, seconds(cost), va="center", fontsize=7.5)
    by_hand = [max(one.by_hand.middle, least) for one in found]
    rows = range(len(found))
    panel.vlines(by_hand, [at - 0.45 for at in rows], [at + 0.45 for at in rows], color="black", linewidth=2, label="by hand")
    panel.set_yticks(rows, [one.name for one in found])
    panel.set_ylim(-0.7, len(found) - 0.3)
    panel.set_xscale("log")
    panel.set_xlim(least, 4 * max(cost.middle for one in found for cost in one.engines.values()))
    panel.grid(axis="y", visible=False)
    panel.set_title("What one step takes")
    _seconds_axis(panel.xaxis)
    panel.legend(loc="lower right")
    return figure


def _memory(recording: Recording) -> Figure | None:
    found = [one for one in recording.memory if one.at == "iterations" and one.points]
    if not found:
        return None
    figure = Figure(figsize=(7.4, 2.9), layout="constrained", label="Memory over a long loop")
    panel = figure.subplots()
    for one in found:
        points = sorted((int(at), size / 2**20) for at, size in one.points.items())
        panel.plot(*zip(*points, strict=True), marker="o", markersize=3.5, color=_COLOURS.get(one.side), label=called(one.side))
    panel.set_xscale("log")
    panel.set_ylim(0, 1.35 * max(size for one in found for size in one.points.values()) / 2**20)
    _count_axis(panel.xaxis)
    panel.set_xlabel("iterations done")
    panel.set_ylabel("MiB")
    panel.set_title("Memory of the process while a loop goes round")
    panel.legend(loc="upper left", ncols=3)
    return figure
