"""The golden corpus: artifacts that were written once and stay, each with a JSON of what loading it tells and what running it gives.

``artifacts/NAME.vC.cbp`` is the flow NAME of golden_flows.py in version C of the container; ``NAME.vC-2.cbp`` the same after the compiler
changed what it makes of it, and so on. ``make_corpus.py`` adds what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import golden_flows

from cascade_vm import Program, constants, isa
from cascade_vm.blueprint import Blueprint
from cascade_vm.container import unpack

ARTIFACTS = Path(__file__).with_name("artifacts")

_NAME = re.compile(r"(\w+)\.v(\d+)(?:-(\d+))?\.cbp")
_PLACE = re.compile(r"golden_flows\.py:\d+")


def of_flow(name: str, version: int) -> list[Path]:
    """The artifacts of a flow in a version of the container, in the order in which they were added."""
    found = [path for path in ARTIFACTS.glob("*.cbp") if _parts(path)[:2] == (name, version)]
    return sorted(found, key=_parts)


def flow_of(path: Path) -> str:
    """The name of the flow that an artifact was made of."""
    return _parts(path)[0]


def _parts(path: Path) -> tuple[str, int, int]:
    """Flow, version of the container, number."""
    match = _NAME.fullmatch(path.name)
    assert match is not None, f"{path.name} is not named as make_corpus.py names artifacts"
    return match[1], int(match[2]), int(match[3] or 1)


def told(artifact: bytes, program: Program) -> dict[str, Any]:
    """What an artifact says, without anything that it names: its header, and what is in it."""
    data = program.data
    return {
        "versions": [int.from_bytes(artifact[at : at + 2], "big") for at in (8, 10, 12)],
        "content_hash": artifact[24:56].hex(),
        "content_bytes": len(unpack(artifact).content),
        "cycle_id": program.cycle_id,
        "inputs": [
            [one.name, one.source, one.type, None if program.inputs[one.name].required else shown(program.inputs[one.name].default)]
            for one in data.inputs
        ],
        "constants": [shown(constants.decode(one)) for one in data.constants],
        "literals": list(data.literals),
        "blueprints": [_of_blueprint(one) for one in data.blueprints],
        "parts": [[part.blueprint, list(part.literals), [one.name for one in part.inputs]] for part in data.parts],
        "tables": [[[shown(constants.decode(route.key)), route.plain, route.full] for route in table.routes] for table in data.tables],
        "shapes": [[shape.blueprint, list(shape.sites)] for shape in data.shapes],
        "places": {name: source_map.texts() for name, source_map in program.source_maps.items()},
    }


def _of_blueprint(blueprint: Blueprint) -> dict[str, Any]:
    return {
        "cycle_id": blueprint.cycle_id,
        "registers": blueprint.registers,
        "symbols": [[one.name, one.version, one.is_async, one.signature, one.mode, one.bound] for one in blueprint.symbols],
        "instructions": [
            f"{isa.BY_CODE[one.opcode].name} {one.dst} {list(one.reads)} {one.aux} {list(one.names)} {one.spec}"
            for one in blueprint.instructions
        ],
        "strands": [[one.start, one.stop] for one in blueprint.strands],
        "policies": len(blueprint.policies),
        "maps": len(blueprint.maps),
        "choices": len(blueprint.choices),
        "resources": [[one.name, one.scope, one.is_async] for one in blueprint.resources],
    }


def runs(
    program: Program, inputs: Sequence[Mapping[str, Any]], engine: str, pools: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What a program gives for each of several ``inputs``: its value, or what it raised and the places that this names; and what it did
    with resources."""
    executable = program.link(engine=engine, capacity=golden_flows.CAPACITY, pools=pools)
    found = []
    for given in inputs:
        golden_flows.forget()
        one: dict[str, Any] = {"inputs": shown(dict(given))}
        try:
            one["value"] = shown(executable.run(**given))
        except Exception as failure:  # whatever it is, it is to be compared
            notes = " ".join(getattr(failure, "__notes__", ()))
            one |= {"raised": type(failure).__name__, "places": _PLACE.findall(f"{failure} {notes}")}
        found.append(one | {"resources": golden_flows.forget()})
    return found


def shown(value: Any) -> str:
    """``value`` as text that shows each type in it, and does not depend on the order of a set."""
    if type(value) in (set, frozenset):
        return f"{type(value).__name__}({sorted(map(shown, value))})"
    if type(value) is dict:
        return "{" + ", ".join(f"{shown(key)}: {shown(one)}" for key, one in value.items()) + "}"
    if type(value) in (list, tuple):
        return f"{type(value).__name__}({', '.join(map(shown, value))})"
    return repr(value)
