"""Profiles as tables: rows of text, which the command line shows in colour on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cascade_vm.run_profile import WAITS

if TYPE_CHECKING:
    from cascade_vm.profiling import Profile


class Table(NamedTuple):
    """Columns and rows; columns whose heading begins with a blank are numbers, and stand to the right."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def summary(profile: Profile) -> str:
    """The runs in one or two lines, with what the profile itself cost."""
    runs = profile.runs
    if not runs:
        return "nothing has run"
    machine = sum(one.probe.machine for one in runs if one.probe is not None)
    inline = sum(one.inline for one in runs)
    counted = len(runs)
    statuses = ", ".join(f"{sum(one.status == status for one in runs)} {status}" for status in dict.fromkeys(one.status for one in runs))
    which = f"1 run, {runs[0].status}" if counted == 1 else f"{counted} runs ({statuses})"
    cost = profile.cost
    lines = [
        f"{which}, {seconds(profile.seconds)} in all; the machine beside its calls: {seconds(max(machine - inline, 0.0))}",
        f"the profile itself: at least {seconds(cost.seconds)} of that ({cost.events:,} events, {cost.steps:,} instructions counted)",
    ]
    dropped = sum(one.dropped for one in runs)
    if dropped:
        lines.append(f"{dropped:,} spans were not kept (most_spans): the trace ends early")
    return "\n".join(lines)


def tasks(profile: Profile) -> Table:
    """By task: counts, own time, and what was waited for; columns that would be empty are left out."""
    found = profile.tasks
    counts = [
        (name, heading)
        for name, heading in (("failed", " failed"), ("retries", " retries"), ("hits", " cached"), ("skipped", " skipped"))
        if any(getattr(one, name) for one in found)
    ]
    kinds = [kind for kind in WAITS if any(kind in one.waiting for one in found)]
    whole = sum(one.own + sum(one.waiting.values()) for one in found)
    columns = ("task", " calls", *(heading for _, heading in counts), " own", *(f" {kind}" for kind in kinds), " longest", " share")
    rows: list[tuple[str, ...]] = []
    for one in found:
        part = one.own + sum(one.waiting.values())
        rows.append(
            (
                one.task,
                f"{one.calls:,}",
                *(f"{getattr(one, name):,}" if getattr(one, name) else "" for name, _ in counts),
                seconds(one.own),
                *(seconds(one.waiting[kind]) if kind in one.waiting else "" for kind in kinds),
                seconds(one.longest),
                f"{part / whole:.0%}" if whole else "",
            )
        )
    return Table("by task", columns, rows)


def instructions(profile: Profile) -> Table:
    """By instruction, as they stand in their shapes."""
    found = profile.instructions
    columns = ("shape", " pc", "instruction", " count", " own", " waiting", " machine", " live", " bytes")
    rows: list[tuple[str, ...]] = []
    before = ""
    for one in found:
        count = f"{one.count:,}" + (f" (-{one.skipped:,})" if one.skipped else "")
        rows.append(
            (
                one.cycle_id[:8] if one.cycle_id != before else "",
                str(one.pc),
                one.text,
                count,
                seconds(one.own) if one.own else "",
                seconds(one.waiting) if one.waiting else "",
                seconds(one.machine) if one.machine else "",
                str(one.live),
                size(one.bytes),
            )
        )
        before = one.cycle_id
    return Table("by instruction", columns, rows)


def text(profile: Profile, with_instructions: bool = False, width: int = 60) -> str:
    """All of it as plain text."""
    tables = [tasks(profile)] + ([instructions(profile)] if with_instructions else [])
    return "\n\n".join([summary(profile), *(plain(one, width) for one in tables if one.rows)])


def plain(table: Table, width: int = 60) -> str:
    """A table as text. What is longer than ``width`` is cut in the middle."""
    rows = [tuple(one.strip() for one in table.columns), *(tuple(cut(cell, width) for cell in row) for row in table.rows)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(table.columns))]
    right = [name.startswith(" ") for name in table.columns]
    lines = [_line(row, widths, right) for row in rows]
    return "\n".join([lines[0], "  ".join("-" * one for one in widths), *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [one.rjust(width) if is_right else one.ljust(width) for one, width, is_right in zip(row, widths, right, strict=True)]
    return "  ".join(cells).rstrip()


def cut(cell: str, width: int) -> str:
    """At most ``width`` characters of a text: its beginning and its end."""
    half = (width - 1) // 2
    return cell if len(cell) <= width else f"{cell[: width - 1 - half]}…{cell[-half:]}"


def seconds(value: float) -> str:
    """A time for people, with three digits."""
    if not value:
        return "0"
    for least, unit, factor in ((1.0, "s", 1.0), (1e-3, "ms", 1e3), (0.0, "µs", 1e6)):
        if abs(value) >= least * 0.9995 or not least:
            shown = value * factor
            digits = 0 if abs(shown) >= 99.95 else 1 if abs(shown) >= 9.995 else 2
            return f"{shown:,.{digits}f} {unit}"
    raise AssertionError("the last unit takes all")


def size(value: int) -> str:
    """Bytes for people."""
    if value < 10_000:
        return f"{value:,} B"
    for unit in ("kB", "MB", "GB"):
        value_in, value = value / 1000, value // 1000
        if value_in < 1000:
            return f"{value_in:,.0f} {unit}" if value_in >= 99.5 else f"{value_in:.1f} {unit}"
    return f"{value:,} GB"
