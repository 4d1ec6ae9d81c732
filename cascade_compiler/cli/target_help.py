"""``cascade run TARGET --help``: the inputs of what would be run."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from cascade_compiler import descriptions
from cascade_compiler.capture import capture
from cascade_compiler.cli import output, parameters, targets
from cascade_vm.inputs import MISSING, show_type
from cascade_vm.notes import short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_vm.inputs import Declared


def text(target: str) -> str:
    """For people. An artifact is read and verified, and nothing of it imported.

    :raises UsageError, LoadError, VerifyError: there is no such target.
    """
    if targets.is_artifact(target):
        program = targets.artifact(target)
        return _shown(target, list(program.inputs.values()), descriptions.told(program.provenance), "")
    graph = targets.graph(target)
    summary = inspect.cleandoc(graph.fn.__doc__ or "") if isinstance(graph, targets.TracedWorkflow) else ""
    declared = capture(*targets.parts(graph)).inputs
    return _shown(target, declared, of_graph(graph, declared), summary.split("\n\n")[0].split("\n:param")[0])


def of_graph(graph: Any, declared: Sequence[Declared]) -> dict[str, str]:
    """The descriptions of the inputs of what ``targets.graph`` gave."""
    is_workflow = isinstance(graph, targets.TracedWorkflow)
    return descriptions.of_parameters(graph.fn.__doc__, [one.name for one in declared]) if is_workflow else {}


def _shown(target: str, declared: Sequence[Declared], said: Mapping[str, str], summary: str) -> str:
    usage = parameters.usage(declared)
    words = usage.removeprefix("usage:") if usage.startswith("usage:") else ""
    parts = [f"usage: cascade run {target}{words}"]
    if summary.strip() and not summary.startswith(":"):
        parts.append(summary.strip())
    for source, heading in (("param", "inputs"), ("env", "environment variables")):
        if shown := [one for one in declared if one.source == source]:
            parts.append(f"{heading}\n{_table(shown, said)}")
    if not declared:
        parts.append("It takes no inputs.")
    parts.append("What else can be said: cascade run --help")
    return "\n\n".join(parts)


def _table(declared: Sequence[Declared], said: Mapping[str, str]) -> str:
    defaults = ["" if one.default is MISSING else f" = {short(one.default)}" for one in declared]
    rows = [(output.one_line(one.name), show_type(one.type) + default) for one, default in zip(declared, defaults, strict=True)]
    names, types = (max(len(row[at]) for row in rows) for at in (0, 1))
    lines = []
    for one, (name, kind) in zip(declared, rows, strict=True):
        lead = f"  {name:<{names}}  {kind:<{min(types, 32)}}  "
        # A description starts beside its input, and goes on below itself.
        first, *more = output.wrapped(output.one_line(said.get(one.name, "")), max(100 - len(lead), 40)).split("\n")
        lines += [f"{lead}{first}".rstrip(), *(" " * len(lead) + line for line in more)]
    return "\n".join(lines)


STYLES: output.Styles = ((r"^usage:", "bold"), (r"^(inputs|environment variables)$", "bold"), (r"^What else[^\n]*", "dim"))
