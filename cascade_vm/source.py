"""The text of generated code: one line for each instruction, and what stands around them (see codegen.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cascade_vm import isa
from cascade_vm.blueprint import Instruction
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.events import SUBSCRIBERS
from cascade_vm.generated_names import TAKEN, looks_taken, may_be_written
from cascade_vm.instruction_source import WRITERS_OF_CHAINS, Lines, Pending, parameters
from cascade_vm.leaving import BEGIN, ENDED, Given, Going, Left
from cascade_vm.link import Code
from cascade_vm.returns import ANY, SAFE, SCALAR, SCALARS, known_after, known_of

_DEEPEST = 20  # calls inside of each other
_FEW = 8  # literals of which each is looked at, whether to assume something of it is of use
_OFTEN = 4  # calls of a function from which on it pays to have it in a local variable, which is read faster than a global one


class Writer:
    """Writes a strand; or, with ``literals``, a program's whole ``run``; or a chain."""

    def __init__(self, code: Code, strand: int, literals: Sequence[Any] | None = None) -> None:
        blueprint = code.blueprint
        whole = blueprint.strands[strand]
        self.code = code
        self.single = code.single
        self.start = whole.start
        self.instructions = blueprint.instructions[whole.start : whole.stop]
        self.preloaded = blueprint.literals + len(blueprint.inputs)
        self.literals = literals
        self.name = "strand" if literals is None else "run"
        self.lines: list[str] = []
        self.pcs: list[int] = []
        self.depth = 1
        self.scope: dict[str, Any] = {
            "Left": Left, "CONTINUATIONS": CONTINUATIONS, "SCALARS": SCALARS, "ENDED": ENDED, "Given": Given, "Going": Going,
        }  # fmt: skip
        self.known: dict[int, int] = {}  # what is known of each register, so far
        self.assumed: list[int] = []  # literals that are taken to be scalars
        self.bound: dict[int, str] = {}  # register -> the constant in it
        self.callable_names: dict[int, str] = {}
        self.calls = Counter(map(id, code.callees[whole.start : whole.stop]))  # of each function
        self.local_names: dict[str, str] = {}  # of functions that are called often, by their names
        self.sites: list[tuple[str, str]] = []
        self.asks = False
        self.pending: Pending | None = None
        self.late: list[int] = []  # registers that die in calls which are pending
        self.nested: dict[int, tuple[str, ...]] = {}  # calls with others inside, and their parameters
        self.used: set[int] = set()  # registers that have been written to
        self.relied: dict[str, Any] = {}  # functions of whose code something has been proven, by name
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
        if len(scalars) <= _FEW:
            for at in scalars.copy():
                without = [other for other in scalars if other != at]
                if self._proven(without) == self._proven(scalars):  # what it goes into proves nothing
                    scalars = without
        if self._proven(scalars) - self._proven([]) > len(scalars):
            self.assumed = scalars
            self.known.update(dict.fromkeys(scalars, SCALAR))

    def _proven(self, assumed: Sequence[int]) -> int:
        known = dict.fromkeys(assumed, SCALAR)
        count = 0
        for at, i in enumerate(self.instructions):
            what = self.known_after(at, i, known)
            count += i.opcode in (isa.CALL, isa.ITEM) and what > ANY
            if i.dst >= 0:
                known[i.dst] = max(what, SAFE)
        return count

    def known_after(self, at: int, i: Instruction, known: dict[int, int]) -> int:
        callee = self.code.callees[self.start + at]
        what = known_after(i, callee, known)
        if what > ANY and known is self.known and i.opcode in (isa.CALL, isa.TAIL_CALL):
            self.relied[self._callable(callee, i)] = callee
        return what

    # --- text -----------------------------------------------------------------------------------------------------------------

    def line(self, text: str, pc: int = -1) -> None:
        self.lines.append("    " * self.depth + text)
        self.pcs.append(pc)

    def write(self) -> None:
        if self.literals is None:
            self._write_function("def strand(registers{}):", 1, self._add)
        else:
            self.scope |= {f"c{register}": value for register, value in enumerate(self.literals)}
            self._write_function("def run(**inputs):", 2, self._write_run)

    def write_chain(self) -> None:
        self.single = True
        self.start = 0
        self.instructions = self.code.blueprint.instructions
        self.name = "chain"
        self.calls = Counter(map(id, self.code.callees))
        head = "async def chain(registers, cancelling, cancelled, CancelledError, clock, slice_end, give_way{}):"
        self._write_function(head, 1, self._add)

    def _write_function(self, head: str, depth: int, finish: Callable[[list[str], list[int]], None]) -> None:
        """The body first: what stands before it depends on it."""
        self.depth = depth
        self._write_body()
        written, pcs = self.lines, self.pcs
        own = "".join([f", {name}={name}" for name in self.local_names])  # parameters with defaults
        self.lines, self.pcs, self.depth = [head.format(own)], [-1], 1
        self._write_head()
        finish(written, pcs)

    def _add(self, written: list[str], pcs: list[int]) -> None:
        self.lines += written
        self.pcs += pcs

    def _write_head(self) -> None:
        if self.literals is not None:
            for name, local in self.local_names.items():  # as a parameter, it could be given by a caller
                self.line(f"{local} = {name}")
            self.scope["SUBSCRIBERS"] = SUBSCRIBERS
            self.line(" or ".join(["if inputs", "SUBSCRIBERS", *self.replaced()]) + ":")
            self.line("    return interpret(inputs)")
        elif tests := self.replaced():
            self.line(f"if {' or '.join(tests)}:  # it has been given other code: what was proven may not hold any more")
            self.line(f"    return Left({BEGIN}, None, {{}})")
        if self.asks:
            self.line("usual = None")
        if self.literals is not None:
            return
        if self.single:
            names = ", ".join(f"r{r}" for r in range(self.preloaded))
            if self.preloaded:
                self.line(f"{names}, = registers[:{self.preloaded}]" if self.preloaded == 1 else f"{names} = registers[:{self.preloaded}]")
            self.line("registers.clear()")
        else:
            written: set[int] = set()
            read: list[int] = []
            for i in self.instructions:
                for register in i.reads:
                    if register not in written:
                        self.line(f"r{register} = registers[{register}]")
                        written.add(register)
                        read.append(register)
                if i.dst >= 0:
                    written.add(i.dst)
            ending = {register for i in self.instructions for register in (*i.dead, i.dst)}
            if taken := [f"registers[{register}]" for register in read if register in ending]:
                self.line(f"{' = '.join(taken)} = None")  # what dies in here has nobody else that holds it

    def replaced(self) -> list[str]:
        """Tests whether a function, of which something is taken for granted, is not the same any more."""
        tests = []
        for name, fn in self.relied.items():
            code = f"{name}_code"
            while code in self.scope:
                code += "_"
            self.scope[code] = fn.__code__
            tests.append(f"{self.local_names.get(name, name)}.__code__ is not {code}")
        return tests

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
                self.end(self.item_lines(at, i), at, self.known_after(at, i, self.known))
                return
            self.write_instruction(at, i)
            at += 1
        last = self.instructions[-1]
        if not isa.BY_CODE[last.opcode].ends:
            self._write_back()
            self.line("return ENDED")

    def write_instruction(self, at: int, i: Instruction) -> None:
        WRITERS_OF_CHAINS[i.opcode](self, at, i)

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
        self.line("try:")
        self._add(written, pcs)
        self.line("except BaseException as raised:")
        self.line("    failure = failed(raised)")
        if self.used:  # who keeps the exception shall not keep them
            held = " = ".join(f"r{register}" for register in sorted(self.used))
            self.line(f"    {held} = None")
            self.line("    locals()  # CPython before 3.13 keeps a copy of them, and brings it up to date when it is asked for")
        self.line("raise failure")

    # --- instructions -----------------------------------------------------------------------------------------------------------

    def name_of(self, register: int) -> str:
        return self.bound.get(register) or f"r{register}"

    def call_lines(self, at: int, i: Instruction) -> Lines:
        """The call of an instruction; with that of the one before inside, if it is pending."""
        pc = self.start + at
        plain = len(i.reads) - len(i.names)
        named = list(zip(i.names, i.reads[plain:], strict=True))
        head = self._local_callable(self.code.callees[pc], i)
        if self.pending is not None:
            inner, self.pending = self.pending, None
            self.nested[pc] = (parameters(self.code.callees[pc]) or ())[:plain]
            parts: list[Lines] = [inner.lines if r == inner.register else [(self.name_of(r), pc)] for r in i.reads]
            lines: Lines = [(f"{head}(", pc)]
            for part in parts:
                lines += [("    " + text, where) for text, where in part[:-1]]
                text, where = part[-1]
                lines.append((f"    {text},", where))
            return [*lines, (")", pc)]
        texts = [self.name_of(register) for register in i.reads[:plain]]
        if all(map(may_be_written, i.names)):
            texts += [f"{name}={self.name_of(register)}" for name, register in named]
        else:
            texts.append("**{" + ", ".join(f"{name!r}: {self.name_of(register)}" for name, register in named) + "}")
        return [(f"{head}({', '.join(texts)})", pc)]

    def may_be_inside(self, at: int, known: int) -> bool:
        """May the call be written inside of the next one, as its argument? Where it is, its value has no variable.

        Then what a failing call was given is read from its own frame; and nobody must be able to tell how long the values last.
        """
        i = self.instructions[at]
        following = self.instructions[at + 1] if at + 1 < len(self.instructions) else None
        depth = self.pending.depth if self.pending is not None else 0
        if known != SCALAR or following is None or following.opcode not in (isa.CALL, isa.TAIL_CALL) or depth >= _DEEPEST:
            return False
        if i.names or following.names or following.reads.count(i.dst) != 1:
            return False
        ends = isa.BY_CODE[following.opcode].ends or i.dst in following.dead or following.dst == i.dst
        scalars = all(self.known.get(register, ANY) == SCALAR for register in (*i.reads, *i.dead))
        place = self.start + at
        return ends and scalars and all(parameters(self.code.callees[pc]) is not None for pc in (place, place + 1))

    def item_lines(self, at: int, i: Instruction) -> Lines:
        return [(f"{self.name_of(i.reads[0])}[{self.name_of(i.reads[1])}]", self.start + at)]

    def _callable(self, fn: Any, i: Instruction) -> str:
        name = self.callable_names.get(id(fn))
        if name is None:
            stem = self.code.blueprint.symbols[i.aux].name.rpartition(":")[2].rpartition(".")[2]
            stem = stem if may_be_written(stem) else "task"
            stem = f"task_{stem}" if looks_taken(stem) else stem
            name, number = stem, 1
            while name in self.scope or name in TAKEN:
                number += 1
                name = f"{stem}_{number}"
            self.callable_names[id(fn)] = name
            self.scope[name] = self.called(fn)
        return name

    def _local_callable(self, fn: Any, i: Instruction) -> str:
        """What a call names the function: a local variable, if it is called often."""
        name = self._callable(fn, i)
        if self.calls[id(fn)] < _OFTEN:
            return name
        if name not in self.local_names:
            local = name if self.literals is None else f"_{name}"
            while local != name and local in self.scope:
                local = f"_{local}"
            self.local_names[name] = local
            self.scope[local] = self.scope[name]  # no other function is to be called so
        return self.local_names[name]

    def called(self, fn: Any) -> Any:
        """What is called in place of a function."""
        return fn

    def define(self, register: int, lines: Lines, at: int, known: int, dead: Sequence[int]) -> None:
        """``register = ...``; if that may be a continuation, leave with it; let what is dead go."""
        pc = self.start + at
        name = f"r{register}" if register >= 0 else "unread"
        if register >= 0:
            self.used.add(register)
        self.write_lines(f"{name} = ", lines)
        dead = [*dead, *(one for one in self.late if one != register)]
        self.late.clear()
        if known == ANY:
            self.asks = True
            self.line(f"if type({name}) is not usual:", pc)
            self.line(f"    usual = type({name})", pc)
            self.line("    if usual in CONTINUATIONS:", pc)
            self._leave(f"Left({at}, {name}, locals())", name, pc, "        ")
        self.bound.pop(register, None)
        self.known[register] = max(known, SAFE)
        gone = [f"r{one}" for one in dead if one not in self.bound and one < self.code.blueprint.registers]
        if register < 0 and known != SCALAR:
            gone.append(name)
        if gone:
            self.line(f"{' = '.join(gone)} = None", pc)

    def _leave(self, left: str, name: str, pc: int, indent: str) -> None:
        """Return ``left``; or have a machine go on with it: what this function holds must be able to die meanwhile."""
        if self.literals is None:
            self.line(f"{indent}return {left}", pc)
            return
        held = dict.fromkeys([*(f"r{register}" for register in sorted(self.used)), name])
        self.line(f"{indent}left = {left}; {' = '.join(held)} = None", pc)
        self.line(f"{indent}return go_on(left)", pc)

    def write_lines(self, head: str, lines: Lines) -> None:
        self.line(head + lines[0][0], lines[0][1])
        for text, pc in lines[1:]:
            self.line(text, pc)

    def end(self, lines: Lines, at: int, known: int) -> None:
        pc = self.start + at
        if known > ANY:
            self.write_lines("return ", lines)
        else:
            self.write_lines("value = ", lines)
            self.line("if type(value) in CONTINUATIONS:", pc)
            self._leave(self.going(pc, "value"), "value", pc, "    ")
            self.line("return value", pc)

    def going(self, pc: int, value: str) -> str:
        return f"Going({pc}, {value}, locals())"
