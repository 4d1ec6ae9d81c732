"""The verifier's rules of order, O3 and O4: every value is there when it is read, and stays until all have read it."""

from __future__ import annotations

from collections.abc import Iterator

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction

_WAITING = frozenset(op.code for op in isa.OPCODES if op.waits)


def computes(i: Instruction) -> bool:
    """Has it a value, and so a position?"""
    return i.opcode != isa.DROP and i.opcode != isa.RETURN


def order_faults(blueprint: Blueprint) -> Iterator[str]:
    """Faults of a blueprint whose instructions, positions and strands are good."""
    if not runs_straight(blueprint):
        yield from careful_faults(blueprint)


def runs_straight(blueprint: Blueprint) -> bool:
    """True for one strand in which nothing waits, and every register has a value when it is read: then O3 and O4 hold, since all that is
    before an instruction has ended. False says nothing."""
    instructions = blueprint.instructions
    if len(blueprint.strands) != 1 or not _WAITING.isdisjoint([i.opcode for i in instructions[:-1]]):
        return False
    there = set(range(blueprint.literals + len(blueprint.inputs)))
    for i in instructions:
        if i.after or i.tests or not there.issuperset(i.reads):
            return False
        if i.dead:
            there.difference_update(i.dead)
        there.add(i.dst)
    return True


def careful_faults(blueprint: Blueprint) -> Iterator[str]:
    """O3 and O4, by what each strand can rely on: the strands and waits that it waits for, through others too."""
    instructions = blueprint.instructions
    before = _Before(blueprint)
    loaded = blueprint.literals + len(blueprint.inputs)
    holder: dict[int, int] = dict.fromkeys(range(loaded), -1)  # register -> the instruction that wrote it, -1: preloaded
    readers: dict[int, list[int]] = {}
    ended: dict[int, int] = {}  # register -> the instruction that ended its value
    by_position = {i.position: pc for pc, i in enumerate(instructions) if computes(i)}
    for pc, i in enumerate(instructions):
        reads = i.reads + i.tests
        for register in reads if len(reads) < 2 else dict.fromkeys(reads):
            if register not in holder:
                yield f"O3: instruction {pc}: reads R{register}, which has no value there"
            elif register in ended:
                yield f"O3: instruction {pc}: reads R{register}, whose value instruction {ended[register]} has ended"
            elif not before.value_is_there(holder[register], pc):
                yield f"O3: instruction {pc}: reads R{register} of instruction {holder[register]}, and does not wait for it"
            if i.opcode == isa.SELECT and not _is_its_branch(blueprint, holder.get(register, -1), i):
                yield f"I7: instruction {pc}: selects by R{register}, which is not the branch of its choice"
            readers.setdefault(register, []).append(pc)
        for register in i.dead:
            ended[register] = pc
            for reader in readers.get(register, ()):
                if reader != pc and not before.has_run(reader, pc):
                    yield f"O4: instruction {pc}: ends R{register}, which instruction {reader} may still have to read"
            readers[register] = [pc]  # whoever comes after it comes after those, too
        for position in i.after:
            if by_position[position] >= pc or not before.value_is_there(by_position[position], pc):
                yield f"O3: instruction {pc}: comes after position {position}, and does not wait for it"
        if i.dst != isa.NONE:
            for reader in readers.pop(i.dst, ()):
                if reader != pc and not before.has_run(reader, pc):
                    yield f"O4: instruction {pc}: writes R{i.dst}, which instruction {reader} may still have to read"
            if i.dst in holder and i.dst not in ended and holder[i.dst] >= 0 and not before.value_is_there(holder[i.dst], pc):
                yield f"O4: instruction {pc}: writes R{i.dst}, which instruction {holder[i.dst]} may write later"
            holder[i.dst] = pc
            ended.pop(i.dst, None)


def _is_its_branch(blueprint: Blueprint, pc: int, select: Instruction) -> bool:
    i = blueprint.instructions[pc] if pc >= 0 else select
    return i.opcode == isa.BRANCH and i.aux == select.aux


class _Before:
    """Answers what is over when an instruction runs, from the waits alone.

    What a strand waits for through others is looked up by walking its predecessors, remembering the answers. Walks are bounded: a strand
    relies on few others (that is what makes it a strand), and each answer is kept.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        home = [number for number, strand in enumerate(blueprint.strands) for _ in range(strand.start, strand.stop)]
        self.home = home
        self.waits = [i.opcode in _WAITING for i in blueprint.instructions]
        self.awaits = [frozenset(strand.awaits) for strand in blueprint.strands]
        self.direct = [{*s.needs, *[home[pc] for pc in s.awaits]} for s in blueprint.strands]
        self._waited: dict[int, list[int]] = {}  # waiting instruction -> strands that await it
        for number, strand in enumerate(blueprint.strands):
            for pc in strand.awaits:
                self._waited.setdefault(pc, []).append(number)
        self._reaches: dict[tuple[int, int], bool] = {}

    def strand_is_over(self, earlier: int, later: int) -> bool:
        """Has strand ``earlier`` ended whenever ``later`` starts?"""
        if earlier in self.direct[later]:
            return True
        key = earlier, later
        known = self._reaches.get(key)
        if known is None:
            seen = {later}
            stack = [later]
            known = False
            while stack and not known:
                for other in self.direct[stack.pop()]:
                    if other == earlier:
                        known = True
                        break
                    if other > earlier and other not in seen:
                        seen.add(other)
                        stack.append(other)
            self._reaches[key] = known
        return known

    def has_run(self, pc: int, at: int) -> bool:
        """Has instruction ``pc`` been run (if it waits: been issued) whenever ``at`` runs?"""
        earlier, later = self.home[pc], self.home[at]
        return (earlier == later and pc < at) or self.strand_is_over(earlier, later)

    def value_is_there(self, pc: int, at: int) -> bool:
        """Is the value of ``pc`` (-1: preloaded) there whenever ``at`` runs?"""
        if pc < 0:
            return True
        if not self.waits[pc]:
            return self.has_run(pc, at)
        mine = self.home[at]
        return pc in self.awaits[mine] or any(self.strand_is_over(number, mine) for number in self._waited.get(pc, ()))
