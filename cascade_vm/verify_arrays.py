"""Many numbers in few arrays: what the verifier keeps its notes in.

A hostile program must not make it take much more memory than the program has bytes. A number in an array takes 4 bytes; in a list, a set or
a dict 36 to 150.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain

from cascade_vm.blueprint import Blueprint
from cascade_vm.stored import pieces_of

FEW = 8  # as many are looked at one by one
MANY = 4_096  # more are not put into a list or set at once
_PARTS = 16
_EACH = 4  # bytes, as many as a number in an array takes


class Lists:
    """Many lists of numbers, one behind the other. Long ones are in order."""

    def __init__(self) -> None:
        self.starts = array("i", (0,))
        self.flat = array("i")

    def add(self, numbers: Sequence[int], limit: int) -> None:
        """One more list, of numbers from 0 to below ``limit``. A long one loses what it has twice."""
        if numbers:
            if len(numbers) <= FEW:
                self.flat.extend(numbers)
            elif len(numbers) <= MANY:
                self.flat.extend(sorted(set(numbers)))
            else:
                self.add_marked(numbers, limit)
                return
        self.starts.append(len(self.flat))

    def add_marked(self, numbers: Iterable[int], limit: int) -> None:
        """One more list, a long one."""
        mark = bytearray(limit)
        for one in numbers:
            mark[one] = 1
        self.flat.extend(_places(mark))
        self.starts.append(len(self.flat))

    def of(self, which: int) -> array[int]:
        """The numbers of a list."""
        return self.flat[self.starts[which] : self.starts[which + 1]]

    def has(self, which: int, number: int) -> bool:
        """Is the number in the list?"""
        start, stop = self.starts[which], self.starts[which + 1]
        if stop - start <= FEW:
            return number in self.flat[start:stop]
        at = bisect_left(self.flat, number, start, stop)
        return at < stop and self.flat[at] == number

    def turned(self, count: int) -> Lists:
        """Of each number below ``count``, which lists have it, in order."""
        return paired(count, lambda: ((one, which) for which in range(len(self.starts) - 1) for one in self.of(which)))


def paired(count: int, pairs: Callable[[], Iterable[tuple[int, int]]]) -> Lists:
    """Of each number below ``count`` what stands beside it in ``pairs()``, in the order of those; they are gone over twice."""
    made = Lists()
    counts = array("i", bytes(4 * (count + 1)))
    for one, _ in pairs():
        counts[one + 1] += 1
    made.starts = array("i", accumulate(counts))
    made.flat = array("i", bytes(4 * made.starts[-1]))
    following = made.starts[:]
    for one, other in pairs():
        made.flat[following[one]] = other
        following[one] += 1
    return made


class Chains:
    """For each of many numbers a list that grows at its head."""

    def __init__(self, numbers: int | Sparse) -> None:
        """For the numbers below one; or those that have -1."""
        self.head: array[int] | Sparse = array("i", (-1,)) * numbers if isinstance(numbers, int) else numbers
        self.value = array("i")
        self.then = array("i")

    def add(self, which: int, value: int) -> None:
        """Put a value before the others of a list."""
        self.value.append(value)
        self.then.append(self.head[which])
        self.head[which] = len(self.value) - 1

    def first(self, which: int) -> int:
        """What was put in last; -1: nothing."""
        at = self.head[which]
        return self.value[at] if at >= 0 else -1

    def of(self, which: int) -> Iterator[int]:
        """The values of a list, the last one first."""
        at = self.head[which]
        while at >= 0:
            yield self.value[at]
            at = self.then[at]


class Remembered:
    """Pairs of numbers, of which some may be forgotten: as many as there is room for."""

    def __init__(self, count: int) -> None:
        self._mask = (1 << (2 * count + 16).bit_length()) - 1
        self._slots: array[int] | None = None
        self._count = count

    def has(self, one: int, other: int) -> bool:
        """Is this pair remembered?"""
        if self._slots is None:
            return False
        key = one * self._count + other + 1
        return self._slots[key * 0x9E3779B1 >> 7 & self._mask] == key

    def add(self, one: int, other: int) -> None:
        """Remember a pair."""
        if self._slots is None:
            self._slots = array("q", bytes(8 * (self._mask + 1)))
        key = one * self._count + other + 1
        self._slots[key * 0x9E3779B1 >> 7 & self._mask] = key


class Sparse:
    """A number for each of some registers, of which a blueprint has many more."""

    def __init__(self, registers: array[int], first: int) -> None:
        """:param registers: in order. :param first: what each has at first, and every other one always."""
        self._registers = registers
        self._first = first
        self._values = array("i", (first,)) * len(registers)

    def __getitem__(self, register: int) -> int:
        at = bisect_left(self._registers, register)
        return self._values[at] if at < len(self._registers) and self._registers[at] == register else self._first

    def __setitem__(self, register: int, value: int) -> None:
        self._values[bisect_left(self._registers, register)] = value

    @staticmethod
    def named(blueprint: Blueprint) -> array[int]:
        """The registers that a blueprint's instructions name, in order."""
        found, all_of_them = array("q"), array("q")
        for i in blueprint.instructions:
            for some in (i.reads, i.dead, i.tests):
                all_of_them.extend(some)
            if i.dst >= 0:
                all_of_them.append(i.dst)
        each = max(all_of_them, default=0) // _PARTS + 1
        for part in range(_PARTS):
            found.extend(sorted({one for one in all_of_them if one // each == part}))
        return found


def distinct(numbers: Sequence[int]) -> bool:
    """Are there no two alike? Of many, a part at a time is looked at."""
    if len(numbers) <= MANY:
        return len(set(numbers)) == len(numbers)
    mark = _marked((numbers,))
    if mark is not None:
        return mark.count(1) == len(numbers)
    return sum(len({one for one in numbers if one % _PARTS == part}) for part in range(_PARTS)) == len(numbers)


def distinct_texts(texts: Sequence[str]) -> bool:
    """Are there no two alike? Of many, a part at a time is looked at."""
    if len(texts) <= MANY:
        return len(set(texts)) == len(texts)
    known = 0
    for part in range(_PARTS):
        known += len({one for one in texts if hash(one) % _PARTS == part})
    return known == len(texts)


def within(numbers: Sequence[int], *others: Sequence[int]) -> bool:
    """Are all numbers among the others? Of many, a part at a time is looked at."""
    if len(numbers) + sum(map(len, others)) <= MANY:
        return {*chain(*others)}.issuperset(numbers)
    mark = _marked(others)
    if mark is not None:
        least, most = bounds((numbers,))
        return least >= 0 and most < len(mark) and all(all(map(mark.__getitem__, piece)) for piece in pieces_of(numbers))
    for part in range(_PARTS):
        known = {one for one in chain(*others) if one % _PARTS == part}
        if not all(one in known for one in numbers if one % _PARTS == part):
            return False
    return True


def _marked(many: Sequence[Sequence[int]]) -> bytearray | None:
    """A byte for each number up to the largest, 1 for those that there are; None where that would take much more than the numbers."""
    least, most = bounds(many)
    if least < 0 or most > _EACH * sum(map(len, many)):
        return None
    mark = bytearray(most + 1)
    for numbers in many:
        for piece in pieces_of(numbers):
            for one in piece:
                mark[one] = 1
    return mark


def bounds(many: Iterable[Sequence[int]]) -> tuple[int, int]:
    """The least and the greatest of all; 0 and -1 where there are none."""
    pieces = [(min(piece), max(piece)) for numbers in many for piece in pieces_of(numbers) if piece]
    return min([least for least, _ in pieces], default=0), max([most for _, most in pieces], default=-1)


def _places(mark: bytearray) -> Iterable[int]:
    at = mark.find(1)
    while at >= 0:
        yield at
        at = mark.find(1, at + 1)
