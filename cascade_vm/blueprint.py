"""Blueprint: the compiled shape of one graph. Data, and nothing but data.

A blueprint holds no value that a user passed: literals and inputs are put into the first registers of each frame. So a cached one
keeps nothing alive, and one shape serves all graphs that have it.
"""

from __future__ import annotations

import msgspec

from cascade_vm.bounded import shown
from cascade_vm.isa import NONE
from cascade_vm.policies import CallPolicy


class Symbol(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A task as the blueprint knows it. ``signature`` is text such as ``(x, y=…)``: names, kinds, and which have defaults."""

    name: str  # "module:qualname"
    version: str
    is_async: bool
    signature: str
    mode: str = "inline"  # or "thread", "process"
    bound: bool = False  # its calls may jump: their routes are an operand before their arguments

    __repr__ = shown

    @property
    def waits(self) -> bool:
        """Does the value of a call come later, from the driver?"""
        return self.is_async or self.mode != "inline"


class Instruction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One instruction. Its opcode's declaration in ``isa.OPCODES`` says which of the fields it uses.

    ``position`` is its place in the order in which eager Python would have evaluated the graph, unique among instructions that
    compute a value. ``dead`` are registers whose values nobody reads after it. ``after`` are positions of instructions that must
    have ended before it, beside those whose values it reads. ``names`` are the keywords of the last operands. ``spec`` is the number of
    its policy or map. ``tests`` are registers of which each may hold the value of what was skipped: then it is skipped, too (S11).
    """

    opcode: int
    position: int
    dst: int = NONE
    reads: tuple[int, ...] = ()
    aux: int = 0
    names: tuple[str, ...] = ()
    dead: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    spec: int = NONE
    tests: tuple[int, ...] = ()

    __repr__ = shown


class Strand(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Instructions ``start`` to ``stop`` (exclusive), run without a stop once nothing is waited for any more.

    It waits for the end of the strands ``needs`` and of the waiting instructions at ``awaits``. Of several ready strands the eager ones
    go first (they issue what waits and do no work of their own), then the one whose first instruction has the lowest position.
    It runs only where its region is open; region 0 always is.
    """

    start: int
    stop: int
    eager: bool = False
    needs: tuple[int, ...] = ()
    awaits: tuple[int, ...] = ()
    region: int = 0

    __repr__ = shown


SKIP = -1  # a source: there is no value, and who takes it is skipped


class Choice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What a branch chooses from. Of each route: the region that it opens, and where its value comes from.

    A source is the position of the instruction that computes it, or SKIP, or ``-2 - register`` of a literal or input. A choice without
    ``keyed`` is a condition: route 0 where it is true, route 1 where not. A keyed one has a table of its routes in a register; where
    there is one route more than the table has, it is for all other keys.
    """

    regions: tuple[int, ...]
    sources: tuple[int, ...]
    keyed: bool = False

    __repr__ = shown


class Map(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """How a task is mapped: which operands are iterated (by number), the policy of each call, how many may be in progress."""

    iterated: tuple[int, ...]
    policy: int = NONE
    max_concurrency: int | None = None

    __repr__ = shown


class Resource(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A resource as the blueprint knows it."""

    name: str  # "module:qualname"
    scope: str  # "run" or "step"
    is_async: bool

    __repr__ = shown


class Blueprint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A compiled graph. Registers 0 to ``literals`` hold its literals when a frame starts, the next ones its inputs, by name."""

    cycle_id: str
    registers: int
    literals: int
    inputs: tuple[str, ...]
    symbols: tuple[Symbol, ...]
    instructions: tuple[Instruction, ...]
    strands: tuple[Strand, ...]
    policies: tuple[CallPolicy, ...] = ()
    maps: tuple[Map, ...] = ()
    choices: tuple[Choice, ...] = ()
    resources: tuple[Resource, ...] = ()
    regions: tuple[tuple[int, ...], ...] = ((),)  # of each, the other regions that open with it

    __repr__ = shown
