"""Assembly: the text of a listing back into a blueprint or a program. What it makes is not verified yet: that is for ``verify``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from cascade_vm import isa
from cascade_vm.about import SourceMap
from cascade_vm.blueprint import Blueprint, Choice, Instruction, Map, Resource, Strand, Symbol
from cascade_vm.errors import LoadError
from cascade_vm.policies import CallPolicy
from cascade_vm.program import Program, ProgramData
from cascade_vm.route_data import InputSpec, Part, Shape, Table

_unquote = msgspec.json.Decoder(str).decode
_QUOTED = r'("(?:[^"\\]|\\.)*")'
_SYMBOL = re.compile(rf"symbol {_QUOTED} (bound )?(async )?(async|sync|thread|process) version {_QUOTED} signature {_QUOTED}")
_MODES = {"thread": "thread", "process": "process"}
_INPUT = re.compile(rf"input {_QUOTED} (\w+) type {_QUOTED} default (-|[0-9a-f]*)")
_COUNTS = re.compile(r"registers (\d+)\s+literals (\d+)(?:\s+inputs (.*))?")
_STRAND = re.compile(r"strand \d+( eager)?(?: region (\d+))?(?: needs ([\d ]+?))?(?: awaits ([\d ]+?))?\s*")
_INSTRUCTION = re.compile(
    r"\d+\s+%(-?\d+)\s+(?:R(\d+) = )?(\w+)(?: (.+))?\(([^()]*)\)(?: (?:policy|map) (\d+))?\s*"
    r"(?:tests ((?:R\d+ ?)+)\s*)?(?:after ((?:%\d+ ?)+)\s*)?(?:dead ((?:R\d+ ?)+)\s*)?(?:@ (.+):(\d+))?\s*"
)
_BEYOND = re.compile(r"(?<![\w\"])%?R?\d{19,}(?![\w\"])")
_Places = tuple[tuple[int, int], ...]
_COMMENT = re.compile(r'^((?:[^";]|"(?:[^"\\]|\\.)*")*);.*$')


def assemble(text: str) -> Program | Blueprint:
    """The blueprint, or the program where the text begins with ``program``, that ``disassemble`` gave this text for.

    :raises LoadError: with the number and the text of the first line that is not understood.
    """
    reader = _Reader(text)
    try:
        if reader.peek().startswith("program "):
            program = reader.program()
            reader.check_integers(program.data)
            return program
        blueprint, _ = reader.blueprint()
        reader.check_integers(blueprint)
    except (ValueError, msgspec.MsgspecError) as fault:  # what has the form of a number or of quoted text, and is none
        reader.at = reader.looked_at
        raise reader.fault(f"expected something that can be read ({fault})") from None
    reader.end()
    return blueprint


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = list(_lines(text))
        self.at = 0
        self.looked_at = 0

    def peek(self) -> str:
        self.looked_at = self.at
        return self.lines[self.at][1] if self.at < len(self.lines) else ""

    def take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.fullmatch(self.peek())
        if found is None:
            raise self.fault(f"expected `{pattern.pattern.split(' ')[0]}`")
        self.at += 1
        return found

    def fault(self, what: str) -> LoadError:
        if self.at >= len(self.lines):
            return LoadError(f"the listing ends too early: {what}", code="L10")
        number, line = self.lines[self.at]
        return LoadError(f"line {number} of the listing: {what}, not `{line[:100]}`", code="L10")

    def end(self) -> None:
        if self.at < len(self.lines):
            raise self.fault("expected nothing more")

    def check_integers(self, made: ProgramData | Blueprint) -> None:
        """:raises LoadError: one has more than 64 bits, and so no artifact can hold it."""
        try:
            msgspec.msgpack.encode(made)
        except OverflowError:
            self.at = next((at for at, (_, line) in enumerate(self.lines) if _BEYOND.search(line)), self.at)
            raise self.fault("expected integers of 64 bits at most") from None

    def while_word(self, word: str, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        while self.peek().startswith(word + " "):
            yield self.take(pattern)

    def data(self, word: str, kind: Any) -> Iterator[Any]:
        """What is written as JSON behind ``word``."""
        pattern = re.compile(rf"{word} (.*\S)\s*")
        while self.peek().startswith(f"{word} "):
            text = self.take(pattern)[1]
            try:
                yield msgspec.json.decode(text, type=kind)
            except msgspec.MsgspecError as fault:
                self.at -= 1
                raise self.fault(f"no {word} ({fault})") from None

    def program(self) -> Program:
        entry = self.take(re.compile(r"program (\S+)"))[1]
        constants = tuple(bytes.fromhex(m[1]) for m in self.while_word("constant", re.compile(r"constant ((?:[0-9a-f]{2})*)")))
        literals: tuple[int, ...] = ()
        for m in self.while_word("literals", re.compile(r"literals ([-\d ]+)")):
            literals = tuple(int(n) for n in m[1].split())
        inputs = tuple(
            InputSpec(_unquote(m[1]), m[2], _unquote(m[3]), None if m[4] == "-" else bytes.fromhex(m[4]))
            for m in self.while_word("input", _INPUT)
        )
        parts: list[Part] = []
        sources: list[tuple[int, tuple[str, ...], _Places]] = []
        while self.peek().startswith(("part ", "source ")):
            parts += self.data("part", Part)
            sources += self.data("source", tuple[int, tuple[str, ...], _Places])
        tables = tuple(self.data("table", Table))
        shapes = tuple(self.data("shape", Shape))
        blueprints, maps = [], {}
        while self.peek().startswith("blueprint "):
            blueprint, source_map = self.blueprint()
            blueprints.append(blueprint)
            if source_map is not None:
                maps[blueprint.cycle_id] = source_map
        self.end()
        for at, files, places in sources:
            if not (0 <= at < len(parts) and 0 <= parts[at].blueprint < len(blueprints)):
                raise LoadError(f"the listing has the source of part {at}, and no such part or no blueprint for it", code="L10")
            maps[f"{blueprints[parts[at].blueprint].cycle_id}+{at}"] = SourceMap.of(files, places)
        return Program(ProgramData(entry, tuple(blueprints), constants, literals, inputs, tuple(parts), tables, shapes), maps)

    def blueprint(self) -> tuple[Blueprint, SourceMap | None]:
        cycle_id = self.take(re.compile(r"blueprint (\S+)"))[1]
        counts = self.take(_COUNTS)
        inputs = tuple(_unquote(name) for name in re.findall(_QUOTED, counts[3] or ""))
        symbols = tuple(
            Symbol(_unquote(m[1]), _unquote(m[5]), bool(m[3]) or m[4] == "async", _unquote(m[6]), _MODES.get(m[4], "inline"), bool(m[2]))
            for m in self.while_word("symbol", _SYMBOL)
        )
        policies = tuple(self.data("policy", CallPolicy))
        maps = tuple(self.data("map", Map))
        choices = tuple(self.data("choice", Choice))
        resources = tuple(self.data("resource", Resource))
        regions: tuple[tuple[int, ...], ...] = next(self.data("regions", tuple[tuple[int, ...], ...]), ((),))
        numbers = {symbol.name: at for at, symbol in enumerate(symbols)}
        instructions: list[Instruction] = []
        strands: list[Strand] = []
        files: dict[str, int] = {}
        lines: list[tuple[int, int]] = []
        for head in self.while_word("strand", _STRAND):
            start = len(instructions)
            while self.peek()[:1].isdigit():
                found = _INSTRUCTION.fullmatch(self.peek())
                instruction = found and _instruction(found, numbers)
                if not instruction or not found:
                    raise self.fault("expected an instruction of a known opcode, symbol or container")
                instructions.append(instruction)
                lines.append(_place(found[10], int(found[11]), files) if found[10] else (-1, 0))
                self.at += 1
            strands.append(
                Strand(start, len(instructions), bool(head[1]), _numbers(head[3]), _numbers(head[4]), int(head[2] or 0))
            )
        blueprint = Blueprint(
            cycle_id, int(counts[1]), int(counts[2]), inputs, symbols, tuple(instructions), tuple(strands), policies, maps, choices,
            resources, regions,
        )  # fmt: skip
        return blueprint, SourceMap.of(files, lines) if files else None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        commented = _COMMENT.match(line)
        line = (commented[1] if commented else line).strip()
        if line:
            yield number, line


def _instruction(found: re.Match[str], symbols: dict[str, int]) -> Instruction | None:
    position, dst, name, what, operands, spec, tests, after, dead = found.groups()[:9]
    opcode = isa.BY_NAME.get(name)
    if opcode is None:
        return None
    aux = 0
    if opcode.aux == "symbol":
        aux = int(what[2:-1]) if re.fullmatch(r"S\[\d+\]", what or "") else symbols.get(what or "", -1)
    elif opcode.aux == "container":
        aux = isa.CONTAINERS.index(what) if what in isa.CONTAINERS else -1
    elif opcode.aux in ("choice", "resource"):
        aux = int(what.split()[1]) if re.fullmatch(rf"{opcode.aux} \d+", what or "") else -1
    if aux < 0:
        return None
    parts = [part.strip().rpartition("=") for part in operands.split(",") if part.strip()]
    return Instruction(
        opcode.code, int(position), isa.NONE if dst is None else int(dst),
        tuple(int(register[1:]) for _, _, register in parts), aux, tuple(keyword for keyword, _, _ in parts if keyword),
        _numbers(dead), _numbers(after), isa.NONE if spec is None else int(spec), _numbers(tests),
    )  # fmt: skip


def _place(file: str, line: int, files: dict[str, int]) -> tuple[int, int]:
    if line >= 2**32:
        raise ValueError(f"line {line} of a file")
    return files.setdefault(_unquote(file) if file.startswith('"') else file, len(files)), line


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text or ""))
