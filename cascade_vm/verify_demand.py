"""The verifier's rules of demand, D1 to D3: what runs is needed, what is skipped is tested for, and a frame ends once.

Where they hold, nothing of a frame is in progress any more when it ends: from each instruction a way leads over those that take values to
the one that ends the frame, and each of them waits for the one before (O3). So a frame can go on to another graph, and nothing comes
to it that was meant for the one before.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator

from cascade_vm import isa
from cascade_vm.blueprint import SKIP, Blueprint, Instruction
from cascade_vm.fault_places import Fault, at_instruction
from cascade_vm.verify_arrays import Chains, paired
from cascade_vm.verify_tables import ENDING, Strands

_MANY = 8


class Givers:
    """Of each instruction, which instructions gave what is in the registers that it reads and tests; -1: none."""

    def __init__(self) -> None:
        self._starts = array("i", (0,))
        self._flat = array("i")

    def add(self, givers: list[int]) -> None:
        """Those of the next instruction."""
        self._flat.extend(givers)
        self._starts.append(len(self._flat))

    def of(self, pc: int) -> array[int]:
        """Those of one instruction."""
        return self._flat[self._starts[pc] : self._starts[pc + 1]]


class Uses:
    """Who takes the value of each instruction, as the rules of order find it."""

    def __init__(self, blueprint: Blueprint, strands: Strands) -> None:
        outline = strands.outline
        count = len(outline.opcodes)
        self.outline = outline
        self.at_home = bytearray(count)  # is it taken in the region that it is in?
        self.region: array[int] | None = None  # of each instruction, where there is more than one
        self.elsewhere = Chains(0)  # in which others
        self.selects = bool(blueprint.choices)
        self.of_selects = Chains(0)  # of each select, which instructions take its value
        self.givers = Givers() if any(SKIP in choice.sources for choice in blueprint.choices) else None
        if blueprint.choices:
            self.of_selects = Chains(count)
        if len(blueprint.regions) > 1:
            self.elsewhere = Chains(count)
            self.region = array("i", [strands.regions[home] for home in strands.home])

    def is_idle(self, pc: int, i: Instruction) -> bool:
        """Is it a container that nobody gets, and nobody waits for? It is as good as none, and takes nothing."""
        return i.opcode == isa.BUILD and i.dst == isa.NONE and not (self.outline.followed and self.outline.followed[pc])

    def add(self, giver: int, taker: int) -> None:
        """Instruction ``taker`` takes the value of ``giver``, or comes after it."""
        if self.region is None or self.region[giver] == self.region[taker]:
            self.at_home[giver] = 1
        elif self.elsewhere.first(giver) != self.region[taker]:
            self.elsewhere.add(giver, self.region[taker])
        if self.selects and self.outline.opcodes[giver] == isa.SELECT and self.of_selects.first(giver) != taker:
            self.of_selects.add(giver, taker)


class _Choices:
    """Who takes values through choices, and what opens regions. Routes have numbers, through all choices; a region that opens another is
    ``-1 - region`` among those."""

    def __init__(self, blueprint: Blueprint, uses: Uses) -> None:
        outline = uses.outline
        self.first = array("i")  # route of each choice
        mine = array("i", (0,)) * len(blueprint.choices)  # the region of each choice
        at = outline.opcodes.find(isa.SELECT) if uses.region is not None and blueprint.choices else -1
        while uses.region is not None and at >= 0:
            mine[outline.aux[at]] = uses.region[at]
            at = outline.opcodes.find(isa.SELECT, at + 1)
        routes = 0
        for choice in blueprint.choices:
            self.first.append(routes)
            routes += len(choice.sources)

        def given() -> Iterator[tuple[int, int]]:
            for route, giver in enumerate(outline.routes.flat):
                if giver >= 0:
                    yield giver, route

        def opened() -> Iterator[tuple[int, int]]:
            before = array("i", (-1,)) * len(blueprint.regions)  # what was last said to open each
            for region, opens in enumerate(blueprint.regions):
                for other in opens:
                    if other != region and before[other] != region:
                        before[other] = region
                        yield other, -1 - region
            route = 0
            for at, choice in enumerate(blueprint.choices):
                for region in choice.regions:
                    if region != mine[at]:  # else it is open already
                        yield region, route
                    route += 1

        self.given = paired(len(outline.opcodes) if blueprint.choices else 0, given)  # of each instruction, the routes that take its value
        self.openers = paired(len(blueprint.regions), opened)  # what opens each region


def demand_faults(blueprint: Blueprint, uses: Uses) -> Iterator[Fault]:
    """Faults of a blueprint that is good but for these rules."""
    choices = _Choices(blueprint, uses)
    yield from _needed_faults(blueprint, uses, choices)
    yield from _skipped_faults(blueprint, uses, choices)
    yield from _ending_faults(blueprint, uses, choices)


def _needed_faults(blueprint: Blueprint, uses: Uses, choices: _Choices) -> Iterator[Fault]:
    opcodes = uses.outline.opcodes
    at = uses.at_home.find(0)
    while at >= 0:
        must = opcodes[at] not in ENDING and opcodes[at] != isa.DROP
        if must and not _is_needed(uses, choices, at) and not uses.is_idle(at, blueprint.instructions[at]):
            yield at_instruction("D1", at, "nobody who runs whenever it runs takes its value or comes after it")
        at = uses.at_home.find(0, at + 1)


def _is_needed(uses: Uses, choices: _Choices, pc: int) -> bool:
    """Where nobody in its own region takes a value: is it taken whatever opens that?"""
    if uses.region is None or uses.region[pc] == 0:
        return False
    openers = choices.openers.of(uses.region[pc])
    takers = set(uses.elsewhere.of(pc))
    routes = choices.given.of(pc) if choices.given.flat else array("i")
    for one in openers:
        if one >= 0:
            at = bisect_left(routes, one)
            if at == len(routes) or routes[at] != one:
                return False
        elif -1 - one not in takers:
            return False
    return True


def _skipped_faults(blueprint: Blueprint, uses: Uses, choices: _Choices) -> Iterator[Fault]:
    givers, opcodes, routes = uses.givers, uses.outline.opcodes, uses.outline.routes
    if givers is None:
        return
    may = bytearray(len(opcodes))  # may its value be that of something skipped?
    stack = array("i")

    def passed() -> Iterator[tuple[int, int]]:
        for pc, i in enumerate(blueprint.instructions):
            if i.opcode == isa.SELECT:
                for giver in givers.of(pc):
                    if giver >= 0:
                        yield giver, pc
                for giver in routes.of(i.aux):
                    if giver >= 0:
                        yield giver, pc
            elif i.tests:
                for giver in givers.of(pc)[len(i.reads) :]:
                    if giver >= 0:
                        yield giver, pc

    then = paired(len(opcodes), passed)  # whose value is then, too
    for pc, opcode in enumerate(opcodes):
        if opcode == isa.BRANCH and routes.of(uses.outline.aux[pc])[-1] == SKIP:
            stack.append(pc)
    while stack:
        pc = stack.pop()
        if not may[pc]:
            may[pc] = 1
            stack.extend(then.of(pc))
    for pc, i in enumerate(blueprint.instructions):
        if i.opcode == isa.SELECT or i.opcode == isa.DROP:
            continue
        tested = i.tests if len(i.tests) < _MANY else frozenset(i.tests)
        for register, giver in zip(i.reads, givers.of(pc), strict=False):
            if giver >= 0 and may[giver] and register not in tested:
                yield at_instruction("D2", pc, f"reads R{register}, which may be of something skipped, and does not test it")
                break


def _ending_faults(blueprint: Blueprint, uses: Uses, choices: _Choices) -> Iterator[Fault]:
    if uses.region is None:
        return
    instructions, region, opcodes = blueprint.instructions, uses.region, uses.outline.opcodes
    ends = [pc for pc, opcode in enumerate(opcodes) if opcode in ENDING]
    inner = [pc for pc in ends if region[pc]]
    if not inner:
        return
    (last,) = [pc for pc in ends if not region[pc]]
    good = set()
    stack = []
    end = instructions[last]
    if end.opcode == isa.RETURN and not end.after and set(end.tests) <= set(end.reads):
        selects = [pc for pc, opcode in enumerate(opcodes) if opcode == isa.SELECT]
        stack = [pc for pc in selects if [*uses.of_selects.of(pc)] == [last] and not choices.given.of(pc)]
    seen = set()
    while stack:
        select = instructions[stack.pop()]
        if select.after:
            continue
        for source in blueprint.choices[select.aux].sources:
            pc = uses.outline.giver_at(source) if source >= 0 else -1
            if pc < 0 or pc in seen:
                continue
            seen.add(pc)
            routes = choices.given.of(pc)
            first = choices.first[select.aux]
            mine = range(first, first + len(blueprint.choices[select.aux].sources))
            if choices.openers.of(region[pc]) != routes or not all(one in mine for one in routes):
                continue
            if opcodes[pc] in ENDING:
                good.add(pc)
            elif opcodes[pc] == isa.SELECT and uses.of_selects.head[pc] < 0:
                stack.append(pc)
    for pc in inner:
        if pc not in good:
            yield at_instruction("D3", pc, "ends the frame from a region, and something else may have to be done then")
