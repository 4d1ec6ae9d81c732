"""Disassembly: code as text that is pleasant to read, and that ``assemble`` reads back.

    blueprint 3f1c…
      registers 2   literals 1
      symbol "shop:fetch" async version "1" signature "(day)"
      symbol "shop:total" sync version "1" signature "(rows, tax=…)"
    strand 0 eager
         0  %1   R1 = spawn shop:fetch(R0)          dead R0  @ shop/flows.py:12   ; live R1
    strand 1 awaits 0
         1  %2   tail_call shop:total(R1)           dead R1  @ shop/flows.py:13   ; live -

``%n`` is the place in the order of evaluation, ``dead`` what nobody reads after it, ``@`` the line of the call, ``live`` the registers
that hold a value when it has run (a comment, as is all after a semicolon).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from cascade_vm import constants, isa
from cascade_vm.about import SourceMap
from cascade_vm.blueprint import SKIP, Blueprint, Choice, Instruction, Strand
from cascade_vm.notes import short
from cascade_vm.program import Program
from cascade_vm.route_data import Route

_LIVE_SHOWN = 8
_PLAIN_NAME = re.compile(r"[\w.:<>]+")
_PLAIN_PATH = re.compile(r"[\w.<>/\\-][\w.<>/\\ +:-]*")  # what stands in a listing without quotes


def disassemble(code: Program | Blueprint) -> str:
    """The listing of a program or a blueprint; ends with a newline."""
    lines = _blueprint(code, None) if isinstance(code, Blueprint) else _program(code)
    return "\n".join(lines) + "\n"


def instruction_text(blueprint: Blueprint, instruction: Instruction, names: Sequence[str] | None = None) -> str:
    """One instruction, as an assignment: ``R3 = call shop:price(R1, currency=R2)``. ``names`` are those of ``symbol_names``."""
    opcode = isa.BY_CODE[instruction.opcode]
    plain = len(instruction.reads) - len(instruction.names)
    operands = [f"R{r}" for r in instruction.reads[:plain]]
    operands += [f"{name}=R{r}" for name, r in zip(instruction.names, instruction.reads[plain:], strict=True)]
    what = opcode.name
    if opcode.aux == "symbol":
        what += f" {(names or symbol_names(blueprint))[instruction.aux]}"
    elif opcode.aux == "container":
        what += f" {isa.CONTAINERS[instruction.aux]}"
    elif opcode.aux == "choice":
        what += f" choice {instruction.aux}"
    elif opcode.aux == "resource":
        what += f" resource {instruction.aux}"
    text = f"{what}({', '.join(operands)})"
    if opcode.spec != "none":
        text += f" {opcode.spec} {instruction.spec}"
    return f"R{instruction.dst} = {text}" if instruction.dst != isa.NONE else text


def symbol_names(blueprint: Blueprint) -> list[str]:
    """How the symbols are shown: by name, or as ``S[at]`` where another of the table has the same name."""
    count = Counter(symbol.name for symbol in blueprint.symbols)
    return [
        s.name if count[s.name] == 1 and _PLAIN_NAME.fullmatch(s.name) else f"S[{at}]" for at, s in enumerate(blueprint.symbols)
    ]


def _choice_text(choice: Choice) -> str:
    routes = []
    for region, source in zip(choice.regions, choice.sources, strict=True):
        value = "skipped" if source == SKIP else f"%{source}" if source >= 0 else f"R{-2 - source}"
        routes.append(f"{value} in region {region}" if region else value)
    return f"{'routes' if choice.keyed else 'true, false'}: {', '.join(routes)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _program(program: Program) -> Iterator[str]:
    data = program.data
    yield f"program {data.entry}"
    for at, constant in enumerate(data.constants):
        yield f"  constant {constant.hex()}   ; {at}: {short(constants.decode(constant))}"
    if data.literals:
        yield f"  literals {' '.join(str(at) for at in data.literals)}"
    for one in data.inputs:
        default = "-" if one.default is None else one.default.hex()
        shown = "" if one.default is None else f"   ; default {short(constants.decode(one.default))}"
        yield f"  input {_quoted(one.name)} {one.source} type {_quoted(one.type)} default {default}{shown}"
    for at, part in enumerate(data.parts):
        yield f"  part {_json(part)}   ; {at}"
        source_map = program.source_maps.get(f"{data.blueprints[part.blueprint].cycle_id}+{at}")
        if source_map is not None:
            yield f"  source {_json((at, source_map.files, source_map.places()))}"
    for at, table in enumerate(data.tables):
        yield f"  table {_json(table)}   ; {at}: {', '.join(_route(route) for route in table.routes)}"
    for at, shape in enumerate(data.shapes):
        yield f"  shape {_json(shape)}   ; {at}: {data.blueprints[shape.blueprint].cycle_id[:12]}"
    for blueprint in data.blueprints:
        yield ""
        yield from _blueprint(blueprint, program.source_maps.get(blueprint.cycle_id))


def _route(route: Route) -> str:
    key = short(constants.decode(route.key))
    if route.plain < 0:
        return f"{key} ends"
    names = [repr(slot.name)[1:-1] if slot.name else "..." for slot in route.slots]  # a line break in a name would end the comment
    return f"{key} to part {route.plain} ({', '.join(names)})"


def _blueprint(blueprint: Blueprint, source_map: SourceMap | None) -> Iterator[str]:
    yield f"blueprint {blueprint.cycle_id}"
    inputs = f"   inputs {' '.join(_quoted(name) for name in blueprint.inputs)}" if blueprint.inputs else ""
    yield f"  registers {blueprint.registers}   literals {blueprint.literals}{inputs}"
    for s in blueprint.symbols:
        kind = "bound " if s.bound else ""
        kind += "async " if s.is_async and s.mode != "inline" else ""  # which nothing that Cascade compiles is
        kind += s.mode if s.mode != "inline" else "async" if s.is_async else "sync"
        yield f"  symbol {_quoted(s.name)} {kind} version {_quoted(s.version)} signature {_quoted(s.signature)}"
    for at, policy in enumerate(blueprint.policies):
        yield f"  policy {_json(policy)}   ; {at}"
    for at, one in enumerate(blueprint.maps):
        yield f"  map {_json(one)}   ; {at}"
    for at, choice in enumerate(blueprint.choices):
        yield f"  choice {_json(choice)}   ; {at}: {_choice_text(choice)}"
    for at, resource in enumerate(blueprint.resources):
        yield f"  resource {_json(resource)}   ; {at}"
    if len(blueprint.regions) > 1:
        yield f"  regions {_json(blueprint.regions)}"
    names = symbol_names(blueprint)
    texts = [instruction_text(blueprint, i, names) for i in blueprint.instructions]
    width = min(max(map(len, texts), default=0), 72)
    live = set(range(blueprint.literals + len(blueprint.inputs)))
    for number, strand in enumerate(blueprint.strands):
        yield _strand(number, strand)
        for pc in range(strand.start, strand.stop):
            i = blueprint.instructions[pc]
            live -= set(i.dead)
            if i.dst != isa.NONE:
                live.add(i.dst)
            notes = "".join((_list("tests", "R", i.tests), _list("after", "%", i.after), _list("dead", "R", i.dead), _site(source_map, pc)))
            yield f"  {pc:4}  %{i.position:<4} {texts[pc]:<{width}}{notes}   ; live {_live(live)}"


def _strand(number: int, strand: Strand) -> str:
    waits = _list("needs", "", strand.needs) + _list("awaits", "", strand.awaits)
    region = f" region {strand.region}" if strand.region else ""
    return f"strand {number}{' eager' if strand.eager else ''}{region}{waits.replace('  ', ' ')}"


def _list(word: str, sign: str, numbers: tuple[int, ...]) -> str:
    return f"  {word} {' '.join(f'{sign}{n}' for n in numbers)}" if numbers else ""


def _site(source_map: SourceMap | None, pc: int) -> str:
    place = source_map.place(pc) if source_map is not None else None
    if place is None:
        return ""
    return f"  @ {place[0] if _PLAIN_PATH.fullmatch(place[0]) else _quoted(place[0])}:{place[1]}"


def _live(live: set[int]) -> str:
    if len(live) > _LIVE_SHOWN:
        return f"{len(live)} registers"
    return " ".join(f"R{r}" for r in sorted(live)) or "-"
