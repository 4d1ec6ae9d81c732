"""The rules of verify.py that are about what a program has beside its blueprints: P2, P3 and P5 to P10."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Any

from cascade_vm import constant_check, constants, isa, types
from cascade_vm.blueprint import Blueprint
from cascade_vm.constant_keys import ALIKE
from cascade_vm.fault_places import Fault, clipped
from cascade_vm.program import ProgramData
from cascade_vm.route_data import NOTHING, InputSpec, Part, Route, Slot, Table
from cascade_vm.verify_arrays import distinct, distinct_texts

_PARTS = 16  # of many keys, a part is looked at at a time


def literal_faults(data: ProgramData, literals: Sequence[int], blueprint: Blueprint, where: str, least: int) -> Iterator[Fault]:
    """P2 and P6: what stands in the literal registers of a graph; ``least`` is -1 where nothing may stand there, too."""
    good = all(least <= at < len(data.constants) or -2 - len(data.tables) < at <= -2 for at in literals)
    if len(literals) != blueprint.literals or not good:
        what = f"{len(literals):,} constants or tables for {blueprint.literals:,} literals, or one that does not exist"
        yield Fault("P2" if where == "program" else "P6", where, what)


def input_faults(specs: Sequence[InputSpec], blueprint: Blueprint, where: str) -> Iterator[Fault]:
    """P2 and P3: the declared inputs of a graph."""
    for one in specs:
        name = f"input {clipped(one.name)!r}"
        try:
            types.parse(one.type)
            if one.default is not None:
                constant_check.check(one.default)
        except ValueError as fault:
            yield Fault("P2", name, clipped(str(fault), 200))
        if one.source not in ("param", "env"):
            yield Fault("P2", name, f"unknown source {clipped(one.source)!r}")
    names = blueprint.inputs
    alike = len(names) == len(specs) and all(one.name == name for one, name in zip(specs, names, strict=True))
    if not alike or not distinct_texts(names):
        yield Fault("P3", where, "the declared inputs are not those of its blueprint, or two have one name")


def jump_faults(data: ProgramData, entry: int) -> Iterator[Fault]:
    """P5 to P10, of a program whose blueprints have been found good; ``entry``: the place of its own."""
    program = _Literals(data)
    good = True
    for fault in _graph_faults(data, program, entry):
        good = False
        yield fault
    yield from _table_faults(data, program if good else None)


def _graph_faults(data: ProgramData, program: _Literals, entry: int) -> Iterator[Fault]:
    yield from program.faults(entry, data.literals, "program")
    used = {entry}
    for number, part in enumerate(data.parts):
        where = f"part {number}"
        if not 0 <= part.blueprint < len(data.blueprints):
            yield Fault("P6", where, f"there is no blueprint {part.blueprint}")
            continue
        used.add(part.blueprint)
        blueprint = data.blueprints[part.blueprint]
        found = [*literal_faults(data, part.literals, blueprint, where, NOTHING), *input_faults(part.inputs, blueprint, where)]
        yield from found or program.faults(part.blueprint, part.literals, where)
    shaped: set[int] = set()
    for number, shape in enumerate(data.shapes):
        where = f"shape {number}"
        if not 0 <= shape.blueprint < len(data.blueprints) or shape.blueprint in shaped:
            yield Fault("P9", where, f"there is no blueprint {shape.blueprint}, or another shape has it")
            continue
        shaped.add(shape.blueprint)
        blueprint = data.blueprints[shape.blueprint]
        if len(shape.sites) != len(blueprint.instructions) or min(shape.sites, default=-1) < -1:
            yield Fault("P9", where, f"{len(shape.sites):,} sites for {len(blueprint.instructions):,} instructions, or one below -1")
        for pc in program.reads(shape.blueprint, of_shape=True).no_literal:
            yield Fault("P9", where, f"instruction {pc} calls a bound symbol, and no literal is its routes", pc, blueprint)
    for at, blueprint in enumerate(data.blueprints):
        if at not in used and at not in shaped:
            yield Fault("P6", f"blueprint {at}", "no part begins with it, and no shape has it", blueprint=blueprint)


class _Reads:
    """How a blueprint uses the registers of its literals: the same for all parts that have it."""

    __slots__ = ("looked_up", "no_literal", "others", "routes")

    def __init__(self, blueprint: Blueprint, *, of_shape: bool = False) -> None:
        self.routes: dict[int, int] = {}  # those before the arguments of bound calls -> one of those instructions
        self.no_literal: list[int] = []  # bound calls that have something else there
        self.looked_up: dict[int, tuple[int, int, int]] = {}  # those of keyed branches -> an instruction, the fewest, the most routes
        # Does anything else read it? Not said of a shape: it may claim to have more literals than any list holds.
        literals = 0 if of_shape else blueprint.literals
        self.others = bytearray(literals)
        bound = [symbol.bound for symbol in blueprint.symbols]
        written: set[int] = set()  # only those that were literals
        for pc, i in enumerate(blueprint.instructions):
            at = -1
            if isa.BY_CODE[i.opcode].aux == "symbol" and bound[i.aux]:
                at = blueprint.policies[i.spec].dynamic if i.spec != isa.NONE and i.opcode != isa.MAP else 0
                register = i.reads[at] if i.opcode != isa.MAP and at < len(i.reads) - len(i.names) else blueprint.literals
                if register >= blueprint.literals or register in written:
                    self.no_literal.append(pc)
                else:
                    self.routes.setdefault(register, pc)
            elif i.opcode == isa.BRANCH and blueprint.choices[i.aux].keyed:
                at, count = 1, len(blueprint.choices[i.aux].sources)
                pc_before, least, most = self.looked_up.get(i.reads[1], (pc, count, count))
                self.looked_up[i.reads[1]] = pc_before, min(least, count), max(most, count)
            if i.opcode != isa.DROP:
                for number, register in enumerate(chain(i.reads, i.tests)):
                    if number != at and register < literals and register not in written:
                        self.others[register] = 1
            if isa.NONE != i.dst < blueprint.literals:
                written.add(i.dst)
        for choice in blueprint.choices:
            for source in choice.sources:
                if 0 <= -2 - source < literals:
                    self.others[-2 - source] = 1


_NOTHING_SPECIAL = _Reads(Blueprint("", 0, 0, (), (), (), ()))


class _Literals:
    """What may stand in the literals of the graphs of a program."""

    def __init__(self, data: ProgramData) -> None:
        self.data = data
        self._reads: dict[int, _Reads] = {}
        self._counts: dict[int, int] = {}  # constant -> of how many routes it is the table, -1: it is none

    def reads(self, blueprint: int, *, of_shape: bool = False) -> _Reads:
        known = self._reads.get(blueprint)
        if known is None:
            whole = self.data.blueprints[blueprint]
            bound = any(symbol.bound for symbol in whole.symbols)
            is_special = bound or len(self.data.tables) > 0 or any(one.keyed for one in whole.choices)
            known = self._reads[blueprint] = _Reads(whole, of_shape=of_shape) if is_special else _NOTHING_SPECIAL
        return known

    def faults(self, number: int, literals: Sequence[int], where: str) -> Iterator[Fault]:
        """P5 and P10 of a graph: ``literals`` are those of the part with blueprint ``number``, or of the entry."""
        reads, blueprint = self.reads(number), self.data.blueprints[number]
        wrong = [*reads.no_literal, *(pc for register, pc in reads.routes.items() if literals[register] >= NOTHING)]
        for pc in wrong:
            yield Fault("P5", where, f"instruction {pc} calls a bound symbol with something else than a table as its routes", pc, blueprint)
        for register, at in enumerate(literals):
            if at < NOTHING and reads.others and reads.others[register]:
                pc = next((pc for pc, i in enumerate(blueprint.instructions) if register in i.reads or register in i.tests), -1)
                yield Fault("P5", where, f"R{register} is a table, and read by more than bound calls", pc, blueprint)
        for register, (pc, least, most) in reads.looked_up.items():
            count = self._count(literals[register])
            if count < 0 or not most - 1 <= count <= least:
                what = f"R{register} is no table of routes, or of another number of them than instruction {pc} chooses from"
                yield Fault("P10", where, what, pc, blueprint)

    def _count(self, constant: int) -> int:
        if constant < 0:
            return -1
        known = self._counts.get(constant)
        if known is None:
            try:
                known = routes_of(constants.decode(self.data.constants[constant]))
            except ValueError:  # P2 tells of it
                known = -1
            self._counts[constant] = known
        return known


def routes_of(value: Any) -> int:
    """Of how many routes ``value`` is the table that a branch looks keys up in; -1: it is no such table."""
    if type(value) is not dict or not all(type(one) is int and one == at for at, one in enumerate(value.values())):
        return -1
    return len(value)


def _table_faults(data: ProgramData, program: _Literals | None) -> Iterator[Fault]:
    """P7, and P8 where the parts are good."""
    for number, table in enumerate(data.tables):
        hashes = array("q")
        for at, route in enumerate(table.routes):
            where = f"table {number}, route {at}"
            try:
                hashes.append(constant_check.key_hash(route.key, at))
            except ValueError as fault:
                yield Fault("P7", where, f"its key is none: {clipped(str(fault), 200)}")
            parts = (route.plain, route.full)
            if parts == (-1, -1):
                if route.slots or route.required or (route.call, route.first, route.more, route.joint) != (-1, -1, -1, -1):
                    yield Fault("P7", where, "ends the loop, and has arguments")
            elif not all(0 <= part < len(data.parts) for part in parts):
                yield Fault("P7", where, f"there are no parts {route.plain} and {route.full}")
            elif program is not None:
                for what in _route_faults(data, program, route):
                    yield Fault("P8", where, what)
        if len(hashes) == len(table.routes) and not distinct(hashes):
            yield from _alike_faults(number, table, hashes)
        if not table.routes:
            yield Fault("P7", f"table {number}", "has no routes")


def _alike_faults(number: int, table: Table, hashes: array[int]) -> Iterator[Fault]:
    """P7 of keys, some of which have one hash: those are compared, a part of them at a time."""
    for part in range(_PARTS):
        once: set[int] = set()
        twice: set[int] = set()
        for one in hashes:
            if one % _PARTS == part:
                (twice if one in once else once).add(one)
        known: dict[int, dict[Any, int]] = {}
        for at, one in enumerate(hashes):
            if one not in twice:
                continue
            alike = known.setdefault(one, {})
            other = alike.setdefault(constants.decode(table.routes[at].key), at)
            if other != at:
                yield Fault("P7", f"table {number}, route {at}", f"has the key of route {other}")
            elif len(alike) > ALIKE:
                yield Fault("P7", f"table {number}, route {at}", f"has a key whose hash {ALIKE:,} others have")
                return


def _route_faults(data: ProgramData, program: _Literals, route: Route) -> Iterator[str]:
    plain, full = data.parts[route.plain], data.parts[route.full]
    blueprint = data.blueprints[plain.blueprint]
    call = blueprint.instructions[route.call] if 0 <= route.call < len(blueprint.instructions) else None
    if call is None or isa.BY_CODE[call.opcode].aux != "symbol" or not blueprint.symbols[call.aux].bound:
        yield f"instruction {route.call} of its plain part is no bound call"
    if not all(-1 <= at < len(route.slots) for at in (route.first, route.more)) or not {*route.required} <= {*range(len(route.slots))}:
        yield "its first, its further, or a required argument has no slot"
    in_plain, in_full = _opened(plain, program), _opened(full, program)
    if not (in_full(route.joint) if route.slots else route.joint == -1):
        yield f"R{route.joint} of its full part is no literal that a jump may replace"
    names = [slot.name for slot in route.slots if slot.name]
    if len(set(names)) != len(names):
        yield "two slots have one name"
    for number, slot in enumerate(route.slots):
        if not _is_good(slot, in_plain, in_full):
            yield f"slot {number} is no literal of its parts, or that of a table, or what a branch looks routes up in"


def _is_good(slot: Slot, in_plain: Callable[[int], bool], in_full: Callable[[int], bool]) -> bool:
    return (slot.plain == -1 or in_plain(slot.plain)) and all(map(in_full, (slot.alone, slot.box, slot.joint)))


def _opened(part: Part, program: _Literals) -> Callable[[int], bool]:
    """May a jump put something into this register of a part?"""
    looked_up: Collection[int] = program.reads(part.blueprint).looked_up
    literals = part.literals
    return lambda register: 0 <= register < len(literals) and literals[register] >= NOTHING and register not in looked_up
