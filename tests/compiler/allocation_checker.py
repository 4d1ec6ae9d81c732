"""An independent check of register allocation, after the idea of regalloc2's checker: it shares no code with the allocator.

A blueprint is run symbolically, with the numbers of IR values in place of values, in a random order among those that the waits allow: any
ready strand may be next, and any operation in flight may end between two strands. Each instruction must find in its registers the
very values that its IR operation names, and no value may lie in a register once nobody can read it any more.
"""

from __future__ import annotations

import random

from cascade_compiler.ir import Graph, Kind
from cascade_vm import isa
from cascade_vm.blueprint import Blueprint

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
        for value in op.args:
            uses[value] += 1
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
    while todo or flying:
        ready = [
            n
            for n in todo
            if strands_over.issuperset(blueprint.strands[n].needs) and waits_over.issuperset(blueprint.strands[n].awaits)
        ]
        if flying and (not ready or dice.random() < 0.5):
            pc = flying.pop(dice.randrange(len(flying)))
            i = blueprint.instructions[pc]
            waits_over.add(pc)
            if i.dst != isa.NONE:
                if registers[i.dst] is not NOTHING:
                    raise Misallocated(f"seed {seed}: the value of wait {pc} overwrites %{registers[i.dst]} in R{i.dst}")
                registers[i.dst] = i.position
            continue
        if not ready:
            raise Misallocated(f"seed {seed}: strands {sorted(todo)} can never run")
        # Strands that only end values are eager: the machine runs them before it does anything else.
        drops = [n for n in ready if blueprint.instructions[blueprint.strands[n].start].opcode == isa.DROP]
        number = drops[0] if drops else dice.choice(ready)
        todo.remove(number)
        strands_over.add(number)
        for pc in range(blueprint.strands[number].start, blueprint.strands[number].stop):
            peak = max(peak, sum(value is not NOTHING for value in registers))
            _run(graph, blueprint, pc, registers, uses, flying, seed)
        pending = [
            n for n in todo
            if blueprint.instructions[blueprint.strands[n].start].opcode == isa.DROP and strands_over.issuperset(blueprint.strands[n].needs)
        ]  # fmt: skip
        if not pending:
            _nothing_dead_is_kept(graph, registers, uses, seed)
    return peak


def _run(
    graph: Graph, blueprint: Blueprint, pc: int, registers: list[int | None], uses: dict[int, int], flying: list[int], seed: int
) -> None:
    i = blueprint.instructions[pc]
    found = [registers[r] for r in i.reads]
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
        if value is not NOTHING and uses[value] and value != graph.result:
            raise Misallocated(f"seed {seed}: instruction {pc} ends %{value}, which has {uses[value]} readers left")
        registers[r] = NOTHING
    if isa.BY_CODE[i.opcode].waits:
        flying.append(pc)
    elif i.dst != isa.NONE:
        old = registers[i.dst]
        if old is not NOTHING and uses[old]:
            raise Misallocated(f"seed {seed}: instruction {pc} overwrites %{old}, which has {uses[old]} readers left")
        registers[i.dst] = i.position


def _nothing_dead_is_kept(graph: Graph, registers: list[int | None], uses: dict[int, int], seed: int) -> None:
    read = {value for op in graph.ops for value in op.args}
    for register, value in enumerate(registers):
        if value is not None and value in read and not uses[value] and value != graph.result:
            raise Misallocated(f"seed {seed}: R{register} keeps %{value}, which nobody will read")
