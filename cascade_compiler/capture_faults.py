"""What is told of a graph that has no meaning: where a node was written, which nodes stand on a cycle, what is nothing to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cascade_compiler.lazy import LazyResult
from cascade_compiler.resource import Named, ResourceKind
from cascade_compiler.task import Task
from cascade_vm.errors import CompileError
from cascade_vm.sites import line_of, portable_path


def written(node: Any) -> str:
    """Where a node was written, to stand behind a text; nothing for containers."""
    if type(node) is not LazyResult:
        return ""
    return f" (written at {portable_path(node.code.co_filename)}:{line_of(node.code, node.lasti)})"


def cycle_text(path: Sequence[Any]) -> str:
    """Names the tasks on a cycle; ``path`` are its nodes and containers, each with the next among its members."""
    names = [part.task.label if type(part) is LazyResult else f"a {type(part).__name__}" for part in path]
    if len(names) > 12:
        names = [*names[:6], "...", *names[-5:]]
    if all(type(part) is LazyResult and type(part.task) in (Named, ResourceKind) for part in path):
        shown = " -> ".join([*names, names[0]])
        return f"cycle: {shown}. Resources that inject each other can never be set up: one must do without the other"
    where = next((written(part) for part in path if type(part) is LazyResult), "")
    return f"cycle: {' -> '.join([*names, names[0]])}{where}. A container was changed after a call took it; build a new container instead"


def not_to_run(target: Any) -> CompileError:
    """What to say of a target that is nothing to run."""
    known = getattr(target, "task", None)
    if type(known) is Task:
        return CompileError(
            f"expected a LazyResult, and {known.label} is a task: call it, {known.qualname}(...), and run what that gives", code="C03"
        )
    return CompileError(
        f"there is nothing to run in {type(target).__name__!r}: expected a LazyResult (what calling a @task gives), "
        f"a workflow, or a list, tuple, dict or set of them",
        code="C03",
    )
