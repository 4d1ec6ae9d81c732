"""What the verifier notes of code when it goes over it: of its instructions, and of its strands."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain, islice
from operator import lt

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction, Strand
from cascade_vm.verify_arrays import FEW, MANY, Lists

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
        self.aux = array("q")  # of what branches and selects, the choice. Where there are any
        self.routes = Lists()  # of each choice, by its sources: the instruction that gives the value, or what is below 0 as it is
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
            self.aux.extend([i.aux for i in instructions])

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
                if dst in dead:
                    return False
                if len(dead) <= FEW and len(reads) <= MANY:
                    for register in dead:
                        if register not in reads or not state[register]:
                            return False
                        state[register] = 0
                elif not self._ends(reads, dead):
                    return False
            if dst >= 0:
                if state[dst] == 2:
                    return False
                state[dst] = 2
            elif i.opcode not in ENDING:
                return False
        return True

    def _ends(self, reads: Sequence[int], dead: Sequence[int]) -> bool:
        """Is all that is ended read, and ended once? What is read is marked for that, for the time being."""
        state = self._state
        for register in reads:
            state[register] = 3
        for register in dead:
            if state[register] != 3:
                return False
            state[register] = 0
        if len(dead) < len(reads):
            for register in reads:
                if state[register] == 3:
                    state[register] = 1
        return True

    def holds(self) -> bool:
        """Has all been gone over, and was it so?"""
        return self.may_be and self._left == 0 and 2 not in self._state


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
        number, home, start = len(self.starts), self.home, strand.start
        needs, awaits, count = strand.needs, strand.awaits, strand.stop - strand.start
        _add(self.needs, needs, number)
        _add(self.awaits, awaits, start)
        if self.direct is not self.needs:
            if len(needs) + len(awaits) <= MANY:
                _add(self.direct, [*needs, *[home[pc] for pc in awaits]] if needs else [home[pc] for pc in awaits], number)
            else:
                self.direct.add_marked(chain(needs, (home[pc] for pc in awaits)), number)
        elif awaits:  # from now on they differ
            self.direct = Lists()
            self.direct.starts, self.direct.flat = self.needs.starts[:-1], self.needs.flat[: self.needs.starts[-2]]
            self.direct.add_marked(chain(needs, (home[pc] for pc in awaits)), number)
        self.starts.append(start)
        self.regions.append(strand.region)
        if count == 1:
            home.append(number)
        else:
            home.extend((number,) * count if count < 16 else array("i", (number,)) * count)
        opcodes = self.outline.opcodes
        self.drops.append(opcodes[start] == isa.DROP and only_drops(strand, opcodes))


def _add(lists: Lists, numbers: Sequence[int], limit: int) -> None:
    """``lists.add``, of mostly few numbers."""
    if not numbers:
        lists.starts.append(len(lists.flat))
    elif len(numbers) == 1:
        lists.flat.append(numbers[0])
        lists.starts.append(len(lists.flat))
    else:
        lists.add(numbers, limit)


def only_drops(strand: Strand, opcodes: bytearray) -> bool:
    """Does it nothing but let go of values?"""
    if opcodes[strand.start] != isa.DROP:
        return False
    return opcodes.count(isa.DROP, strand.start, strand.stop) == strand.stop - strand.start


def is_dense(blueprint: Blueprint, outline: Outline) -> bool:
    """Is an array of all registers worth it? Code may claim to have many literals, and name few."""
    return blueprint.registers <= 65_536 + len(outline.opcodes) + outline.operands
