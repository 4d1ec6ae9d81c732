"""What looks at a machine while it runs, for a profile: which instruction it is at, how often and how long, what its registers hold.

The strands of profiled code count their steps: the machine's loop takes its next instruction from an iterator of this file, and so the
time between two of them is that of one instruction. The machine itself is as ever; a subclass notes which frame has its turn. Profiled
code is never generated, and calls of it are never fused: each instruction is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from cascade_vm import isa
from cascade_vm.blueprint import Blueprint, Instruction, Strand
from cascade_vm.events import Teller
from cascade_vm.forms import TEST, Linked
from cascade_vm.frame import Frame, root_frame
from cascade_vm.link import Code
from cascade_vm.machine import Machine
from cascade_vm.regions import skipped_among
from cascade_vm.scheduler import Stop, Turn
from cascade_vm.sizes import size_of

if TYPE_CHECKING:
    from cascade_vm.outcome import Outcome

_MOST_LEVELS = 100  # of a stack: what is deeper is counted there


_T = TypeVar("_T")


class Figures:
    """What is known of one instruction of a shape, over all of its frames. Times in seconds, sizes in bytes."""

    __slots__ = ("blueprint", "bytes", "count", "live", "machine", "own", "pc", "skipped", "waiting")

    def __init__(self, blueprint: Any, pc: int) -> None:
        self.blueprint = blueprint
        self.pc = pc
        self.count = 0  # how often it was begun
        self.skipped = 0  # and how often skipped
        self.own = 0.0  # in which its calls did something
        self.waiting = 0.0  # in which they did nothing
        self.machine = 0.0  # of the machine, for what it does beside the calls
        self.live = 0  # registers of a frame that held something when it began, or when it had run: the most
        self.bytes = 0  # how much that was, estimated: the most

    def add(self, other: Figures) -> None:
        """Count what ``other`` counts as well."""
        for name in ("count", "skipped", "own", "waiting", "machine"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.live, self.bytes = max(self.live, other.live), max(self.bytes, other.bytes)


class Level:
    """A level of a stack: a call, or what a loop went on with. Times are those of the level alone."""

    __slots__ = ("above", "beneath", "calls", "depth", "label", "own", "waiting")

    def __init__(self, label: str, above: Level | None) -> None:
        self.label = label
        self.above = above
        self.depth: int = 0 if above is None else above.depth + 1
        self.beneath: dict[str, Level] = {}
        self.calls = 0
        self.own = 0.0
        self.waiting: dict[str, float] = {}  # by what was waited for

    def level(self, label: str) -> Level:
        """The level beneath of that label."""
        if self.depth >= _MOST_LEVELS:
            return self
        found = self.beneath.get(label)
        if found is None:
            found = self.beneath[label] = Level(label, self)
        return found


class Called:
    """A call that has begun: where it was made, how it runs, and what it did so far."""

    __slots__ = ("began", "figures", "level", "mode", "own")

    def __init__(self, figures: Figures, level: Level, mode: str) -> None:
        self.figures = figures
        self.level = level
        self.mode = mode  # "inline", "async", "thread", "process"
        self.own = 0.0  # measured by steps: not of inline calls
        self.began: float | None = None  # when its function did


class _Held:
    """What is known of a frame: its level, and the sizes of what its registers hold."""

    __slots__ = ("base", "level", "registers", "sizes", "total")

    def __init__(self, base: Level) -> None:
        self.base = self.level = base
        self.registers = 0  # which they are, by their id: to hold them would keep values alive
        self.sizes: dict[int, int] = {}
        self.total = 0


class Probe:
    """Of one run."""

    def __init__(self, teller: Teller, sizes: bool = True) -> None:
        self.teller = teller
        self.sizes = sizes  # shall values be measured?
        self.frame: Any = None  # that has its turn
        self.figures: dict[tuple[str, int], Figures] = {}
        self.root: Level | None = None
        self.called: dict[int, Called] = {}
        self.inner = 0.0  # of the time since the instruction began, what its calls took
        self.resumed = 0.0  # when the machine last went on
        self.machine = 0.0  # seconds in which the machine ran, calls included
        self.steps = 0  # instructions that were counted
        self._current: Figures | None = None
        self._since = 0.0

    # --- the machine ------------------------------------------------------------------------------------------------------

    def machine_kind(self) -> type[ProfiledMachine]:
        """What is to run code that counts."""
        return ProfiledMachine

    def count_steps(self, code: Code) -> None:
        """Have the strands of ``code`` count their steps."""
        starts = [strand.start for strand in code.blueprint.strands]
        code.replace([_Counted(self, start, linked) for start, linked in zip(starts, code.plain, strict=True)])

    def enter(self, frame: Frame, pc: int) -> Figures:
        """The machine comes to an instruction."""
        now = self.teller.clock()
        if self._current is not None:
            self._current.machine += now - self._since - self.inner
        self._current = figures = self._figures(frame.code, pc)
        self._since = now
        self.inner = 0.0
        self.steps += 1
        return figures

    def leave(self) -> None:
        """The machine is at no instruction any more."""
        if self._current is not None:
            self._current.machine += self.teller.clock() - self._since - self.inner
            self._current = None
        self.inner = 0.0

    def step(self, frame: Frame, pc: int) -> None:
        """A frame that has left its strands runs an instruction."""
        self.frame = frame
        held = self.held(frame)
        figures = self.enter(frame, pc)
        figures.count += 1
        figures.live = max(figures.live, len(frame.flow.values))
        if held.sizes:
            held.sizes.clear()
            held.total = 0

    def wrote(self, frame: Frame, register: int, value: Any) -> None:
        """A register has a value."""
        if frame.flow is None:
            held = self.held(frame)
            size = size_of(value) if self.sizes else 0
            held.total += size - held.sizes.get(register, 0)
            held.sizes[register] = size

    def died(self, frame: Frame, registers: tuple[int, ...]) -> None:
        """Registers have lost their values."""
        held = self.held(frame)
        for register in registers:
            held.total -= held.sizes.pop(register, 0)

    def held(self, frame: Frame) -> _Held:
        """What is known of ``frame``, which may have gone on to another graph since it was last asked for."""
        held: _Held | None = frame.told
        if held is None:
            held = frame.told = _Held(self._base(frame))
        if held.registers != id(frame.registers):  # (the old ones are still there when a frame gets others)
            if frame.flow is None and held.registers:
                held.level = held.base.level(f"tail: {target_label(frame.code)}")
            held.registers = id(frame.registers)
            given = frame.registers[: frame.code.blueprint.literals + len(frame.code.blueprint.inputs)]
            held.sizes = {at: size_of(value) if self.sizes else 0 for at, value in enumerate(given)}
            held.total = sum(held.sizes.values())
        return held

    def _base(self, frame: Frame) -> Level:
        above = frame.parent
        if above is None:
            if self.root is None:
                self.root = Level(f"run of {target_label(frame.code)}", None)
            return self.root
        return self.held(above).level.level(above.code.label(frame.pc).removesuffix(".map"))

    def _figures(self, code: Code, pc: int) -> Figures:
        key = (code.blueprint.cycle_id, pc)
        found = self.figures.get(key)
        if found is None:
            found = self.figures[key] = Figures(code.blueprint, pc)
        return found

    def over(self) -> None:
        """The run is over: hold nothing of it but the figures."""
        self.frame = self._current = None
        self.called.clear()
        self.teller = None  # type: ignore[assignment]  # its clock is that of a loop, or of an evaluation with all its values

    # --- calls ------------------------------------------------------------------------------------------------------------

    def begin_call(self, call: int, frame: Frame | None, pc: int) -> None:
        """A call has its number: it is made by instruction ``pc`` of ``frame``, or of that which has its turn."""
        frame = frame or self.frame
        symbol = frame.code.blueprint.symbols[frame.code.blueprint.instructions[pc].aux]
        mode = symbol.mode if symbol.mode != "inline" else "async" if symbol.is_async else "inline"
        level = self.held(frame).level.level(symbol.name.replace(":", "."))
        self.called[call] = Called(self._figures(frame.code, pc), level, mode)

    def ran(self, call: int, seconds: float, began: float | None = None) -> None:
        """A call did something for so long; with ``began``, for the first time, and then."""
        called = self.called.get(call)
        if called is not None:
            called.own += seconds
            if began is not None:
                called.began = began


class _Counted(list[Linked]):
    """The instructions of a strand, which count how often each is taken."""

    __slots__ = ("probe", "start")

    def __init__(self, probe: Probe, start: int, linked: list[Linked]) -> None:
        super().__init__(linked)
        self.probe = probe
        self.start = start

    def __iter__(self) -> Iterator[Linked]:
        return Steps(self)


class Steps:
    """Goes through a strand for one frame; as an iterator of a list, it can be told where to go on."""

    __slots__ = ("at", "before", "figures", "frame", "strand")

    def __init__(self, strand: _Counted) -> None:
        self.strand = strand
        self.frame: Frame = strand.probe.frame
        self.at = 0
        self.before: Linked | None = None
        self.figures: Figures | None = None  # of the instruction before

    def __iter__(self) -> Steps:
        return self

    def __setstate__(self, at: int) -> None:
        self.at = at

    def __next__(self) -> Linked:
        probe, frame, before = self.strand.probe, self.frame, self.before
        skipped = False
        if before is not None:
            if before[0] == TEST:
                skipped = skipped_among(frame.registers, before[3]) is not None
            else:
                self._look_at(before)
        if self.at >= len(self.strand):
            self.before = None
            probe.leave()
            raise StopIteration
        taken = self.before = self.strand[self.at]
        self.at += 1
        held = probe.held(frame)
        figures = self.figures = probe.enter(frame, self.strand.start + taken[7])
        figures.live = max(figures.live, len(held.sizes))
        figures.bytes = max(figures.bytes, held.total)
        if skipped:
            figures.skipped += 1
        elif taken[0] != TEST:
            figures.count += 1
        return taken

    @staticmethod
    def cost(sizes: bool, rounds: int) -> float:
        """Seconds that counting one instruction takes, measured now."""
        teller = Teller(monotonic, ())
        probe = Probe(teller, sizes)
        instructions = tuple([Instruction(isa.BUILD, at + 1, dst=at % 8) for at in range(rounds)])
        blueprint = Blueprint("", 8, 0, (), (), instructions, (Strand(0, rounds),))
        code = Code(blueprint, ())
        probe.count_steps(code)
        probe.frame = root_frame((code, list(range(8)), None))
        begun = perf_counter()
        for _ in iter(code.entry):
            pass
        return (perf_counter() - begun) / rounds

    def _look_at(self, linked: Linked) -> None:
        """What an instruction has left in the registers."""
        probe, frame = self.strand.probe, self.frame
        held = probe.held(frame)
        dst = linked[1]
        if dst >= 0 and linked[6] != (dst,) and dst < len(frame.registers) and frame.registers[dst] is not None:
            probe.wrote(frame, dst, frame.registers[dst])
        probe.died(frame, linked[6])
        figures = self.figures
        assert figures is not None
        figures.live = max(figures.live, len(held.sizes))
        figures.bytes = max(figures.bytes, held.total)


class ProfiledMachine(Machine):
    """A machine whose probe knows which frame has its turn."""

    probe: Probe = None  # type: ignore[assignment]  # set before anything runs

    def watch(self, probe: Probe) -> None:
        """Begin with ``probe``; nothing is generated."""
        self.probe = probe
        self.threshold = inf

    def resume(self, outcomes: list[tuple[Any, Outcome]] | None = None, slice_end: float | None = None) -> Stop:
        begun = self.probe.teller.clock()
        try:
            return super().resume(outcomes, slice_end)
        finally:
            self.probe.leave()
            self.probe.machine += self.probe.teller.clock() - begun

    def first(self, frame: Frame) -> Iterator[Linked]:
        self.probe.frame = frame
        return super().first(frame)

    def next_turn(self, left: Frame | None) -> Turn | Stop:
        self.probe.leave()
        return self._noted(super().next_turn(left))

    def finish(self, frame: Frame, value: Any) -> Turn | Stop | None:
        return self._noted(super().finish(frame, value))

    def settle(self, frame: Frame, pc: int, value: Any) -> None:
        super().settle(frame, pc, value)
        dst = frame.code.blueprint.instructions[pc].dst
        if dst != isa.NONE and frame.flow is None:
            self.probe.wrote(frame, dst, value)

    def _noted(self, turn: _T) -> _T:
        if isinstance(turn, tuple):
            frame, strand = turn
            self.probe.frame = frame
            if type(strand) is Steps:
                strand.frame = frame
        return turn


def target_label(code: Code) -> str:
    """What is called last, of which the value is that of all."""
    instructions = code.blueprint.instructions
    at = len(instructions) - 1
    while at > 0 and instructions[at].opcode == isa.DROP:  # where there are routes, what is let go of comes last
        at -= 1
    if instructions[at].opcode == isa.RETURN:
        at = code.flow.defs[at][0]
    return code.label(at).removesuffix(".map") if at >= 0 else "a value"
