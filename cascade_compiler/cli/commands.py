"""The commands: what can be typed, and what each does. Their docstrings are the help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cascade_compiler.ahead_of_time import compile as compile_target
from cascade_compiler.cli import (
    documents,
    failures,
    inspecting,
    live_chart,
    looking,
    output,
    signing,
    source_lines,
    stamping,
    targets,
)
from cascade_compiler.cli.app import Flag, Json, Words, command
from cascade_compiler.cli.failures import UsageError
from cascade_vm.errors import CascadeError
from cascade_vm.listing import disassemble


@command(name="compile")
def compile_(
    target: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=("--output", "-o"), show_default=False)] = None,
    fold: Flag = False,
    stamp: Flag = False,
    as_json: Json = False,
) -> int:
    """Compile a workflow to an artifact.

    The artifact runs wherever its tasks can be imported. It is the same, byte for
    byte, on every machine, unless it is stamped.

    Examples:

        cascade compile myapp.flows:report
        cascade compile myapp.flows:report -o build/report.cbp --stamp

    :param target: the workflow, or a LazyResult, as module:name. The module is imported, with the current folder on the path.
    :param out: where to write the artifact. [default: the workflow's name, with .cbp, in the current folder]
    :param fold: call pure tasks whose arguments are all constants now, once, and store their values instead.
    :param stamp: store the time (UTC, or that of SOURCE_DATE_EPOCH) and the git revision of the current folder, beside the content.
    :param as_json: print what was written as one JSON document.
    """
    if targets.is_artifact(target):
        raise UsageError(f"{target} is {'an artifact' if target.endswith('.cbp') else 'a file'}: compile takes module:workflow")
    with output.kept_clean(as_json):
        program = compile_target(targets.graph(target), fold=fold)
    name = target.rpartition(":")[2].rpartition(".")[2] + ".cbp"
    path = out if out is not None else Path(name)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name the file, such as {path / name}")
    try:
        program.save(path, provenance=stamping.stamp() if stamp else None)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise UsageError(f"{path}: cannot be written: {reason}") from None
    size = path.stat().st_size
    if as_json:
        output.say_json({"path": str(path), "bytes": size} | documents.of_summary(program))
    else:
        output.say(documents.summary_text(str(path), size, program), output.SUMMARY)
    return 0


@command()
def dis(
    target: str,
    /,
    *,
    generated: Flag = False,
    passes: Flag = False,
    source: Flag = False,
    live: Flag = False,
    fold: Flag = False,
    allow: Annotated[Words, Parameter(negative=(), show_default=False)] = (),
    key: signing.Keys = (),
    as_json: Json = False,
) -> int:
    """Show the instructions of an artifact or a workflow.

    The listing can be assembled again (cascade_vm.assemble). Nothing of an
    artifact is imported or run, but for --generated: Python is made of linked
    tasks.

    Examples:

        cascade dis report.cbp
        cascade dis report.cbp --source
        cascade dis report.cbp --live
        cascade dis report.cbp --generated --allow myapp
        cascade dis myapp.flows:report --passes --fold
        cascade dis myapp.flows:report --json

    :param target: an artifact, or a workflow or LazyResult as module:name.
    :param generated: show the Python that is generated of the code that a run begins with.
    :param passes: show the graph as it was captured, and what each pass of the compiler changes in it.
    :param source: show the lines of source above the instructions that were made of them, where their files are found on the import path.
    :param live: show a chart of which registers hold something when, instead of the listing.
    :param fold: of a workflow: call pure tasks whose arguments are all constants when it is compiled.
    :param allow: with --generated, a module or package that an artifact may import; may be repeated. Without it, all that it names.
    :param key: a file of keys, of which one must have signed the artifact; may be repeated. [default: what CASCADE_KEYS names, or none]
    :param as_json: print the program as one JSON document, with "generated", "passes" and "live" where they are asked for, and
        with --source the "source" of each instruction.
    """
    if targets.is_artifact(target):
        for asked, option in ((passes, "--passes"), (fold, "--fold")):
            if asked:
                raise UsageError(
                    f"{option}: an artifact has no graph any more, only what has become of it. Name the workflow that it was compiled "
                    f"from: cascade dis module:workflow {option}"
                )
        if allow and not generated:
            raise UsageError("--allow is for --generated: nothing else of an artifact is imported")
        program = targets.artifact(target, allow or None, signing.required(key))
        if generated or source:
            targets.put_current_directory_on_path()
    else:
        signing.only_for_artifacts(key)
        if allow:
            raise UsageError("--allow limits what an artifact may import; a workflow is imported together with its module")
        with output.kept_clean(as_json):
            graph = targets.graph(target)
            program = compile_target(graph, fold=fold)
            steps = looking.passes(graph, fold) if passes else []
    with output.kept_clean(as_json):
        sources = looking.generated(program.link(engine="codegen")) if generated else []
    if as_json:
        told = documents.of_program(program, source_lines.Sources() if source else None)
        if live:
            told["live"] = live_chart.document(program)
        if passes:
            told["passes"] = [step._asdict() for step in steps]
        if generated:
            told["generated"] = [one._asdict() for one in sources]
        output.say_json(told)
        return 0
    if passes:
        output.say(looking.passes_text(steps), output.PASSES)
    if generated:
        output.say(("\n" if passes else "") + looking.generated_text(sources), output.PYTHON)
    if live:
        output.say(("\n" if passes or generated else "") + live_chart.text(program), output.LIVE)
    if source or not (passes or generated or live):
        listing = disassemble(program).rstrip("\n")
        if source:
            listing = source_lines.with_source(listing, source_lines.Sources())
        output.say(("\n" if passes or generated or live else "") + listing, output.LISTING)
    return 0


@command()
def inspect(artifact: str, /, *, key: signing.Keys = (), as_json: Json = False) -> int:
    """Show what an artifact says about itself.

    Its versions, hash, sizes, inputs, tasks, the modules that running it would
    import, resources, policies, provenance, signatures. Nothing is imported or run.
    Signatures are checked where --key or CASCADE_KEYS says which keys to accept; an
    artifact that none of them signed is refused, as cascade verify does.

    Examples:

        cascade inspect report.cbp
        cascade inspect report.cbp --key release.pub
        cascade inspect report.cbp --json

    :param artifact: the artifact.
    :param key: a file of keys, of which one must have signed it; may be repeated. [default: what CASCADE_KEYS names, or none]
    :param as_json: print one JSON document.
    """
    told = inspecting.inspect(artifact, signing.required(key))
    if as_json:
        output.say_json(told)
    else:
        output.say(inspecting.text(told), output.SUMMARY)
    return 0


@command()
def verify(*artifacts: str, key: signing.Keys = (), as_json: Json = False) -> int:
    """Check that artifacts are whole, and that their code is valid.

    Nothing is imported or run. All are checked; the exit code is 2 if any is bad.
    Signatures are checked where --key or CASCADE_KEYS says which keys to accept.

    Examples:

        cascade verify report.cbp
        cascade verify build/*.cbp --key release.pub --json

    :param artifacts: the artifacts.
    :param key: a file of keys, of which one must have signed each artifact; may be repeated. [default: what CASCADE_KEYS names, or none]
    :param as_json: print one JSON document: {"artifacts": [{"path", "ok", ...}]}, and "error" beside it if any is bad.
    """
    if not artifacts:
        raise UsageError("verify needs an artifact (see cascade verify --help)")
    keys = signing.required(key)
    found: list[dict[str, Any]] = []
    bad: list[str] = []
    for path in artifacts:
        try:
            program = targets.artifact(path, keys=keys)
        except CascadeError as fault:
            bad.append(str(fault))
            found.append({"path": path, "ok": False, "error": failures.document(fault, 2)})
            output.complain(failures.text(fault))
            continue
        by = {} if keys is None else {"signed_by": program.signed_by}
        found.append({"path": path, "ok": True} | by | documents.of_summary(program))
        if not as_json:
            count = f"{documents.instructions(program):,} instructions"
            signed = "" if keys is None else f", signed by {program.signed_by!r}"
            output.say(f"{path}: ok   {count}, cycle_id {program.cycle_id[:12]}{signed}", output.SUMMARY)
    if as_json:
        told: dict[str, Any] = {"artifacts": found}
        if bad:
            message = f"{len(bad)} of {len(artifacts)} artifacts cannot be used"
            told["error"] = {"type": "VerifyError", "message": message, "faults": bad, "exit_code": 2}
        output.say_json(told)
    return 2 if bad else 0
