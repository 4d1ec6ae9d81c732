"""``cascade run``: a target, its inputs, and what is shown while it runs."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cascade_compiler.cli import documents, output, parameters, prompting, running, signing, target_help, targets
from cascade_compiler.cli.app import HELP_OF_TARGETS, Flag, Json, Words, command
from cascade_compiler.cli.failures import UsageError
from cascade_compiler.cli.given import Given
from cascade_vm.executable import check_time_slice

if TYPE_CHECKING:
    from cascade_compiler.cli.event_log import EventLog
    from cascade_compiler.cli.progress import Progress


@command()
def run(
    target: str,
    /,
    *,
    param: Annotated[Words, Parameter(name=("--param", "-p"), negative=(), show_default=False)] = (),
    params: Annotated[Path | None, Parameter(show_default=False)] = None,
    no_input: Flag = False,
    progress: Annotated[bool | None, Parameter(show_default=False)] = None,
    events: Annotated[Path | None, Parameter(show_default=False)] = None,
    capacity: Annotated[Words, Parameter(negative=(), show_default=False)] = (),
    engine: Literal["auto", "interpreter", "codegen", "graph"] = "auto",
    time_slice: float = 0.005,
    allow: Annotated[Words, Parameter(negative=(), show_default=False)] = (),
    drift: Literal["warn", "error", "ignore"] = "warn",
    key: signing.Keys = (),
    as_json: Json = False,
) -> int:
    """Run an artifact or a workflow, and print its value.

    Examples:

        cascade run report.cbp --help
        cascade run report.cbp -p day=2026-01-31 -p limit=5
        cascade run report.cbp --params report.toml --events run.jsonl
        cascade run report.cbp -p 'tags=["a", "b"]' --allow myapp
        cascade run myapp.flows:report -p day=2026-01-31 --engine graph

    With a target before it, --help lists the inputs of that. Inputs that are
    missing are asked for, where stdin and stderr are a terminal.

    What tasks print goes to stdout, before the value; with --json, to stderr.
    Ctrl-C ends the run, tears down what it has set up, and tells what was running.
    The traceback of a task that raises is shown without the frames of Cascade
    itself; CASCADE_FULL_TRACEBACK=1 shows those too.

    :param target: an artifact, or a workflow or LazyResult as module:name.
    :param param: an input, as name=value; may be repeated. The type of the input converts it; lists, dicts etc. are written as JSON.
    :param params: a file of inputs, .json or .toml, with an input a key. What -p gives goes before what it says.
    :param no_input: ask for nothing: inputs that are missing are errors.
    :param progress: show on stderr what runs, waits and is done, while the run goes on; where that is no terminal, one line at its end. It
        counts every call: loops and maps of the very shortest calls take some three times as long. [default: if stderr is a terminal]
    :param events: a file for what happens, as JSON, one event a line. That takes some ten microseconds a call.
    :param capacity: how much there is of what calls hold by with_constraints, as name=amount; may be repeated.
    :param engine: what runs it. "auto" interprets, and generates Python for what has run often; "interpreter" and "codegen" do only
        the one. "graph" walks the graph itself, for comparison; an artifact has no graph to walk.
    :param time_slice: seconds for which a loop may go on before other work in flight has its turn.
    :param allow: a module or package that the artifact may import; may be repeated. Without it, all that it names.
    :param drift: what to do about tasks whose source has changed since the artifact was compiled. A workflow has none.
    :param key: a file of keys, of which one must have signed the artifact; may be repeated. [default: what CASCADE_KEYS names, or none]
    :param as_json: print one JSON document, {"result": value}; what JSON has no form for is written as its repr.
    """
    try:
        check_time_slice(time_slice)
    except ValueError as fault:
        raise UsageError(f"--time-slice: {fault}") from None
    amounts = parameters.amounts(capacity)
    given = Given(parameters.split(param), params, may_ask=not no_input and prompting.is_possible())
    with ExitStack() as open_ones:
        shown: Progress | None = None
        if progress if progress is not None else _is_terminal():
            from cascade_compiler.cli.progress import Progress

            shown = open_ones.enter_context(Progress())
        with output.kept_clean(as_json):
            if targets.is_artifact(target):
                call = running.runs_of_artifact(target, given.read, engine, time_slice, allow, signing.required(key), drift, amounts)
            else:
                signing.only_for_artifacts(key)
                call = running.runs_of_graph(target, given.read, engine, time_slice, allow, amounts)
            log = _event_log(events, open_ones)
            if shown is not None:
                shown.begin()
            try:
                value = call()
            except KeyboardInterrupt as stop:
                if shown is not None:
                    shown.tell_stopped(stop)
                raise
    if as_json:
        output.say_json({"result": documents.of_value(value)})
    else:
        output.say_value(value)
    return 0 if log is None or log.complete else 1


def _event_log(path: Path | None, open_ones: ExitStack) -> EventLog | None:
    if path is None:
        return None
    from cascade_compiler.cli.event_log import EventLog

    return open_ones.enter_context(EventLog(path))


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _say_help(target: str) -> None:
    output.say(target_help.text(target), target_help.STYLES)


HELP_OF_TARGETS[run] = _say_help
