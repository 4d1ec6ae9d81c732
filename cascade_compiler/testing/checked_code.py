"""Code that calls checks around each of its instructions, and says of its data flow what that is meant to be (see checked_machine.py)."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

from cascade_vm import isa
from cascade_vm.forms import CALL_1, ITEM_RETURN, TEST, Linked
from cascade_vm.link import Code

ITSELF = -1_000_003  # the index at which watched registers have themselves
UNSET = -2  # in place of the instruction that gave a value: none did; -1: it was preloaded


class Checks(Protocol):
    """Registers that check what is done with them."""

    def before(self, pc: int) -> None:
        """Instruction ``pc`` is about to run."""

    def before_item_that_ends(self, pc: int) -> None:
        """``before``, of an item that is returned at once."""

    def after(self, pc: int) -> None:
        """Instruction ``pc`` has run, or has been passed over."""


class CheckedCode(Code):
    """The same code, with calls of checks around each of its instructions.

    :param checks: has ``before``, ``before_item_that_ends`` and ``after``, which are given ``registers[ITSELF]``, and the instruction.
    """

    def __init__(self, code: Code, checks: type[Checks]) -> None:
        super().__init__(code.blueprint, code.functions, code.site_slots, code.lines, code.live, code.resources)
        scratch = code.blueprint.registers
        strands: list[list[Linked]] = []
        self.places = []
        for number, linked in enumerate(self.plain):
            start = code.blueprint.strands[number].start
            strand: list[Linked] = []
            places: list[int] = []
            for at, one in enumerate(linked):
                pc = start + one[7]
                check = checks.before_item_that_ends if one[0] == ITEM_RETURN else checks.before
                if at == 0 or linked[at - 1][0] != TEST:  # a test passes over what comes next: nothing may stand between
                    strand.append((CALL_1, scratch, _call(check, pc), ITSELF, None, None, (), one[7]))
                if one[0] != TEST:
                    places.append(len(strand))
                strand.append(one)
                if one[0] != TEST:
                    strand.append((CALL_1, scratch, _call(checks.after, pc), ITSELF, None, None, (), one[7]))
            strands.append(strand)
            self.places.append(places)
        self.replace(strands)

    @cached_property
    def operands(self) -> list[list[tuple[int, int]]]:
        """The registers that each instruction reads and tests, each with the instruction whose value is meant: the last one before it that
        has that destination. -1: what was preloaded; -2: there is none."""
        blueprint = self.blueprint
        giver = [-1] * (blueprint.literals + len(blueprint.inputs))
        giver += [UNSET] * (blueprint.registers - len(giver))
        found = []
        for pc, i in enumerate(blueprint.instructions):
            found.append([(register, giver[register]) for register in (*i.reads, *i.tests)])
            if i.dst >= 0:
                giver[i.dst] = pc
        return found

    @cached_property
    def waited_for(self) -> list[set[int]]:
        """What must be over before each instruction: who gives its operands, and what it comes after."""
        at = {i.position: pc for pc, i in enumerate(self.blueprint.instructions) if i.opcode != isa.DROP}
        return [
            {giver for _, giver in operands if giver >= 0} | {at[position] for position in i.after}
            for i, operands in zip(self.blueprint.instructions, self.operands, strict=True)
        ]

    @cached_property
    def readers(self) -> dict[tuple[int, int], list[int]]:
        """Who reads each value: by the instruction that gave it (-1: it was preloaded), and its register."""
        found: dict[tuple[int, int], list[int]] = {}
        for pc, i in enumerate(self.blueprint.instructions):
            if i.opcode != isa.DROP:
                for register, giver in self.operands[pc]:
                    found.setdefault((giver, register), []).append(pc)
        return found


def _call(check: Any, pc: int) -> Any:
    return lambda registers: check(registers, pc)
