"""What is over when an instruction runs, by the waits of strands alone (for the rules of order, and of regions).

Whether one node of a graph leads to another is not found in linear time for every graph. What a compiler emits is easy: what is asked is a
direct wait, or goes from each strand to the first one that waits for it. Anything else is looked for, for as many steps as the code has
parts, a few times over; code that needs more is refused (O5).
"""

from __future__ import annotations

from array import array

from cascade_vm.blueprint import Blueprint
from cascade_vm.verify_arrays import Lists, Remembered
from cascade_vm.verify_tables import Strands

_LEAST = 100_000
_EACH = 16


class TooTangled(Exception):
    """More steps would be needed than there may be."""


class Steps:
    """How many steps may still be taken for a blueprint."""

    __slots__ = ("left",)

    def __init__(self, blueprint: Blueprint, strands: Strands) -> None:
        waits = len(strands.needs.flat) + len(strands.awaits.flat)
        regions = sum(map(len, blueprint.regions))
        self.left = _LEAST + _EACH * (len(blueprint.instructions) + len(blueprint.regions) + waits + regions)

    def take(self, count: int = 1) -> None:
        """:raises TooTangled: there are none left."""
        self.left -= count
        if self.left < 0:
            raise TooTangled


class Before:
    """Answers for the strands of a blueprint, which wait for earlier ones only."""

    def __init__(self, strands: Strands, steps: Steps) -> None:
        self.steps = steps
        self.home = strands.home
        self.waits = strands.outline.waits
        self.awaits = strands.awaits
        self.direct = strands.direct
        self._waited: Lists | None = None  # of each instruction: strands that await it; made when it is asked for
        self.first, self.size = _forest(self.direct)
        self._known = Remembered(len(strands))

    def strand_is_over(self, earlier: int, later: int) -> bool:
        """Has strand ``earlier`` ended whenever ``later`` starts?"""
        if earlier >= later:
            return False
        if 0 < self.first[earlier] - self.first[later] < self.size[later] or self.direct.has(later, earlier):
            return True
        if self._known.has(earlier, later):
            return True
        found = self._leads(earlier, later)
        if found:
            self._known.add(earlier, later)
        return found

    def _leads(self, earlier: int, later: int) -> bool:
        """Is there a way from ``later`` to ``earlier``?"""
        seen = {later}
        stack = [later]
        while stack:
            one = stack.pop()
            others = self.direct.of(one)
            self.steps.take(1 + len(others))
            if self.direct.has(one, earlier):
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
        if self.awaits.has(mine, pc):
            return True
        if self._waited is None:
            self._waited = self.awaits.turned(len(self.home))
        for number in self._waited.of(pc):
            self.steps.take()
            if self.strand_is_over(number, mine):
                return True
        return False


def _forest(direct: Lists) -> tuple[array[int], array[int]]:
    """The forest in which the parent of each strand is the first one that waits for it: each strand's place in it, before its descendants,
    and the size of its tree. So what is below a strand are the places behind its own."""
    count = len(direct.starts) - 1
    parent = array("i", (-1,)) * count
    starts = direct.starts
    number = 0
    for at, other in enumerate(direct.flat):
        while starts[number + 1] <= at:
            number += 1
        if parent[other] < 0:
            parent[other] = number
    size = array("i", (1,)) * count
    for number, above in enumerate(parent):  # a parent comes later than its children
        if above >= 0:
            size[above] += size[number]
    first = array("i", bytes(4 * count))
    following = first[:]  # where the next child goes
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
