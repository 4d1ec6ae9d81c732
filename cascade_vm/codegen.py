"""The second tier: a strand as the Python function that a person would have written for it.

    def strand(registers):
        r0, r1 = registers[:2]
        registers.clear()
        r0 = price(r0)
        r1 = rate(r1)
        return total(r0, r1)

Registers are local variables, so a value moves without a list being touched. Every instruction has its own line: the traceback's line
number gives the instruction back, and nothing is counted while all goes well. After a call whose value may be a continuation the
function asks, and leaves with ``Left`` if it is one: the machine then runs that graph and interprets the rest of the strand. Where
``returns`` proves that it cannot be one, nothing is asked; what a proof takes for granted of literals is tested at the start.

A strand that ends in a tail call, of a code that has a guard, becomes a real loop: it goes round as long as the guard
recognises what the tail call gave. Strands that only wait for each other, one after the other, become one coroutine function, which
awaits in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cascade_vm import isa
from cascade_vm.instruction_source import WRITERS
from cascade_vm.leaving import Guard
from cascade_vm.link import Code
from cascade_vm.loop_source import LoopWriter
from cascade_vm.source import Writer
from cascade_vm.tracebacks import GENERATED


class Generated(NamedTuple):
    """A generated strand. ``pcs[n]`` is the instruction that line n + 1 of ``source`` belongs to."""

    function: Callable[..., Any]
    source: str
    pcs: list[int]
    loops: bool
    sites: list[tuple[str, str]]
    nested: dict[int, tuple[str, ...]]  # calls whose operands have no variables, but the parameters of what is called


def can_generate(code: Code, strand: int) -> bool:
    """Is every instruction of the strand one that this file knows?"""
    whole = code.blueprint.strands[strand]
    instructions = code.blueprint.instructions[whole.start : whole.stop]
    return bool(instructions) and not code.has_steps and all(i.opcode in WRITERS and not i.tests for i in instructions)


def generate(
    code: Code, strand: int = 0, literals: Sequence[Any] | None = None, observed: Sequence[Any] | None = None, guard: Guard | None = None
) -> Generated:
    """Generate one strand of ``code``.

    :param literals: the values of the first registers in every run, where they are known: a program's. What is generated then is the
        method ``run`` of an executable.
    :param observed: those of one run: of what types they may be taken to be.
    :param guard: makes a loop of it.
    """
    writer = Writer(code, strand, literals) if guard is None else LoopWriter(code, guard)
    if literals is None and observed is not None:
        writer.assume(observed)
    writer.write()
    source = "\n".join(writer.lines) + "\n"
    filename = f"{GENERATED}{code.blueprint.cycle_id[:12]}-{strand}.py"
    exec(compile(source, filename, "exec"), writer.scope)
    return Generated(writer.scope[writer.name], source, writer.pcs, guard is not None, writer.sites, writer.nested)


def can_await(code: Code) -> bool:
    """Are the strands a chain: each waits for the one thing that the one before has issued last, and nothing else?"""
    blueprint = code.blueprint
    if code.single or code.has_steps or blueprint.choices:
        return False
    known = {*WRITERS, isa.SPAWN, isa.TAIL_SPAWN} - {isa.DROP}
    if any(i.opcode not in known or i.tests for i in blueprint.instructions):
        return False
    if any(symbol.mode != "inline" for symbol in blueprint.symbols):
        return False
    at = 0
    for number, strand in enumerate(blueprint.strands):
        opcodes = [blueprint.instructions[pc].opcode for pc in range(strand.start, strand.stop)]
        if strand.start != at or not opcodes or isa.SPAWN in opcodes[:-1] or strand.awaits != ((at - 1,) if number else ()):
            return False
        is_last = number == len(blueprint.strands) - 1
        if not is_last and opcodes[-1] != isa.SPAWN:
            return False
        at = strand.stop
    return isa.BY_CODE[blueprint.instructions[-1].opcode].ends


def generate_chain(code: Code) -> Generated:
    """Generate all strands of ``code``, which are a chain, as one coroutine function.

    It takes registers; ``cancelling``, which counts requests to cancel, how many there were, and what to raise when there are more;
    ``clock``, the end of the time slice on it, and ``give_way``, which is awaited then and gives the end of the next.
    """
    writer = Writer(code, 0)
    writer.write_chain()
    source = "\n".join(writer.lines) + "\n"
    exec(compile(source, f"{GENERATED}{code.blueprint.cycle_id[:12]}.py", "exec"), writer.scope)
    return Generated(writer.scope["chain"], source, writer.pcs, False, [], writer.nested)
