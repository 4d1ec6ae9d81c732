"""The last step before execution: a blueprint and the functions behind its symbols become ``Code``.

Classes end here. The machine's loop sees tuples of ints and bound callables, specialised by form (a call of one register, of two, of
many), each ``(form, dst, fn, a, b, names, dead, at)``; ``at`` is the instruction's index in its strand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction, Strand, Symbol
from cascade_vm.bound import bound
from cascade_vm.builders import BUILDERS as BUILDERS
from cascade_vm.forms import (
    BUILD,
    CALL_0,
    CALL_1,
    CALL_2,
    CALL_K,
    CALL_N,
    DROP,
    ISSUE,
    ITEM,
    ITEM_RETURN,
    RETURN,
    SPAWN,
    TAIL_0,
    TAIL_1,
    TAIL_2,
    TAIL_ISSUE,
    TAIL_K,
    TAIL_N,
    TAIL_SPAWN,
    TEST,
    Linked,
)  # fmt: skip
from cascade_vm.fusing import fuse
from cascade_vm.jobs import job_of
from cascade_vm.policies import CallPolicy, LivePolicy
from cascade_vm.sites import line_of, portable_path
from cascade_vm.straight import is_straight

_CALLS = (CALL_0, CALL_1, CALL_2, CALL_N, CALL_K)
_TAILS = (TAIL_0, TAIL_1, TAIL_2, TAIL_N, TAIL_K)

# What a frame starts with: linked code, its registers, and the creation sites, flat: (code, offset, code, offset, ...). Where sites is
# None, the code's own source map holds. A plain tuple, because one is made in every iteration of a loop.
Activation = tuple["Code", list[Any], tuple[Any, ...] | None]


class Code:
    """Linked code of one blueprint: immutable, shared by all frames that run it."""

    def __init__(
        self,
        blueprint: Blueprint,
        functions: Sequence[Callable[..., Any]],
        site_slots: Sequence[int] | None = None,
        lines: Sequence[str] | None = None,
        live: Sequence[LivePolicy] = (),
        resources: Sequence[Callable[..., Any]] = (),
        wrap: Callable[[Code, int, Callable[..., Any]], Callable[..., Any]] | None = None,
    ) -> None:
        """
        :param functions: one for each symbol of the blueprint. :param live: one for each policy.
        :param resources: a generator function for each. :param wrap: gives what is called in place of the callable of an instruction.
        :param site_slots: for each instruction, the place of its creation site in an activation's ``sites``; -1 for none.
        :param lines: for each instruction "path:line" or "", where the sites come from a source map.
        """
        self.blueprint = blueprint
        self.functions = tuple(functions)
        self.live = tuple(live)
        self.resources = tuple(resources)
        self.has_steps = any(resource.scope == "step" for resource in blueprint.resources)
        self.site_slots = site_slots
        self.lines = lines
        self.callees = _link_symbols(blueprint, self.functions)
        if wrap is not None:
            self.callees = [fn if fn is None else wrap(self, pc, fn) for pc, fn in enumerate(self.callees)]
        scratch = blueprint.registers  # one register more, for results that nobody reads
        self.hits = 0  # graphs that were recognised as of this shape
        # Recognises a graph of this very shape, for a loop that goes round in it: its activation, or None. Set by who knows graphs.
        self.guard: Callable[[Any], Activation | None] | None = None
        self.loop_guard: Any = None  # the same as text, for generated code
        self.hoists = False  # would a loop that goes round in it in generated code make fewer calls? Then it is hot at once
        self.loops = False  # is it for going round: has the guard recognised what the tail call of a hot strand gave?
        self.looped: Code | None = None  # the code for that, if it is another
        self.turns_of: Code | None = None  # and of that: whose turns it makes
        # The strands in the second tier (see tiers.py); None until that has been decided.
        self.hot: list[list[Linked]] | None = None
        self.generated: dict[int, Any] = {}  # by strand
        self.whole: Any = None  # that of the only strand
        self.chain: Any = None  # all strands as one coroutine function
        self.misses = 0  # of what generated code assumed
        self.assumes = True  # may generated code take literals for what they were in one run?
        self.padding = [None] * (scratch + 1 - blueprint.literals - len(blueprint.inputs))
        self.plain = [_link_strand(blueprint, strand, self.callees, self.has_steps) for strand in blueprint.strands]
        # Where each instruction of a strand stands in its linked form; None where that is at its own number.
        self.places = [
            [at for at, one in enumerate(linked) if one[0] != TEST] if TEST in map(_FORM, linked) else None
            for linked in self.plain
        ]
        self.is_cold = True  # has it not run often enough to be fused?
        self.straight = False  # when it is fused: can it be run without a machine?
        self.fused: list[list[Linked]] = self.plain
        self.single = len(blueprint.strands) == 1
        self.entry = self.plain[0]
        self.waits = [len(strand.needs) + len(strand.awaits) for strand in blueprint.strands]
        opcodes = [i.opcode for i in blueprint.instructions]
        self.ends = [_ENDS[opcode] for opcode in opcodes]
        self.dsts = [i.dst for i in blueprint.instructions]
        self.constrained = any(policy.constraints for policy in blueprint.policies)
        # Does every run of it need the driver?
        self.waits_for_io = (isa.SPAWN in opcodes or isa.TAIL_SPAWN in opcodes) and any(
            i.opcode in (isa.SPAWN, isa.TAIL_SPAWN) and not strand.region and not i.tests
            for strand in blueprint.strands
            for i in blueprint.instructions[strand.start : strand.stop]
        )
        self.first_positions = [blueprint.instructions[s.start].position if s.stop > s.start else 0 for s in blueprint.strands]
        self.after_strand: list[list[int]] = [[] for _ in blueprint.strands]
        self.after_wait: dict[int, list[int]] = {}
        for number, strand in enumerate(blueprint.strands):
            for other in strand.needs:
                self.after_strand[other].append(number)
            for pc in strand.awaits:
                self.after_wait.setdefault(pc, []).append(number)
        self.regions = len(blueprint.regions)
        self.chooses = bool(blueprint.choices)
        self.region_of = [strand.region for strand in blueprint.strands]
        self.starts = [number for number, count in enumerate(self.waits) if not count and not self.region_of[number]]

    def go_round(self, hits: int = 0) -> Code:
        """The code for a loop that goes round in this one; ``hits`` is what it must have at least to be hot."""
        if self.looped is not None:
            return self.looped
        found = self.loop_guard.looped(self) if self.loop_guard is not None else self
        found.loops, found.hot = True, None
        if found is not self:
            found.hits, found.turns_of = max(self.hits, hits), self
            self.looped = found
        return found

    def warm_up(self) -> None:
        """Fuse the strands."""
        self.fused = [fuse(linked) for linked in self.plain]
        self.entry = self.fused[0]
        self.straight = is_straight(self.fused)
        self.is_cold = False

    def replace(self, strands: list[Any]) -> None:
        """Have other linked strands run in place of its own, as they are."""
        self.plain = self.fused = strands
        self.entry = strands[0]
        self.is_cold = False

    def registers(self, values: list[Any]) -> list[Any]:
        """The registers of a new frame: ``values`` are the literals, then the inputs."""
        return values + self.padding

    def where(self, sites: tuple[Any, ...] | None, pc: int) -> str | None:
        """ "path:line" of the call behind instruction ``pc``, or None where it is not known."""
        if sites is not None and self.site_slots is not None:
            slot = self.site_slots[pc]
            if slot < 0:
                return None
            code, offset = sites[2 * slot], sites[2 * slot + 1]
            return f"{portable_path(code.co_filename)}:{line_of(code, offset)}"
        return (self.lines[pc] or None) if self.lines is not None else None

    @cached_property
    def pc_of(self) -> dict[int, int]:
        """The instruction of each position."""
        return {i.position: pc for pc, i in enumerate(self.blueprint.instructions)}

    @cached_property
    def home(self) -> list[int]:
        """The strand of each instruction."""
        return [number for number, strand in enumerate(self.blueprint.strands) for _ in range(strand.start, strand.stop)]

    @cached_property
    def in_region(self) -> list[list[int]]:
        """The strands of each region."""
        found: list[list[int]] = [[] for _ in range(self.regions)]
        for number, region in enumerate(self.region_of):
            found[region].append(number)
        return found

    def policies(self) -> Iterator[tuple[int, CallPolicy]]:
        """Each instruction that calls under a policy, with that."""
        for pc, i in enumerate(self.blueprint.instructions):
            number = self.blueprint.maps[i.spec].policy if i.opcode == isa.MAP else i.spec
            if number >= 0:
                yield pc, self.blueprint.policies[number]

    def label(self, pc: int) -> str:
        """What instruction ``pc`` is called in notes."""
        i = self.blueprint.instructions[pc]
        while i.opcode == isa.SELECT:  # a condition is called what it decides on, which may be another one
            choice = self.blueprint.choices[i.aux]
            if choice.keyed or choice.sources[0] < 0:
                return "router" if choice.keyed else "input"
            pc = self.pc_of[choice.sources[0]]
            i = self.blueprint.instructions[pc]
        opcode = isa.BY_CODE[i.opcode]
        if opcode.aux == "symbol":
            return self.blueprint.symbols[i.aux].name.replace(":", ".") + (".map" if i.opcode == isa.MAP else "")
        if i.opcode == isa.ENTER:
            return f"resource {self.blueprint.resources[i.aux].name.replace(':', '.')}"
        if i.opcode != isa.BUILD:
            return opcode.name
        was_written = (self.site_slots is not None and self.site_slots[pc] >= 0) or bool(self.lines and self.lines[pc])
        return "gather" if was_written else isa.CONTAINERS[i.aux]

    @cached_property
    def flow(self) -> Flow:
        return Flow(self.blueprint)


class Flow:
    """The data flow of a blueprint, found again from its registers; for frames that must leave the order of their strands.

    ``defs[pc]`` is, for each register that pc reads, the pc that wrote it, or ``-1 - register`` if it was preloaded. It is enough to
    follow the strands in their order, each after what it waits for: a register is written again only when all have read it.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        holder = {register: -1 - register for register in range(blueprint.literals + len(blueprint.inputs))}
        by_position: dict[int, int] = {}
        self.defs: list[tuple[int, ...]] = []
        self.tested: list[tuple[int, ...]] = []  # as defs, of the registers that it tests
        self.before: list[tuple[int, ...]] = []  # everything that must have ended, by pc
        self.uses: dict[int, int] = {}  # how often each value is read
        for pc, instruction in enumerate(blueprint.instructions):
            defs = tuple([holder[r] for r in instruction.reads])
            tested = tuple([holder[r] for r in instruction.tests])
            self.defs.append(defs)
            self.tested.append(tested)
            for value in (*defs, *tested):
                self.uses[value] = self.uses.get(value, 0) + 1
            self.before.append(tuple({*(d for d in (*defs, *tested) if d >= 0), *(by_position[p] for p in instruction.after)}))
            if instruction.dst != isa.NONE:
                holder[instruction.dst] = pc
            by_position[instruction.position] = pc
        self.feeds = [False] * len(blueprint.instructions)
        for pc in range(len(blueprint.instructions) - 1, -1, -1):
            opcode = blueprint.instructions[pc].opcode
            if isa.BY_CODE[opcode].waits or (self.feeds[pc] and opcode in (isa.BUILD, isa.ITEM, isa.BRANCH)):
                for other in self.before[pc]:
                    self.feeds[other] = True


_FORM = itemgetter(0)
_ENDS = {op.code: op.ends for op in isa.OPCODES}
# Of the opcodes that call a symbol: may the call jump? (Under a policy routes are looked up when the policy has ended.)
_JUMPS = {op.code: op.spec == "none" for op in isa.OPCODES if op.aux == "symbol"}


def _link_symbols(blueprint: Blueprint, functions: Sequence[Callable[..., Any]]) -> list[Any]:
    """What each instruction calls; None where it calls nothing."""
    made: dict[tuple[int, int], Callable[..., Any]] = {}
    for i in blueprint.instructions:
        if i.opcode in _JUMPS and (i.opcode, i.aux) not in made:
            made[i.opcode, i.aux] = _callee(blueprint.symbols[i.aux], functions[i.aux], _JUMPS[i.opcode])
    return [made.get((i.opcode, i.aux)) for i in blueprint.instructions]


def _link_strand(blueprint: Blueprint, strand: Strand, callees: list[Any], has_steps: bool) -> list[Linked]:
    scratch = blueprint.registers
    linked: list[Linked] = []
    for pc in range(strand.start, strand.stop):
        i = blueprint.instructions[pc]
        opcode, dst, dead, at = i.opcode, i.dst, i.dead, pc - strand.start
        if dst == isa.NONE:
            dst = scratch
            if opcode in (isa.CALL, isa.ITEM, isa.BUILD):
                dead = (*dead, scratch)
        if i.tests:
            linked.append((TEST, dst, isa.BY_CODE[opcode], i.tests, None, None, dead, at))
        if has_steps and opcode in ENDINGS:
            linked.append((TAIL_ISSUE, dst, ENDINGS[opcode], i.reads, None, None, dead, at))
        else:
            linked.append(_LINKERS[opcode](i, callees[pc], dst, dead, at))
    _return_items(linked)
    return linked


def _callee(symbol: Symbol, fn: Callable[..., Any], may_jump: bool) -> Callable[..., Any]:
    if symbol.bound and may_jump:
        return bound(symbol, fn)
    return fn if symbol.mode == "inline" else job_of(symbol, fn)


def _link_call(forms: tuple[int, ...]) -> Callable[..., Linked]:
    def link(i: Instruction, fn: Any, dst: int, dead: tuple[int, ...], at: int) -> Linked:
        reads = i.reads
        if i.names:
            plain = reads[: len(reads) - len(i.names)]
            return (forms[4], dst, fn, plain, reads[len(plain) :], i.names, dead, at)
        match len(reads):
            case 0:
                return (forms[0], dst, fn, None, None, None, dead, at)
            case 1:
                return (forms[1], dst, fn, reads[0], None, None, dead, at)
            case 2:
                return (forms[2], dst, fn, reads[0], reads[1], None, dead, at)
        return (forms[3], dst, fn, itemgetter(*reads), None, None, dead, at)

    return link


def _link_spawn(form: int) -> Callable[..., Linked]:
    def link(i: Instruction, fn: Any, dst: int, dead: tuple[int, ...], at: int) -> Linked:
        plain = i.reads[: len(i.reads) - len(i.names)]
        return (form, dst, fn, plain, i.reads[len(plain) :], i.names, dead, at)

    return link


def _link_issue(i: Instruction, fn: Any, dst: int, dead: tuple[int, ...], at: int) -> Linked:
    form = TAIL_ISSUE if i.opcode == isa.TAIL_PERFORM else ISSUE
    return (form, dst, HANDLERS[i.opcode], i.reads, None, None, dead, at)


# What does the rest: (machine, frame, pc, values of its registers). Filled by the files that do it.
HANDLERS: dict[int, Callable[..., Any]] = {}

# What ends the frame where resources must end before; as HANDLERS.
ENDINGS: dict[int, Callable[..., Any]] = {}


_LINKERS: dict[int, Callable[..., Linked]] = {
    isa.CALL: _link_call(_CALLS),
    isa.TAIL_CALL: _link_call(_TAILS),
    isa.SPAWN: _link_spawn(SPAWN),
    isa.TAIL_SPAWN: _link_spawn(TAIL_SPAWN),
    isa.BUILD: lambda i, fn, dst, dead, at: (BUILD, dst, BUILDERS[i.aux], i.reads, None, None, dead, at),
    isa.ITEM: lambda i, fn, dst, dead, at: (ITEM, dst, None, i.reads[0], i.reads[1], None, dead, at),
    isa.DROP: lambda i, fn, dst, dead, at: (DROP, dst, None, None, None, None, dead, at),
    **dict.fromkeys((isa.PERFORM, isa.TAIL_PERFORM, isa.MAP, isa.BRANCH, isa.SELECT, isa.ENTER), _link_issue),
    isa.RETURN: lambda i, fn, dst, dead, at: (RETURN, dst, None, i.reads[0], None, None, dead, at),
}
if set(_LINKERS) != set(isa.BY_CODE):
    raise AssertionError("opcodes without a linker: " + ", ".join(op.name for op in isa.OPCODES if op.code not in _LINKERS))


def _return_items(linked: list[Linked]) -> None:
    """An item that is returned at once ends the frame: if it is a continuation, it is a tail call."""
    if len(linked) > 1 and linked[-1][0] == RETURN and linked[-2][0] == ITEM and linked[-1][3] == linked[-2][1]:
        _, dst, fn, a, b, names, _, at = linked[-2]
        linked[-2:] = [(ITEM_RETURN, dst, fn, a, b, names, (), at)]
