"""The verifier's rules of single instructions, by the declarations of their opcodes: I1 to I7, and what of B5 and B6 is about them."""

from __future__ import annotations

from collections.abc import Iterator

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction
from cascade_vm.fault_places import Fault, at_instruction, some

_FEW = {"one": 1, "two": 2}
_WAITING = frozenset(op.code for op in isa.OPCODES if op.waits)


def computes(i: Instruction) -> bool:
    """Has it a value, and so a position in the order of evaluation?"""
    return i.opcode != isa.DROP and i.opcode != isa.RETURN


def instruction_faults(blueprint: Blueprint) -> Iterator[Fault]:
    """Faults of instructions, each looked at by itself.

    Most rules depend on the form of an instruction alone, and there are few forms: where one has been found good, only the registers of
    the next one are looked at, and by all rules if there is anything to say about them.
    """
    registers = blueprint.registers
    good: set[tuple[int, int, int, int, tuple[str, ...], bool]] = set()
    for pc, i in enumerate(blueprint.instructions):
        reads, dead, dst = i.reads, i.dead, i.dst
        form = (i.opcode, i.aux, i.spec, len(reads), i.names, dst == isa.NONE)
        if (
            form in good
            and isa.NONE <= dst < registers
            and (not reads or (min(reads) >= 0 and max(reads) < registers))
            and not i.tests
            and (not dead or (_all_read(dead, reads) and (dst not in dead or i.opcode in _WAITING)))
            and i.opcode != isa.DROP
        ):
            continue
        found = list(_faults(blueprint, i))
        if not found:
            good.add(form)
        for rule, what in found:
            yield at_instruction(rule, pc, what)


def _all_read(dead: tuple[int, ...], reads: tuple[int, ...]) -> bool:
    """Are they read, and named once? False says nothing: there are more of them than it takes to look."""
    if len(dead) == 1:
        return dead[0] in reads
    return len(dead) == 2 and dead[0] != dead[1] and dead[0] in reads and dead[1] in reads


def _faults(blueprint: Blueprint, i: Instruction) -> Iterator[tuple[str, str]]:
    opcode = isa.BY_CODE.get(i.opcode)
    if opcode is None:
        yield "I1", f"there is no opcode {i.opcode}"
        return
    wanted = _FEW.get(opcode.reads)
    if wanted is not None and len(i.reads) != wanted:
        yield "I1", f"{opcode.name} reads {wanted} registers, not {len(i.reads)}"
    if i.opcode == isa.BUILD and 0 <= i.aux < len(isa.CONTAINERS):
        kind = isa.CONTAINERS[i.aux]
        if kind.endswith("-like") and not i.reads:
            yield "I1", f"{kind} takes its prototype first"
        if kind.startswith("dict") and (len(i.reads) - kind.endswith("-like")) % 2:
            yield "I1", "a dict takes keys and values in turn"
    if not all(0 <= register < blueprint.registers for register in (*i.reads, *i.dead, *i.tests)):
        yield "I2", "a register is out of range"
    if not (isa.NONE <= i.dst < blueprint.registers and (opcode.writes or i.dst == isa.NONE)):
        yield "I2", f"destination {i.dst} is out of range, or {opcode.name} has none"
    yield from _aux_faults(blueprint, i, opcode)
    yield from _spec_faults(blueprint, i, opcode)
    if i.names and not (
        opcode.keywords and len(set(i.names)) == len(i.names) <= len(i.reads) and all(name.isidentifier() for name in i.names)
    ):
        yield "I3", f"keywords {some(i.names)} do not fit"
    yield from _dead_faults(i, opcode)


def _aux_faults(blueprint: Blueprint, i: Instruction, opcode: isa.Opcode) -> Iterator[tuple[str, str]]:
    limit = {
        "symbol": len(blueprint.symbols), "container": len(isa.CONTAINERS), "choice": len(blueprint.choices),
        "resource": len(blueprint.resources), "none": 1,
    }[opcode.aux]  # fmt: skip
    if not 0 <= i.aux < limit:
        yield "I2", f"the operand {i.aux} is not in 0 to {limit - 1}"
        return
    if opcode.aux == "symbol" and opcode.spec == "none" and blueprint.symbols[i.aux].waits is not opcode.waits:
        yield "I5", f"{opcode.name} of {'a task that waits' if not opcode.waits else 'a task that does not wait'}"
    if opcode.aux == "choice":
        keyed = blueprint.choices[i.aux].keyed
        if i.opcode == isa.BRANCH and i.dst == isa.NONE:
            yield "I7", "branch leaves no value"
        if i.opcode == isa.BRANCH and len(i.reads) != 1 + keyed:
            yield "I1", f"this branch reads {1 + keyed} registers, not {len(i.reads)}"
        if i.opcode == isa.SELECT and i.tests:
            yield "I7", "a select tests nothing: what its branch was given passes through it"


def _spec_faults(blueprint: Blueprint, i: Instruction, opcode: isa.Opcode) -> Iterator[tuple[str, str]]:
    limit = {"policy": len(blueprint.policies), "map": len(blueprint.maps), "none": 0}[opcode.spec]
    if not (0 <= i.spec < limit if limit or opcode.spec != "none" else i.spec == isa.NONE):
        yield "I7", f"{opcode.name} has no {opcode.spec} {i.spec}"
        return
    plain = len(i.reads) - len(i.names)
    number = i.spec
    if opcode.spec == "policy" and blueprint.policies[number].dynamic > plain:
        yield "I7", "the amounts of its constraints are not among its operands"
    if opcode.spec == "map":
        one = blueprint.maps[i.spec]
        number = one.policy if 0 <= one.policy < len(blueprint.policies) else isa.NONE
        first = blueprint.policies[number].dynamic if number != isa.NONE else 0
        if first > plain or not all(first <= at < len(i.reads) for at in one.iterated):
            yield "I7", f"it goes over the operands {some(one.iterated)}, which it does not have"
    timed = number != isa.NONE and blueprint.policies[number].timeout is not None
    if timed and 0 <= i.aux < len(blueprint.symbols) and not blueprint.symbols[i.aux].waits:
        yield "I7", "a timeout for a task that does not wait: nothing could end it"
    if opcode.aux == "resource" and plain:
        yield "B6", "a resource is set up with named operands"


def _dead_faults(i: Instruction, opcode: isa.Opcode) -> Iterator[tuple[str, str]]:
    dead = set(i.dead)
    if not dead <= {*i.reads, *i.tests} or len(dead) != len(i.dead):
        yield "I6", f"ends registers {some(i.dead)}, which it does not read, or ends one twice"
    if i.dst in dead and not opcode.waits:
        yield "I6", f"ends R{i.dst}, which has its new value by then"
    if i.opcode == isa.DROP and (not dead or dead != set(i.reads) or i.tests or i.after):
        yield "I6", "a drop reads what it ends, at least one register, and nothing else"


def position_faults(blueprint: Blueprint) -> Iterator[Fault]:
    """I4, and the sources of choices (B5): where the instructions themselves are good."""
    positions: dict[int, int] = {}
    for pc, i in enumerate(blueprint.instructions):
        if i.opcode == isa.DROP:
            if i.position != -1:
                yield at_instruction("I4", pc, f"a drop computes nothing, and has position {i.position} in place of -1")
        elif i.position < 0:
            yield at_instruction("I4", pc, f"has position {i.position}")
        elif positions.setdefault(i.position, pc) != pc:
            yield at_instruction("I4", pc, f"has position {i.position}, as instruction {positions[i.position]} has")
    known = positions.keys()
    for pc, i in enumerate(blueprint.instructions):
        if i.after and not (known >= set(i.after) and all(computes(blueprint.instructions[positions[one]]) for one in i.after)):
            yield at_instruction("I4", pc, "comes after a position that nothing computes a value at")
    for at, choice in enumerate(blueprint.choices):
        for source in choice.sources:
            giver = blueprint.instructions[positions[source]] if source in positions else None
            if source >= 0 and (giver is None or not computes(giver) or (giver.dst == isa.NONE and not isa.BY_CODE[giver.opcode].ends)):
                yield Fault("B5", f"choice {at}", f"takes the value of position {source}, where none is")
                break
