"""``cascade run``: from a target and the texts of its inputs to its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade_compiler import descriptions
from cascade_compiler.api import run
from cascade_compiler.capture import capture
from cascade_compiler.cli import failures, output, parameters, target_help, targets
from cascade_compiler.cli.failures import UsageError
from cascade_vm.drift import drifted, told
from cascade_vm.errors import CapacityError, InputError, LinkError

if TYPE_CHECKING:
    from cascade_vm.inputs import Declared
    from cascade_vm.signing import Key

# Texts by name, as -p gives them; or what gives values, for what is declared and what is said of that.
Inputs: TypeAlias = "dict[str, str] | Callable[[Sequence[Declared], Mapping[str, str]], dict[str, Any]]"


def runs_of_artifact(
    path: str, inputs: Inputs, engine: str, time_slice: float, allow: Sequence[str], keys: Sequence[Key] | None = None,
    drift: str = "warn", capacity: Mapping[str, float] | None = None,
) -> Callable[[], Any]:  # fmt: skip
    """What runs the artifact at ``path`` for these inputs, as often as it is called: loaded and linked once."""
    if engine == "graph":
        raise UsageError(
            "--engine graph: an artifact is compiled, and has no graph to walk. Run the workflow it was compiled from: "
            "cascade run module:workflow --engine graph"
        )
    program = targets.artifact(path, allow or None, keys)
    declared = list(program.inputs.values())
    given = _values(declared, inputs, descriptions.told(program.provenance))
    targets.put_current_directory_on_path()
    link = partial(program.link, engine=engine, time_slice=time_slice, capacity=capacity)
    try:
        linked = _with_usage(declared, lambda: link(drift="error" if drift == "error" else "ignore"))
    except LinkError as fault:
        if "No module named" in str(fault):
            fault.add_note("modules are looked for in the current folder, then where Python does (PYTHONPATH)")
        raise
    if drift == "warn" and (changed := drifted(program)[0]):
        remedy = "compile it again, or say --drift ignore if the changes do not matter"
        output.complain(f"warning: {told(changed, path, remedy)}")
    return lambda: _with_usage(declared, lambda: linked.run(**given))


def runs_of_graph(
    target: str, inputs: Inputs, engine: str, time_slice: float, allow: Sequence[str], capacity: Mapping[str, float] | None = None,
) -> Callable[[], Any]:  # fmt: skip
    """What runs what ``target`` (module:name) names for these inputs, as often as it is called."""
    if allow:
        raise UsageError("--allow limits what an artifact may import; a workflow is imported together with its module")
    graph = targets.graph(target)
    declared = capture(*targets.parts(graph)).inputs
    given = _values(declared, inputs, target_help.of_graph(graph, declared))
    return lambda: _with_usage(declared, lambda: run(graph, given, engine=engine, time_slice=time_slice, capacity=capacity))


def _values(declared: Sequence[Declared], inputs: Inputs, said: Mapping[str, str]) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        return parameters.values(declared, inputs) if isinstance(inputs, dict) else inputs(declared, said)

    given: dict[str, Any] = _with_usage(declared, read)
    return given


def _with_usage(declared: Sequence[Declared], call: Callable[[], Any]) -> Any:
    """``call()``; where it refuses the inputs or the capacity, its error shows how they are given."""
    try:
        return call()
    except InputError as fault:
        if not failures.came_from_a_run(fault):
            fault.add_note(parameters.usage(declared))
        raise
    except CapacityError as fault:
        if not any(", called at " in note for note in getattr(fault, "__notes__", ())):  # that of a run which a task has begun
            fault.add_note("here: --capacity name=amount, once for each")
        raise
