"""The verifier's rules of order: O1 to O5. Every value is there when it is read, and stays until all have read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction
from cascade_vm.fault_places import Fault, at_instruction, at_strand, some
from cascade_vm.verify_before import Before, Steps, TooTangled, only_drops
from cascade_vm.verify_demand import Uses
from cascade_vm.verify_instructions import computes

_WAITING = frozenset(op.code for op in isa.OPCODES if op.waits)
_ENDING = frozenset(op.code for op in isa.OPCODES if op.ends)


def strand_faults(blueprint: Blueprint) -> Iterator[Fault]:
    """O1 and O2, of a blueprint whose instructions are good."""
    instructions, strands = blueprint.instructions, blueprint.strands
    ending = 0
    chosen = {source for choice in blueprint.choices for source in choice.sources}
    drops = only_drops(blueprint)
    last = [instructions[strand.stop - 1].opcode in _ENDING for strand in strands]
    for number, strand in enumerate(strands):
        needs, awaits = strand.needs, strand.awaits
        if needs and not (min(needs) >= 0 and max(needs) < number):
            yield at_strand("O1", number, strand, f"needs {some(needs)}, which are not all earlier strands")
        elif not drops[number] and any(last[other] for other in needs):
            yield at_strand("O1", number, strand, f"needs {some(needs)}, of which one ends the frame")
        for pc in awaits:
            if not (0 <= pc < strand.start and instructions[pc].opcode in _WAITING):
                yield at_strand("O1", number, strand, f"awaits instruction {pc}, which does not wait, or is not in an earlier strand")
            elif instructions[pc].opcode in _ENDING:
                yield at_strand("O1", number, strand, f"awaits instruction {pc}, which ends the frame")
        if (len(needs) > 1 and len(set(needs)) != len(needs)) or (len(awaits) > 1 and len(set(awaits)) != len(awaits)):
            yield at_strand("O1", number, strand, "waits for one thing twice")
        for pc in range(strand.start, strand.stop):
            if instructions[pc].opcode in _ENDING:
                if strand.region == 0:
                    ending += 1
                elif instructions[pc].position not in chosen:
                    yield at_instruction("O2", pc, "ends the frame from a region, and no choice takes it")
                if pc != strand.stop - 1:
                    yield at_instruction("O2", pc, "ends the frame, and is not the last of its strand")
    if ending != 1:
        yield Fault("O2", "blueprint", f"{ending:,} instructions of region 0 end the frame, and one must")


def runs_straight(blueprint: Blueprint) -> bool:
    """True for one strand in which nothing waits or chooses, every register has a value when it is read, and every value is read: then all
    rules of order and demand hold, since all that is before an instruction has ended. False says nothing."""
    instructions = blueprint.instructions
    if len(blueprint.strands) != 1 or blueprint.choices or not _WAITING.isdisjoint([i.opcode for i in instructions[:-1]]):
        return False
    loaded = blueprint.literals + len(blueprint.inputs)
    if loaded > 64 and loaded > sum([len(i.reads) for i in instructions]):  # more than are read: not worth a list
        return False
    there = set(range(loaded))
    unread: set[int] = set()
    for i in instructions:
        reads, dst = i.reads, i.dst
        if i.after or i.tests or not there.issuperset(reads):
            return False
        if unread and i.opcode != isa.DROP:
            unread.difference_update(reads)
        if i.dead:
            there.difference_update(i.dead)
        if dst >= 0:
            if dst in unread:
                return False
            unread.add(dst)
            there.add(dst)
        elif i.opcode not in _ENDING and i.opcode != isa.DROP:
            return False
    return not unread


def careful_faults(blueprint: Blueprint, uses: Uses, steps: Steps) -> Iterator[Fault]:
    """O3 to O5, by what each strand can rely on: the strands and waits that it waits for, through others too. Fills ``uses``."""
    try:
        yield from _register_faults(blueprint, uses, Before(blueprint, steps))
    except TooTangled:
        yield Fault("O5", "blueprint", "its strands wait for each other in so many ways that it would take too long to follow them")


def _register_faults(blueprint: Blueprint, uses: Uses, before: Before) -> Iterator[Fault]:
    instructions = blueprint.instructions
    loaded = blueprint.literals + len(blueprint.inputs)
    holder = _by_register(blueprint)  # the instruction that wrote it; of no other: it was preloaded, or has no value
    ended = _by_register(blueprint)  # the instruction that ended its value
    readers = _by_register(blueprint)  # who reads the value that it has: one, or a list
    by_position = {i.position: pc for pc, i in enumerate(instructions) if computes(i)} if uses.followed else {}
    home, waits, awaits = before.home, before.waits, before.awaits
    for pc, i in enumerate(instructions):
        dst = i.dst
        takes = i.opcode != isa.DROP and (dst >= 0 or not uses.is_idle(i))
        reads = i.reads + i.tests if i.tests else i.reads
        if uses.givers is not None:
            uses.givers.append(tuple([holder[register] for register in reads]))
        for register in reads if len(reads) < 2 else dict.fromkeys(reads):
            giver = holder[register]
            if giver is None and register >= loaded:
                yield at_instruction("O3", pc, f"reads R{register}, which has no value there")
            elif ended[register] is not None:
                yield at_instruction("O3", pc, f"reads R{register}, whose value instruction {ended[register]} has ended")
            elif giver is not None:
                known = giver in awaits[home[pc]] if waits[giver] else home[giver] == home[pc]
                if not known and not before.value_is_there(giver, pc):
                    yield at_instruction("O3", pc, f"reads R{register} of instruction {giver}, and does not wait for it")
                elif takes:
                    uses.add(giver, pc)
            others = readers[register]
            if others is None:
                readers[register] = pc
            elif type(others) is list:
                others.append(pc)
            else:
                readers[register] = [others, pc]
        if i.opcode == isa.SELECT or i.opcode == isa.BRANCH:
            yield from _choosing_faults(blueprint, pc, i, holder[i.reads[-1]])
        for register in i.dead:
            others = readers[register]
            if others != pc:
                for reader in others if type(others) is list else (others,):
                    if reader != pc and not before.has_run(reader, pc):
                        yield at_instruction("O4", pc, f"ends R{register}, which instruction {reader} may still have to read")
            ended[register] = pc
            readers[register] = pc  # whoever comes after it comes after those, too
        for position in i.after:
            if by_position[position] >= pc or not before.value_is_there(by_position[position], pc):
                yield at_instruction("O3", pc, f"comes after position {position}, and does not wait for it")
            elif takes:
                uses.add(by_position[position], pc)
        if dst >= 0:
            others = readers[dst]
            if others is not None and others != pc:
                for reader in others if type(others) is list else (others,):
                    if reader != pc and not before.has_run(reader, pc):
                        yield at_instruction("O4", pc, f"writes R{dst}, which instruction {reader} may still have to read")
            giver = holder[dst]
            if giver is not None and ended[dst] is None and not before.value_is_there(giver, pc):
                yield at_instruction("O4", pc, f"writes R{dst}, which instruction {giver} may write later")
            holder[dst] = pc
            readers[dst] = ended[dst] = None


def _by_register(blueprint: Blueprint) -> Any:
    """Something for each register, None at first. Code may claim to have many literals, and name few: then not a list of all."""
    few = blueprint.registers <= 1_000 + 4 * len(blueprint.instructions)
    return [None] * blueprint.registers if few else defaultdict(lambda: None)


def _choosing_faults(blueprint: Blueprint, pc: int, i: Instruction, giver: int | None) -> Iterator[Fault]:
    if i.opcode == isa.SELECT:
        if giver is None or blueprint.instructions[giver].opcode != isa.BRANCH or blueprint.instructions[giver].aux != i.aux:
            yield at_instruction("I7", pc, f"selects by R{i.reads[-1]}, which is not the branch of its choice")
    elif blueprint.choices[i.aux].keyed and (giver is not None or i.reads[-1] >= blueprint.literals):
        yield at_instruction("I7", pc, f"looks routes up in R{i.reads[-1]}, which is no literal")
