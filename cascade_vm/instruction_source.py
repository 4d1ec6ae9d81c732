"""The text of each instruction in generated code."""

from __future__ import annotations

import dis
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_vm import isa
from cascade_vm.blueprint import Instruction
from cascade_vm.builders import BUILDERS
from cascade_vm.returns import ANY, SAFE

if TYPE_CHECKING:
    from cascade_vm.source import Writer

_DISPLAYS = {"list": "[{}]", "tuple": "({},)", "set": "{{{}}}"}

Lines = list[tuple[str, int]]  # lines of one expression, each with its instruction


class Pending(NamedTuple):
    """A call that will be written inside of the next one."""

    register: int
    lines: Lines
    depth: int


def parameters(fn: Any) -> tuple[str, ...] | None:
    """The parameters of a function whose frame tells to the end what it was given: it binds none of them to anything else."""
    return _parameters(fn.__code__) if type(fn) is FunctionType else None


@lru_cache(maxsize=1024)
def _parameters(code: CodeType) -> tuple[str, ...] | None:
    names = code.co_varnames[: code.co_argcount]
    if code.co_cellvars or any(step.opname.startswith(("STORE_FAST", "DELETE_FAST")) for step in dis.get_instructions(code)):
        return None
    return names


def _call(writer: Writer, at: int, i: Instruction) -> None:
    known = writer.known_after(at, i, writer.known)
    if writer.may_be_inside(at, known):
        depth = writer.pending.depth if writer.pending is not None else 0
        writer.pending = Pending(i.dst, writer.call_lines(at, i), depth + 1)
        writer.known[i.dst] = known
        writer.bound.pop(i.dst, None)
        writer.late += [register for register in i.dead if register not in writer.bound]
        return
    writer.define(i.dst, writer.call_lines(at, i), at, known, i.dead)


def _tail_call(writer: Writer, at: int, i: Instruction) -> None:
    writer.end(writer.call_lines(at, i), at, writer.known_after(at, i, writer.known))


def _spawn(writer: Writer, at: int, i: Instruction) -> None:
    dead = [register for register in i.dead if register != i.dst]  # its operands have to last as long as it, for the note of a failure
    (text, pc), *more = writer.call_lines(at, i)
    writer.define(i.dst, [(f"await {text}", pc), *more], at, ANY, dead)
    writer.line("if cancelling() > cancelled:", at)
    writer.line("    raise CancelledError", at)
    writer.line("if clock() >= slice_end:", at)
    writer.line("    slice_end = await give_way()", at)


def _tail_spawn(writer: Writer, at: int, i: Instruction) -> None:
    writer.write_lines("value = await ", writer.call_lines(at, i))
    writer.line("if cancelling() > cancelled:", at)
    writer.line("    raise CancelledError", at)
    writer.line("if type(value) in CONTINUATIONS:", at)
    writer.line(f"    return Going({at}, value, locals())", at)
    writer.line("return value", at)


def _item(writer: Writer, at: int, i: Instruction) -> None:
    writer.define(i.dst, writer.item_lines(at, i), at, writer.known_after(at, i, writer.known), i.dead)


def _build(writer: Writer, at: int, i: Instruction) -> None:
    kind = isa.CONTAINERS[i.aux]
    parts = [writer.name_of(register) for register in i.reads]
    if kind == "dict":
        pairs = zip(parts[::2], parts[1::2], strict=True)
        text = "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
    elif kind in _DISPLAYS and parts:
        text = _DISPLAYS[kind].format(", ".join(parts))
    else:
        name = "build_" + kind.replace("-", "_")
        writer.scope[name] = BUILDERS[i.aux]
        text = f"{name}([{', '.join(parts)}])"
    writer.define(i.dst, [(text, writer.start + at)], at, SAFE, i.dead)


def _drop(writer: Writer, at: int, i: Instruction) -> None:
    names = [f"r{register}" for register in i.dead]
    writer.line(f"{' = '.join(names)} = None", writer.start + at)


def _return(writer: Writer, at: int, i: Instruction) -> None:
    (register,) = i.reads
    value = writer.name_of(register)
    if writer.known.get(register, ANY) == ANY and writer.literals is None:
        value = f"Given({value})"
    writer.line(f"return {value}", writer.start + at)


WRITERS: dict[int, Callable[[Writer, int, Instruction], None]] = {
    isa.CALL: _call, isa.TAIL_CALL: _tail_call, isa.ITEM: _item, isa.BUILD: _build, isa.DROP: _drop, isa.RETURN: _return,
}  # fmt: skip

WRITERS_OF_CHAINS = {**WRITERS, isa.SPAWN: _spawn, isa.TAIL_SPAWN: _tail_spawn}
