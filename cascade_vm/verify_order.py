"""The verifier's rules of order: O1 to O5. Every value is there when it is read, and stays until all have read it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import chain
from typing import Any

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction, Strand
from cascade_vm.fault_places import Fault, at_instruction, at_strand, some
from cascade_vm.verify_arrays import Chains, Sparse, distinct
from cascade_vm.verify_before import Before, Steps, TooTangled
from cascade_vm.verify_demand import Uses
from cascade_vm.verify_tables import ENDING, WAITING, Outline, Strands, is_dense, only_drops


def strand_faults(blueprint: Blueprint, outline: Outline, strands: Strands) -> Iterator[Fault]:
    """O1 and O2, of a blueprint whose instructions are good. Fills ``strands`` as long as there are none."""
    opcodes = outline.opcodes
    ends, waits = opcodes.translate(_ENDS), outline.waits
    chosen = bytearray(len(opcodes))
    for giver in outline.routes.flat:
        if giver >= 0:
            chosen[giver] = 1
    ending = 0
    is_good = True
    last = bytearray()  # of each strand, does its last instruction end the frame?
    for number, strand in enumerate(blueprint.strands):
        if (strand.needs or strand.awaits) and not _waits_well(number, strand, waits, ends, last):
            for what in _wait_faults(number, strand, opcodes, ends, last):
                is_good = False
                yield at_strand("O1", number, strand, what)
        last.append(ends[strand.stop - 1])
        if is_good:
            strands.add(strand)
        pc = ends.find(1, strand.start, strand.stop)
        while pc >= 0:
            if strand.region == 0:
                ending += 1
            elif not chosen[pc]:
                yield at_instruction("O2", pc, "ends the frame from a region, and no choice takes it")
            if pc != strand.stop - 1:
                yield at_instruction("O2", pc, "ends the frame, and is not the last of its strand")
            pc = ends.find(1, pc + 1, strand.stop)
    if ending != 1:
        yield Fault("O2", "blueprint", f"{ending:,} instructions of region 0 end the frame, and one must")


_ENDS = bytes(code in ENDING for code in range(256))


def _waits_well(number: int, strand: Strand, waits: bytearray, ends: bytearray, last: bytearray) -> bool:
    """Has what it waits for no fault? False says nothing."""
    needs, awaits, start = strand.needs, strand.awaits, strand.start
    for other in needs:
        if not 0 <= other < number or last[other]:
            return False
    for pc in awaits:
        if not 0 <= pc < start or not waits[pc] or ends[pc]:
            return False
    return (len(needs) < 2 or distinct(needs)) and (len(awaits) < 2 or distinct(awaits))


def _wait_faults(number: int, strand: Strand, opcodes: bytearray, ends: bytearray, last: bytearray) -> Iterator[str]:
    needs, awaits = strand.needs, strand.awaits
    if not all(0 <= other < number for other in needs):
        yield f"needs {some(needs)}, which are not all earlier strands"
    elif any(last[other] for other in needs) and not only_drops(strand, opcodes):
        yield f"needs {some(needs)}, of which one ends the frame"
    for pc in awaits:
        if not (0 <= pc < strand.start and opcodes[pc] in WAITING):
            yield f"awaits instruction {pc}, which does not wait, or is not in an earlier strand"
        elif ends[pc]:
            yield f"awaits instruction {pc}, which ends the frame"
    if not (distinct(needs) and distinct(awaits)):
        yield "waits for one thing twice"


def careful_faults(blueprint: Blueprint, uses: Uses, strands: Strands, steps: Steps) -> Iterator[Fault]:
    """O3 to O5, by what each strand can rely on: the strands and waits that it waits for, through others too. Fills ``uses``."""
    try:
        yield from _register_faults(blueprint, uses, Before(strands, steps), strands.outline)
    except TooTangled:
        yield Fault("O5", "blueprint", "its strands wait for each other in so many ways that it would take too long to follow them")


def _register_faults(blueprint: Blueprint, uses: Uses, before: Before, outline: Outline) -> Iterator[Fault]:
    loaded = blueprint.literals + len(blueprint.inputs)
    # Of each register: the instruction that wrote it, plus 1; below 0, less 1, the one that ended its value; 0: preloaded, or no value.
    state: Any
    if is_dense(blueprint, outline):
        state, readers = array("i", (0,)) * blueprint.registers, Chains(blueprint.registers)
    else:
        named = Sparse.named(blueprint)
        state, readers = Sparse(named, 0), Chains(Sparse(named, -1))
    # Who reads the value of a register; of each strand, the last one.
    head, reader_at, then = readers.head, readers.value, readers.then
    home, waits, awaits, givers = before.home, before.waits, before.awaits, uses.givers
    first, size = before.first, before.size  # see Before.strand_is_over, whose commonest answers are found here
    at_home, region, selects, opcodes = uses.at_home, uses.region, uses.selects, outline.opcodes  # see Uses.add
    awaited, waits_from = awaits.flat, awaits.starts
    last, following, stop = -1, 0, 0  # of a strand, which of its waits is read next: most are read in order
    for pc, i in enumerate(blueprint.instructions):
        dst, mine = i.dst, home[pc]
        if mine != last:
            last, following, stop = mine, waits_from[mine], waits_from[mine + 1]
        takes = i.opcode != isa.DROP and (dst >= 0 or not uses.is_idle(pc, i))
        reads: Any = i.reads
        if i.tests:
            reads = chain(reads, i.tests)
        if givers is not None:
            givers.add([state[register] - 1 for register in chain(i.reads, i.tests)])
        for register in reads:
            held = state[register]
            if held > 0:
                giver = held - 1
                if waits[giver]:
                    known = following < stop and awaited[following] == giver
                    if known:
                        following += 1
                    else:
                        known = awaits.has(mine, giver)
                else:
                    theirs = home[giver]
                    known = theirs == mine or 0 < first[theirs] - first[mine] < size[mine]
                if not known and not before.value_is_there(giver, pc):
                    yield at_instruction("O3", pc, f"reads R{register} of instruction {giver}, and does not wait for it")
                elif takes:
                    if (region is None or region[giver] == region[pc]) and not (selects and opcodes[giver] == isa.SELECT):
                        at_home[giver] = 1
                    else:
                        uses.add(giver, pc)
            elif held < 0:
                yield at_instruction("O3", pc, f"reads R{register}, whose value instruction {-1 - held} has ended")
            elif register >= loaded:
                yield at_instruction("O3", pc, f"reads R{register}, which has no value there")
            at = head[register]
            if at >= 0 and home[reader_at[at]] == mine:
                reader_at[at] = pc  # whoever comes after it comes after the one before, too
            else:
                then.append(at)
                head[register] = len(reader_at)
                reader_at.append(pc)
        if i.opcode == isa.SELECT or i.opcode == isa.BRANCH:
            yield from _choosing_faults(blueprint, outline, pc, i, state[i.reads[-1]])
        for register in i.dead:
            at = then[head[register]]  # behind this instruction itself
            while at >= 0:
                theirs = home[reader_at[at]]
                over = theirs == mine or 0 < first[theirs] - first[mine] < size[mine]
                if not over and not before.has_run(reader_at[at], pc):
                    yield at_instruction("O4", pc, f"ends R{register}, which instruction {reader_at[at]} may still have to read")
                at = then[at]
            state[register] = -1 - pc
            then[head[register]] = -1  # whoever comes after it comes after those, too
        for position in i.after:
            giver = outline.giver_at(position)
            if giver >= pc or not before.value_is_there(giver, pc):
                yield at_instruction("O3", pc, f"comes after position {position}, and does not wait for it")
            elif takes:
                uses.add(giver, pc)
        if dst >= 0:
            at = head[dst]
            if at >= 0:
                head[dst] = -1
            while at >= 0:
                theirs = home[reader_at[at]]
                over = theirs == mine or 0 < first[theirs] - first[mine] < size[mine]
                if not over and not before.has_run(reader_at[at], pc):
                    yield at_instruction("O4", pc, f"writes R{dst}, which instruction {reader_at[at]} may still have to read")
                at = then[at]
            held = state[dst]
            if held > 0 and (waits[held - 1] or home[held - 1] != mine) and not before.value_is_there(held - 1, pc):
                yield at_instruction("O4", pc, f"writes R{dst}, which instruction {held - 1} may write later")
            state[dst] = pc + 1


def _choosing_faults(blueprint: Blueprint, outline: Outline, pc: int, i: Instruction, held: int) -> Iterator[Fault]:
    if i.opcode == isa.SELECT:
        if held == 0 or (held > 0 and (outline.opcodes[held - 1] != isa.BRANCH or outline.aux[held - 1] != i.aux)):
            yield at_instruction("I7", pc, f"selects by R{i.reads[-1]}, which is not the branch of its choice")
    elif blueprint.choices[i.aux].keyed and (held > 0 or i.reads[-1] >= blueprint.literals):
        yield at_instruction("I7", pc, f"looks routes up in R{i.reads[-1]}, which is no literal")
