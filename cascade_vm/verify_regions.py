"""The verifier's rules of regions, R1 to R4: what runs only sometimes is never waited for where it might not run."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint
from cascade_vm.fault_places import Fault, at_instruction, at_strand
from cascade_vm.stored import pieces_of
from cascade_vm.verify_arrays import Lists, Remembered, Sparse, paired
from cascade_vm.verify_before import Steps, TooTangled
from cascade_vm.verify_tables import Outline, Strands, is_dense


def pair_faults(blueprint: Blueprint, outline: Outline, strands: Strands) -> Iterator[Fault]:
    """R4, of a blueprint whose instructions are good."""
    if not blueprint.choices:
        return
    branch = array("i", (-1,)) * len(blueprint.choices)
    select = branch[:]
    for opcode, places in ((isa.BRANCH, branch), (isa.SELECT, select)):
        for pc in _with_opcode(outline, opcode):
            aux = outline.aux[pc]
            if places[aux] >= 0:
                yield at_instruction("R4", pc, f"choice {aux} has instruction {places[aux]} for the same already")
            places[aux] = pc
    region = strands.regions
    for at, (one, other) in enumerate(zip(branch, select, strict=True)):
        if one < 0 or other < 0:
            yield Fault("R4", f"choice {at}", f"has no {'branch' if one < 0 else 'select'}", max(one, other))
        elif region[strands.home[one]] != region[strands.home[other]]:
            yield Fault("R4", f"choice {at}", "has its branch in one region, and its select in another", other)


def region_faults(blueprint: Blueprint, strands: Strands, steps: Steps) -> Iterator[Fault]:
    """R1 to R3, of a blueprint in which a choice has one branch and one select."""
    facts = _Facts(blueprint, strands, steps)
    try:
        yield from facts.drops()
        if blueprint.choices:
            yield from facts.waits()
            yield from facts.sources()
            if not facts.goes_forward() and facts.has_cycle():
                yield Fault("R3", "blueprint", "something waits for itself, through the sources of selects")
    except TooTangled:
        yield Fault("O5", "blueprint", "its regions open each other in so many ways that it would take too long to follow them")


def _with_opcode(outline: Outline, opcode: int) -> Iterator[int]:
    at = outline.opcodes.find(opcode)
    while at >= 0:
        yield at
        at = outline.opcodes.find(opcode, at + 1)


class _Facts:
    def __init__(self, blueprint: Blueprint, strands: Strands, steps: Steps) -> None:
        self.blueprint = blueprint
        self.steps = steps
        self.strands = strands
        self.outline = strands.outline
        self.home = strands.home
        self.opens = Lists()
        for one in blueprint.regions if blueprint.choices else ():
            self.opens.add(one, len(blueprint.regions))
        self._known = Remembered(len(blueprint.regions))

    def is_open(self, region: int, other: int) -> bool:
        """Is ``region`` open whenever ``other`` is?"""
        if region == 0 or region == other or self.opens.has(other, region) or self._known.has(region, other):
            return True
        found = self._leads(region, other)
        if found:
            self._known.add(region, other)
        return found

    def _leads(self, region: int, other: int) -> bool:
        seen = {other}
        stack = [other]
        while stack:
            one = stack.pop()
            opens = self.opens.of(one)
            self.steps.take(1 + len(opens))
            if self.opens.has(one, region):
                return True
            for another in opens:
                if another not in seen:
                    seen.add(another)
                    stack.append(another)
        return False

    def drops(self) -> Iterator[Fault]:
        strands = self.strands
        if 1 not in strands.drops:
            return
        for number in range(len(strands)):
            if any(strands.drops[other] for other in strands.needs.of(number)):
                what = "waits for a strand that only drops values, and need not run"
                yield at_strand("R1", number, self.blueprint.strands[number], what)

    def waits(self) -> Iterator[Fault]:
        strands, home = self.strands, self.home
        for number, mine in enumerate(strands.regions):
            if strands.drops[number]:
                continue
            needs = all(self.is_open(strands.regions[other], mine) for other in strands.needs.of(number))
            if not needs or not all(self.is_open(strands.regions[home[pc]], mine) for pc in strands.awaits.of(number)):
                yield at_strand("R1", number, self.blueprint.strands[number], "waits for what is in a region that may stay closed")

    def sources(self) -> Iterator[Fault]:
        blueprint = self.blueprint
        region, home = self.strands.regions, self.home
        last_writer, last_end, written = self._last()
        for pc in _with_opcode(self.outline, isa.SELECT):
            number = self.outline.aux[pc]
            mine = region[home[pc]]
            for opened, source in zip(blueprint.choices[number].regions, self.outline.routes.of(number), strict=True):
                if source == SKIP:
                    continue
                giver = max(source, -1)
                register = -2 - source if giver < 0 else written[giver]
                if register != isa.NONE and last_writer[register] != giver:
                    yield at_instruction("R2", pc, f"may take R{register}, which another value gets later")
                elif register != isa.NONE and last_end[register] > giver:
                    yield at_instruction("R2", pc, f"may take R{register}, whose value instruction {last_end[register]} ends")
                if giver >= 0:
                    theirs = region[home[giver]]
                    if not (self.is_open(theirs, opened) or self.is_open(theirs, mine)):
                        position = self.outline.positions[giver]
                        yield at_instruction("R2", pc, f"may take the value of position {position}, whose region it does not open")

    def _last(self) -> tuple[Any, Any, array[int]]:
        """Of each register the instruction that writes it last, and the one that ends it last; of each instruction, what it writes."""
        blueprint = self.blueprint
        last_writer: Any
        last_end: Any
        if is_dense(blueprint, self.outline):
            last_writer = array("i", (-1,)) * blueprint.registers
            last_end = last_writer[:]
        else:
            named = Sparse.named(blueprint)
            last_writer, last_end = Sparse(named, -1), Sparse(named, -1)
        written = array("i")
        for piece in pieces_of(blueprint.instructions):
            for pc, i in enumerate(piece, len(written)):
                for register in i.dead:
                    last_end[register] = pc
                if i.dst >= 0:
                    last_writer[i.dst] = pc
            written.extend([i.dst for i in piece])
        return last_writer, last_end, written

    def goes_forward(self) -> bool:
        """Is everything that a select takes in a strand before the first one that awaits the select? Then nothing waits for itself. That
        it is not says nothing."""
        home, aux, routes = self.home, self.outline.aux, self.outline.routes
        reached = array("i", (-1,)) * len(home)  # of each select, the last strand that it waits for
        for pc in _with_opcode(self.outline, isa.SELECT):
            last = home[pc]
            for giver in routes.of(aux[pc]):
                if giver >= 0:
                    if giver >= pc and self.outline.opcodes[giver] == isa.SELECT:
                        return False
                    last = max(last, home[giver], reached[giver])
            reached[pc] = last
        awaits = self.strands.awaits
        return not any(reached[pc] >= number for number in range(len(self.strands)) for pc in awaits.of(number))

    def has_cycle(self) -> bool:
        """Strands wait for strands, for selects, and for what else waits, which is issued by its strand; selects for their strands and for
        their sources (Kahn, 1962)."""
        outline, strands = self.outline, self.strands
        selects = array("i", _with_opcode(self.outline, isa.SELECT))
        node = self.home[:]  # of each instruction
        count = len(strands)
        for pc in selects:
            node[pc] = count
            count += 1

        def edges() -> Iterator[tuple[int, int]]:
            for number in range(len(strands)):
                for other in strands.needs.of(number):
                    yield other, number
                for pc in strands.awaits.of(number):
                    yield node[pc], number
            for number, pc in enumerate(selects, len(strands)):
                yield self.home[pc], number
                for giver in outline.routes.of(outline.aux[pc]):
                    if giver >= 0:
                        yield node[giver], number

        then = paired(count, edges)
        missing = array("i", bytes(4 * count))
        for other in then.flat:
            missing[other] += 1
        ready = array("i", [one for one, waits in enumerate(missing) if not waits])
        reached = 0
        while ready:
            reached += 1
            for other in then.of(ready.pop()):
                missing[other] -= 1
                if not missing[other]:
                    ready.append(other)
        return reached < count
