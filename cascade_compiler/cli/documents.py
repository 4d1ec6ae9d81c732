"""Programs and values as JSON, what the commands print under ``--json``; and programs in a few lines of text.

Values: JSON's own types as they are; tuples and sets (sorted) as lists; dates, Decimals, UUIDs, bytes (base64), enums, data
classes and Structs as msgspec has them; and what JSON cannot hold (NaN, any other object, a dict whose keys are alike as text) as its repr.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec

from cascade_vm import constants, isa
from cascade_vm.inputs import MISSING, show_type
from cascade_vm.listing import instruction_text
from cascade_vm.notes import short

if TYPE_CHECKING:
    from cascade_compiler.cli.source_lines import Sources
    from cascade_vm.about import SourceMap
    from cascade_vm.blueprint import Blueprint
    from cascade_vm.program import Input, Program


def of_value(value: Any) -> Any:
    """``value`` as what ``json`` can write; see above."""
    try:
        return _plain(value)
    except RecursionError:  # it holds itself, or is nested too deep
        return short(value)


def of_summary(program: Program) -> dict[str, Any]:
    """What a caller has to know of a program."""
    return {
        "cycle_id": program.cycle_id,
        "instructions": instructions(program),
        "blueprints": len(program.data.blueprints),
        "tasks": [symbol.name for symbol in program.symbols],
        "inputs": [
            {"name": one.name, "source": one.source, "type": show_type(one.type), "required": one.required}
            | ({} if one.default is MISSING else {"default": of_value(one.default)})
            for one in program.inputs.values()
        ],
    }


def instructions(program: Program) -> int:
    return sum(len(blueprint.instructions) for blueprint in program.data.blueprints)


def summary_text(path: str, size: int, program: Program) -> str:
    """What was written, for people."""
    inputs = [input_text(one) for one in program.inputs.values()] or ["none"]
    rows = [("instructions", f"{instructions(program):,}"), ("cycle_id", program.cycle_id), ("inputs", inputs[0])]
    rows += [("", one) for one in inputs[1:]]
    return "\n".join([f"wrote {path}: {size:,} bytes", *(f"  {name:<14}{what}" for name, what in rows)])


def of_program(program: Program, sources: Sources | None = None) -> dict[str, Any]:
    """The whole of a program: what ``cascade dis`` lists. With ``sources``, the line of source of each instruction too."""
    return of_summary(program) | {
        "constants": [{"hex": one.hex(), "repr": short(constants.decode(one))} for one in program.data.constants],
        "literals": list(program.data.literals),
        "blueprints": [_blueprint(one, program.source_maps.get(one.cycle_id), sources) for one in program.data.blueprints],
    }


def input_text(one: Input) -> str:
    """An input for people: ``day: date = ...``."""
    text = f"{'env ' if one.source == 'env' else ''}{one.name}: {show_type(one.type)}"
    return text if one.default is MISSING else f"{text} = {short(one.default)}"


def _blueprint(blueprint: Blueprint, source_map: SourceMap | None, sources: Sources | None) -> dict[str, Any]:
    return {
        "cycle_id": blueprint.cycle_id,
        "registers": blueprint.registers,
        "literals": blueprint.literals,
        "inputs": list(blueprint.inputs),
        "symbols": [
            {"name": one.name, "kind": "async" if one.is_async else "sync", "version": one.version, "signature": one.signature}
            for one in blueprint.symbols
        ],
        "strands": [
            {
                "eager": strand.eager, "needs": list(strand.needs), "awaits": list(strand.awaits),
                "instructions": [_instruction(blueprint, pc, source_map, sources) for pc in range(strand.start, strand.stop)],
            }
            for strand in blueprint.strands
        ],
    }  # fmt: skip


def _instruction(blueprint: Blueprint, pc: int, source_map: SourceMap | None, sources: Sources | None) -> dict[str, Any]:
    one = blueprint.instructions[pc]
    opcode = isa.BY_CODE[one.opcode]
    place = source_map.place(pc) if source_map is not None else None
    return {
        "pc": pc, "position": one.position, "opcode": opcode.name, "text": instruction_text(blueprint, one),
        "symbol": one.aux if opcode.aux == "symbol" else None,
        "container": isa.CONTAINERS[one.aux] if opcode.aux == "container" else None,
        "dst": None if one.dst == isa.NONE else one.dst, "reads": list(one.reads), "names": list(one.names),
        "dead": list(one.dead), "after": list(one.after),
        "at": f"{place[0]}:{place[1]}" if place is not None else None,
    } | ({} if sources is None else {"source": sources.line(*place) if place is not None else None})  # fmt: skip


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        named = {_key(key): _plain(part) for key, part in value.items()}
        return named if len(named) == len(value) else _repr(value)
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(part) for part in value), key=json.dumps)
    return _plain(msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_repr))


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    found = _plain(key)
    return found if isinstance(found, str) else json.dumps(found)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"
