"""The verifier's rules of regions, R1 to R4: what runs only sometimes is never waited for where it might not run."""

from __future__ import annotations

from collections.abc import Iterator

from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint
from cascade_vm.fault_places import Fault, at_instruction, at_strand
from cascade_vm.verify_before import Steps, TooTangled, home_of, looked_up, only_drops
from cascade_vm.verify_instructions import computes


def pair_faults(blueprint: Blueprint) -> Iterator[Fault]:
    """R4, of a blueprint whose instructions are good."""
    if not blueprint.choices:
        return
    home = home_of(blueprint)
    branch = [-1] * len(blueprint.choices)
    select = branch.copy()
    for pc, i in enumerate(blueprint.instructions):
        if i.opcode == isa.BRANCH or i.opcode == isa.SELECT:
            places = branch if i.opcode == isa.BRANCH else select
            if places[i.aux] >= 0:
                yield at_instruction("R4", pc, f"choice {i.aux} has instruction {places[i.aux]} for the same already")
            places[i.aux] = pc
    for at, (one, other) in enumerate(zip(branch, select, strict=True)):
        if one < 0 or other < 0:
            yield Fault("R4", f"choice {at}", f"has no {'branch' if one < 0 else 'select'}", max(one, other))
        elif blueprint.strands[home[one]].region != blueprint.strands[home[other]].region:
            yield Fault("R4", f"choice {at}", "has its branch in one region, and its select in another", other)


def region_faults(blueprint: Blueprint, steps: Steps) -> Iterator[Fault]:
    """R1 to R3, of a blueprint in which a choice has one branch and one select."""
    facts = _Facts(blueprint, steps)
    try:
        yield from facts.drops()
        if blueprint.choices:
            yield from facts.waits()
            yield from facts.sources()
            if facts.has_cycle():
                yield Fault("R3", "blueprint", "something waits for itself, through the sources of selects")
    except TooTangled:
        yield Fault("O5", "blueprint", "its regions open each other in so many ways that it would take too long to follow them")


class _Facts:
    def __init__(self, blueprint: Blueprint, steps: Steps) -> None:
        self.blueprint = blueprint
        self.steps = steps
        self.home = home_of(blueprint)
        self.opens = [looked_up(one) for one in blueprint.regions]
        self._known: dict[tuple[int, int], bool] = {}
        self.only_drops = only_drops(blueprint)

    def is_open(self, region: int, other: int) -> bool:
        """Is ``region`` open whenever ``other`` is?"""
        if region == 0 or region == other or region in self.opens[other]:
            return True
        known = self._known.get((region, other))
        if known is None:
            known = self._known[region, other] = self._leads(region, other)
        return known

    def _leads(self, region: int, other: int) -> bool:
        seen = {other}
        stack = [other]
        while stack:
            opens = self.opens[stack.pop()]
            self.steps.take(1 + len(opens))
            if region in opens:
                return True
            for one in opens:
                if one not in seen:
                    seen.add(one)
                    stack.append(one)
        return False

    def drops(self) -> Iterator[Fault]:
        strands = self.blueprint.strands
        if not any(self.only_drops):
            return
        for number, strand in enumerate(strands):
            if any(self.only_drops[other] for other in strand.needs):
                yield at_strand("R1", number, strand, "waits for a strand that only drops values, and need not run")

    def waits(self) -> Iterator[Fault]:
        strands = self.blueprint.strands
        for number, strand in enumerate(strands):
            waited = {strands[other].region for other in strand.needs} | {strands[self.home[pc]].region for pc in strand.awaits}
            if not self.only_drops[number] and not all(self.is_open(region, strand.region) for region in waited):
                yield at_strand("R1", number, strand, "waits for what is in a region that may stay closed")

    def sources(self) -> Iterator[Fault]:
        blueprint, instructions = self.blueprint, self.blueprint.instructions
        pc_of = {i.position: pc for pc, i in enumerate(instructions) if computes(i)}
        last_writer: dict[int, int] = {}
        last_end: dict[int, int] = {}
        for pc, i in enumerate(instructions):
            for register in i.dead:
                last_end[register] = pc
            if i.dst != isa.NONE:
                last_writer[i.dst] = pc
        for pc, i in enumerate(instructions):
            if i.opcode != isa.SELECT:
                continue
            choice = blueprint.choices[i.aux]
            mine = blueprint.strands[self.home[pc]].region
            for region, source in zip(choice.regions, choice.sources, strict=True):
                if source == SKIP:
                    continue
                giver = pc_of[source] if source >= 0 else -1
                register = -2 - source if giver < 0 else instructions[giver].dst
                if register != isa.NONE and last_writer.get(register, -1) != giver:
                    yield at_instruction("R2", pc, f"may take R{register}, which another value gets later")
                elif register != isa.NONE and last_end.get(register, -1) > giver:
                    yield at_instruction("R2", pc, f"may take R{register}, whose value instruction {last_end[register]} ends")
                if giver >= 0:
                    theirs = blueprint.strands[self.home[giver]].region
                    if not (self.is_open(theirs, region) or self.is_open(theirs, mine)):
                        yield at_instruction("R2", pc, f"may take the value of position {source}, whose region it does not open")

    def has_cycle(self) -> bool:
        """Strands wait for strands, for selects, and for what else waits, which is issued by its strand; selects for their strands and for
        their sources (Kahn, 1962)."""
        blueprint = self.blueprint
        strands = len(blueprint.strands)
        pc_of = {i.position: pc for pc, i in enumerate(blueprint.instructions) if computes(i)}
        selects = [pc for pc, i in enumerate(blueprint.instructions) if i.opcode == isa.SELECT]
        node = self.home.copy()  # of each instruction
        for number, pc in enumerate(selects, strands):
            node[pc] = number
        before = [tuple({*strand.needs, *(node[pc] for pc in strand.awaits)}) for strand in blueprint.strands]
        for pc in selects:
            sources = blueprint.choices[blueprint.instructions[pc].aux].sources
            before.append(tuple({self.home[pc], *(node[pc_of[source]] for source in sources if source >= 0)}))
        then: list[list[int]] = [[] for _ in before]
        for one, others in enumerate(before):
            for other in others:
                then[other].append(one)
        missing = [len(others) for others in before]
        ready = [one for one, count in enumerate(missing) if not count]
        reached = 0
        while ready:
            reached += 1
            for other in then[ready.pop()]:
                missing[other] -= 1
                if not missing[other]:
                    ready.append(other)
        return reached < len(before)
