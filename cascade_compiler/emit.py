"""Emit: from IR, strands and registers to a Blueprint."""

from __future__ import annotations

import attrs

from cascade_compiler.ir import Graph, Kind
from cascade_compiler.registers import Allocation
from cascade_compiler.strands import Plan
from cascade_compiler.task import Task
from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction, Strand, Symbol
from cascade_vm.errors import InternalError

_CONTAINER = {name: at for at, name in enumerate(isa.CONTAINERS)}


@attrs.define(eq=False)
class Emitted:
    """A blueprint, and what a process knows beyond it: the tasks behind the symbols, the site slot of each instruction or -1."""

    blueprint: Blueprint
    tasks: tuple[Task, ...]
    slots: tuple[int, ...]


def emit(graph: Graph, strands: list[Plan], allocation: Allocation, cycle_id: str) -> Emitted:
    """Write the instructions, strand by strand; the strands that end shared values come last."""
    symbols: dict[Task, int] = {}
    instructions: list[Instruction] = []
    slots: list[int] = []
    place: dict[int, int] = {}  # operation -> instruction
    written: list[Strand] = []
    for strand in strands:
        start = len(instructions)
        for at in strand.ops:
            place[at] = len(instructions)
            instructions.append(_instruction(graph, at, allocation, symbols))
            slots.append(graph.ops[at].slot)
        if graph.ops[graph.result].kind is not Kind.CALL and (graph.result in strand.ops[-1:] or not strand.ops):
            instructions.append(Instruction(isa.RETURN, len(graph.ops), reads=(allocation.register[graph.result],)))
            slots.append(-1)
        awaits = tuple(sorted(place[at] for at in strand.awaits))
        written.append(Strand(start, len(instructions), strand.eager, tuple(strand.needs), awaits))
    for readers, values in allocation.drops:
        start = len(instructions)
        registers = tuple(sorted(allocation.register[value] for value in values))
        instructions.append(Instruction(isa.DROP, -1, reads=registers, dead=registers))
        slots.append(-1)
        written.append(Strand(start, start + 1, True, readers, ()))
    blueprint = Blueprint(
        cycle_id=cycle_id,
        registers=allocation.count,
        literals=len(graph.literals),
        inputs=tuple(kind.name for kind in graph.inputs),
        symbols=tuple(Symbol(t.symbol, t.version, t.is_async, t.signature_text) for t in symbols),
        instructions=tuple(instructions),
        strands=tuple(written),
    )
    return Emitted(blueprint, tuple(symbols), tuple(slots))


def _instruction(graph: Graph, at: int, allocation: Allocation, symbols: dict[Task, int]) -> Instruction:
    op = graph.ops[at]
    register = allocation.register
    reads = tuple([register[x] for x in op.args])
    dst = isa.NONE if at == graph.result and op.kind is Kind.CALL else register[at]
    dead: tuple[int, ...] = ()
    dying = allocation.dying.get(at)
    if dying and (len(dying) > 1 or register[dying[0]] != dst or op.waits):
        # What the result overwrites at once needs no end of its own; a result that comes later overwrites nothing yet.
        dead = tuple(sorted({register[x] for x in dying} - (set() if op.waits else {dst})))
    if op.kind is Kind.CALL:
        assert op.task is not None
        aux = symbols.setdefault(op.task, len(symbols))
        tail = at == graph.result
        opcode = (isa.TAIL_SPAWN if tail else isa.SPAWN) if op.waits else (isa.TAIL_CALL if tail else isa.CALL)
    elif op.kind is Kind.BUILD:
        opcode, aux = isa.BUILD, _CONTAINER[op.detail]
    elif op.kind is Kind.ITEM:
        opcode, aux = isa.ITEM, 0
    else:
        raise InternalError(f"nothing is emitted for operations of kind {op.kind.value}")
    # Inputs are there before anything: to come after one is no order.
    after = tuple(sorted({x for x in op.after if not graph.ops[x].preloaded})) if op.after else ()
    return Instruction(opcode, at, dst, reads, aux, op.names, dead, after)
