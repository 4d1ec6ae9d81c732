"""Code that tells what it does: linked for one run, when somebody has subscribed to its events. Other code has no trace of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cascade_vm import isa
from cascade_vm.events import TaskFailed, TaskFinished, TaskSkipped, TaskStarted, Teller, show_error
from cascade_vm.link import Code
from cascade_vm.skipping import Skipped
from cascade_vm.watching import watching

if TYPE_CHECKING:
    from cascade_vm.frame import Frame

_TELL_THEMSELVES = (isa.PERFORM, isa.TAIL_PERFORM, isa.MAP)


def instrumented(code: Code, teller: Teller) -> Code:
    """``code`` with calls that tell; made once in a run."""
    made = teller.linked.get(code)
    if made is None:

        def wrap(new: Code, pc: int, fn: Callable[..., Any]) -> Callable[..., Any]:
            instruction = code.blueprint.instructions[pc]
            symbol = code.blueprint.symbols[instruction.aux]
            watched = teller.probe is not None or bool(teller.arounds)
            if watched:
                fn = watching(symbol, teller, fn, instruction.opcode in _TELL_THEMSELVES)
            if instruction.opcode in _TELL_THEMSELVES:
                return fn
            if teller.counts_only and symbol.mode == "inline" and not symbol.is_async:
                return teller.counted(symbol.name.replace(":", "."), fn)
            kind = _Job if symbol.mode != "inline" else _Awaited if symbol.is_async else _Called
            return kind(teller, pc, symbol.name.replace(":", "."), fn)

        made = teller.linked[code] = Code(
            code.blueprint, code.functions, code.site_slots, code.lines, code.live, code.resources, wrap
        )
        if teller.probe is not None:
            teller.probe.count_steps(made)
    if made.guard is None and code.loop_guard is not None and teller.probe is None:
        made.loop_guard = _LoopGuard(code.loop_guard)
        made.guard = code.guard  # of what that gives, the code is of no account in a loop
    return made


class _LoopGuard:
    """The guard of a loop whose every call is seen: values that no turn changes are computed again, and each turn has a graph."""

    hoisted: frozenset[int] = frozenset()
    leaves: tuple[int, ...] = ()
    turning = None

    def __init__(self, guard: Any) -> None:
        self._guard = guard
        self.root: str = guard.root

    @property
    def names(self) -> dict[str, Any]:
        names: dict[str, Any] = self._guard.names
        return names

    def looped(self, code: Code) -> Code:
        return code

    def write(self, miss: str) -> tuple[list[str], list[str], list[tuple[str, str]]]:
        written: tuple[list[str], list[str], list[tuple[str, str]]] = self._guard.write(miss)
        return written


class _Call:
    """A callable that tells when it is called and what came of it."""

    __slots__ = ("fn", "pc", "task", "teller")

    def __init__(self, teller: Teller, pc: int, task: str, fn: Callable[..., Any]) -> None:
        self.teller = teller
        self.pc = pc
        self.task = task
        self.fn = fn

    def begin(self) -> int:
        """Tell that a call begins; its number."""
        teller = self.teller
        call = teller.latest = next(teller.numbers)
        if teller.probe is not None:
            teller.probe.begin_call(call, None, self.pc)
        teller.tell(TaskStarted, task=self.task, call=call)
        return call

    def tell(self, kind: Any, call: int, **more: Any) -> None:
        self.teller.tell(kind, task=self.task, call=call, **more)


class _Called(_Call):
    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = self.begin()
        try:
            value = self.fn(*args, **kwargs)
        except BaseException as failure:
            self.tell(TaskFailed, call, error=show_error(failure))
            raise
        self.tell(TaskFinished, call)
        return value


class _Awaited(_Call):
    """The call begins when its coroutine does. A probe is told before, while the frame that makes the call is the one that runs."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        probe = self.teller.probe
        return self._run(None if probe is None else probe.frame, args, kwargs)

    async def _run(self, frame: Frame | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        teller = self.teller
        call = teller.latest = next(teller.numbers)
        if teller.probe is not None:
            teller.probe.begin_call(call, frame, self.pc)
        self.tell(TaskStarted, call)
        try:
            value = await self.fn(*args, **kwargs)
        except BaseException as failure:
            self.tell(TaskFailed, call, error=show_error(failure))
            raise
        self.tell(TaskFinished, call)
        return value


class _Job(_Call):
    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.begin()
        return self.fn(*args, **kwargs)  # the machine tells of its end


def tell_of(teller: Teller, frame: Frame, pc: int, kind: Any, *, index: int = -1, call: int = 0, **facts: Any) -> int:
    """Tell of the call of instruction ``pc``; ``call`` is its number, 0 where it has none yet. Gives the number."""
    code = frame.code
    symbol = code.blueprint.symbols[code.blueprint.instructions[pc].aux]
    place = None if index < 0 else index
    if not call:
        call = next(teller.numbers)
        if teller.probe is not None:
            teller.probe.begin_call(call, frame, pc)
    if kind is TaskStarted:
        teller.latest = call
    teller.tell(kind, task=symbol.name.replace(":", "."), index=place, call=call, **facts)
    return call


def tell_skipped(teller: Teller, frame: Frame, at: int, skipped: Skipped) -> None:
    """Tell that the instruction at ``at`` of the running strand is skipped."""
    tell_skip_of(teller, frame, frame.code.blueprint.strands[frame.strand].start + at, skipped)


def tell_skip_of(teller: Teller, frame: Frame, pc: int, skipped: Skipped) -> None:
    """Tell that instruction ``pc`` is skipped, if it is a call."""
    if isa.BY_CODE[frame.code.blueprint.instructions[pc].opcode].aux == "symbol":
        tell_of(teller, frame, pc, TaskSkipped, reason=f"{skipped.condition} was false")
