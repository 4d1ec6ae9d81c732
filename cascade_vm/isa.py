"""The instruction set: every opcode, declared once.

Notation: ``R[x]`` is register x of the frame; ``S[x]`` entry x of the blueprint's symbol table; ``d`` the destination, ``a b c ...`` the
registers read. Encoder, verifier, assembler, disassembler, linker (which refuses to import when an opcode has no handler) and
docs/instruction-set.md are all derived from ``OPCODES``. Codes are append-only: a code is never reused and never changes its meaning.

docs/adding-an-opcode.md walks through adding one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ISA_VERSION = 2
OPSET_VERSION = 2

NONE = -1  # the destination of an instruction whose result nobody reads

Reads = Literal["none", "one", "two", "any"]
Aux = Literal["none", "symbol", "container", "choice", "resource"]
Spec = Literal["none", "policy", "map"]


class Opcode(msgspec.Struct, frozen=True):
    """The declaration of one opcode.

    ``reads`` is how many registers it reads; ``aux`` what its extra operand means, and ``spec`` its second one; ``keywords`` whether its
    last operands may be named; ``ends`` whether the frame has nothing left to do after it; ``waits`` whether its value comes later.
    """

    code: int
    name: str
    meaning: str
    reads: Reads
    writes: bool = False
    aux: Aux = "none"
    spec: Spec = "none"
    keywords: bool = False
    ends: bool = False
    waits: bool = False
    notes: str = ""


OPCODES: tuple[Opcode, ...] = (
    Opcode(
        1, "call", "R[d] = S[x](R[a], ..., name=R[b], ...)", "any", writes=True, aux="symbol", keywords=True,
        notes="A result that is a continuation is run in a child frame, and R[d] is its value. "
        "The strand goes on when it has ended; where the child must wait, whatever else of the frame is ready goes on meanwhile.",
    ),
    Opcode(
        2, "spawn", "R[d] = value, later, of S[x](R[a], ..., name=R[b], ...)", "any", writes=True, aux="symbol", keywords=True,
        waits=True, notes="Hands the awaitable to the driver. Strands that await this instruction become ready when it ends.",
    ),
    Opcode(
        3, "tail_call", "return S[x](R[a], ..., name=R[b], ...)", "any", aux="symbol", keywords=True, ends=True,
        notes="A result that is a continuation takes this frame over. The only place where a loop goes round, "
        "and where a machine gives its time slice away.",
    ),
    Opcode(
        4, "tail_spawn", "return value, later, of S[x](R[a], ..., name=R[b], ...)", "any", aux="symbol", keywords=True, ends=True,
        waits=True, notes="Like tail_call, for a task that waits.",
    ),
    Opcode(
        5, "build", "R[d] = container x of R[a], R[b], ...", "any", writes=True, aux="container",
        notes="A dict takes its keys and values in turn. A `-like` container takes its prototype first: an empty instance, which is "
        "copied and filled.",
    ),
    Opcode(
        6, "item", "R[d] = R[a][R[b]]", "two", writes=True,
        notes="A value that is a continuation is run in a child frame, as after call.",
    ),
    Opcode(7, "drop", "R[a], ... = nothing", "any", notes="Ends the life of values that several strands read; runs when all have."),
    Opcode(8, "return", "return R[a]", "one", ends=True),
    Opcode(
        9, "perform", "R[d] = value, later, of S[x](R[a], ..., name=R[b], ...) under policy p", "any", writes=True, aux="symbol",
        spec="policy", keywords=True, waits=True,
        notes="A call with a retry, a timeout, a cache, constraints or a rate limit. Amounts of constraints that are not constant are its "
        "first operands. A synchronous task is called when it is its turn.",
    ),
    Opcode(
        10, "tail_perform", "return value, later, of S[x](R[a], ..., name=R[b], ...) under policy p", "any", aux="symbol", spec="policy",
        keywords=True, ends=True, waits=True, notes="Like tail_call, for a call under a policy.",
    ),
    Opcode(
        11, "map", "R[d] = list, later, of S[x](R[a], ...) for each position of the iterated operands", "any", writes=True, aux="symbol",
        spec="map", keywords=True, waits=True, notes="Its map says which operands are iterated, the policy of each call, and the bound.",
    ),
    Opcode(
        12, "branch", "R[d] = number of the route of choice x that R[a] takes; opens its region", "any", writes=True, aux="choice",
        notes="A condition takes route 0 where R[a] is true, else route 1. A router looks R[a] up in the table R[b].",
    ),
    Opcode(
        13, "select", "R[d] = value, later, of route R[a] of choice x", "one", writes=True, aux="choice", waits=True,
        notes="Where the route ends the frame by itself, its value never comes here.",
    ),
    Opcode(
        14, "enter", "R[d] = value, later, of resource x, set up with (name=R[a], ...)", "any", writes=True, aux="resource", keywords=True,
        waits=True, notes="Set up once for its scope. One of scope step is torn down before the frame goes on from its last instruction.",
    ),
)  # fmt: skip

BY_CODE: dict[int, Opcode] = {op.code: op for op in OPCODES}
BY_NAME: dict[str, Opcode] = {op.name: op for op in OPCODES}
if len(BY_CODE) != len(OPCODES) or len(BY_NAME) != len(OPCODES):
    raise AssertionError("two opcodes share a code or a name")

(
    CALL, SPAWN, TAIL_CALL, TAIL_SPAWN, BUILD, ITEM, DROP, RETURN, PERFORM, TAIL_PERFORM, MAP, BRANCH, SELECT, ENTER,
) = (op.code for op in OPCODES)  # fmt: skip

# The containers of `build`, by their aux operand.
CONTAINERS: tuple[str, ...] = (
    "list", "tuple", "dict", "set", "frozenset", "list-like", "tuple-like", "dict-like", "set-like", "frozenset-like",
)  # fmt: skip
