"""Notes on failures: from a frame and an instruction to the text that a user reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascade_vm import isa, regions
from cascade_vm.frame import Frame
from cascade_vm.jumps import given
from cascade_vm.notes import add_note, builtin_note, short, task_note


def annotate(
    raised: BaseException, frame: Frame, pc: int, args: Sequence[Any], kwargs: Mapping[str, Any], attempt: str = ""
) -> None:
    """Add to ``raised`` the note for the instruction at ``pc``, which had these operands."""
    code = frame.code
    instruction = code.blueprint.instructions[pc]
    where = code.where(frame.sites, pc)
    if instruction.opcode == isa.MAP and not attempt:
        note = builtin_note(code.label(pc), where)
    elif isa.BY_CODE[instruction.opcode].aux == "symbol":
        symbol = code.blueprint.symbols[instruction.aux]
        label = symbol.name.replace(":", ".")
        if symbol.bound and isa.BY_CODE[instruction.opcode].spec == "none":
            args, kwargs = args[1:], given(kwargs)  # without its routes
        note = task_note(label, where, code.functions[instruction.aux], args, kwargs, attempt)
    elif instruction.opcode == isa.ENTER:
        note = builtin_note(code.label(pc), where)
    elif instruction.opcode == isa.BRANCH:
        choice = code.blueprint.choices[instruction.aux]
        note = builtin_note("router" if choice.keyed else f"condition of {regions.called(code, choice)}", where)
    elif instruction.opcode == isa.ITEM:
        note = builtin_note(f"item [{short(args[1])}]" if len(args) > 1 else "item", where)  # none where what it came to was skipped
    elif instruction.opcode != isa.BUILD:
        note = builtin_note(isa.BY_CODE[instruction.opcode].name, where)
    else:
        kind = isa.CONTAINERS[instruction.aux]
        if kind.endswith("-like"):
            kind = type(args[0]).__name__
        note = builtin_note(kind, where)
    add_note(raised, note)
