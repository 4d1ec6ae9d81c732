"""A session with the debugger: commands as text, and what each of them shows."""

from __future__ import annotations

import contextlib
import difflib
import reprlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

from cascade_compiler.cli import output
from cascade_vm.bounded import bounded
from cascade_vm.skipping import Skipped

if TYPE_CHECKING:
    from cascade_vm.debugging import Debugger, Halted
    from cascade_vm.standing import FrameView, Place, Waiting

PROMPT = "(cascade) "
_MOST = 12  # lines, of what may be long

HELP = """\
on     s           one step: an instruction, an item of a map, another attempt
       n           to the end of this strand, with all that it calls
       f           until this frame has its value
       t N         until this frame is in turn N (each tail call begins a turn)
       until TASK  to the next call of a task with TASK in its name
       c           to the next breakpoint
stop   b TASK      at calls of tasks with TASK in their names
       b N         at instruction N of the shape that is shown here
       b !         where an exception is raised, also if the call is tried again
       b ! NAME    where one of that class is
       b           the breakpoints;  d N: without breakpoint N
look   r           registers: what holds a value, and what gave it
       x R3        the value of a register, at more length
       w           where: the frames, from the root
       l           the instructions around this one
       p           what is waiting
       ready       what comes next, in that order
       i           inputs
       a           the exception, and the arguments of the call that raised it
end    q           give the run up: what is in flight is cancelled, resources are torn down
       h           this help
An empty line does the last command again. While this waits for a command, nothing of the run goes on."""

STYLES: output.Styles = (
    (r"^=>.*", "bold"),
    (r"^(frame|run of|strand|item|attempt) .*", "cyan"),
    (r"^ +R\d+ (?==)", "green"),
    (r"@ \S+:\d+", "cyan"),
    (r"^(it will be skipped|stopped at|breakpoint|waiting|ready|nothing).*", "yellow"),
    (r"^raised .*", "bold red"),
    (r"^in (task|item|resource) .*", "yellow"),
    (r"   ; .*", "dim"),
)


class Session:
    """What is done at each stop of a debugger: read commands until one goes on.

    :param read: gives the next command; None for no more, which is as ``q``.
    """

    def __init__(self, read: Callable[[], str | None]) -> None:
        self._read = read
        self._last = ""
        self._shown: tuple[object, ...] | None = None  # the frame, turn and strand that was shown last

    def __call__(self, debugger: Debugger) -> None:
        self._show_stop(debugger)
        while True:
            line = self._read()
            if line is None:
                debugger.quit()
            line = line.strip() or self._last
            if line.startswith("#") or not line:
                continue
            self._last = line
            if self._do(debugger, line):
                return

    def _do(self, debugger: Debugger, line: str) -> bool:
        """Do what a line says; does the run go on?"""
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        name = _SHORT.get(name, name)
        action, takes = _COMMANDS.get(name, (None, ""))
        if action is None:
            near = difflib.get_close_matches(name, [*_COMMANDS, *_SHORT], n=1)
            _say(f"no command {output.one_line(name)!r}{f'; did you mean {near[0]}?' if near else ''} (h for help)")
            return False
        if (takes == "" and rest) or (takes == "!" and not rest):
            _say(f"{name} takes {'nothing' if not takes else 'something'} after it (h for help)")
            return False
        try:
            return bool(action(self, debugger, rest))
        except _Refused as refused:
            _say(str(refused))
            return False

    # --- what is shown ----------------------------------------------------------------------------------------------------

    def _show_stop(self, debugger: Debugger) -> None:
        stop, frame = debugger.stop, debugger.frame
        assert stop is not None
        if self._shown is None:
            _say(f"run of {frame.label} ({frame.cycle_id[:12]}). h for help. While this waits for a command, nothing of the run goes on.")
        at = (frame.number, frame.turn, frame.strand)
        if at != self._shown:
            _say(_frame(frame))
            self._shown = at
        if written := [f"   R{one.number} = {one.shown}" for one in debugger.written]:
            _say("\n".join(written))
        if stop.breakpoint is not None and stop.kind != "failure":
            _say(f"breakpoint: {stop.breakpoint}")
        if stop.kind == "instruction":
            _say(f"=> {_place(stop.place)}")
            if stop.skipped:
                _say(f"it will be skipped: {stop.skipped}")
        elif stop.kind in ("item", "attempt"):
            _say(f"=> {_place(stop.place)}   ; {_which(stop)}")
        else:
            self._show_exception(debugger, "")

    def _show_exception(self, debugger: Debugger, _: str) -> None:
        stop = debugger.stop
        assert stop is not None
        if stop.exception is None:
            raise _Refused("no exception here")
        what = "the run is about to fail" if stop.kind == "failure" else "the call will be tried again"
        lines = [f"raised {_one_line(stop.exception)}   ; {what}", *filter(None, [stop.note]), f"=> {_place(stop.place)}"]
        _say("\n".join(lines))

    def _registers(self, debugger: Debugger, _: str) -> None:
        found = debugger.registers()
        texts = [f"R{one.number} = {one.shown}" for one in found]
        width = min(max(map(len, texts), default=0), 60)
        _say("\n".join(f"  {text:<{width}}   ; {one.holds}" for text, one in zip(texts, found, strict=True)) or "nothing is held")

    def _value(self, debugger: Debugger, rest: str) -> None:
        found = debugger.registers()
        wanted = rest[1:] if rest[:1] in ("R", "r") else rest
        values = [one for one in found if str(one.number) == wanted]
        if not values:
            held = ", ".join(dict.fromkeys(f"R{one.number}" for one in found)) or "no register"
            raise _Refused(f"{output.one_line(rest)} holds nothing here; values are in {held}")
        for one in values:
            _say(f"R{one.number}: {type(one.value).__name__}   ; {one.holds}\n{_long(one.value)}")

    def _where(self, debugger: Debugger, _: str) -> None:
        frames = debugger.frames
        lines = [f"{'=>' if one is frames[-1] else '  '} {_frame(one)}\n      {_place(one.place)}" for one in frames]
        if len(lines) > 2 * _MOST:
            lines[_MOST:-_MOST] = [f"   ... {len(lines) - 2 * _MOST:,} frames more"]
        _say("\n".join(lines))

    def _listing(self, debugger: Debugger, _: str) -> None:
        cycle_id = debugger.frame.cycle_id
        marked = {one.pc for one in debugger.breakpoints if one.cycle_id == cycle_id}
        lines = debugger.listing()
        width = min(max(len(one.text) for one in lines), 72)
        for one in lines:
            if one.pc is None:
                _say(one.text)
            else:
                sign = "=>" if one.is_current else " b" if one.pc in marked else "  "
                _say(f"{sign} {one.text:<{width}}{f'   @ {one.where}' if one.where else ''}".rstrip())

    def _waiting(self, debugger: Debugger, _: str) -> None:
        _say_some([_waits(one) for one in debugger.waiting], "waiting", "nothing is waiting")

    def _ready(self, debugger: Debugger, _: str) -> None:
        _say_some(debugger.ready, "ready", "nothing else is ready")

    def _inputs(self, debugger: Debugger, _: str) -> None:
        _say("\n".join(f"  {name} = {text}" for name, text in debugger.inputs.items()) or "the run has no inputs")

    # --- breakpoints ------------------------------------------------------------------------------------------------------

    def _break(self, debugger: Debugger, rest: str) -> None:
        if not rest:
            known = debugger.breakpoints
            _say("\n".join(f"  {number}  {one}" for number, one in enumerate(known, 1)) or "no breakpoints")
            return
        if rest.startswith("!"):
            made = debugger.break_at_exception(rest[1:].strip())
        elif rest.isdecimal():
            try:
                made = debugger.break_at(int(rest))
            except ValueError as fault:
                raise _Refused(str(fault)) from None
        else:
            made = debugger.break_at_task(rest)
        _say(f"breakpoint {debugger.breakpoints.index(made) + 1}: {made}")

    def _delete(self, debugger: Debugger, rest: str) -> None:
        known = debugger.breakpoints
        if not rest.isdecimal() or not 1 <= int(rest) <= len(known):
            raise _Refused(f"no breakpoint {output.one_line(rest)} (b shows them)")
        _say(f"no more: {known.pop(int(rest) - 1)}")

    # --- going on ---------------------------------------------------------------------------------------------------------

    def _turn(self, debugger: Debugger, rest: str) -> bool:
        if not rest.isdecimal():
            raise _Refused("t takes the number of a turn")
        if int(rest) <= debugger.frame.turn:
            raise _Refused(f"this frame is in turn {debugger.frame.turn} already")
        debugger.until_turn(int(rest))
        return True

    def _help(self, debugger: Debugger, _: str) -> None:
        _say(HELP, ((r"^(on|stop|look|end)\b", "bold"), (r"(?<=^.{6} )\S[^ ]*( TASK| N| R3| ! NAME| !)?", "cyan")))

    def _quit(self, debugger: Debugger, _: str) -> NoReturn:
        debugger.quit()


class _Refused(Exception):
    """A command cannot be done; the text says why."""


def _goes(move: Callable[[Debugger], None]) -> Callable[[Session, Debugger, str], bool]:
    def act(session: Session, debugger: Debugger, rest: str) -> bool:
        move(debugger)
        return True

    return act


def _until(session: Session, debugger: Debugger, rest: str) -> bool:
    debugger.until(rest)
    return True


# What a command does, and whether something stands after it: "" nothing, "?" perhaps, "!" something.
_COMMANDS: dict[str, tuple[Callable[[Session, Debugger, str], bool | None], str]] = {
    "step": (_goes(lambda debugger: debugger.step()), ""),
    "next": (_goes(lambda debugger: debugger.next_strand()), ""),
    "finish": (_goes(lambda debugger: debugger.finish_frame()), ""),
    "turn": (Session._turn, "!"),
    "until": (_until, "!"),
    "continue": (_goes(lambda debugger: debugger.go_on()), ""),
    "break": (Session._break, "?"),
    "delete": (Session._delete, "!"),
    "registers": (Session._registers, ""),
    "x": (Session._value, "!"),
    "where": (Session._where, ""),
    "list": (Session._listing, ""),
    "pending": (Session._waiting, ""),
    "ready": (Session._ready, ""),
    "inputs": (Session._inputs, ""),
    "arguments": (Session._show_exception, ""),
    "help": (Session._help, ""),
    "quit": (Session._quit, ""),
}
_SHORT = {name[0]: name for name in reversed(_COMMANDS) if name not in ("until", "ready", "x")} | {"?": "help"}


def _say(text: str, styles: output.Styles = STYLES) -> None:
    output.say(text, styles)


def _say_some(lines: list[str], title: str, nothing: str) -> None:
    more = [f"  ... and {len(lines) - _MOST:,} more"] if len(lines) > _MOST else []
    _say("\n".join([f"{title}:", *(f"  {one}" for one in lines[:_MOST]), *more]) if lines else nothing)


def _frame(frame: FrameView) -> str:
    turn = f", turn {frame.turn}" if frame.turn > 1 else ""
    strand = ", without strands" if frame.strand is None else f", strand {frame.strand}{' eager' if frame.eager else ''}"
    item = f", item {frame.item}" if frame.item is not None else ""
    return f"frame {frame.depth}: {frame.label} ({frame.cycle_id[:12]}){item}{turn}{strand}"


def _place(place: Place) -> str:
    return f"{place.pc:<3} %{place.position:<3} {place.text}{f'   @ {place.where}' if place.where else ''}"


def _which(stop: Halted) -> str:
    parts = ([] if stop.item is None else [f"item {stop.item}"]) + ([f"attempt {stop.attempt}"] if stop.attempt > 1 else [])
    return ", ".join(parts)


def _waits(one: Waiting) -> str:
    item = f", item {one.item}" if one.item is not None else ""
    attempt = f", attempt {one.attempt}" if one.attempt > 1 else ""
    return f"%{one.position:<3} {one.label}{item}{attempt}: {one.state}{f'   @ {one.where}' if one.where else ''}"


def _one_line(failure: BaseException) -> str:
    try:
        text = bounded(str(failure), 500)
    except Exception:  # a hostile __str__
        text = "<it has no text>"
    name = type(failure).__qualname__
    return output.one_line(f"{name}: {text}" if text else name)


class _Longer(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 5
        self.maxstring = self.maxother = self.maxlong = 400
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = 40


def _long(value: object) -> str:
    """A value at some length, and no more than that."""
    if type(value) is Skipped:
        return f"  skipped: {value.call}, because {value.condition} was false"
    try:
        text = bounded(_Longer().repr(value), 3_000)
    except Exception as fault:  # the repr of a value is the user's
        return f"  <a {type(value).__name__}; its repr raises {type(fault).__name__}>"
    wrapped = [line for whole in text.split("\n") for line in textwrap.wrap(whole, 100, break_on_hyphens=False) or [""]]
    return "\n".join(f"  {output.one_line(line)}" for line in wrapped)


# --- where commands come from -------------------------------------------------------------------------------------------


def from_lines(lines: Iterator[str]) -> Callable[[], str | None]:
    """Commands that are there already: each is shown behind the prompt, so that what is printed reads as a session."""

    def read() -> str | None:
        line = next(lines, None)
        output.put(PROMPT)
        output.say("" if line is None else output.one_line(line.rstrip("\r\n")))
        return line

    return read


def from_terminal() -> Callable[[], str | None]:
    """Commands that somebody types, with a history where ``readline`` is there."""
    with contextlib.suppress(ImportError):  # it is not on every platform
        import readline  # noqa: F401 (``input`` uses it once it is there)

    def read() -> str | None:
        while True:
            try:
                return input(PROMPT)
            except EOFError:
                output.say("")
                return None
            except KeyboardInterrupt:
                output.say("\nq gives the run up")

    return read


def is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
