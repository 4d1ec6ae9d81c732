"""What a target names: an artifact (a path that exists, or ends in ``.cbp``), or a workflow or graph (``module:name``)."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from cascade_compiler.cli.failures import BrokenTarget, UsageError
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal, literal
from cascade_compiler.scan import is_container
from cascade_compiler.task import Task
from cascade_compiler.workflow import Workflow
from cascade_vm.codec import load
from cascade_vm.errors import CascadeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cascade_vm.program import Program
    from cascade_vm.signing import Key

T = TypeVar("T")


class TracedWorkflow(Workflow):
    """A workflow whose function has been called, once and here: what that raises is not taken for the failure of a run."""

    def __init__(self, workflow: Workflow) -> None:
        super().__init__(workflow.fn)
        target, inputs = workflow.trace()
        self._traced = (target if _is_graph(target) else literal(target)), inputs  # without calls: its value is what it returned

    def trace(self) -> tuple[Any, list[Any]]:
        return self._traced


def is_artifact(target: str) -> bool:
    return target.endswith(".cbp") or os.path.lexists(target)


def artifact(path: str, allow: Sequence[str] | None = None, keys: Sequence[Key] | None = None) -> Program:
    """The program at ``path``: loaded and verified, nothing of it imported.

    :raises LoadError: it is no artifact, or none of ``keys`` signed it. :raises VerifyError: its code breaks a rule. Both name the path.
    """
    if path.endswith(".py"):
        raise UsageError(f"{path} is Python source, not an artifact: name the workflow in it, as {_module_of_path(path)}:NAME")
    return load(path, allow=allow, keys=keys)


def graph(target: str) -> Any:
    """The workflow (traced), LazyResult, literal or container that ``module:name`` names.

    :raises UsageError: there is no such module or name, or it is something else.
    :raises BrokenTarget: importing or tracing it failed.
    """
    module_name, colon, path = target.partition(":")
    if not (colon and path and all(part.isidentifier() for part in module_name.split("."))):
        raise UsageError(_not_a_target(target))
    put_current_directory_on_path()
    found: Any = _module(module_name)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise UsageError(f"{target}: {module_name} has no {path!r}{_hint(path, _runnable_names(found), 'in it')}") from None
    if isinstance(found, Workflow):
        workflow: Workflow = found
        return users_own(f"{target} failed while its graph was built", lambda: TracedWorkflow(workflow))
    if _is_graph(found):
        return found
    raise UsageError(f"{target} is {_what(found)}")


def parts(graph: Any) -> tuple[Any, Sequence[Any]]:
    """(the graph, the inputs that are declared beside those in it) of what ``graph`` gave."""
    return graph.trace() if isinstance(graph, Workflow) else (graph, ())


def put_current_directory_on_path() -> None:
    """As ``python -m`` does, so that the modules of a project are found from its folder."""
    try:
        here = os.getcwd()
    except OSError:  # it has been removed
        return
    if not sys.flags.safe_path and here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def users_own(what: str, call: Callable[[], T]) -> T:
    """``call()``, which runs code of the user's before any run has begun. Cascade's errors pass as they are.

    :raises BrokenTarget: with ``what``.
    """
    try:
        return call()
    except CascadeError:
        raise
    except (Exception, SystemExit) as fault:
        raise BrokenTarget(what) from fault


def _is_graph(value: Any) -> bool:
    return type(value) in (LazyResult, Literal) or is_container(type(value))


def _module(name: str) -> Any:
    try:
        return users_own(f"the module {name} cannot be imported", lambda: importlib.import_module(name))
    except BrokenTarget as broken:
        missing = broken.__cause__.name if isinstance(broken.__cause__, ModuleNotFoundError) else None
        if missing is None or not f"{name}.".startswith(f"{missing}."):
            raise
    parent, _, _ = missing.rpartition(".")
    folders = getattr(sys.modules.get(parent), "__path__", ()) if parent else None
    beside = [parent + "." * bool(parent) + found.name for found in pkgutil.iter_modules(folders)]
    raise UsageError(f"there is no module {missing}{_hint(missing, beside)}") from None


def _not_a_target(target: str) -> str:
    module = _module_of_path(target.partition(":")[0])
    if ":" in target and module != target.partition(":")[0]:
        return f"{target}: modules are named with dots, not as paths: {module}:{target.partition(':')[2] or 'NAME'}"
    folder = os.path.dirname(target)
    try:
        artifacts = [os.path.join(folder, name) for name in os.listdir(folder or ".") if name.endswith(".cbp")]
    except OSError:
        artifacts = []
    wanted = f"{module}:NAME" if all(part.isidentifier() for part in module.split(".")) else "module:workflow"
    return (
        f"{target!r} is neither an artifact (there is no such file{_hint(target, artifacts)}) nor a workflow "
        f"(written module:workflow; perhaps {wanted})"
    )


def _module_of_path(path: str) -> str:
    return os.path.normpath(path).removesuffix(".py").replace(os.sep, ".").lstrip(".")


def _runnable_names(owner: Any) -> list[str]:
    return [name for name, value in vars(owner).items() if isinstance(value, Workflow) or type(value) is LazyResult]


def _hint(wanted: str, names: Iterable[str], else_where: str = "") -> str:
    """What was probably meant; where nothing is near and the names are few, what there is."""
    names = sorted(names)
    near = get_close_matches(wanted, names, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; {else_where}: {', '.join(names)}" if else_where and 0 < len(names) <= 10 else ""


def _what(found: Any) -> str:
    if isinstance(getattr(found, "task", None), Task):
        return "a task, not a workflow: call it in a function under @workflow, which names the inputs"
    if callable(found):
        return "a plain function or class: put @workflow on the function that builds the graph"
    return f"an object of type {type(found).__name__}: expected a workflow, or a LazyResult (what calling a task gives)"
