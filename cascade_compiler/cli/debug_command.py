"""``cascade debug``: step through a run."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cascade_compiler.cli import debug_session, output, parameters, running, signing, targets
from cascade_compiler.cli.app import Words, command
from cascade_compiler.cli.debug_session import Session
from cascade_compiler.cli.failures import UsageError
from cascade_compiler.cli.given import Given
from cascade_vm.bounded import bounded
from cascade_vm.debugging import Debugger, Quit
from cascade_vm.notes import short

if TYPE_CHECKING:
    from collections.abc import Callable


@command()
def debug(
    target: str,
    /,
    *,
    param: Annotated[Words, Parameter(name=("--param", "-p"), negative=(), show_default=False)] = (),
    params: Annotated[Path | None, Parameter(show_default=False)] = None,
    commands: Annotated[Path | None, Parameter(show_default=False)] = None,
    capacity: Annotated[Words, Parameter(negative=(), show_default=False)] = (),
    allow: Annotated[Words, Parameter(negative=(), show_default=False)] = (),
    key: signing.Keys = (),
) -> int:
    """Step through a run of an artifact or a workflow.

    It stops before the first instruction, and takes commands: h shows them. Where
    a task raises, it stops before anything is torn down. While it waits for a
    command, nothing of the run goes on: no timer, no other task of the loop.

    Commands are read from stdin. Where that is no terminal, each is shown as if
    it had been typed; the end of the commands is as q. Ctrl-C stops a run that
    goes on at its next instruction; a second one ends it.

    Examples:

        cascade debug report.cbp -p day=2026-01-31
        cascade debug myapp.flows:report -p limit=5 --commands steps.txt
        printf 'b price\\nc\\nr\\n' | cascade debug myapp.flows:report

    :param target: an artifact, or a workflow or LazyResult as module:name.
    :param param: an input, as name=value; may be repeated. The type of the input converts it; lists, dicts etc. are written as JSON.
    :param params: a file of inputs, .json or .toml, with an input a key. What -p gives goes before what it says.
    :param commands: a file of commands, one a line, in place of stdin.
    :param capacity: how much there is of what calls hold by with_constraints, as name=amount; may be repeated.
    :param allow: a module or package that the artifact may import; may be repeated. Without it, all that it names.
    :param key: a file of keys, of which one must have signed the artifact; may be repeated. [default: what CASCADE_KEYS names, or none]
    """
    given, amounts = Given(parameters.split(param), params, may_ask=False), parameters.amounts(capacity)
    session = Session(_commands(commands))
    if targets.is_artifact(target):
        call = running.runs_of_artifact(target, given.read, "interpreter", 0.005, allow, signing.required(key), capacity=amounts)
    else:
        signing.only_for_artifacts(key)
        call = running.runs_of_graph(target, given.read, "interpreter", 0.005, allow, amounts)
    debugger = Debugger(session)
    try:
        with debugger, _interrupts(debugger):
            value = call()
    except Quit:
        output.say("the run was given up")
        return 0
    output.say(f"the run returned {bounded(short(value), 200)}")
    return 0


def _commands(path: Path | None) -> Callable[[], str | None]:
    if path is not None:
        try:
            return debug_session.from_lines(iter(path.read_text(encoding="utf-8").splitlines()))
        except OSError as fault:
            raise UsageError(f"--commands {path}: cannot be read: {fault.strerror or fault}") from None
        except ValueError:
            raise UsageError(f"--commands {path}: it is no text in UTF-8") from None
    if debug_session.is_terminal():
        return debug_session.from_terminal()
    return debug_session.from_lines(iter(sys.stdin) if sys.stdin is not None else iter(()))


@contextmanager
def _interrupts(debugger: Debugger) -> Iterator[None]:
    """Have Ctrl-C stop the run at its next instruction, and end it if that does not come before the second one."""
    if threading.current_thread() is not threading.main_thread() or not debug_session.is_terminal():
        yield
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        if debugger.stop is not None or not debugger.interrupt():
            raise debugger.interruption()
        output.complain("stops at the next instruction (Ctrl-C again ends the run)", ())

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
