"""``cascade dis --live``: which registers hold something when, as a chart: an instruction a line, a register a column.

    o  the instruction writes it          |  it holds a value that is read later
    x  read here for the last time        .  empty
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_vm import isa
from cascade_vm.listing import instruction_text, symbol_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_vm.blueprint import Blueprint
    from cascade_vm.program import Program

_MOST_COLUMNS = 64


def rows(blueprint: Blueprint) -> list[tuple[int, frozenset[int]]]:
    """(pc, registers that hold a value when the instruction has run), in the order of the listing."""
    live = set(range(blueprint.literals + len(blueprint.inputs)))
    found = []
    for pc, one in enumerate(blueprint.instructions):
        live -= set(one.dead)
        if one.dst != isa.NONE:
            live.add(one.dst)
        found.append((pc, frozenset(live)))
    return found


def text(program: Program) -> str:
    """For people."""
    return "\n\n".join("\n".join(_chart(one)) for one in program.data.blueprints)


def document(program: Program) -> list[dict[str, Any]]:
    """The same for ``json``: of each blueprint and instruction, what is live after it."""
    return [
        {"cycle_id": one.cycle_id, "rows": [{"pc": pc, "live": sorted(live)} for pc, live in rows(one)]} for one in program.data.blueprints
    ]


def _chart(blueprint: Blueprint) -> Iterator[str]:
    columns = min(blueprint.registers, _MOST_COLUMNS)
    more = blueprint.registers - columns
    beyond = f"   ; and {more:,} more registers" if more else ""
    most = max((len(live) for _, live in rows(blueprint)), default=0)
    yield f"blueprint {blueprint.cycle_id}   {blueprint.registers} registers, at most {most} of them live{beyond}"
    if columns > 10:
        yield f"{'':6}" + "".join(str(at // 10) if at % 10 == 0 and at else " " for at in range(columns)).rstrip()
    yield f"{'R':>5} " + "".join(str(at % 10) for at in range(columns))
    names = symbol_names(blueprint)
    after = dict(rows(blueprint))
    before = frozenset(range(blueprint.literals + len(blueprint.inputs)))
    for number, strand in enumerate(blueprint.strands):
        yield f"strand {number}"
        for pc in range(strand.start, strand.stop):
            one = blueprint.instructions[pc]
            marks = "".join(_mark(at, one.dst, after[pc], before) for at in range(columns))
            before = after[pc]
            yield f"{pc:5} {marks}  {instruction_text(blueprint, one, names)}"


def _mark(register: int, written: int, live: frozenset[int], before: frozenset[int]) -> str:
    if register == written:
        return "o"
    if register in live:
        return "|"
    return "x" if register in before else "."
