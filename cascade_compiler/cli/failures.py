"""From what was raised to what is shown, and to the exit code.

An error of Cascade is a message, without a traceback. What a task raised is the user's own: its traceback, less the frames of the
engine, with its notes. ``CASCADE_FULL_TRACEBACK=1`` shows every frame of everything.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

import cascade_compiler
import cascade_vm
from cascade_compiler.cli import output
from cascade_vm.errors import (
    BadKey,
    CascadeError,
    CompileError,
    InputError,
    InternalError,
    LazyUseError,
    LinkError,
    LoadError,
    VerifyError,
)
from cascade_vm.interruption import was_in_flight
from cascade_vm.sites import portable_path
from cascade_vm.tracebacks import GENERATED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BAD_INPUT = (InputError, LoadError, BadKey, VerifyError, LinkError, CompileError, LazyUseError)


class UsageError(CascadeError):
    """The command line itself is wrong. ``faults`` holds each fault, where there are several."""

    code = "U02"

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class BrokenTarget(Exception):
    """The user's code failed (``__cause__`` says how) while it was imported or a workflow traced: before anything ran."""


def report(failure: BaseException, *, as_json: bool) -> int:
    """Show ``failure`` on stderr, and under ``--json`` as a document on stdout too; returns the exit code."""
    code = exit_code(failure)
    output.complain(text(failure))
    if as_json:
        output.say_json({"error": document(failure, code)})
    return code


def exit_code(failure: BaseException) -> int:
    """130 for an interruption, 2 for what was wrong before anything ran, 1 for a run that failed."""
    if isinstance(failure, KeyboardInterrupt):
        return 130
    if isinstance(failure, (UsageError, BrokenTarget)):
        return 2
    return 2 if isinstance(failure, _BAD_INPUT) and not came_from_a_run(failure) else 1


def document(failure: BaseException, code: int) -> dict[str, Any]:
    """``failure`` for a program: type, message, faults (each that is in the message, alone), exit code."""
    said = failure.__cause__ if isinstance(failure, BrokenTarget) and failure.__cause__ is not None else failure
    message = "interrupted" if code == 130 else _message(said)
    faults = getattr(said, "faults", None) if isinstance(said, CascadeError) else ()
    if faults is None:  # several in one text, each on a line of its own
        faults = [line.strip() for line in message.split("\n")[1:]]
    kind = type(said)
    short = isinstance(said, CascadeError) or kind.__module__ == "builtins"
    name = kind.__qualname__ if short else f"{kind.__module__}.{kind.__qualname__}"
    found: dict[str, Any] = {"type": name, "message": message, "faults": list(faults), "exit_code": code}
    if isinstance(said, KeyboardInterrupt) and not _notes(said) and (running := _what_was_running(said)):
        found["running"] = running
    if isinstance(said, CascadeError) and said.code:
        found["code"] = said.code
    return found | {"notes": notes} if (notes := _notes(said)) else found


def text(failure: BaseException) -> str:
    """``failure`` for people."""
    if isinstance(failure, KeyboardInterrupt) and not _everything():
        return "\n".join(["interrupted", *_what_was_running(failure)])
    if isinstance(failure, BrokenTarget):
        return f"error: {failure}\n{_traceback(failure.__cause__ or failure)}"
    if not isinstance(failure, CascadeError) or (came_from_a_run(failure) and _last_line_of_the_user(failure)):
        return _traceback(failure)
    lines = [f"error[{failure.code}]: {_message(failure)}" if failure.code else f"error: {_message(failure)}", *_notes(failure)]
    if isinstance(failure, LazyUseError) and (where := _last_line_of_the_user(failure)):
        lines.append(f"  used at {where}")
    whole = _everything() or isinstance(failure, InternalError)
    return (f"{_traceback(failure)}\n" if whole else "") + "\n".join(lines)


def _what_was_running(failure: KeyboardInterrupt) -> list[str]:
    """Lines: the notes say it where a synchronous task was interrupted; else what was in flight, or the line that was being awaited."""
    if notes := _notes(failure):
        return notes
    if calls := Counter(was_in_flight(failure)):
        shown = [f"in {call}" + (f" ({count:,} calls)" if count > 1 else "") for call, count in calls.items()]
        return shown[:_MOST_SHOWN] + ([f"and {len(shown) - _MOST_SHOWN:,} more"] if len(shown) > _MOST_SHOWN else [])
    where = _last_line_of_the_user(failure.__context__ or failure)
    return [f"at {where}"] if where else []


_MOST_SHOWN = 8  # calls, where many were in flight


def came_from_a_run(failure: BaseException) -> bool:
    """Every failure of a task gets a note that names the task."""
    return any(note.startswith(("in task ", "in item ")) for note in _notes(failure))


def _notes(failure: BaseException) -> list[str]:
    notes = getattr(failure, "__notes__", ())
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, (list, tuple)) else []


def _message(failure: BaseException) -> str:
    try:
        return str(failure)
    except Exception:
        return f"<{type(failure).__name__}>"


def _everything() -> bool:
    return os.environ.get("CASCADE_FULL_TRACEBACK") == "1"


# --- tracebacks -------------------------------------------------------------------------------------------------------

_PACKAGES = (cascade_compiler, cascade_vm)
_ENGINE = (*(os.path.dirname(os.path.abspath(str(package.__file__))) + os.sep for package in _PACKAGES), GENERATED)
# Frames between the engine and what it called: dropped where they follow the engine, kept in the middle of a user's code.
_BETWEEN = (*(os.path.dirname(str(package.__file__)) + os.sep for package in (asyncio, importlib)), "<frozen importlib")


def _traceback(failure: BaseException) -> str:
    shown = traceback.TracebackException.from_exception(failure)
    if not _everything() and not isinstance(failure, InternalError):
        for part in _parts(shown):
            frames = list(_of_the_user(part.stack))
            # A step of the engine's own that failed (an item that is not there) has no frame of the user's: its note says where.
            part.stack = traceback.StackSummary.from_list(frames) if frames else None  # type: ignore[assignment]
    return "".join(shown.format()).rstrip("\n")


def _parts(shown: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """``shown`` and what is reached from it: causes, contexts, members of groups. Each once, without recursion."""
    waiting = [shown]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += [one for one in (part.__cause__, part.__context__, *(part.exceptions or ())) if one is not None]


def _of_the_user(frames: Iterable[traceback.FrameSummary]) -> Iterator[traceback.FrameSummary]:
    after_the_engine = True
    for frame in frames:
        if frame.filename.startswith(_ENGINE):
            after_the_engine = True
        elif not (after_the_engine and frame.filename.startswith(_BETWEEN)):
            after_the_engine = False
            yield frame


def _last_line_of_the_user(failure: BaseException) -> str:
    frames = list(_of_the_user(traceback.extract_tb(failure.__traceback__)))
    return f"{portable_path(frames[-1].filename)}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""
