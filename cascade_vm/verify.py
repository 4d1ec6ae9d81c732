"""The verifier: proves the form of a program before anything is linked, in a time that grows with its size. All faults are collected.

The program (P4: where it was not compiled in this very process):
 P1  There is a blueprint for the entry's cycle_id; no two blueprints have one cycle_id, and each is 40 hexadecimal digits.
 P2  There is a constant or a table for each literal of the entry; constants, defaults and types of inputs can be read.
 P3  The inputs of a graph are those of its blueprint, in order, and no two have one name.
 P4  No blueprint builds a container like a prototype: only the process that captured one has it, and no constant holds it. The
     caches of policies have names, under which another process can find some. (That of a shape may: the graph brings along what is meant.)
 P5  What stands before the arguments of a bound call is a table: a literal, of the entry and of each part that has the blueprint. A table
     is read by nothing else.
 P6  The blueprint of a part exists, and there is a constant, a table, or nothing, for each of its literals. Each blueprint but the entry's
     is that of a part or shape.
 P7  A table has routes; their keys are constants that can be looked up, and no two are alike. A route has both of its parts, or none.
 P8  The slots of a route are literals of its parts, none of them a table, or what a branch looks routes up in; no two have one name; its
     call is a bound call.
 P9  The blueprint of a shape exists, is that of no other, and has a site, or -1, for each instruction. What stands before the arguments of
     its bound calls is a literal.
 P10 What a branch looks routes up in is a constant: a dict with the numbers 0, 1, 2 and so on of the routes, of all or all but the last.
Each blueprint:
 B1  Literals and inputs fit into the registers, and there are no more registers than those and a result of each instruction, and fewer
     than 2^31; counts are not negative.
 B2  Symbols are ``module:qualname``: identifiers joined by dots, a colon, and a name without spaces or colons. Their modes are inline,
     thread or process.
 B3  The strands cover the instructions, in order, without gaps, and none is empty. Each is in a region that exists.
 B4  Policies and maps have numbers that mean something; the policy of a map exists.
 B5  A choice has a region and a source for each route: two, where it is a condition, at least one where it is keyed; regions exist, and
     there is more than one only where there are choices. Each source is a literal or input, or an instruction that leaves a value or ends
     the frame; or SKIP, for the second route of a condition.
 B6  Resources are ``module:qualname``, of scope run or step; one is set up with named operands.
Each instruction, by its opcode's declaration:
 I1  The opcode is known, and the number of registers read is what it takes.
 I2  Registers, symbols and containers are in range; there is a destination only where the opcode may write one.
 I3  Keywords are identifiers, no two alike, at most one an operand, and only where the opcode takes them.
 I4  Positions are not negative, and no two are alike, but for drops, whose position is -1; ``after`` names positions of instructions that
     compute a value.
 I5  A symbol that is called by an opcode that waits has a task that does, and by one that does not has none that does.
 I6  ``dead`` registers are read or tested by the instruction, named once, and not written by it before they end. A drop ends what it
     reads, at least one register, and does nothing else.
 I7  A policy or map is named where the opcode takes one, and its operands are there; it has a timeout only where the task waits. A branch
     leaves a value, and looks routes up in a literal; a select reads the branch of its choice, and tests nothing.
The order:
 O1  ``needs`` and ``awaits`` point to earlier strands, and to instructions of earlier strands that wait; not to what ends the
     frame, but for a strand that only drops values. (So nothing in a frame is gone over twice: a loop goes round by a tail call, where a
     machine can stop.)
 O2  What ends the frame is the last instruction of its strand, and exactly one instruction of region 0 ends it.
 O3  Every register read was written before, on every order of the strands that the waits allow: by a strand or wait that this one waits
     for, directly or through others, or earlier in the same strand; and not ended since. The same for ``after``.
 O4  A register is written again, or ended, only where all that read its old value have ended.
 O5  Strands that wait through others, and regions that open through others, can be followed in a number of steps that grows with the
     size of the code, and no more than that.
Regions:
 R1  What a strand waits for is in a region that is open whenever its own is, and is no strand that only drops values. (Such a strand
     may wait for whatever it likes: it need not run.)
 R2  A route opens the region of its source, or that is open whenever the select's is; a source keeps its register to the end.
 R3  Nothing waits for itself, through selects and their sources neither.
 R4  A choice has one branch and one select, in one region.
Demand:
 D1  Each instruction is needed: another one takes its value or comes after it, in the same region, or in each region that opens that; or a
     route takes it, of each choice that opens its region. But for drops, and for containers that nobody gets or comes after: these take
     nothing. (So all that was begun has ended when what ends the frame runs.)
 D2  A value that may be that of something skipped is read only where it is tested, or by a select.
 D3  What ends the frame from a region is the source of the select that is returned, or of one that is only a source of such a select;
     nothing else opens its region.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec.structs import replace

from cascade_vm import constant_check, isa
from cascade_vm.blueprint import Blueprint
from cascade_vm.caching import is_cache_name
from cascade_vm.errors import VerifyError
from cascade_vm.fault_places import MOST_FAULTS, MOST_TOLD, Fault, at_instruction, clipped, report
from cascade_vm.program import Program, ProgramData
from cascade_vm.stored import cycle_ids
from cascade_vm.verify_before import Steps
from cascade_vm.verify_demand import Uses, demand_faults
from cascade_vm.verify_form import form_faults
from cascade_vm.verify_instructions import instruction_faults, position_faults
from cascade_vm.verify_jumps import input_faults, jump_faults, literal_faults
from cascade_vm.verify_order import careful_faults, strand_faults
from cascade_vm.verify_regions import pair_faults, region_faults
from cascade_vm.verify_tables import Outline, Strands


def verify(program: Program | Blueprint) -> None:
    """Check every rule above.

    :raises VerifyError: with all faults, each as ``rule: where: what``; of more than a thousand the first. The text shows the first ones in
        the listing.
    """
    if isinstance(program, Blueprint):
        _tell(_blueprint_faults(program), of_program=False)
    else:
        verify_data(program.data, saved=program._live is None)


def verify_data(data: ProgramData, *, saved: bool = True) -> None:
    """The same for the content of a program; ``saved``: was it compiled elsewhere? Its sequences need not be tuples: see ``stored``."""
    _tell(_program_faults(data, saved), of_program=True)


def _tell(found: Iterable[Fault], *, of_program: bool) -> None:
    text, faults = report(found, of_program=of_program)
    if faults:
        raise VerifyError(f"{text}\n{_REMEDY}" if of_program else text, faults)


_REMEDY = "Compile it again. If Cascade wrote it as it is, please report that"


def _program_faults(data: ProgramData, saved: bool) -> Iterator[Fault]:
    """The rules of the program, then of its blueprints; those of jumps only where all of these hold, since they build on them."""
    names: set[str] = set()
    at_entry = -1
    for at, name in enumerate(cycle_ids(data.blueprints)):
        names.add(name)
        if name == data.entry:
            at_entry = at
    if at_entry < 0 or len(names) != len(data.blueprints):
        yield Fault("P1", "program", "the entry has no blueprint, or two blueprints have one cycle_id")
        return
    del names
    entry = data.blueprints[at_entry]
    for at, constant in enumerate(data.constants):
        try:
            constant_check.check(constant)
        except ValueError as fault:
            yield Fault("P2", f"constant {at}", clipped(str(fault), 200))
    faults = _kept([*literal_faults(data, data.literals, entry, "program", 0), *input_faults(data.inputs, entry, "program")])
    begun = {at_entry}.union([part.blueprint for part in data.parts])
    for at, blueprint in enumerate(data.blueprints):
        found = _blueprint_faults(blueprint, saved=saved and at in begun)
        if len(faults) > MOST_TOLD:  # what is not shown in a listing needs no blueprint but its name
            named = replace(_NAMED, cycle_id=blueprint.cycle_id)
            found = [fault._replace(blueprint=named) for fault in found]
        faults += found
        if len(faults) > MOST_FAULTS:
            break
    yield from faults or jump_faults(data, at_entry)


_NAMED = Blueprint("", 0, 0, (), (), (), ())


def _unsavable_faults(blueprint: Blueprint, *, may_build: bool) -> Iterator[Fault]:
    """What a program can have in the process that compiled it, and nowhere else; ``may_build``: may an instruction be of that?"""
    for pc, i in enumerate(blueprint.instructions if may_build else ()):
        if i.opcode == isa.BUILD and 0 <= i.aux < len(isa.CONTAINERS) and isa.CONTAINERS[i.aux].endswith("-like"):
            yield at_instruction("P4", pc, f"builds a {isa.CONTAINERS[i.aux]}")
    if any(policy.cache is not None and not is_cache_name(policy.cache) for policy in blueprint.policies):
        yield Fault("P4", "program", "has a cache without a name")


def _blueprint_faults(blueprint: Blueprint, *, saved: bool = False) -> list[Fault]:
    """The rules in their order; later ones are checked only where the earlier hold, since they build on them."""
    outline = Outline(blueprint)
    faults = _kept(form_faults(blueprint))
    faults += _kept(instruction_faults(blueprint, None if faults else outline))
    beside = _kept(_unsavable_faults(blueprint, may_build=bool(faults) or outline.builds_like())) if saved else []
    if not faults:
        strands = Strands(blueprint, outline)
        faults = (
            _kept(position_faults(blueprint, outline))
            or _kept(strand_faults(blueprint, outline, strands))
            or _kept(pair_faults(blueprint, outline, strands))
        )
        if not faults and not outline.is_straight:
            uses, steps = Uses(blueprint, strands), Steps(blueprint, strands)
            faults = (
                _kept(careful_faults(blueprint, uses, strands, steps))
                or _kept(region_faults(blueprint, strands, steps))
                or _kept(demand_faults(blueprint, uses))
            )
    return [fault._replace(blueprint=blueprint) for fault in beside + faults]


def _kept(faults: Iterable[Fault]) -> list[Fault]:
    """As many as are told."""
    return list(islice(faults, MOST_FAULTS + 1))
