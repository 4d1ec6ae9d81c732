"""The verifier's rules of regions, R1 to R3: what runs only sometimes is never waited for where it might not run."""

from __future__ import annotations

from collections.abc import Iterator

from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint


def region_faults(blueprint: Blueprint) -> Iterator[str]:
    """Faults of a blueprint whose other rules hold."""
    if len(blueprint.regions) == 1 and not blueprint.choices:
        return
    facts = _Facts(blueprint)
    yield from facts.waits()
    yield from facts.sources()
    if facts.has_cycle():
        yield "R3: blueprint: something waits for itself, through the sources of selects"


class _Facts:
    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.home = [number for number, strand in enumerate(blueprint.strands) for _ in range(strand.start, strand.stop)]
        self.region = [blueprint.strands[number].region for number in self.home]
        self.pc_of = {i.position: pc for pc, i in enumerate(blueprint.instructions)}
        self._opens: dict[int, set[int]] = {}

    def opens(self, region: int) -> set[int]:
        """The regions that are open whenever ``region`` is."""
        known = self._opens.get(region)
        if known is None:
            known = self._opens[region] = {0}
            stack = [region]
            while stack:
                one = stack.pop()
                if one not in known:
                    known.add(one)
                    stack += self.blueprint.regions[one]
        return known

    def waits(self) -> Iterator[str]:
        strands = self.blueprint.strands
        for number, strand in enumerate(strands):
            waited = {strands[other].region for other in strand.needs} | {self.region[pc] for pc in strand.awaits}
            is_drop = self.blueprint.instructions[strand.start].opcode == isa.DROP  # it may as well never run
            if not is_drop and not waited <= self.opens(strand.region):
                yield f"R1: strand {number}: waits for what is in a region that may stay closed"

    def sources(self) -> Iterator[str]:
        instructions = self.blueprint.instructions
        last_writer = {i.dst: pc for pc, i in enumerate(instructions) if i.dst != isa.NONE}
        for pc, i in enumerate(instructions):
            if i.opcode != isa.SELECT:
                continue
            choice = self.blueprint.choices[i.aux]
            for region, source in zip(choice.regions, choice.sources, strict=True):
                if source == SKIP:
                    continue
                giver = self.pc_of[source] if source >= 0 else None
                register = -2 - source if giver is None else instructions[giver].dst
                if register != isa.NONE and last_writer.get(register) != giver:
                    yield f"R2: instruction {pc}: may take R{register}, which another value gets later"
                if source >= 0 and self.region[self.pc_of[source]] not in self.opens(region) | self.opens(self.region[pc]):
                    yield f"R2: instruction {pc}: may take the value of position {source}, whose region it does not open"

    def has_cycle(self) -> bool:
        """Strands wait for strands and for waiting instructions; those for their strand; selects for their sources too (Kahn, 1962)."""
        blueprint = self.blueprint
        strands = len(blueprint.strands)
        before: list[set[int]] = [set() for _ in range(strands + len(blueprint.instructions))]  # strands first, then instructions
        for number, strand in enumerate(blueprint.strands):
            before[number] = {*strand.needs, *(strands + pc for pc in strand.awaits)}
        for pc, i in enumerate(blueprint.instructions):
            before[strands + pc].add(self.home[pc])
            if i.opcode == isa.SELECT:
                for source in blueprint.choices[i.aux].sources:
                    if source >= 0:
                        before[strands + pc].add(strands + self.pc_of[source])
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
