"""The second tier: a strand as the Python function that a person would have written for it.

    def strand(registers):
        r0, r1 = registers[:2]
        registers.clear()
        r0 = price(r0)
        r1 = rate(r1)
        return total(r0, r1)

Registers are local variables, so a value moves without a list being touched. Every instruction has its own line: the traceback's line
number gives the instruction back, and nothing is counted while all goes well. After a call whose value may be a continuation the
function asks, and leaves with ``Left`` if it is one: the machine then runs that graph and interprets the rest of the strand. Where
``returns`` proves that it cannot be one, nothing is asked; what a proof takes for granted of literals is tested at the start.

A strand that ends in a tail call, of a code that has a guard, becomes a real loop: it goes round as long as the guard
recognises what the tail call gave.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, NamedTuple, Protocol

from cascade_vm import isa
from cascade_vm.blueprint import Instruction
from cascade_vm.continuation import CONTINUATIONS, UNFINISHED
from cascade_vm.events import SUBSCRIBERS
from cascade_vm.link import BUILDERS, Code
from cascade_vm.returns import ANY, SAFE, SCALAR, SCALARS, known_of, returned
from cascade_vm.tracebacks import GENERATED

BEGIN = -1  # of Left.at: nothing has been run

_DISPLAYS = {"list": "[{}]", "tuple": "({},)", "set": "{{{}}}"}


class Left:
    """A generated strand has been left in its middle: its instruction ``at`` gave ``value``, a continuation; or, at BEGIN, the literals
    are not of the types that the code was made for. ``names`` are its local variables."""

    __slots__ = ("at", "names", "value")

    def __init__(self, at: int, value: Any, names: dict[str, Any]) -> None:
        self.at = at
        self.value = value
        self.names = names


class Paused:
    """A generated loop has used up its time slice. ``names`` are its local variables."""

    __slots__ = ("names",)

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names


class Ended:
    """A generated strand has ended, and the frame has not."""


ENDED = Ended()
SPECIAL = frozenset({Left, Paused, Ended})
UNFINISHED.update(SPECIAL)


class Guard(Protocol):
    """The text of what recognises the next graph of a loop (see the compiler's matcher)."""

    root: str  # the variable of the graph
    names: dict[str, Any]  # what the text refers to, once it is written

    def write(self, miss: str) -> tuple[list[str], list[str], list[tuple[str, str]]]:
        """Statements that take the graph apart, or do ``miss``; the variables that hold parts of it; those of the creation sites. Literals
        are put into the variables of their registers."""


class Generated(NamedTuple):
    """A generated strand. ``pcs[n]`` is the instruction that line n + 1 of ``source`` belongs to."""

    function: Callable[..., Any]
    source: str
    pcs: list[int]
    loops: bool
    sites: list[tuple[str, str]]


def can_generate(code: Code, strand: int) -> bool:
    """Is every instruction of the strand one that this file knows?"""
    whole = code.blueprint.strands[strand]
    instructions = code.blueprint.instructions[whole.start : whole.stop]
    return bool(instructions) and not code.has_steps and all(i.opcode in _WRITERS and not i.tests for i in instructions)


def generate(
    code: Code, strand: int = 0, literals: Sequence[Any] | None = None, observed: Sequence[Any] | None = None, guard: Guard | None = None
) -> Generated:
    """Generate one strand of ``code``.

    :param literals: the values of the first registers in every run, where they are known: a program's. What is generated then is the
        method ``run`` of an executable.
    :param observed: those of one run: of what types they may be taken to be.
    :param guard: makes a loop of it.
    """
    writer = _Writer(code, strand, literals, guard)
    if literals is None and observed is not None:
        writer.assume(observed)
    writer.write()
    source = "\n".join(writer.lines) + "\n"
    filename = f"{GENERATED}{code.blueprint.cycle_id[:12]}-{strand}.py"
    exec(compile(source, filename, "exec"), writer.scope)
    return Generated(writer.scope[writer.name], source, writer.pcs, guard is not None, writer.sites)


class _Writer:
    def __init__(self, code: Code, strand: int, literals: Sequence[Any] | None, guard: Guard | None) -> None:
        blueprint = code.blueprint
        whole = blueprint.strands[strand]
        self.code = code
        self.single = code.single
        self.start = whole.start
        self.instructions = blueprint.instructions[whole.start : whole.stop]
        self.preloaded = blueprint.literals + len(blueprint.inputs)
        self.literals = literals
        self.guard = guard
        self.name = "loop" if guard is not None else "strand" if literals is None else "run"
        self.lines: list[str] = []
        self.pcs: list[int] = []
        self.depth = 1
        self.scope: dict[str, Any] = {
            "Left": Left, "CONTINUATIONS": CONTINUATIONS, "SCALARS": SCALARS, "ENDED": ENDED, "Paused": Paused, "monotonic": monotonic,
            "CODE": code, "UNFINISHED": UNFINISHED,
        }  # fmt: skip
        self.known: dict[int, int] = {}  # what is known of each register, so far
        self.assumed: list[int] = []  # literals that are taken to be scalars
        self.bound: dict[int, str] = {}  # register -> the constant in it
        self.callable_names: dict[int, str] = {}
        self.sites: list[tuple[str, str]] = []
        self.asks = False
        if literals is not None:
            for register, value in enumerate(literals):
                self.known[register] = known_of(value)
                self.bound[register] = f"c{register}"

    # --- what the literals may be taken for ---------------------------------------------------------------------------------

    def assume(self, observed: Sequence[Any]) -> None:
        """Take literals for scalars where one run had scalars, if that proves more calls than it costs tests."""
        scalars = [at for at, value in enumerate(observed[: self.preloaded]) if type(value) in SCALARS]
        read = {register for i in self.instructions for register in i.reads}
        scalars = [at for at in scalars if at in read]
        if self._proven(scalars) - self._proven([]) > len(scalars):
            self.assumed = scalars
            self.known.update(dict.fromkeys(scalars, SCALAR))

    def _proven(self, assumed: Sequence[int]) -> int:
        known = dict.fromkeys(assumed, SCALAR)
        count = 0
        for at, i in enumerate(self.instructions):
            what = self._known_after(at, i, known)
            count += i.opcode in (isa.CALL, isa.ITEM) and what > ANY
            if i.dst >= 0:
                known[i.dst] = max(what, SAFE)
        return count

    def _known_after(self, at: int, i: Instruction, known: dict[int, int]) -> int:
        if i.opcode in (isa.CALL, isa.TAIL_CALL):
            return returned(self.code.callees[self.start + at], [known.get(r, ANY) for r in i.reads], i.names)
        if i.opcode == isa.ITEM:
            return SCALAR if min(known.get(r, ANY) for r in i.reads) == SCALAR else ANY
        return SAFE

    # --- text -----------------------------------------------------------------------------------------------------------------

    def line(self, text: str, pc: int = -1) -> None:
        self.lines.append("    " * self.depth + text)
        self.pcs.append(pc)

    def write(self) -> None:
        if self.literals is not None:
            self.lines.append("def run(**inputs):")
            for register, value in enumerate(self.literals):
                self.scope[f"c{register}"] = value
        else:
            self.lines.append(f"def {self.name}(registers{', slice_end' if self.guard is not None else ''}):")
        self.pcs.append(-1)
        body = self.lines, self.pcs
        self.lines, self.pcs = [], []
        if self.guard is not None:
            self.depth = 3
        elif self.literals is not None:
            self.depth = 2
        self._write_body()
        written, pcs = self.lines, self.pcs
        self.lines, self.pcs = body
        self.depth = 1
        self._write_head()
        if self.guard is not None:
            self._write_loop(written, pcs)
        elif self.literals is not None:
            self._write_run(written, pcs)
        else:
            self.lines += written
            self.pcs += pcs

    def _write_head(self) -> None:
        if self.asks:
            self.line("usual = None")
        if self.literals is not None:
            self.scope["SUBSCRIBERS"] = SUBSCRIBERS
            return
        if self.single:
            names = ", ".join(f"r{r}" for r in range(self.preloaded))
            if self.preloaded:
                self.line(f"{names}, = registers[:{self.preloaded}]" if self.preloaded == 1 else f"{names} = registers[:{self.preloaded}]")
            self.line("registers.clear()")
        else:
            written: set[int] = set()
            for i in self.instructions:
                for register in i.reads:
                    if register not in written:
                        self.line(f"r{register} = registers[{register}]")
                        written.add(register)
                if i.dst >= 0:
                    written.add(i.dst)

    def _write_test(self) -> None:
        if self.assumed:
            tests = [f"type(r{register}) in SCALARS" for register in self.assumed]
            joined = " and ".join(tests)
            self.line(f"if not ({joined}):" if len(tests) > 1 else f"if {joined.replace(' in ', ' not in ')}:")
            self.line(f"    return Left({BEGIN}, None, locals())")

    def _write_body(self) -> None:
        self._write_test()
        at = 0
        while at < len(self.instructions):
            i = self.instructions[at]
            following = self.instructions[at + 1] if at + 1 < len(self.instructions) else None
            if i.opcode == isa.ITEM and following is not None and following.opcode == isa.RETURN and following.reads == (i.dst,):
                # A tail call, if it is a continuation.
                self._end(f"{self._register(i.reads[0])}[{self._register(i.reads[1])}]", at, self._known_after(at, i, self.known))
                return
            _WRITERS[i.opcode](self, at, i)
            at += 1
        last = self.instructions[-1]
        if not isa.BY_CODE[last.opcode].ends:
            self._write_back()
            self.line("return ENDED")

    def _write_back(self) -> None:
        """What other strands may read goes into the registers, and what is dead leaves them."""
        dead: set[int] = set()
        changed: set[int] = set()
        for i in self.instructions:
            if i.dst >= 0:
                changed.add(i.dst)
                dead.discard(i.dst)
            changed.update(i.dead)
            dead.update(register for register in i.dead if register != i.dst)
        for register in sorted(changed):
            if register < self.code.blueprint.registers:
                self.line(f"registers[{register}] = {'None' if register in dead else f'r{register}'}")

    def _write_run(self, written: list[str], pcs: list[int]) -> None:
        """The method of an executable: what cannot be done here is done by its others."""
        self.line("if inputs or SUBSCRIBERS:")
        self.line("    return interpret(inputs)")
        self.line("try:")
        self.lines += written
        self.pcs += pcs
        self.line("except BaseException as raised:")
        self.line("    raise failed(raised)")

    def _write_loop(self, written: list[str], pcs: list[int]) -> None:
        assert self.guard is not None
        lines, held, self.sites = self.guard.write(f"return {self.guard.root}")
        self.scope.update(self.guard.names)
        self.line("turns = 0")
        self.line("try:")
        self.depth = 2
        self.line("while True:")
        self.lines += written
        self.pcs += pcs
        self.depth = 3
        end = self.pcs[-1]
        self.line("# Is the next graph of the same shape?")
        self.line("try:", end)
        self.depth = 4
        for text in lines:
            for one in text.split("\n"):
                self.line(one, end)
        self.depth = 3
        self.line("except ValueError:", end)
        self.line(f"    return {self.guard.root}", end)
        # Values of this round must not live on into the next one.
        given = {f"r{register}" for register in self.instructions[-1].reads if register >= self.preloaded}
        self.line(f"{' = '.join([*held, *sorted(given)])} = None", end)
        self.line("turns += 1", end)
        self.line("if slice_end is not None and monotonic() >= slice_end:", end)
        self.line("    return Paused(locals())", end)
        self.depth = 1
        self.line("finally:")
        self.line("    CODE.hits += turns")

    # --- instructions -----------------------------------------------------------------------------------------------------------

    def _register(self, register: int) -> str:
        return self.bound.get(register) or f"r{register}"

    def _call(self, at: int, i: Instruction) -> str:
        plain = len(i.reads) - len(i.names)
        parts = [self._register(register) for register in i.reads[:plain]]
        named = list(zip(i.names, i.reads[plain:], strict=True))
        if all(name.isidentifier() and not keyword.iskeyword(name) for name in i.names):
            parts += [f"{name}={self._register(register)}" for name, register in named]
        else:
            parts.append("**{" + ", ".join(f"{name!r}: {self._register(register)}" for name, register in named) + "}")
        return f"{self._callable(self.code.callees[self.start + at], i)}({', '.join(parts)})"

    def _callable(self, fn: Any, i: Instruction) -> str:
        name = self.callable_names.get(id(fn))
        if name is None:
            stem = self.code.blueprint.symbols[i.aux].name.rpartition(":")[2].rpartition(".")[2]
            stem = stem if stem.isidentifier() and not keyword.iskeyword(stem) else "task"
            name, number = stem, 1
            while name in self.scope or name in _TAKEN or _looks_taken(name):
                number += 1
                name = f"{stem}_{number}"
            self.callable_names[id(fn)] = name
            self.scope[name] = fn
        return name

    def _define(self, register: int, text: str, at: int, known: int, dead: Sequence[int]) -> None:
        """``register = text``; if that may be a continuation, leave with it; let what is dead go."""
        pc = self.start + at
        name = f"r{register}" if register >= 0 else "unread"
        self.line(f"{name} = {text}", pc)
        if known == ANY:
            self.asks = True
            self.line(f"if type({name}) is not usual:", pc)
            self.line(f"    usual = type({name})", pc)
            self.line("    if usual in CONTINUATIONS:", pc)
            left = f"Left({at}, {name}, locals())"
            self.line(f"        return {left if self.literals is None else f'go_on({left})'}", pc)
        self.bound.pop(register, None)
        self.known[register] = max(known, SAFE)
        gone = [f"r{one}" for one in dead if one not in self.bound and one < self.code.blueprint.registers]
        if register < 0 and known != SCALAR:
            gone.append(name)
        if gone:
            self.line(f"{' = '.join(gone)} = None", pc)

    def _end(self, text: str, at: int, known: int) -> None:
        pc = self.start + at
        if self.literals is not None and known == ANY:
            self.line(f"value = {text}", pc)
            self.line("return value if type(value) not in UNFINISHED else go_on(value)", pc)
            return
        if self.guard is None:
            self.line(f"return {text}", pc)
            return
        root = self.guard.root
        self.line(f"{root} = {text}", pc)
        self.line(f"if type({root}) is not L:", pc)
        self.line(f"    return {root}", pc)


def _call(writer: _Writer, at: int, i: Instruction) -> None:
    writer._define(i.dst, writer._call(at, i), at, writer._known_after(at, i, writer.known), i.dead)


def _tail_call(writer: _Writer, at: int, i: Instruction) -> None:
    writer._end(writer._call(at, i), at, writer._known_after(at, i, writer.known))


def _item(writer: _Writer, at: int, i: Instruction) -> None:
    text = f"{writer._register(i.reads[0])}[{writer._register(i.reads[1])}]"
    writer._define(i.dst, text, at, writer._known_after(at, i, writer.known), i.dead)


def _build(writer: _Writer, at: int, i: Instruction) -> None:
    kind = isa.CONTAINERS[i.aux]
    parts = [writer._register(register) for register in i.reads]
    if kind == "dict":
        pairs = zip(parts[::2], parts[1::2], strict=True)
        text = "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
    elif kind in _DISPLAYS and parts:
        text = _DISPLAYS[kind].format(", ".join(parts))
    else:
        name = "build_" + kind.replace("-", "_")
        writer.scope[name] = BUILDERS[i.aux]
        text = f"{name}([{', '.join(parts)}])"
    writer._define(i.dst, text, at, SAFE, i.dead)


def _drop(writer: _Writer, at: int, i: Instruction) -> None:
    names = [f"r{register}" for register in i.dead]
    writer.line(f"{' = '.join(names)} = None", writer.start + at)


def _return(writer: _Writer, at: int, i: Instruction) -> None:
    writer.line(f"return {writer._register(i.reads[0])}", writer.start + at)


_WRITERS: dict[int, Callable[[_Writer, int, Instruction], None]] = {
    isa.CALL: _call, isa.TAIL_CALL: _tail_call, isa.ITEM: _item, isa.BUILD: _build, isa.DROP: _drop, isa.RETURN: _return,
}  # fmt: skip

_TAKEN = frozenset({
    "registers", "slice_end", "usual", "turns", "graph", "unread", "type", "locals", "loop", "strand", "args", "kwargs", "policy", "task",
    "fields", "literal_of", "is_input", "is_resource", "L", "A", "MISS", "MISSING", "GENERATION", "ValueError", "tuple", "len", "id",
    "list", "dict", "run", "inputs", "value", "raised", "interpret", "failed", "go_on",
})  # fmt: skip


def _looks_taken(name: str) -> bool:
    """Is it such a name as registers, constants, and a guard's variables have: a letter and digits?"""
    return len(name) > 1 and name[0].isalpha() and name[1:].replace("_", "").isdigit()
