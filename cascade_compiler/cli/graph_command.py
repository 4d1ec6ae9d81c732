"""``cascade graph``: a picture of a workflow, a graph or an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from cascade_compiler.ahead_of_time import compile as compile_target
from cascade_compiler.cli import output, signing, targets
from cascade_compiler.cli.app import Flag, Json, command
from cascade_compiler.cli.failures import UsageError
from cascade_vm.files import write_whole

if TYPE_CHECKING:
    from cascade_vm.pictures.drawing import Picture

Form = Literal["svg", "mermaid", "dot"]
_FORMS: dict[str, Form] = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot"}


@command()
def graph(
    target: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=("--output", "-o"), show_default=False)] = None,
    form: Annotated[Form | None, Parameter(name="--format", show_default=False)] = None,
    compiled: Flag = False,
    fold: Annotated[bool | None, Parameter(negative="--no-fold", show_default=False)] = None,
    direction: Literal["auto", "TB", "LR"] = "auto",
    key: signing.Keys = (),
    as_json: Json = False,
) -> int:
    """Draw a workflow, a graph or an artifact.

    Shows the tasks with the lines that call them, and what they take: data,
    conditions, order, routes, jumps. Nothing of an artifact is imported or run. SVG
    needs Graphviz (pip install 'cascade-vm[pictures]'); Mermaid and DOT need nothing.

    Examples:

        cascade graph myapp.flows:report -o report.svg
        cascade graph myapp.flows:report --compiled -o strands.svg
        cascade graph report.cbp --format mermaid

    :param target: an artifact, or a workflow or LazyResult as module:name.
    :param out: where to write the picture. [default: to stdout]
    :param form: what to write. [default: what the name of the file says; Mermaid on stdout]
    :param compiled: of a workflow: show what the compiler makes of it, with its strands, as an artifact is shown.
    :param fold: draw what is alike as one node with a count; --no-fold: draw every node. [default: where the picture would be large]
    :param direction: which way it grows: "TB" is down, "LR" to the right.
    :param key: a file of keys, of which one must have signed the artifact; may be repeated. [default: what CASCADE_KEYS names, or none]
    :param as_json: print one JSON document: what was drawn, and the picture, if it is not written to a file.
    """
    from cascade_compiler import pictures

    chosen = _form(out, form)
    with output.kept_clean(True):
        found, title = _subject(target, compiled, key)
        drawn = pictures.picture(found, fold=fold, for_mermaid=chosen == "mermaid")
    text = _written(drawn, chosen, title, direction)
    told: dict[str, Any] = {"format": chosen} | _counts(drawn)
    if out is not None:
        try:
            write_whole(out, text.encode())
        except (OSError, ValueError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
            raise UsageError(f"{out}: cannot be written: {reason}") from None
        told["path"] = str(out)
    elif as_json:
        told["picture"] = text
    if as_json:
        output.say_json(told)
    elif out is None:
        output.put(text)
    else:
        shown = f", shown as {told['shown']:,}" if told["shown"] != told["nodes"] else ""
        output.say(f"wrote {out}: {told['nodes']:,} nodes{shown}, {told['edges']:,} edges", output.SUMMARY)
    return 0


def _form(out: Path | None, form: Form | None) -> Form:
    """
    :raises UsageError: nothing says what to write.
    """
    if out is not None and out.is_dir():
        raise UsageError(f"{out} is a folder: name the file, such as {out / 'graph.svg'}")
    if form is not None:
        return form
    if out is None:
        return "mermaid"
    if out.suffix.lower() not in _FORMS:
        raise UsageError(f"{out}: the name says the form, and must end in one of {', '.join(_FORMS)}; or give --format")
    return _FORMS[out.suffix.lower()]


def _subject(target: str, compiled: bool, key: signing.Keys) -> tuple[Any, str]:
    """What is drawn, and what it is called."""
    if targets.is_artifact(target):
        if compiled:
            raise UsageError("--compiled is for workflows: an artifact is always shown as it was compiled")
        return targets.artifact(target, None, signing.required(key)), target
    signing.only_for_artifacts(key)
    found = targets.graph(target)
    title = f"{target}, compiled" if compiled else target
    return compile_target(found) if compiled else found, title


def _written(drawn: Picture, form: Form, title: str, direction: str) -> str:
    """
    :raises UsageError: there is nothing that could lay it out.
    """
    from cascade_vm.pictures.dot import to_dot
    from cascade_vm.pictures.labels import plain
    from cascade_vm.pictures.layout import CannotLayOut, can_lay_out, to_svg
    from cascade_vm.pictures.mermaid import to_mermaid

    if form == "mermaid":
        return to_mermaid(drawn, direction)
    text = to_dot(drawn, plain(title, 80), direction)
    if form == "dot":
        return text
    try:
        return to_svg(text)
    except CannotLayOut as fault:
        refused = UsageError(f"{fault}: --format mermaid" if not can_lay_out() else str(fault))
        refused.code = fault.code
        raise refused from None


def _counts(drawn: Picture) -> dict[str, int]:
    return {
        "nodes": sum(node.count for node in drawn.nodes),
        "edges": sum(node.inner for node in drawn.nodes) + sum(edge.count for edge in drawn.edges),
        "shown": len(drawn.nodes),
    }
