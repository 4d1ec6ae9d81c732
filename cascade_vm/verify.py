"""The verifier: proves the form of a program before anything is linked. Linear time; all faults are collected.

The program (P4: where it was not compiled in this very process):
 P1  There is a blueprint for the entry's cycle_id; no two blueprints have one cycle_id, and each is 40 hexadecimal digits.
 P2  There is a constant or a table for each literal of the entry; constants, defaults and types of inputs can be read.
 P3  The inputs of a graph are those of its blueprint, in order, and no two have one name and source.
 P4  No blueprint builds a container like a prototype: only the process that captured one has it, and no constant holds it. The
     caches of policies have names, under which another process can find some. (That of a shape may: the graph brings along what is meant.)
 P5  What stands before the arguments of a bound call is a table: a literal, of the entry and of each part that has the blueprint.
 P6  The blueprint of a part exists, and there is a constant, a table, or nothing, for each of its literals. Each blueprint but the entry's
     is that of a part or shape.
 P7  A table has routes; their keys are constants that can be looked up, and no two are alike. A route has both of its parts, or none.
 P8  The slots of a route are literals of its parts, none of them a table; no two have one name; its call is a bound call.
 P9  The blueprint of a shape exists, is that of no other, and has a site, or -1, for each instruction. What stands before the arguments of
     its bound calls is a literal.
Each blueprint:
 B1  Literals and inputs fit into the registers; counts are not negative, and within the limits.
 B2  Symbols are ``module:qualname``, of identifiers joined by dots.
 B3  The strands cover the instructions, in order, without gaps, and none is empty.
 B4  Policies and maps have numbers that mean something; the policy of a map exists.
 B5  A choice has a region and a source for each route: two, where it is a condition, at least one where it is keyed; regions exist.
     Each source is SKIP, a literal or input, or an instruction that leaves a value or ends the frame.
 B6  Resources are ``module:qualname``, of scope run or step; one is set up with named operands.
Each instruction, by its opcode's declaration:
 I1  The opcode is known, and the number of registers read is what it takes.
 I2  Registers, symbols and containers are in range; there is a destination if and only if the opcode may write one.
 I3  Keywords are identifiers, no two alike, at most one an operand, and only where the opcode takes them.
 I4  Positions of instructions that compute a value are not negative, and no two are alike; ``after`` names such positions.
 I5  A symbol that is called by an opcode that waits is async, and by one that does not is not.
 I6  ``dead`` registers are read or tested by the instruction, and named once.
 I7  A policy or map is named where the opcode takes one, and its operands are there; a branch leaves a value, and a select
     reads that of a branch of the same choice.
The order:
 O1  ``needs`` and ``awaits`` point to earlier strands, and to instructions of earlier strands that wait.
 O2  What ends the frame is the last instruction of its strand, and exactly one instruction ends it.
 O3  Every register read was written before, on every order of the strands that the waits allow: by a strand or wait that this one waits
     for, directly or through others, or earlier in the same strand; and not ended since. The same for ``after``.
 O4  A register is written again only where all that read its old value have ended.
Regions:
 R1  What a strand waits for is in a region that is open whenever its own is.
 R2  A route opens the region of its source, or that is open whenever the select's is; a source keeps its register to the end.
 R3  Nothing waits for itself, through selects and their sources neither.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from cascade_vm import constants, isa
from cascade_vm.blueprint import SKIP, Blueprint, Instruction
from cascade_vm.caching import is_cache_name
from cascade_vm.errors import VerifyError
from cascade_vm.program import Program
from cascade_vm.verify_jumps import input_faults, jump_faults, literal_faults
from cascade_vm.verify_order import computes, order_faults
from cascade_vm.verify_regions import region_faults

MAX_INSTRUCTIONS = 1_000_000
_CYCLE_ID = re.compile(r"[0-9a-f]{40}")
_SYMBOL = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\s:]+")
_SHOWN = 20
_ENDING = frozenset(op.code for op in isa.OPCODES if op.ends)


def verify(program: Program | Blueprint) -> None:
    """Check every rule above.

    :raises VerifyError: with all faults, each as ``rule: where: what``.
    """
    faults = list(_blueprint_faults(program) if isinstance(program, Blueprint) else _program_faults(program))
    if faults:
        shown = faults[:_SHOWN] + ([f"... and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else [])
        raise VerifyError(f"{len(faults)} fault(s) in the code:\n" + "\n".join(f"  {one}" for one in shown), tuple(faults))


def _program_faults(program: Program) -> Iterator[str]:
    data = program.data
    names = [blueprint.cycle_id for blueprint in data.blueprints]
    if data.entry not in names or len(set(names)) != len(names):
        yield "P1: program: the entry has no blueprint, or two blueprints have one cycle_id"
        return
    entry = data.blueprints[names.index(data.entry)]
    for at, constant in enumerate(data.constants):
        try:
            constants.decode(constant)
        except ValueError as fault:
            yield f"P2: constant {at}: {fault}"
    faults = [*literal_faults(data, data.literals, entry, "program", 0), *input_faults(data.inputs, entry, "program")]
    begun = data.begun()
    for at, blueprint in enumerate(data.blueprints):
        if program._live is None and at in begun:
            yield from _unsavable_faults(blueprint)
        faults += [f"{found} (blueprint {blueprint.cycle_id[:12]})" for found in _blueprint_faults(blueprint)]
    yield from faults or jump_faults(data)


def _unsavable_faults(blueprint: Blueprint) -> Iterator[str]:
    """What a program can have in the process that compiled it, and nowhere else."""
    for pc, i in enumerate(blueprint.instructions):
        if i.opcode == isa.BUILD and 0 <= i.aux < len(isa.CONTAINERS) and isa.CONTAINERS[i.aux].endswith("-like"):
            yield f"P4: instruction {pc}: builds a {isa.CONTAINERS[i.aux]} (blueprint {blueprint.cycle_id[:12]})"
    if any(policy.cache is not None and not is_cache_name(policy.cache) for policy in blueprint.policies):
        yield f"P4: program: has a cache without a name (blueprint {blueprint.cycle_id[:12]})"


def _blueprint_faults(blueprint: Blueprint) -> Iterator[str]:
    """The rules in their order; later ones are checked only where the earlier hold, since they build on them."""
    faults = [*_form_faults(blueprint), *_all_instruction_faults(blueprint)]
    if not faults:
        faults = list(_position_faults(blueprint))
    for check in (_choice_faults, _strand_faults, order_faults, region_faults):
        if not faults:
            faults = list(check(blueprint))
    yield from faults


def _form_faults(blueprint: Blueprint) -> Iterator[str]:
    if not _CYCLE_ID.fullmatch(blueprint.cycle_id):
        yield f"P1: blueprint: {blueprint.cycle_id[:60]!r} is no cycle_id"
    loaded = blueprint.literals + len(blueprint.inputs)
    if blueprint.literals < 0 or not loaded <= blueprint.registers <= 2 * MAX_INSTRUCTIONS:
        yield f"B1: blueprint: {loaded} literals and inputs do not fit into {blueprint.registers} registers"
    if len(blueprint.instructions) > MAX_INSTRUCTIONS:
        yield f"B1: blueprint: {len(blueprint.instructions):,} instructions, and the limit is {MAX_INSTRUCTIONS:,}"
    for at, symbol in enumerate(blueprint.symbols):
        if not _SYMBOL.fullmatch(symbol.name):
            yield f"B2: symbol {at}: {symbol.name[:80]!r} is not module:qualname"
    yield from _policy_faults(blueprint)
    for at, resource in enumerate(blueprint.resources):
        if not _SYMBOL.fullmatch(resource.name) or resource.scope not in ("run", "step"):
            yield f"B6: resource {at}: {resource.name[:80]!r} of scope {resource.scope[:20]!r}"
    regions = range(len(blueprint.regions))
    if not regions or blueprint.regions[0] or any(one not in regions for opens in blueprint.regions for one in opens):
        yield "B5: blueprint: a region opens with one that does not exist, or with region 0"
    for at, choice in enumerate(blueprint.choices):
        routes = len(choice.regions)
        if routes != len(choice.sources) or (routes < 1 if choice.keyed else routes != 2):
            yield f"B5: choice {at}: has {routes} regions and {len(choice.sources)} sources"
        if any(one not in regions for one in choice.regions):
            yield f"B5: choice {at}: opens a region that does not exist"
        if any(source < SKIP and -2 - source >= loaded for source in choice.sources):
            yield f"B5: choice {at}: takes a register that is neither a literal nor an input"
    reached = 0
    for number, strand in enumerate(blueprint.strands):
        if strand.region not in regions:
            yield f"B3: strand {number}: is in region {strand.region}, which does not exist"
        if strand.start != reached or strand.stop <= strand.start:
            yield f"B3: strand {number}: covers {strand.start} to {strand.stop}, and should begin at {reached} and not be empty"
        reached = strand.stop
    if reached != len(blueprint.instructions) or not blueprint.strands:
        yield f"B3: blueprint: the strands end at {reached} of {len(blueprint.instructions)} instructions"


def _policy_faults(blueprint: Blueprint) -> Iterator[str]:
    def is_number(value: float | None, least: float = 0.0) -> bool:
        return value is None or (math.isfinite(value) and value >= least)

    for at, policy in enumerate(blueprint.policies):
        retry, rate = policy.retry, policy.rate
        good = is_number(policy.timeout) and policy.timeout != 0 and all(is_number(amount) for _, amount in policy.constraints)
        if retry is not None:
            numbers = (retry.delay, retry.backoff, retry.max_delay, retry.jitter)
            good = good and retry.max_attempts >= 1 and all(map(is_number, numbers)) and retry.jitter <= 1 and bool(retry.on)
        if rate is not None:
            good = good and is_number(rate.rate) and is_number(rate.per) and rate.rate > 0 and rate.per > 0
        if not good:
            yield f"B4: policy {at}: a number of it means nothing"
        if policy.cache is not None and not (is_cache_name(policy.cache) or _SYMBOL.fullmatch(policy.cache)):
            yield f"B4: policy {at}: {policy.cache[:80]!r} is no kind of cache"
    for at, one in enumerate(blueprint.maps):
        if not isa.NONE <= one.policy < len(blueprint.policies):
            yield f"B4: map {at}: there is no policy {one.policy}"
        if not one.iterated or len(set(one.iterated)) != len(one.iterated) or (one.max_concurrency is not None and one.max_concurrency < 1):
            yield f"B4: map {at}: goes over nothing, or over one operand twice, or may have nothing in progress"


def _all_instruction_faults(blueprint: Blueprint) -> Iterator[str]:
    """The rules of instructions. Most of them depend on the form of an instruction alone, and there are few forms: where one has been
    found good, only the registers of the next one are looked at, and by all rules if there is anything to say about them."""
    registers = blueprint.registers
    good: set[tuple[int, int, int, int, tuple[str, ...], bool]] = set()
    for pc, i in enumerate(blueprint.instructions):
        reads, dead, dst = i.reads, i.dead, i.dst
        form = (i.opcode, i.aux, i.spec, len(reads), i.names, dst == isa.NONE)
        if (
            form in good
            and isa.NONE <= dst < registers
            and (not reads or (min(reads) >= 0 and max(reads) < registers))
            and (not dead or (len(dead) == 1 and dead[0] in reads))
            and not i.tests
        ):
            continue
        found = list(_instruction_faults(blueprint, i))
        if not found:
            good.add(form)
        for rule, what in found:
            yield f"{rule}: instruction {pc}: {what}"


def _instruction_faults(blueprint: Blueprint, i: Instruction) -> Iterator[tuple[str, str]]:
    opcode = isa.BY_CODE.get(i.opcode)
    if opcode is None:
        yield "I1", f"there is no opcode {i.opcode}"
        return
    wanted = {"one": 1, "two": 2}.get(opcode.reads)
    if wanted is not None and len(i.reads) != wanted:
        yield "I1", f"{opcode.name} reads {wanted} registers, not {len(i.reads)}"
    if opcode.name == "build" and 0 <= i.aux < len(isa.CONTAINERS):
        kind = isa.CONTAINERS[i.aux]
        if kind.endswith("-like") and not i.reads:
            yield "I1", f"{kind} takes its prototype first"
        if kind.startswith("dict") and (len(i.reads) - kind.endswith("-like")) % 2:
            yield "I1", "a dict takes keys and values in turn"
    if not all(0 <= register < blueprint.registers for register in (*i.reads, *i.dead, *i.tests)):
        yield "I2", "a register is out of range"
    if not (isa.NONE <= i.dst < blueprint.registers and (opcode.writes or i.dst == isa.NONE)):
        yield "I2", f"destination {i.dst} is out of range, or {opcode.name} has none"
    limit = {
        "symbol": len(blueprint.symbols), "container": len(isa.CONTAINERS), "choice": len(blueprint.choices),
        "resource": len(blueprint.resources), "none": 1,
    }[opcode.aux]  # fmt: skip
    if not 0 <= i.aux < limit:
        yield "I2", f"the operand {i.aux} is not in 0 to {limit - 1}"
    elif opcode.aux == "symbol" and opcode.spec == "none" and blueprint.symbols[i.aux].waits is not opcode.waits:
        yield "I5", f"{opcode.name} of {'an async' if not opcode.waits else 'a sync'} task"
    yield from _spec_faults(blueprint, i, opcode)
    if i.names and not (
        opcode.keywords and len(set(i.names)) == len(i.names) <= len(i.reads) and all(name.isidentifier() for name in i.names)
    ):
        yield "I3", f"keywords {i.names} do not fit"
    if not set(i.dead) <= {*i.reads, *i.tests} or len(set(i.dead)) != len(i.dead):
        yield "I6", f"ends registers {i.dead}, which it does not read, or ends one twice"


def _spec_faults(blueprint: Blueprint, i: Instruction, opcode: isa.Opcode) -> Iterator[tuple[str, str]]:
    limit = {"policy": len(blueprint.policies), "map": len(blueprint.maps), "none": 0}[opcode.spec]
    if not (0 <= i.spec < limit if limit or opcode.spec != "none" else i.spec == isa.NONE):
        yield "I7", f"{opcode.name} has no {opcode.spec} {i.spec}"
        return
    plain = len(i.reads) - len(i.names)
    if opcode.spec == "policy" and blueprint.policies[i.spec].dynamic > plain:
        yield "I7", "the amounts of its constraints are not among its operands"
    if opcode.spec == "map":
        one = blueprint.maps[i.spec]
        first = blueprint.policies[one.policy].dynamic if 0 <= one.policy < len(blueprint.policies) else 0
        if first > plain or not all(first <= at < len(i.reads) for at in one.iterated):
            yield "I7", f"it goes over operands {one.iterated}, which it does not have"
    if opcode.aux == "resource" and plain:
        yield "B6", "a resource is set up with named operands"
    if opcode.aux == "choice" and 0 <= i.aux < len(blueprint.choices):
        if i.opcode == isa.BRANCH and i.dst == isa.NONE:
            yield "I7", "branch leaves no value"
        if i.opcode == isa.BRANCH and len(i.reads) != 1 + blueprint.choices[i.aux].keyed:
            yield "I1", f"this branch reads {1 + blueprint.choices[i.aux].keyed} registers, not {len(i.reads)}"


def _position_faults(blueprint: Blueprint) -> Iterator[str]:
    positions = [i.position for i in blueprint.instructions if computes(i)]
    known = set(positions)
    if len(known) != len(positions) or min(known, default=0) < 0:
        yield "I4: blueprint: two instructions have one position, or one is negative"
    for pc, i in enumerate(blueprint.instructions):
        if i.after and not known.issuperset(i.after):
            yield f"I4: instruction {pc}: comes after a position that nothing has"


def _choice_faults(blueprint: Blueprint) -> Iterator[str]:
    by_position = {i.position: i for i in blueprint.instructions if computes(i)}
    for at, choice in enumerate(blueprint.choices):
        for source in choice.sources:
            giver = by_position.get(source)
            if source >= 0 and (giver is None or (giver.dst == isa.NONE and not isa.BY_CODE[giver.opcode].ends)):
                yield f"B5: choice {at}: takes the value of position {source}, which leaves none"


def _strand_faults(blueprint: Blueprint) -> Iterator[str]:
    ending = 0
    chosen = {source for choice in blueprint.choices for source in choice.sources}
    for number, strand in enumerate(blueprint.strands):
        needs, awaits = strand.needs, strand.awaits
        if needs and not (min(needs) >= 0 and max(needs) < number):
            yield f"O1: strand {number}: needs {strand.needs}, which are not all earlier strands"
        for pc in awaits:
            if not (0 <= pc < strand.start and isa.BY_CODE[blueprint.instructions[pc].opcode].waits):
                yield f"O1: strand {number}: awaits instruction {pc}, which does not wait, or is not in an earlier strand"
        if (len(needs) > 1 and len(set(needs)) != len(needs)) or (len(awaits) > 1 and len(set(awaits)) != len(awaits)):
            yield f"O1: strand {number}: waits for one thing twice"
        for pc in range(strand.start, strand.stop):
            if blueprint.instructions[pc].opcode in _ENDING:
                if strand.region == 0:
                    ending += 1
                elif blueprint.instructions[pc].position not in chosen:
                    yield f"O2: instruction {pc}: ends the frame from a region, and no choice takes it"
                if pc != strand.stop - 1:
                    yield f"O2: instruction {pc}: ends the frame, and is not the last of its strand"
    if ending != 1:
        yield f"O2: blueprint: {ending} instructions of region 0 end the frame, and one must"
