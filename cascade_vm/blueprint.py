"""Blueprint: the compiled shape of one graph. Data, and nothing but data.

A blueprint holds no value that a user passed: literals and inputs are put into the first registers of each frame. So a cached one
keeps nothing alive, and one shape serves all graphs that have it.
"""

from __future__ import annotations

import msgspec

from cascade_vm.isa import NONE


class Symbol(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A task as the blueprint knows it. ``signature`` is text such as ``(x, y=…)``: names, kinds, and which have defaults."""

    name: str  # "module:qualname"
    version: str
    is_async: bool
    signature: str


class Instruction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One instruction. Its opcode's declaration in ``isa.OPCODES`` says which of the fields it uses.

    ``position`` is its place in the order in which eager Python would have evaluated the graph, unique among instructions that
    compute a value. ``dead`` are registers whose values nobody reads after it. ``after`` are positions of instructions that must
    have ended before it, beside those whose values it reads. ``names`` are the keywords of the last operands.
    """

    opcode: int
    position: int
    dst: int = NONE
    reads: tuple[int, ...] = ()
    aux: int = 0
    names: tuple[str, ...] = ()
    dead: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


class Strand(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Instructions ``start`` to ``stop`` (exclusive), run without a stop once nothing is waited for any more.

    It waits for the end of the strands ``needs`` and of the waiting instructions at ``awaits``. Of several ready strands the eager ones
    go first (they issue what waits and do no work of their own), then the one whose first instruction has the lowest position.
    """

    start: int
    stop: int
    eager: bool = False
    needs: tuple[int, ...] = ()
    awaits: tuple[int, ...] = ()


class Blueprint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A compiled graph. Registers 0 to ``literals`` hold its literals when a frame starts, the next ones its inputs, by name."""

    cycle_id: str
    registers: int
    literals: int
    inputs: tuple[str, ...]
    symbols: tuple[Symbol, ...]
    instructions: tuple[Instruction, ...]
    strands: tuple[Strand, ...]
