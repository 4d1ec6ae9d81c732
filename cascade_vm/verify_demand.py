"""The verifier's rules of demand, D1 to D3: what runs is needed, what is skipped is tested for, and a frame ends once.

Where they hold, nothing of a frame is in progress any more when it ends: from each instruction a way leads over those that take values to
the one that ends the frame, and each of them waits for the one before (O3). So a frame can go on to another graph, and nothing comes
to it that was meant for the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint, Instruction
from cascade_vm.fault_places import Fault, at_instruction
from cascade_vm.verify_instructions import computes

_ENDING = frozenset(op.code for op in isa.OPCODES if op.ends)
_MANY = 8


class Uses:
    """Who takes the value of each instruction, as the rules of order find it."""

    __slots__ = ("at_home", "elsewhere", "followed", "givers", "of_selects", "region")

    def __init__(self, blueprint: Blueprint) -> None:
        instructions = blueprint.instructions
        self.at_home = bytearray(len(instructions))  # is it taken in the region that it is in?
        self.elsewhere: dict[int, Any] = {}  # in which others: one, or a set
        self.followed = {position for i in instructions for position in i.after}
        self.region: list[int] | None = None  # of each instruction, where there is more than one
        self.of_selects: dict[int, list[int]] = {}  # of each select, which instructions take its value
        # Of each instruction, which instruction gave what is in the registers that it reads and tests; where something may be skipped.
        self.givers: list[tuple[int | None, ...]] | None = [] if any(SKIP in choice.sources for choice in blueprint.choices) else None
        if len(blueprint.regions) > 1:
            self.region = []
            for strand in blueprint.strands:
                self.region += [strand.region] * (strand.stop - strand.start)
        for pc, i in enumerate(instructions) if blueprint.choices else ():
            if i.opcode == isa.SELECT:
                self.of_selects[pc] = []

    def is_idle(self, i: Instruction) -> bool:
        """Is it a container that nobody gets, and nobody waits for? It is as good as none, and takes nothing."""
        return i.opcode == isa.BUILD and i.dst == isa.NONE and i.position not in self.followed

    def add(self, giver: int, taker: int) -> None:
        """Instruction ``taker`` takes the value of ``giver``, or comes after it."""
        if self.region is None or self.region[giver] == self.region[taker]:
            self.at_home[giver] = 1
        else:
            self.elsewhere[giver] = _with(self.elsewhere.get(giver), self.region[taker])
        takers = self.of_selects.get(giver)
        if takers is not None:
            takers.append(taker)


class _Choices:
    """Who takes values through choices, and what opens regions. Routes have numbers, through all choices; a region that opens another is
    ``-1 - region`` among those."""

    def __init__(self, blueprint: Blueprint, uses: Uses) -> None:
        pc_of = {i.position: pc for pc, i in enumerate(blueprint.instructions) if computes(i)} if blueprint.choices else {}
        self.pc_of = pc_of
        self.first: list[int] = []  # route of each choice
        self.given: dict[int, Any] = {}  # instruction -> the route or routes whose value it gives
        self.openers: list[Any] = [None] * len(blueprint.regions)  # what opens each region
        for region, opens in enumerate(blueprint.regions):
            for other in opens:
                if other != region:
                    self.openers[other] = _with(self.openers[other], -1 - region)
        mine = {blueprint.instructions[pc].aux: 0 if uses.region is None else uses.region[pc] for pc in uses.of_selects}
        routes = 0
        for at, choice in enumerate(blueprint.choices):
            self.first.append(routes)
            for region, source in zip(choice.regions, choice.sources, strict=True):
                if region != mine[at]:  # else it is open already
                    self.openers[region] = _with(self.openers[region], routes)
                if source >= 0:
                    self.given[pc_of[source]] = _with(self.given.get(pc_of[source]), routes)
                routes += 1


def _with(known: Any, one: int) -> Any:
    """``known`` with one more: a number as long as there is one, and a set from two on."""
    if known is None or known == one:
        return one
    if type(known) is not set:
        return {known, one}
    known.add(one)
    return known


def _among(known: Any) -> Any:
    return () if known is None else known if type(known) is set else (known,)


def demand_faults(blueprint: Blueprint, uses: Uses) -> Iterator[Fault]:
    """Faults of a blueprint that is good but for these rules."""
    choices = _Choices(blueprint, uses)
    yield from _needed_faults(blueprint, uses, choices)
    yield from _skipped_faults(blueprint, uses, choices)
    yield from _ending_faults(blueprint, uses, choices)


def _needed_faults(blueprint: Blueprint, uses: Uses, choices: _Choices) -> Iterator[Fault]:
    at = uses.at_home.find(0)
    while at >= 0:
        i = blueprint.instructions[at]
        if i.opcode not in _ENDING and i.opcode != isa.DROP and not uses.is_idle(i) and not _is_needed(uses, choices, at):
            yield at_instruction("D1", at, "nobody who runs whenever it runs takes its value or comes after it")
        at = uses.at_home.find(0, at + 1)


def _is_needed(uses: Uses, choices: _Choices, pc: int) -> bool:
    """Where nobody in its own region takes a value: is it taken whatever opens that?"""
    if uses.region is None or uses.region[pc] == 0:
        return False
    openers = _among(choices.openers[uses.region[pc]])
    takers = _among(uses.elsewhere.get(pc))
    routes = _among(choices.given.get(pc))
    if len(openers) > len(takers) + len(routes):
        return False
    return all(one in routes if one >= 0 else -1 - one in takers for one in openers)


def _skipped_faults(blueprint: Blueprint, uses: Uses, choices: _Choices) -> Iterator[Fault]:
    if uses.givers is None:
        return
    instructions = blueprint.instructions
    may = bytearray(len(instructions))  # may its value be that of something skipped?
    then: dict[int | None, list[int]] = {}  # whose value is then, too
    stack = []
    for pc, i in enumerate(instructions):
        if i.opcode == isa.BRANCH and blueprint.choices[i.aux].sources[-1] == SKIP:
            stack.append(pc)
        if i.opcode == isa.SELECT:
            passed = (*uses.givers[pc], *(choices.pc_of[one] for one in blueprint.choices[i.aux].sources if one >= 0))
        else:
            passed = uses.givers[pc][len(i.reads) :]
        for giver in passed:
            then.setdefault(giver, []).append(pc)
    while stack:
        pc = stack.pop()
        if not may[pc]:
            may[pc] = 1
            stack += then.get(pc, ())
    for pc, i in enumerate(instructions):
        if i.opcode == isa.SELECT or i.opcode == isa.DROP:
            continue
        tested = i.tests if len(i.tests) < _MANY else frozenset(i.tests)
        for register, giver in zip(i.reads, uses.givers[pc], strict=False):
            if giver is not None and may[giver] and register not in tested:
                yield at_instruction("D2", pc, f"reads R{register}, which may be of something skipped, and does not test it")
                break


def _ending_faults(blueprint: Blueprint, uses: Uses, choices: _Choices) -> Iterator[Fault]:
    if uses.region is None:
        return
    instructions, region = blueprint.instructions, uses.region
    ends = [pc for pc, i in enumerate(instructions) if i.opcode in _ENDING]
    inner = [pc for pc in ends if region[pc]]
    if not inner:
        return
    (last,) = [pc for pc in ends if not region[pc]]
    good = set()
    stack = []
    end = instructions[last]
    if end.opcode == isa.RETURN and not end.after and set(end.tests) <= set(end.reads):
        stack = [pc for pc, takers in uses.of_selects.items() if takers == [last] and pc not in choices.given]
    seen = set()
    while stack:
        select = instructions[stack.pop()]
        if select.after:
            continue
        for source in blueprint.choices[select.aux].sources:
            pc = choices.pc_of.get(source, -1)
            if pc < 0 or pc in seen:
                continue
            seen.add(pc)
            routes = choices.given[pc]
            first = choices.first[select.aux]
            mine = range(first, first + len(blueprint.choices[select.aux].sources))
            if choices.openers[region[pc]] != routes or not all(one in mine for one in _among(routes)):
                continue
            if instructions[pc].opcode in _ENDING:
                good.add(pc)
            elif instructions[pc].opcode == isa.SELECT and not uses.of_selects[pc]:
                stack.append(pc)
    for pc in inner:
        if pc not in good:
            yield at_instruction("D3", pc, "ends the frame from a region, and something else may have to be done then")
