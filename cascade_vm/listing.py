"""Disassembly: a blueprint or a program as text that is pleasant to read, and that ``assemble`` reads back."""

from __future__ import annotations

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction


def instruction_text(blueprint: Blueprint, instruction: Instruction) -> str:
    """One instruction, as an assignment: ``R3 = call shop.price(R1, currency=R2)``."""
    opcode = isa.BY_CODE[instruction.opcode]
    plain = len(instruction.reads) - len(instruction.names)
    operands = [f"R{r}" for r in instruction.reads[:plain]]
    operands += [f"{name}=R{r}" for name, r in zip(instruction.names, instruction.reads[plain:], strict=True)]
    if opcode.aux == "symbol":
        what = f"{opcode.name} {blueprint.symbols[instruction.aux].name}"
    elif opcode.aux == "container":
        what = f"{opcode.name} {isa.CONTAINERS[instruction.aux]}"
    else:
        what = opcode.name
    text = f"{what}({', '.join(operands)})"
    return f"R{instruction.dst} = {text}" if instruction.dst != isa.NONE else text
