"""Faults of a program, and where they are: each one line, and the listing around the first ones.

    1 fault in the code:
      O3: instruction 3: reads R5, which has no value there
          strand 1 awaits 0
             1  %2   R3 = call shop:rate(R1)
             2  %3   R1 = item(R3, R2)  dead R3
        >    3  %4   R4 = call shop:price(R5, currency=R1)
             4  %5   tail_call shop:total(R4)

What is shown here has not been found good, and may be anything: so this file does not use the disassembler, which is for good code, and
everything it shows is cut to a bounded length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction, Strand

MOST_FAULTS = 1_000  # that are kept: hostile code must not make a list of faults that is larger than itself
MOST_TOLD = 20  # that are in the text of the error
_SHOWN_IN_LISTING = 5
_AROUND = 2  # lines before and after
_OPERANDS = 8
_NAME = 60
_LINE = 130


class Fault(NamedTuple):
    """One fault: ``rule: where: what``. ``pc`` is the instruction to show in the listing, -1 for none; ``what`` has a bounded length."""

    rule: str
    where: str
    what: str
    pc: int = -1
    blueprint: Blueprint | None = None

    def text(self, *, of_program: bool) -> str:
        """As one line; ``of_program``: the blueprint must be named."""
        blueprint = f" (blueprint {clipped(self.blueprint.cycle_id[:12], 12)})" if of_program and self.blueprint is not None else ""
        return f"{self.rule}: {self.where}: {self.what}{blueprint}"


def at_instruction(rule: str, pc: int, what: str) -> Fault:
    """A fault of instruction ``pc``."""
    return Fault(rule, f"instruction {pc}", what, pc)


def at_strand(rule: str, number: int, strand: Strand, what: str) -> Fault:
    """A fault of a strand."""
    return Fault(rule, f"strand {number}", what, strand.start)


def report(faults: Iterable[Fault], *, of_program: bool) -> tuple[str, tuple[str, ...]]:
    """The text of an error with these faults, and each by itself; both empty where there are none. Of more than ``MOST_FAULTS`` the first
    are kept."""
    kept = list(islice(faults, MOST_FAULTS + 1))
    more = len(kept) > MOST_FAULTS
    del kept[MOST_FAULTS:]
    texts = tuple([fault.text(of_program=of_program) for fault in kept])
    if not kept:
        return "", ()
    count = f"more than {MOST_FAULTS:,} faults" if more else "1 fault" if len(kept) == 1 else f"{len(kept):,} faults"
    lines = [f"{count} in the code:"]
    in_listing = 0
    for fault, text in zip(kept[:MOST_TOLD], texts, strict=False):
        lines.append(f"  {text}")
        if fault.blueprint is not None and in_listing < _SHOWN_IN_LISTING:
            found = list(around(fault.blueprint, fault.pc))
            lines += [f"    {line}" for line in found]
            in_listing += bool(found)
    if len(kept) > MOST_TOLD:
        lines.append(f"  ... and {'at least ' if more else ''}{len(kept) - MOST_TOLD:,} more")
    return "\n".join(lines), texts


def around(blueprint: Blueprint, pc: int) -> Iterator[str]:
    """Lines of the listing: instruction ``pc``, marked, with some before and behind, and the heads of the strands that begin there. Nothing
    where there is no such instruction."""
    instructions = blueprint.instructions
    if not 0 <= pc < len(instructions):
        return
    start, stop = max(pc - _AROUND, 0), min(pc + _AROUND + 1, len(instructions))
    heads: dict[int, int] = {}
    for number, strand in enumerate(blueprint.strands):
        if start <= strand.start < stop or strand.start <= start < strand.stop:
            heads.setdefault(max(strand.start, start), number)
    for at in range(start, stop):
        if at in heads:
            yield clipped(f"  {_head(heads[at], blueprint.strands[heads[at]])}", _LINE)
        yield clipped(f"{'>' if at == pc else ' '} {at:4}  %{instructions[at].position:<4} {_text(blueprint, instructions[at])}", _LINE)


def some(numbers: Sequence[object], sign: str = "") -> str:
    """Numbers or names as text of a bounded length: ``R1 R2 R3 and 7 more``."""
    shown = " ".join(f"{sign}{clipped(str(one), _NAME)}" for one in numbers[:_OPERANDS])
    return f"{shown} and {len(numbers) - _OPERANDS:,} more" if len(numbers) > _OPERANDS else shown


def clipped(text: str, length: int = _NAME) -> str:
    """``text`` on one line, cut where it is longer; what cannot be printed is escaped."""
    cut = text[:length]
    if not cut.isprintable():
        cut = repr(cut)[1:-1][:length]
    return cut if len(text) <= length else f"{cut[: length - 3]}..."


def _head(number: int, strand: Strand) -> str:
    parts = [f"strand {number}", *(["eager"] if strand.eager else []), *([f"region {strand.region}"] if strand.region else [])]
    parts += [f"{word} {some(waits)}" for word, waits in (("needs", strand.needs), ("awaits", strand.awaits)) if waits]
    return " ".join(parts)


def _text(blueprint: Blueprint, i: Instruction) -> str:
    """One instruction as far as it can be read: of an unknown opcode, with a wrong number of operands, with names that do not exist."""
    opcode = isa.BY_CODE.get(i.opcode)
    what = opcode.name if opcode is not None else f"opcode {i.opcode}"
    if opcode is not None and opcode.aux == "symbol":
        known = 0 <= i.aux < len(blueprint.symbols)
        what += f" {clipped(blueprint.symbols[i.aux].name)}" if known else f" S[{i.aux}]"
    elif opcode is not None and opcode.aux == "container":
        what += f" {isa.CONTAINERS[i.aux]}" if 0 <= i.aux < len(isa.CONTAINERS) else f" container {i.aux}"
    elif opcode is not None and opcode.aux != "none":
        what += f" {opcode.aux} {i.aux}"
    operands = [f"R{register}" for register in i.reads[:_OPERANDS]]
    first = len(i.reads) - len(i.names)  # the first that has a name; below 0 there are more names than operands
    for at in range(max(first, 0), len(operands)):
        operands[at] = f"{clipped(i.names[at - first], 20)}={operands[at]}"
    if len(i.reads) > _OPERANDS:
        operands.append(f"... {len(i.reads) - _OPERANDS:,} more")
    text = f"{what}({', '.join(operands)})"
    if i.spec != isa.NONE:
        text += f" {opcode.spec if opcode is not None and opcode.spec != 'none' else 'spec'} {i.spec}"
    if i.dst != isa.NONE:
        text = f"R{i.dst} = {text}"
    lists = (("tests", "R", i.tests), ("after", "%", i.after), ("dead", "R", i.dead))
    return text + "".join(f"  {word} {some(numbers, sign)}" for word, sign, numbers in lists if numbers)
