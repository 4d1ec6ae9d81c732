"""Writes docs/instruction-set.md from the opcode table: ``python -m cascade_vm.isa_page PATH``, or ``--check PATH``."""

from __future__ import annotations

import sys

from cascade_vm import isa
from cascade_vm.page_file import write_or_check

_HEAD = """\
# The instruction set

*Generated from `cascade_vm/isa.py` by `make docs`; edit that file, not this page.*

Version {isa} of the instruction set, version {opset} of the operation set. Codes are append-only.

`R[x]` is register x of the frame, `S[x]` entry x of the blueprint's symbol table, `d` the destination, `a b c ...` the registers read.
Every instruction also has a *position* (its place in the order of evaluation), and may have *dead* registers (whose values nobody reads
after it) and *after* positions (what must have ended before it, beside those whose values it reads).

| code | opcode | meaning | reads | writes | operand | keywords | ends the frame | waits |
|---:|---|---|---|:-:|---|:-:|:-:|:-:|
"""


def page() -> str:
    """The page as Markdown."""
    rows = [
        f"| {op.code} | `{op.name}` | `{op.meaning}` | {op.reads} | {_mark(op.writes)} | {op.aux if op.aux != 'none' else ''} "
        f"| {_mark(op.keywords)} | {_mark(op.ends)} | {_mark(op.waits)} |"
        for op in isa.OPCODES
    ]
    notes = [f"**`{op.name}`** {op.notes}" for op in isa.OPCODES if op.notes]
    containers = ", ".join(f"{at} `{name}`" for at, name in enumerate(isa.CONTAINERS))
    head = _HEAD.format(isa=isa.ISA_VERSION, opset=isa.OPSET_VERSION)
    return head + "\n".join(rows) + "\n\n## Notes\n\n" + "\n\n".join(notes) + f"\n\n## Containers of `build`\n\n{containers}.\n"


def _mark(flag: bool) -> str:
    return "x" if flag else ""


if __name__ == "__main__":
    sys.exit(write_or_check(page(), sys.argv[1:]))
