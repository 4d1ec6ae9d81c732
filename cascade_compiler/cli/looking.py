"""``cascade dis --passes`` and ``--generated``: what the passes make of a graph, and the Python that the second tier makes of its code."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_compiler.capture import capture
from cascade_compiler.cli import targets
from cascade_compiler.explaining import why_not_generated
from cascade_compiler.ir import Kind, render
from cascade_compiler.passes import passes_ahead_of_time, run_passes
from cascade_vm.codegen import can_await, can_generate, generate, generate_chain
from cascade_vm.notes import short

if TYPE_CHECKING:
    from cascade_compiler.ir import Graph
    from cascade_compiler.passes import Pass
    from cascade_vm.executable import Executable
    from cascade_vm.link import Code


class Step(NamedTuple):
    """The graph after a pass, or as it was captured; ``diff`` against the one before, empty where the pass changed nothing."""

    name: str
    graph: str
    diff: str


def passes(graph: Any, fold: bool) -> list[Step]:
    """What each pass makes of ``graph`` (what ``targets.graph`` gave): the captured graph first."""
    captured = capture(*targets.parts(graph))
    steps = [Step("captured", _shown(captured), "")]

    def after(one: Pass, result: Graph) -> None:
        text, before = _shown(result), steps[-1]
        changed = unified_diff(before.graph.splitlines(), text.splitlines(), before.name, one.__name__, n=1, lineterm="")
        steps.append(Step(one.__name__, text, "\n".join(changed)))

    run_passes(captured, passes_ahead_of_time(captured, fold), after)
    return steps


def passes_text(steps: list[Step]) -> str:
    """For people: the captured graph, for each pass that changed something a diff and the graph after it, and the graph in the end."""
    parts = [f"graph as it was captured\n{_indented(steps[0].graph)}"]
    changed = [step for step in steps if step.diff]
    for step in steps[1:]:
        parts.append(f"pass {step.name}\n{_indented(step.diff)}" if step.diff else f"pass {step.name} changes nothing")
        if step.diff and step is not changed[-1]:
            parts.append(f"graph after {step.name}\n{_indented(step.graph)}")
    if changed:
        parts.append(f"graph in the end\n{_indented(steps[-1].graph)}")
    return "\n\n".join(parts)


class Source(NamedTuple):
    """The Python of one strand, of all of them (``strand`` is None), or why there is none."""

    cycle_id: str
    strand: int | None
    source: str | None
    why_not: str


def generated(executable: Executable) -> list[Source]:
    """The second tier of a linked program: of its entry, and of the parts that jumps begin, each as it is made where no run has shown yet
    of what types the inputs are."""
    if executable._whole is not None:  # nothing changes from run to run: it has its constants in it
        return [Source(executable._code.blueprint.cycle_id, None, executable._whole.source, "")]
    found = _of_code(executable._code, executable._constants.values() if executable._code.single else None)
    seen = {executable._code.blueprint.cycle_id}
    for routes in executable._constants._tables.routes:
        for part in (part for route in routes.values() if route is not None for part in (route.plain, route.full)):
            if part.code.blueprint.cycle_id not in seen:
                seen.add(part.code.blueprint.cycle_id)
                found += _of_code(part.code, None)
    return found


def _of_code(code: Code, observed: list[Any] | None) -> list[Source]:
    name = code.blueprint.cycle_id
    found = []
    for number in range(len(code.blueprint.strands)):
        source = generate(code, number, observed=observed).source if can_generate(code, number) else None
        found.append(Source(name, number, source, "" if source else why_not_generated(code, number)))
    if can_await(code):
        found.append(Source(name, None, generate_chain(code).source, ""))
    return found


def generated_text(sources: list[Source]) -> str:
    """For people: Python, with a comment before each function."""
    parts = []
    for one in sources:
        head = f"# blueprint {one.cycle_id[:12]}, {'all of it' if one.strand is None else f'strand {one.strand}'}"
        parts.append(f"{head}\n{one.source.rstrip()}" if one.source else f"{head}: interpreted, {one.why_not}")
    return "\n\n".join(parts)


def _shown(graph: Graph) -> str:
    """The graph, with the values of literals behind them."""
    lines = render(graph).split("\n")
    for at, op in enumerate(graph.ops):
        if op.kind is Kind.LITERAL:
            lines[at] += f"   ; {short(graph.literals[op.detail])}"
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
