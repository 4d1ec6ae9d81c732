"""``cascade profile``: where the time of a run goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cascade_compiler.cli import output, parameters, running, signing, targets
from cascade_compiler.cli.app import Flag, Json, Words, command
from cascade_compiler.cli.failures import UsageError
from cascade_compiler.cli.given import Given
from cascade_vm import profile_table
from cascade_vm.profiling import Profile, profile

if TYPE_CHECKING:
    from cascade_vm.profile_table import Table

_FORMS = (".svg", ".html", ".htm", ".folded", ".txt")


@command(name="profile")
def profile_(
    target: str,
    /,
    *,
    param: Annotated[Words, Parameter(name=("--param", "-p"), negative=(), show_default=False)] = (),
    params: Annotated[Path | None, Parameter(show_default=False)] = None,
    repeat: int = 1,
    instructions: Flag = False,
    trace: Annotated[Path | None, Parameter(show_default=False)] = None,
    flame: Annotated[Path | None, Parameter(show_default=False)] = None,
    capacity: Annotated[Words, Parameter(negative=(), show_default=False)] = (),
    allow: Annotated[Words, Parameter(negative=(), show_default=False)] = (),
    key: signing.Keys = (),
    as_json: Json = False,
) -> int:
    """Run an artifact or a workflow, and show where the time went.

    By task: how often it was called, its own time, and what its calls waited
    for: suspended (something that they await), queued (for a thread), capacity,
    rate limit, back-off (between attempts). A run that fails is shown up to
    there. The value of the run is not printed; what tasks print goes to stderr.

    Examples:

        cascade profile report.cbp -p day=2026-01-31
        cascade profile myapp.flows:report -p limit=5 --repeat 20 --instructions
        cascade profile report.cbp --trace report.json --flame report.svg

    The trace is for https://ui.perfetto.dev or chrome://tracing.

    :param target: an artifact, or a workflow or LazyResult as module:name.
    :param param: an input, as name=value; may be repeated. The type of the input converts it; lists, dicts etc. are written as JSON.
    :param params: a file of inputs, .json or .toml, with an input a key. What -p gives goes before what it says.
    :param repeat: how often it is run.
    :param instructions: show the figures of each instruction, too.
    :param trace: a file for what happened when, as JSON in the Trace Event format.
    :param flame: a file for a flame view: .svg, .html (a click enlarges), or .folded for stacks as text.
    :param capacity: how much there is of what calls hold by with_constraints, as name=amount; may be repeated.
    :param allow: a module or package that the artifact may import; may be repeated. Without it, all that it names.
    :param key: a file of keys, of which one must have signed the artifact; may be repeated. [default: what CASCADE_KEYS names, or none]
    :param as_json: print the figures as one JSON document.
    """
    if repeat < 1:
        raise UsageError(f"--repeat must be at least 1, not {repeat}")
    if flame is not None and flame.suffix.lower() not in _FORMS:
        raise UsageError(f"--flame {flame}: the name says the form, and must end in one of {', '.join(_FORMS)}")
    given, amounts = Given(parameters.split(param), params, may_ask=False), parameters.amounts(capacity)
    with output.kept_clean(True):
        if targets.is_artifact(target):
            call = running.runs_of_artifact(target, given.read, "auto", 0.005, allow, signing.required(key), capacity=amounts)
        else:
            signing.only_for_artifacts(key)
            call = running.runs_of_graph(target, given.read, "auto", 0.005, allow, amounts)
        with profile() as found:
            try:
                for _ in range(repeat):
                    call()
            except BaseException:
                if found.runs:
                    _show(found, instructions, trace, flame, as_json=False, failed=True)
                raise
    _show(found, instructions, trace, flame, as_json=as_json)
    return 0


def _show(found: Profile, instructions: bool, trace: Path | None, flame: Path | None, *, as_json: bool, failed: bool = False) -> None:
    """Write the files, then what was found. Of a run that failed the figures go to stderr, where its error will stand."""
    written = []
    for path, write in ((trace, found.trace), (flame, found.flame)):
        if path is not None:
            try:
                write(path)
            except OSError as fault:
                raise UsageError(f"{path}: cannot be written: {fault.strerror or fault}") from None
            written.append(str(path))
    if as_json:
        output.say_json(found.to_dict() | {"written": written})
        return
    say = output.complain if failed else output.say
    tables = [profile_table.tasks(found)] + ([profile_table.instructions(found)] if instructions else [])
    say(profile_table.summary(found), _SUMMARY)
    for one in tables:
        if one.rows:
            say("")
            _say_table(one, failed)
    if written:
        say(f"\nwrote {', '.join(written)}", output.SUMMARY)
    if failed:
        say("")  # what comes next is the error


_SUMMARY: output.Styles = (
    (r"^\d[\d,]* runs?\b", "bold"),
    (r"\bfailed\b|\bcancelled\b", "bold red"),
    (r"^the profile itself[^\n]*", "dim"),
    (r"^\d[\d,]* spans were not[^\n]*", "yellow"),
)


def _say_table(table: Table, failed: bool) -> None:
    styles: output.Styles = ((r"\A[^\n]*", "bold"), (r"(?<=\n)-[- ]*(?=\n|\Z)", "dim"), (r" (µs|ms|s)\b", "dim"))
    (output.complain if failed else output.say)(profile_table.plain(table), styles)
