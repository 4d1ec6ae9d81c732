"""What is over when an instruction runs, by the waits of strands alone (for the rules of order, and of regions).

Whether one node of a graph leads to another is not found in linear time for every graph. What a compiler emits is easy: what is asked is a
direct wait, or goes from each strand to the first one that waits for it. Anything else is looked for, for as many steps as the code has
parts, a few times over; code that needs more is refused (O5).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint

_WAITING = frozenset(op.code for op in isa.OPCODES if op.waits)
_LEAST = 100_000
_EACH = 16
_FEW = 8


class TooTangled(Exception):
    """More steps would be needed than there may be."""


class Steps:
    """How many steps may still be taken for a blueprint."""

    __slots__ = ("left",)

    def __init__(self, blueprint: Blueprint) -> None:
        waits = sum([len(strand.needs) + len(strand.awaits) for strand in blueprint.strands])
        regions = sum(map(len, blueprint.regions))
        self.left = _LEAST + _EACH * (len(blueprint.instructions) + len(blueprint.regions) + waits + regions)

    def take(self, count: int = 1) -> None:
        """:raises TooTangled: there are none left."""
        self.left -= count
        if self.left < 0:
            raise TooTangled


class Before:
    """Answers for the strands of a blueprint, which wait for earlier ones only."""

    def __init__(self, blueprint: Blueprint, steps: Steps) -> None:
        self.steps = steps
        self.home = home_of(blueprint)
        self.waits = [i.opcode in _WAITING for i in blueprint.instructions]
        self.awaits = [looked_up(strand.awaits) for strand in blueprint.strands]
        self.direct = [
            looked_up((*s.needs, *[self.home[pc] for pc in s.awaits]) if s.awaits else s.needs) for s in blueprint.strands
        ]
        self._waited: dict[int, list[int]] | None = None  # waiting instruction -> strands that await it; made when it is asked for
        self.strands = blueprint.strands
        self.first, self.size = _forest(self.direct)
        self._known: dict[tuple[int, int], bool] = {}

    def strand_is_over(self, earlier: int, later: int) -> bool:
        """Has strand ``earlier`` ended whenever ``later`` starts?"""
        if earlier >= later:
            return False
        if earlier in self.direct[later] or 0 < self.first[earlier] - self.first[later] < self.size[later]:
            return True
        key = earlier, later
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._leads(earlier, later)
        return known

    def _leads(self, earlier: int, later: int) -> bool:
        """Is there a way from ``later`` to ``earlier``?"""
        seen = {later}
        stack = [later]
        while stack:
            others = self.direct[stack.pop()]
            self.steps.take(1 + len(others))
            if earlier in others:
                return True
            for other in others:
                if other > earlier and other not in seen:
                    seen.add(other)
                    stack.append(other)
        return False

    def has_run(self, pc: int, at: int) -> bool:
        """Has instruction ``pc`` been run (if it waits: been issued) whenever ``at`` runs?"""
        earlier, later = self.home[pc], self.home[at]
        return (earlier == later and pc < at) or self.strand_is_over(earlier, later)

    def value_is_there(self, pc: int, at: int) -> bool:
        """Is the value of ``pc`` there whenever ``at`` runs?"""
        if not self.waits[pc]:
            return self.has_run(pc, at)
        mine = self.home[at]
        if pc in self.awaits[mine]:
            return True
        if self._waited is None:
            self._waited = {}
            for number, strand in enumerate(self.strands):
                for awaited in strand.awaits:
                    self._waited.setdefault(awaited, []).append(number)
        for number in self._waited.get(pc, ()):
            self.steps.take()
            if self.strand_is_over(number, mine):
                return True
        return False


def looked_up(numbers: tuple[int, ...]) -> Collection[int]:
    """The same numbers, to look some up in: most often there are few, and a set of them would take much more memory."""
    return numbers if len(numbers) <= _FEW else frozenset(numbers)


def home_of(blueprint: Blueprint) -> list[int]:
    """The strand of each instruction."""
    home: list[int] = []
    for number, strand in enumerate(blueprint.strands):
        home += [number] * (strand.stop - strand.start)
    return home


def only_drops(blueprint: Blueprint) -> list[bool]:
    """Of each strand, does it only let go of values? Then it may as well never run: nobody waits for it."""
    instructions = blueprint.instructions
    is_drop = [instructions[strand.start].opcode == isa.DROP for strand in blueprint.strands]
    if True in is_drop:
        for number, strand in enumerate(blueprint.strands):
            is_drop[number] = is_drop[number] and all(i.opcode == isa.DROP for i in instructions[strand.start : strand.stop])
    return is_drop


def _forest(direct: Sequence[Collection[int]]) -> tuple[list[int], list[int]]:
    """The forest in which the parent of each strand is the first one that waits for it: each strand's place in it, before its descendants,
    and the size of its tree. So what is below a strand are the places behind its own."""
    count = len(direct)
    parent = [-1] * count
    for number, others in enumerate(direct):
        for other in others:
            if parent[other] < 0:
                parent[other] = number
    size = [1] * count
    for number, above in enumerate(parent):  # a parent comes later than its children
        if above >= 0:
            size[above] += size[number]
    first = [0] * count
    following = [0] * count  # where the next child goes
    roots = 0
    for number in range(count - 1, -1, -1):
        above = parent[number]
        if above < 0:
            first[number] = roots
            roots += size[number]
        else:
            first[number] = following[above]
            following[above] += size[number]
        following[number] = first[number] + 1
    return first, size
