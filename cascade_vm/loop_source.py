"""The text of generated loops: a strand that goes round as long as its tail call gives graphs of one shape (see codegen.py)."""

from __future__ import annotations

from time import monotonic
from typing import Any

from cascade_vm.blueprint import Instruction
from cascade_vm.instruction_source import Lines
from cascade_vm.leaving import Guard, Paused
from cascade_vm.link import Code
from cascade_vm.returns import SCALARS
from cascade_vm.source import Writer


def unchanged(new: Any, old: Any) -> bool:
    """Is a literal what it was in the turn before, and can nothing have changed it meanwhile?"""
    kind = type(new)
    if kind is not type(old) or kind not in SCALARS:
        return False
    return new is old or (kind is not float and kind is not complex and bool(new == old))  # 0.0 == -0.0


class LoopWriter(Writer):
    """Writes the only strand of a code as a loop."""

    def __init__(self, code: Code, guard: Guard) -> None:
        super().__init__(code, 0)
        self.guard = guard
        self.name = "loop"
        self.turning = guard.turning if guard.turning is not None and guard.turning.is_current() else None
        self.scope |= {"Paused": Paused, "monotonic": monotonic, "unchanged": unchanged, "CODE": code.turns_of or code}

    def write(self) -> None:
        self._write_function("def loop(registers, slice_end):", 3, self._write_loop)
        # As parameters with defaults, what every turn asks for is in local variables, which are read faster than global ones.
        own = ["type", "L", "A", *(name for name in self.guard.names if name[0] == "K" or name in ("TURN", "BUILDER", "SITES"))]
        own += self.callable_names.values()
        self.lines[0] = f"def loop(registers, slice_end, {', '.join(f'{name}={name}' for name in own)}):"

    def called(self, fn: Any) -> Any:
        return fn if self.turning is None else self.turning.function

    def replaced(self) -> list[str]:
        if self.turning is None:
            return super().replaced()
        self.scope["TURNING"] = self.turning
        return ["not TURNING.is_current()"]

    def write_instruction(self, at: int, i: Instruction) -> None:
        is_hoisted = at in self.guard.hoisted
        if is_hoisted:
            self.line("if fresh:", at)
            self.depth += 1
        super().write_instruction(at, i)
        self.depth -= is_hoisted

    def may_be_inside(self, at: int, known: int) -> bool:
        return not self.guard.hoisted and super().may_be_inside(at, known)

    def end(self, lines: Lines, at: int, known: int) -> None:
        root = self.guard.root
        self.write_lines(f"{root} = ", lines)
        if self.turning is not None:
            self._write_turn(root, at)
        self.line(f"if type({root}) is not L:", at)
        self.line(f"    return {root} if type({root}) not in CONTINUATIONS else {self.going(at, root)}", at)

    def _write_loop(self, written: list[str], pcs: list[int]) -> None:
        end = pcs[-1]
        going = self.going(end, self.guard.root)
        lines, held, self.sites = self.guard.write(f"return {going}")
        self.scope.update(self.guard.names)
        self.line("turns = 0")
        leaves = self.guard.leaves
        if self.guard.hoisted:
            self.line("fresh = True  # is there anything that has changed since the turn before?")
        self.line("try:")
        self.depth = 2
        self.line("while True:")
        self._add(written, pcs)
        self.depth = 3
        self.line("# Is the next graph of the same shape?")
        self.line("try:", end)
        self.depth = 4
        for text in lines:
            for one in text.split("\n"):
                self.line(one, end)
        self.depth = 3
        self.line("except ValueError:", end)
        self.line(f"    return {going}", end)
        if leaves:
            self.line(f"fresh = not ({' and '.join(f'unchanged(l{register}, r{register})' for register in leaves)})", end)
        elif self.guard.hoisted:
            self.line("fresh = False", end)
        # Values of this round must not live on into the next one.
        stay = {self.instructions[at].dst for at in self.guard.hoisted}
        given = {f"r{register}" for register in self.instructions[-1].reads if register >= self.preloaded and register not in stay}
        self._take_literals(end, [*held, *sorted(given)])
        self.line("turns += 1", end)
        self.line("if slice_end is not None and monotonic() >= slice_end:", end)
        self.line("    return Paused(locals())", end)
        self.depth = 1
        self.line("finally:")
        self.line("    CODE.hits += turns")

    def _take_literals(self, pc: int, held: list[str]) -> None:
        """The literals of the next turn become its registers; variables that hold parts of its graph let go of them."""
        literals = range(self.preloaded)
        if self.preloaded:
            self.line(f"{', '.join(f'r{r}' for r in literals)} = {', '.join(f'l{r}' for r in literals)}", pc)
        self.line(f"{' = '.join([*held, *(f'l{r}' for r in literals)])} = None", pc)

    def _write_turn(self, root: str, pc: int) -> None:
        """Go round without a graph, where the function gives just the arguments of the next turn."""
        registers = [f"l{register}" for register in range(self.preloaded)]
        site = root[1:]
        self.line(f"if type({root}) is tuple and {root} and {root}[0] is TURN:", pc)
        self.depth += 1
        self.line(f"_, callee, number, {', '.join(registers)} = {root}", pc)
        self.line(f"if callee is BUILDER and {' and '.join(f'type({register}) in A' for register in registers)}:", pc)
        self.depth += 1
        self.line(f"s{site}, t{site} = SITES[number]", pc)
        self._take_literals(pc, [root])
        self.line("turns += 1", pc)
        self.line("if slice_end is not None and monotonic() >= slice_end:", pc)
        self.line("    return Paused(locals())", pc)
        self.line("continue", pc)
        self.depth -= 1
        self.line(f"{root} = build({root})  # something is unusual: the graph, then", pc)
        self.depth -= 1
