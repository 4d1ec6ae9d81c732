"""An independent check of register allocation, after the idea of regalloc2's checker: it shares no code with the allocator.

A blueprint is run symbolically, with the numbers of IR values in place of values, in a random order among those that the waits allow: any
ready strand may be next, and any operation in flight may end between two strands. Each instruction must find in its registers the
very values that its IR operation names, and no value may lie in a register once nobody can read it any more. A branch takes any of its
routes; then a region's strands may run, and the select must find the chosen value where the choice says that it is.
"""

from __future__ import annotations

import random

from cascade_compiler.ir import SKIPPED, Graph, Kind
from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint, Instruction

NOTHING = None


class Misallocated(AssertionError):
    """The allocation is wrong on some order."""


def check_allocation(graph: Graph, blueprint: Blueprint, seed: int) -> int:
    """Run once, in the order that ``seed`` gives; returns the highest number of registers that held something.

    :raises Misallocated: an instruction found the wrong value, or a dead value was kept.
    """
    dice = random.Random(seed)
    registers: list[int | None] = [NOTHING] * blueprint.registers
    uses = dict.fromkeys(range(len(graph.ops)), 0)
    for op in graph.ops:
        for value in (*op.args, *(x for x in op.tests if x not in op.args)):
            uses[value] += 1
    kept = {graph.result, *(x for op in graph.ops for x in op.routes)}
    opened = {0}
    chosen: dict[int, int] = {}  # choice -> route
    for number, op in enumerate(graph.ops):
        if op.kind is Kind.LITERAL:
            registers[op.detail] = number
        elif op.kind is Kind.INPUT:
            at = next(i for i, kind in enumerate(graph.inputs) if kind is op.detail)
            registers[len(graph.literals) + at] = number
    strands_over: set[int] = set()
    waits_over: set[int] = set()
    flying: list[int] = []
    todo = set(range(len(blueprint.strands)))
    peak = 0

    def is_closed(n: int) -> bool:
        """Never to run, as things stand: its region is not open, or it ends values which a closed region would have read."""
        strand = blueprint.strands[n]
        return strand.region not in opened or (
            blueprint.instructions[strand.start].opcode == isa.DROP and any(is_closed(other) for other in strand.needs)
        )

    def may_land(pc: int) -> bool:
        i = blueprint.instructions[pc]
        if i.opcode != isa.SELECT:
            return True
        source = blueprint.choices[i.aux].sources[chosen[i.aux]]
        giver = place.get(source)
        if giver is None:
            return True
        if isa.BY_CODE[blueprint.instructions[giver].opcode].waits:
            return giver in waits_over
        return home[giver] in strands_over

    place = {i.position: pc for pc, i in enumerate(blueprint.instructions) if i.position >= 0}
    home = [n for n, strand in enumerate(blueprint.strands) for _ in range(strand.start, strand.stop)]
    ended = False  # by a call that a select of the result would have taken
    while any(not is_closed(n) for n in todo) or flying:
        ready = [
            n
            for n in todo
            if blueprint.strands[n].region in opened
            and strands_over.issuperset(blueprint.strands[n].needs) and waits_over.issuperset(blueprint.strands[n].awaits)
        ]
        landing = [pc for pc in flying if may_land(pc)]
        if landing and (not ready or dice.random() < 0.5):
            pc = dice.choice(landing)
            flying.remove(pc)
            i = blueprint.instructions[pc]
            waits_over.add(pc)
            ended = ended or (isa.BY_CODE[i.opcode].ends and blueprint.strands[home[pc]].region != 0)
            if i.opcode == isa.SELECT:
                _takes_what_it_should(graph, blueprint, i, chosen[i.aux], registers, seed)
            if i.dst != isa.NONE:
                if registers[i.dst] is not NOTHING:
                    raise Misallocated(f"seed {seed}: the value of wait {pc} overwrites %{registers[i.dst]} in R{i.dst}")
                registers[i.dst] = i.position
            continue
        if not ready and (ended or not landing):
            if ended:
                return peak
            raise Misallocated(f"seed {seed}: strands {sorted(todo)} can never run")
        # Strands that only end values are eager: the machine runs them before it does anything else.
        drops = [n for n in ready if blueprint.instructions[blueprint.strands[n].start].opcode == isa.DROP]
        number = drops[0] if drops else dice.choice(ready)
        todo.remove(number)
        strands_over.add(number)
        for pc in range(blueprint.strands[number].start, blueprint.strands[number].stop):
            peak = max(peak, sum(value is not NOTHING for value in registers))
            i = blueprint.instructions[pc]
            _run(graph, blueprint, pc, registers, uses, flying, seed, kept)
            ended = ended or (i.opcode == isa.TAIL_CALL and blueprint.strands[number].region != 0)
            if i.opcode == isa.BRANCH:
                choice = blueprint.choices[i.aux]
                chosen[i.aux] = dice.randrange(len(choice.regions))
                stack = [choice.regions[chosen[i.aux]]]
                while stack:
                    region = stack.pop()
                    if region not in opened or region == 0:
                        opened.add(region)
                        stack += blueprint.regions[region]
        pending = [
            n for n in todo
            if blueprint.instructions[blueprint.strands[n].start].opcode == isa.DROP and strands_over.issuperset(blueprint.strands[n].needs)
        ]  # fmt: skip
        if not pending and len(blueprint.regions) == 1:  # what a closed region would have read is kept to the end
            _nothing_dead_is_kept(graph, registers, uses, seed)
    return peak


def _run(
    graph: Graph, blueprint: Blueprint, pc: int, registers: list[int | None], uses: dict[int, int], flying: list[int], seed: int,
    kept: set[int],
) -> None:  # fmt: skip
    i = blueprint.instructions[pc]
    found = [registers[r] for r in i.reads]
    if i.opcode not in (isa.RETURN, isa.DROP):
        tested = [registers[r] for r in i.tests]
        if tested != list(graph.ops[i.position].tests):
            raise Misallocated(f"seed {seed}: instruction {pc} tests {tested}, and should test {graph.ops[i.position].tests}")
        for value in graph.ops[i.position].tests:
            uses[value] -= value not in graph.ops[i.position].args
    if i.opcode == isa.RETURN:
        if found != [graph.result]:
            raise Misallocated(f"seed {seed}: returns %{found[0]}, not %{graph.result}")
    elif i.opcode != isa.DROP:
        wanted = list(graph.ops[i.position].args)
        if found != wanted:
            raise Misallocated(f"seed {seed}: instruction {pc} reads {found} in {i.reads}, and should read {wanted}")
        for value in wanted:
            uses[value] -= 1
    for r in i.dead:
        value = registers[r]
        if value is not NOTHING and (uses[value] or value in kept) and value != graph.result:
            raise Misallocated(f"seed {seed}: instruction {pc} ends %{value}, which has {uses[value]} readers left")
        registers[r] = NOTHING
    if isa.BY_CODE[i.opcode].waits:
        flying.append(pc)
    elif i.dst != isa.NONE:
        old = registers[i.dst]
        if old is not NOTHING and (uses[old] or (old in kept and old != graph.result)):
            raise Misallocated(f"seed {seed}: instruction {pc} overwrites %{old}, which has {uses[old]} readers left")
        registers[i.dst] = i.position


def _takes_what_it_should(
    graph: Graph, blueprint: Blueprint, i: Instruction, route: int, registers: list[int | None], seed: int
) -> None:
    source = blueprint.choices[i.aux].sources[route]
    wanted = graph.ops[i.position].routes[route]
    if source == SKIP:
        found = SKIPPED
    elif source < SKIP:
        found = registers[-2 - source]
    else:
        giver = next(one for one in blueprint.instructions if one.position == source)
        found = source if isa.BY_CODE[giver.opcode].ends else registers[giver.dst]
    if found != wanted:
        raise Misallocated(f"seed {seed}: the select of %{i.position} takes %{found}, and should take %{wanted}")


def _nothing_dead_is_kept(graph: Graph, registers: list[int | None], uses: dict[int, int], seed: int) -> None:
    read = {value for op in graph.ops for value in op.args}
    for register, value in enumerate(registers):
        if value is not None and value in read and not uses[value] and value != graph.result:
            raise Misallocated(f"seed {seed}: R{register} keeps %{value}, which nobody will read")
