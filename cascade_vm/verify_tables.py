"""What the verifier notes of code, in arrays: a hostile program must not make it take much more memory than the program has bytes.

A number in an array takes 4 bytes; in a list, a set or a dict 36 to 150.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from operator import lt

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction, Strand

FEW = 8  # as many are looked at one by one
_SOME = 4_096  # as many are sorted in a list
_PARTS = 16
MOST_FORMS = 4_096  # of instructions, that are remembered
WAITING = frozenset(op.code for op in isa.OPCODES if op.waits)
ENDING = frozenset(op.code for op in isa.OPCODES if op.ends)
VALUELESS = frozenset((isa.DROP, isa.RETURN))  # they compute nothing that has a place in the order of evaluation
_WAITS = bytes(code in WAITING for code in range(256))


# Opcode, aux, spec, how many registers it reads, names of the last ones; has it no destination?
Form = tuple[int, int, int, int, tuple[str, ...], bool]


class Outline:
    """Of each instruction what later rules need, when all have been gone over. Only of good ones all of it means anything."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.opcodes = bytearray()
        self.positions = array("q")
        self.valued = bytearray()  # has it a destination? Where there are choices
        self.forms: set[Form] = set()  # what instructions there are, but for their registers; no more than MOST_FORMS
        self.operands = 0  # how many registers are read and tested in all
        self.follows = False  # does any come after others, beside those that it reads?
        self.is_straight = False  # see Straight
        self.followed = bytearray()  # does one come after it, beside those that read it? Where any does
        self._at: _Ascending | _Dense | _Sparse | None = None

    def add(self, instructions: Sequence[Instruction]) -> None:
        """The next instructions.

        :raises OverflowError: the opcode or the position of one is none.
        """
        try:
            self.opcodes.extend([i.opcode for i in instructions])
        except ValueError:
            raise OverflowError from None
        self.positions.extend([i.position for i in instructions])
        self.operands += sum([len(i.reads) for i in instructions])
        if not self.follows:
            self.follows = bool([True for i in instructions if i.after])
        if self.blueprint.choices:
            self.valued.extend([i.dst >= 0 for i in instructions])

    def builds_like(self) -> bool:
        """May there be a container that is built like another one?"""
        return len(self.forms) >= MOST_FORMS or any(
            form[0] == isa.BUILD and isa.CONTAINERS[form[1]].endswith("-like") for form in self.forms
        )

    @property
    def waits(self) -> bytearray:
        """Of each, 1 where it waits."""
        return self.opcodes.translate(_WAITS)

    def by_position(self) -> _Ascending | _Dense | _Sparse:
        """Which instruction has a position."""
        if self._at is None:
            top = max(self.positions, default=0)
            if all(map(lt, self.positions, islice(self.positions, 1, None))):
                self._at = _Ascending(self.positions)
            else:
                self._at = (_Dense if top < 1_024 + 4 * len(self.positions) else _Sparse)(self.positions, top)
        return self._at

    def giver_at(self, position: int) -> int:
        """The instruction that computes the value of a position; -1 where none does."""
        pc = self.by_position().get(position)
        return pc if pc >= 0 and self.opcodes[pc] not in VALUELESS else -1


class _Ascending:
    """Instructions by position, where those are in order."""

    def __init__(self, positions: array[int]) -> None:
        self._positions = positions
        self.twice: Sequence[tuple[int, int]] = ()

    def get(self, position: int) -> int:
        """-1: none."""
        at = bisect_left(self._positions, position)
        return at if position >= 0 and at < len(self._positions) and self._positions[at] == position else -1


class _Dense:
    """Instructions by position, in a table of all positions."""

    def __init__(self, positions: array[int], top: int) -> None:
        self._pc = array("i", (-1,)) * (top + 1)
        self.twice: list[tuple[int, int]] = []  # what has a position that an earlier one has: both; the first ones
        pcs = self._pc
        for pc, position in enumerate(positions):
            if position >= 0:
                if pcs[position] < 0:
                    pcs[position] = pc
                elif len(self.twice) < 2_000:
                    self.twice.append((pc, pcs[position]))

    def get(self, position: int) -> int:
        """-1: none."""
        return self._pc[position] if 0 <= position < len(self._pc) else -1


class _Sparse:
    """Instructions by position, in order of that."""

    def __init__(self, positions: array[int], top: int) -> None:
        self._sorted = array("q", sorted(positions))
        self._pc = array("i", (-1,)) * len(positions)
        self.twice: list[tuple[int, int]] = []
        for pc, position in enumerate(positions):
            if position >= 0:
                at = bisect_left(self._sorted, position)
                if self._pc[at] < 0:
                    self._pc[at] = pc
                elif len(self.twice) < 2_000:
                    self.twice.append((pc, self._pc[at]))

    def get(self, position: int) -> int:
        """-1: none."""
        if position < 0:
            return -1
        at = bisect_left(self._sorted, position)
        return self._pc[at] if at < len(self._sorted) and self._sorted[at] == position else -1


class Straight:
    """Is the code one strand in which nothing waits or chooses, every register has a value when it is read, and every value is read? Then
    all rules of order and demand hold, since all that is before an instruction has ended. That it is not says nothing."""

    def __init__(self, blueprint: Blueprint) -> None:
        loaded = blueprint.literals + len(blueprint.inputs)
        count = len(blueprint.instructions)
        self.may_be = len(blueprint.strands) == 1 and not blueprint.choices and 0 <= loaded <= blueprint.registers <= 65_536 + count
        # Of each register: 0, there is no value; 1, a value that was read, or was there at first; 2, one that nobody has read
        self._state = bytearray(b"\x01" * loaded + bytes(blueprint.registers - loaded)) if self.may_be else bytearray()
        self._left = count

    def add(self, instructions: Sequence[Instruction]) -> bool:
        """The next instructions, whose registers are in range. True where they go on straight, and end only what they read, once, and do
        not write: that is as rule I6 wants it."""
        self._left -= len(instructions)
        opcodes = bytes([i.opcode for i in instructions])
        waits = opcodes.translate(_WAITS).find(1)
        others = isa.DROP in opcodes or 0 <= waits < len(opcodes) - (self._left == 0)
        self.may_be = not (others or [True for i in instructions if i.after or i.tests]) and self._goes_on(instructions)
        return self.may_be

    def _goes_on(self, instructions: Sequence[Instruction]) -> bool:
        state = self._state
        for i in instructions:
            reads, dead, dst = i.reads, i.dead, i.dst
            for register in reads:
                if not state[register]:
                    return False
                state[register] = 1
            if dead:
                if dst in dead or len(reads) > _SOME:
                    return False
                known = reads if len(dead) <= FEW else frozenset(reads)
                for register in dead:
                    if register not in known or not state[register]:
                        return False
                    state[register] = 0
            if dst >= 0:
                if state[dst] == 2:
                    return False
                state[dst] = 2
            elif i.opcode not in ENDING:
                return False
        return True

    def holds(self) -> bool:
        """Has all been gone over, and was it so?"""
        return self.may_be and self._left == 0 and 2 not in self._state


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
            elif len(numbers) <= _SOME:
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


class Strands:
    """Of each strand where it starts and is, and what it waits for."""

    def __init__(self, blueprint: Blueprint, outline: Outline) -> None:
        self.blueprint = blueprint
        self.outline = outline
        self.starts = array("i")
        self.regions = array("i")
        self.needs = Lists()
        self.awaits = Lists()
        self.direct = self.needs  # and with the strands of the instructions that are awaited
        self.home = array("i")  # the strand of each instruction
        self.drops = bytearray()  # does it only let go of values? Then it may as well never run: nobody waits for it

    def __len__(self) -> int:
        return len(self.starts)

    def add(self, strand: Strand) -> None:
        """The next strand, which covers instructions, is in a region, and waits for what is before it."""
        number, home, awaits = len(self.starts), self.home, strand.awaits
        self.needs.add(strand.needs, number)
        self.awaits.add(awaits, strand.start)
        if self.direct is self.needs and awaits:  # from now on they differ
            self.direct = Lists()
            self.direct.starts, self.direct.flat = self.needs.starts[:-1], self.needs.flat[: self.needs.starts[-2]]
        if self.direct is not self.needs:
            if len(strand.needs) + len(awaits) <= _SOME:
                self.direct.add([*strand.needs, *[home[pc] for pc in awaits]], number)
            else:
                self.direct.add_marked(chain(strand.needs, (home[pc] for pc in awaits)), number)
        self.starts.append(strand.start)
        self.regions.append(strand.region)
        count = strand.stop - strand.start
        home.extend((number,) * count if count < 16 else array("i", (number,)) * count)
        self.drops.append(only_drops(strand, self.outline.opcodes))


def only_drops(strand: Strand, opcodes: bytearray) -> bool:
    """Does it nothing but let go of values?"""
    if opcodes[strand.start] != isa.DROP:
        return False
    return opcodes.count(isa.DROP, strand.start, strand.stop) == strand.stop - strand.start


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


def distinct(numbers: Sequence[int]) -> bool:
    """Are there no two alike? Of many, a part at a time is looked at."""
    if len(numbers) <= _SOME:
        return len(set(numbers)) == len(numbers)
    return sum(len({one for one in numbers if one % _PARTS == part}) for part in range(_PARTS)) == len(numbers)


def distinct_texts(texts: Sequence[str]) -> bool:
    """Are there no two alike? Of many, a part at a time is looked at."""
    if len(texts) <= _SOME:
        return len(set(texts)) == len(texts)
    known = 0
    for part in range(_PARTS):
        known += len({one for one in texts if hash(one) % _PARTS == part})
    return known == len(texts)


def within(numbers: Sequence[int], *others: Sequence[int]) -> bool:
    """Are all numbers among the others? Of many, a part at a time is looked at."""
    if len(numbers) + sum(map(len, others)) <= _SOME:
        return {*chain(*others)}.issuperset(numbers)
    for part in range(_PARTS):
        known = {one for one in chain(*others) if one % _PARTS == part}
        if not all(one in known for one in numbers if one % _PARTS == part):
            return False
    return True


class Sparse:
    """A number for each of some registers, of which a blueprint has many more."""

    def __init__(self, registers: array[int], first: int) -> None:
        """:param registers: in order. :param first: what each has at first."""
        self._registers = registers
        self._values = array("i", (first,)) * len(registers)

    def __getitem__(self, register: int) -> int:
        return self._values[bisect_left(self._registers, register)]

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


def _places(mark: bytearray) -> Iterable[int]:
    at = mark.find(1)
    while at >= 0:
        yield at
        at = mark.find(1, at + 1)
