"""The verifier's rules of regions, R1 to R4: what runs only sometimes is never waited for where it might not run."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint
from cascade_vm.fault_places import Fault, at_instruction, at_strand
from cascade_vm.verify_arrays import Lists, Remembered, paired
from cascade_vm.verify_before import Steps, TooTangled
from cascade_vm.verify_tables import Outline, Strands


def pair_faults(blueprint: Blueprint, outline: Outline, strands: Strands) -> Iterator[Fault]:
    """R4, of a blueprint whose instructions are good."""
    if not blueprint.choices:
        return
    branch = array("i", (-1,)) * len(blueprint.choices)
    select = branch[:]
    for opcode, places in ((isa.BRANCH, branch), (isa.SELECT, select)):
        for pc in _with_opcode(outline, opcode):
            aux = blueprint.instructions[pc].aux
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
            if facts.has_cycle():
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
        used = {-2 - source for choice in blueprint.choices for source in choice.sources if source < SKIP}
        last_writer: dict[int, int] = {}
        last_end: dict[int, int] = {}
        giving = bytearray(len(home))
        for choice in blueprint.choices:
            for source in choice.sources:
                if source >= 0:
                    giving[self.outline.giver_at(source)] = 1
        for pc, i in enumerate(blueprint.instructions):
            if giving[pc] and i.dst != isa.NONE:
                used.add(i.dst)
        for pc, i in enumerate(blueprint.instructions):
            for register in i.dead:
                if register in used:
                    last_end[register] = pc
            if i.dst in used:
                last_writer[i.dst] = pc
        for pc in _with_opcode(self.outline, isa.SELECT):
            choice = blueprint.choices[blueprint.instructions[pc].aux]
            mine = region[home[pc]]
            for opened, source in zip(choice.regions, choice.sources, strict=True):
                if source == SKIP:
                    continue
                giver = self.outline.giver_at(source) if source >= 0 else -1
                register = -2 - source if giver < 0 else blueprint.instructions[giver].dst
                if register != isa.NONE and last_writer.get(register, -1) != giver:
                    yield at_instruction("R2", pc, f"may take R{register}, which another value gets later")
                elif register != isa.NONE and last_end.get(register, -1) > giver:
                    yield at_instruction("R2", pc, f"may take R{register}, whose value instruction {last_end[register]} ends")
                if giver >= 0:
                    theirs = region[home[giver]]
                    if not (self.is_open(theirs, opened) or self.is_open(theirs, mine)):
                        yield at_instruction("R2", pc, f"may take the value of position {source}, whose region it does not open")

    def has_cycle(self) -> bool:
        """Strands wait for strands, for selects, and for what else waits, which is issued by its strand; selects for their strands and for
        their sources (Kahn, 1962)."""
        blueprint, strands = self.blueprint, self.strands
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
                for source in blueprint.choices[blueprint.instructions[pc].aux].sources:
                    if source >= 0:
                        yield node[self.outline.giver_at(source)], number

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
