"""The rules of verify.py that are about graphs beyond the entry: P5 to P9, of a program whose blueprints have been found good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cascade_vm import constants, isa, types
from cascade_vm.blueprint import Blueprint
from cascade_vm.program import ProgramData
from cascade_vm.route_data import NOTHING, InputSpec, Part, Route, Slot

A_TABLE = -2  # in the place of a constant: the first table


def literal_faults(data: ProgramData, literals: Sequence[int], blueprint: Blueprint, where: str, least: int) -> Iterator[str]:
    """P2 and P6: what stands in the literal registers of a graph; ``least`` is -1 where nothing may stand there, too."""
    good = all(least <= at < len(data.constants) or -2 - len(data.tables) < at <= -2 for at in literals)
    if len(literals) != blueprint.literals or not good:
        rule = "P2" if where == "program" else "P6"
        yield f"{rule}: {where}: {len(literals)} constants or tables for {blueprint.literals} literals, or one that does not exist"


def input_faults(specs: Sequence[InputSpec], blueprint: Blueprint, where: str) -> Iterator[str]:
    """P2 and P3: the declared inputs of a graph."""
    for one in specs:
        try:
            types.parse(one.type)
            if one.default is not None:
                constants.decode(one.default)
        except ValueError as fault:
            yield f"P2: input {one.name!r}: {fault}"
        if one.source not in ("param", "env"):
            yield f"P2: input {one.name!r}: unknown source {one.source!r}"
    if tuple(one.name for one in specs) != blueprint.inputs or len({(i.source, i.name) for i in specs}) != len(specs):
        yield f"P3: {where}: the declared inputs are not those of its blueprint"


def jump_faults(data: ProgramData) -> Iterator[str]:
    """P5 to P9."""
    entry = next(blueprint for blueprint in data.blueprints if blueprint.cycle_id == data.entry)
    faults = [*_routes_faults(entry, data.literals, "program")]
    for number, part in enumerate(data.parts):
        if not 0 <= part.blueprint < len(data.blueprints):
            faults.append(f"P6: part {number}: there is no blueprint {part.blueprint}")
            continue
        blueprint = data.blueprints[part.blueprint]
        found = [*literal_faults(data, part.literals, blueprint, f"part {number}", NOTHING)]
        found += input_faults(part.inputs, blueprint, f"part {number}")
        faults += found or _routes_faults(blueprint, part.literals, f"part {number}")
    shaped: set[int] = set()
    for number, shape in enumerate(data.shapes):
        if not 0 <= shape.blueprint < len(data.blueprints) or shape.blueprint in shaped:
            faults.append(f"P9: shape {number}: there is no blueprint {shape.blueprint}, or another shape has it")
            continue
        shaped.add(shape.blueprint)
        blueprint = data.blueprints[shape.blueprint]
        if len(shape.sites) != len(blueprint.instructions) or min(shape.sites, default=-1) < -1:
            faults.append(f"P9: shape {number}: {len(shape.sites)} sites for {len(blueprint.instructions)} instructions, or one below -1")
        faults += _routes_faults(blueprint, [A_TABLE] * blueprint.literals, f"shape {number}")
    used = shaped.union([part.blueprint for part in data.parts])
    for at, blueprint in enumerate(data.blueprints):
        if blueprint is not entry and at not in used:
            faults.append(f"P6: blueprint {at}: no part begins with it, and no shape has it")
    yield from faults
    for number, table in enumerate(data.tables):
        keys: dict[Any, int] = {}
        for at, route in enumerate(table.routes):
            where = f"table {number}, route {at}"
            try:
                if keys.setdefault(constants.decode(route.key), at) != at:
                    yield f"P7: {where}: has the key of route {keys[constants.decode(route.key)]}"
            except (ValueError, TypeError) as fault:
                yield f"P7: {where}: its key is none: {fault}"
            parts = (route.plain, route.full)
            if parts == (-1, -1):
                if route.slots or route.required or (route.call, route.first, route.more, route.joint) != (-1, -1, -1, -1):
                    yield f"P7: {where}: ends the loop, and has arguments"
            elif not all(0 <= part < len(data.parts) for part in parts):
                yield f"P7: {where}: there are no parts {route.plain} and {route.full}"
            elif not faults:
                for what in _route_faults(data, route):
                    yield f"P8: {where}: {what}"
        if not table.routes:
            yield f"P7: table {number}: has no routes"


def _routes_faults(blueprint: Blueprint, literals: Sequence[int], where: str) -> Iterator[str]:
    """P5: what stands before the arguments of bound calls."""
    if not any(symbol.bound for symbol in blueprint.symbols):
        return
    written: set[int] = set()
    for pc, i in enumerate(blueprint.instructions):
        if isa.BY_CODE[i.opcode].aux == "symbol" and blueprint.symbols[i.aux].bound:
            at = blueprint.policies[i.spec].dynamic if i.spec != isa.NONE and i.opcode != isa.MAP else 0
            is_literal = at < len(i.reads) - len(i.names) and i.reads[at] < len(literals) and i.reads[at] not in written
            if i.opcode == isa.MAP or not is_literal or literals[i.reads[at]] >= NOTHING:
                yield f"P5: {where}: instruction {pc}: calls a bound symbol with something else than a table as its routes"
        written.add(i.dst)


def _route_faults(data: ProgramData, route: Route) -> Iterator[str]:
    plain, full = data.parts[route.plain], data.parts[route.full]
    blueprint = data.blueprints[plain.blueprint]
    call = blueprint.instructions[route.call] if 0 <= route.call < len(blueprint.instructions) else None
    if call is None or isa.BY_CODE[call.opcode].aux != "symbol" or not blueprint.symbols[call.aux].bound:
        yield f"instruction {route.call} of its plain part is no bound call"
    if not all(-1 <= at < len(route.slots) for at in (route.first, route.more)) or not {*route.required} <= {*range(len(route.slots))}:
        yield "its first, its further, or a required argument has no slot"
    if not (_is_open(full, route.joint) if route.slots else route.joint == -1):
        yield f"R{route.joint} of its full part is no literal"
    names = [slot.name for slot in route.slots if slot.name]
    if len(set(names)) != len(names):
        yield "two slots have one name"
    for number, slot in enumerate(route.slots):
        if not _is_good(slot, plain, full):
            yield f"slot {number} is no literal of its parts, or that of a table"


def _is_good(slot: Slot, plain: Part, full: Part) -> bool:
    return (slot.plain == -1 or _is_open(plain, slot.plain)) and all(_is_open(full, at) for at in (slot.alone, slot.box, slot.joint))


def _is_open(part: Part, register: int) -> bool:
    return 0 <= register < len(part.literals) and part.literals[register] >= NOTHING
