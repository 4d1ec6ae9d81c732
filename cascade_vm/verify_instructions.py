"""The verifier's rules of single instructions, by the declarations of their opcodes: I1 to I7, and what of B5 and B6 is about them."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction
from cascade_vm.fault_places import Fault, at_instruction, some
from cascade_vm.stored import pieces_of
from cascade_vm.verify_arrays import bounds, distinct, distinct_texts, within
from cascade_vm.verify_tables import ENDING, MOST_FORMS, VALUELESS, WAITING, Form, Outline, Straight

_FEW = {"one": 1, "two": 2}
_BLOCK = 512
_CHOOSING = frozenset(op.code for op in isa.OPCODES if op.aux == "choice")
_WITH_POLICY = frozenset(op.code for op in isa.OPCODES if op.spec == "policy")
_WITH_MAP = frozenset(op.code for op in isa.OPCODES if op.spec == "map")
_CHOICE = -(2**63)  # in a form, in place of the number of one
_UNTESTED = frozenset((isa.SELECT, isa.DROP))  # these test nothing


def computes(i: Instruction) -> bool:
    """Has it a value, and so a position in the order of evaluation?"""
    return i.opcode not in VALUELESS


def instruction_faults(blueprint: Blueprint, outline: Outline | None = None) -> Iterator[Fault]:
    """Faults of instructions, each looked at by itself. Fills the outline as long as there are none.

    Most rules depend on the form of an instruction alone, and there are few forms: where those of a block have been found good, only the
    registers are looked at, and all of it by all rules if there is anything to say about them.
    """
    forms = _Forms(blueprint, set() if outline is None else outline.forms)
    straight = Straight(blueprint)
    straight.may_be = straight.may_be and outline is not None
    pc = 0
    is_good = outline is not None
    for piece in pieces_of(blueprint.instructions):
        for at in range(0, len(piece), _BLOCK):
            block = piece[at : at + _BLOCK]
            if not forms.fit(block) and not (forms.learned(block) and forms.fit(block)):
                for number, i in enumerate(block, pc):
                    for rule, what in () if forms.fit((i,)) and _end_well((i,)) else _faults(blueprint, i):
                        is_good = False
                        yield at_instruction(rule, number, what)
                straight.may_be = straight.may_be and is_good and straight.add(block)
            elif not (straight.may_be and straight.add(block)) and not _end_well(block):
                for number, i in enumerate(block, pc):
                    for rule, what in () if _end_well((i,)) else _faults(blueprint, i):
                        is_good = False
                        yield at_instruction(rule, number, what)
            pc += len(block)
            if is_good and outline is not None:
                try:
                    outline.add(block)
                except OverflowError:  # of an opcode that is none, there is a fault by now
                    is_good = False
                    yield Fault("I4", f"instructions {pc - len(block)} to {pc - 1}", "one has a position that is beyond all numbers")
    if outline is not None:
        outline.is_straight = is_good and straight.holds()


class _Forms:
    """The forms of instructions of a blueprint that are known to be good. Of a choice a form has whether it is keyed, of a policy or map
    the first one for which the same rules hold."""

    def __init__(self, blueprint: Blueprint, good: set[Form]) -> None:
        self._blueprint = blueprint
        self._good = good
        self._keyed = bytes([choice.keyed for choice in blueprint.choices])
        self._policies = array("i", _firsts((one.dynamic, one.timeout is None) for one in blueprint.policies))
        known = self._policies
        self._maps = array(
            "i",
            _firsts(
                (one.iterated if len(one.iterated) < _BLOCK else at, known[one.policy] if 0 <= one.policy < len(known) else one.policy)
                for at, one in enumerate(blueprint.maps)
            ),
        )

    def _of(self, block: Iterable[Instruction]) -> set[Form]:
        if self._keyed or self._policies or self._maps:
            return {self._form(i) for i in block}
        # A comprehension, since an attribute is found faster there than by map() and attrgetter.
        return {(i.opcode, i.aux, i.spec, len(i.reads), i.names, i.dst == isa.NONE) for i in block}

    def _form(self, i: Instruction) -> Form:
        opcode, aux, spec = i.opcode, i.aux, i.spec
        if opcode in _CHOOSING:
            if 0 <= aux < len(self._keyed):
                aux = _CHOICE - self._keyed[aux]
        elif opcode in _WITH_POLICY:
            if 0 <= spec < len(self._policies):
                spec = self._policies[spec]
        elif opcode in _WITH_MAP and 0 <= spec < len(self._maps):
            spec = self._maps[spec]
        return (opcode, aux, spec, len(i.reads), i.names, i.dst == isa.NONE)

    def learned(self, block: Sequence[Instruction]) -> bool:
        """Add the forms of those that are good; was there any?"""
        good, before = self._good, len(self._good)
        tried = set()
        for i in block:
            if len(i.names) <= _BLOCK and len(good) < MOST_FORMS:
                form = self._form(i)
                if form not in good and form not in tried:
                    tried.add(form)
                    if not any(_faults(self._blueprint, i)):
                        good.add(form)
        return len(good) > before

    def fit(self, block: Sequence[Instruction]) -> bool:
        """Are all of them good, but perhaps for the registers that they end? False says nothing."""
        forms = self._of(block)
        if not forms <= self._good or max([form[3] for form in forms]) > _BLOCK:
            return False
        used = {register for i in block for register in i.reads}
        for i in block:
            if i.tests:
                if i.opcode in _UNTESTED or len(i.tests) > _BLOCK:
                    return False
                used.update(i.tests)
        written = {i.dst for i in block}
        return (not used or min(used) >= 0) and min(written) >= isa.NONE and max(used | written) < self._blueprint.registers


def _firsts(kinds: Iterable[Hashable]) -> Iterator[int]:
    """Of each the number of the first that is like it, as far as those are few."""
    known: dict[Hashable, int] = {}
    for at, kind in enumerate(kinds):
        if len(known) < MOST_FORMS:
            yield known.setdefault(kind, at)
        else:
            yield known.get(kind, at)


def _end_well(block: Sequence[Instruction]) -> bool:
    """Is what they end as rule I6 wants it? False says nothing."""
    for i in block:
        dead = i.dead
        if dead:
            read, tested = i.reads, i.tests
            if len(dead) > 2 or (len(dead) == 2 and dead[0] == dead[1]):
                return False
            for register in dead:
                if register not in read and register not in tested:
                    return False
            if i.dst in dead and i.opcode not in WAITING:
                return False
        if i.opcode == isa.DROP and (not dead or len(dead) != len(i.reads) or i.after):
            return False
    return True


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
    least, most = bounds((i.reads, i.dead, i.tests))
    if least < 0 or most >= blueprint.registers:
        yield "I2", "a register is out of range"
    if not (isa.NONE <= i.dst < blueprint.registers and (opcode.writes or i.dst == isa.NONE)):
        yield "I2", f"destination {i.dst} is out of range, or {opcode.name} has none"
    yield from _aux_faults(blueprint, i, opcode)
    yield from _spec_faults(blueprint, i, opcode)
    if i.names and not (
        opcode.keywords
        and len(i.names) <= len(i.reads)
        and all(name.isidentifier() for name in i.names)
        and distinct_texts(i.names)
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
    dead = i.dead
    if dead and not (within(dead, i.reads, i.tests) and distinct(dead)):
        yield "I6", f"ends registers {some(dead)}, which it does not read, or ends one twice"
    if i.dst in dead and not opcode.waits:
        yield "I6", f"ends R{i.dst}, which has its new value by then"
    if i.opcode == isa.DROP and (not dead or not within(i.reads, dead) or i.tests or i.after):
        yield "I6", "a drop reads what it ends, at least one register, and nothing else"


def position_faults(blueprint: Blueprint, outline: Outline) -> Iterator[Fault]:
    """I4, and the sources of choices (B5): where the instructions themselves are good."""
    opcodes = outline.opcodes
    drops = opcodes.count(isa.DROP)
    if drops or min(outline.positions, default=0) < 0:
        for pc, position in enumerate(outline.positions):
            if opcodes[pc] == isa.DROP:
                if position != -1:
                    yield at_instruction("I4", pc, f"a drop computes nothing, and has position {position} in place of -1")
            elif position < 0:
                yield at_instruction("I4", pc, f"has position {position}")
    for pc, other in outline.by_position().twice:
        if opcodes[pc] != isa.DROP:
            yield at_instruction("I4", pc, f"has position {outline.positions[pc]}, as instruction {other} has")
    if outline.follows:
        outline.followed = followed = bytearray(len(opcodes))
        for pc, i in enumerate(blueprint.instructions):
            for one in i.after:
                giver = outline.giver_at(one)
                if giver < 0:
                    yield at_instruction("I4", pc, "comes after a position that nothing computes a value at")
                    break
                followed[giver] = 1
    flat, starts, giver_at, valued = outline.routes.flat, outline.routes.starts, outline.giver_at, outline.valued
    for at, choice in enumerate(blueprint.choices):
        for source in choice.sources:
            giver = giver_at(source) if source >= 0 else source
            if source >= 0 and (giver < 0 or not (valued[giver] or opcodes[giver] in ENDING)):
                yield Fault("B5", f"choice {at}", f"takes the value of position {source}, where none is")
                break
            flat.append(giver)
        starts.append(len(flat))
