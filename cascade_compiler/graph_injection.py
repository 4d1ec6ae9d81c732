"""Graph mode: what a node takes that the run gives, and not its caller: resources (S21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.graph_steps import Step, all_below, where
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import MapKind
from cascade_compiler.resource import ResourceKind, is_injected, provider
from cascade_compiler.task import Task
from cascade_vm.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Mapping


def injected(source: LazyResult) -> dict[str, LazyResult]:
    """What a node takes beside its arguments: the resources that are the defaults of parameters which the call leaves out.

    :raises CompileError: nothing, or more than one thing, provides a resource of that name.
    """
    if is_injected(source):
        return provider(source).injected
    task = source.task.task if isinstance(source.task, MapKind) else source.task
    if not isinstance(task, Task) or not task.injected:
        return {}
    given = {*task.places[: len(source.args)], *source.kwargs}
    return {name: node for name, node in task.injected.items() if name not in given}


def needed(source: LazyResult) -> ResourceKind:
    """The resource that an injected node stands for.

    :raises CompileError: it has a policy; or its scope is longer than that of something it needs.
    """
    kind = provider(source)
    if source.policy is not None:
        raise CompileError(
            f"{source.task.label} is set up when it is first needed: after, run_if and the like are for calls "
            f"(written at {where(source)})",
            code="C07",
        )
    for below in map(provider, kind.injected.values()):
        if kind.scope == "run" and below.scope == "step":
            raise CompileError(
                f"{kind.label} is of scope run and injects {below.label} of scope step, which would end before it: "
                f"make both of one scope",
                code="C07",
            )
    return kind


def leave_out(root: Any, steps: list[Step], overrides: Mapping[str, Any]) -> None:
    """Have resources that are replaced ask for nothing that they alone would need. ``steps`` stand each after its parts."""
    needed = {root} if type(root) is Step else set()
    for step in reversed(steps):
        is_resource = isinstance(step.kind, ResourceKind)
        if is_resource and step.kind.name in overrides:
            continue
        if step in needed or not is_resource:
            needed.update(all_below(step))
    for step in steps:
        if isinstance(step.kind, ResourceKind) and step.kind.name in overrides:
            step.kwargs = {name: part for name, part in step.kwargs.items() if part in needed}


def key_of(step: Step) -> bytes:
    """The key of a call in a cache. What a resource gives is no argument of the call, and has its name there.

    :raises NotCacheable: an argument of which no key can be made.
    """
    from cascade_vm.call_key import Injected, call_key

    task, source = step.kind, step.source
    args, kwargs = list(step.args), dict(step.kwargs)
    if step.index is None:
        for at, part in enumerate(source.args):
            if is_injected(part):
                args[at] = Injected(provider(part).symbol)
    iterated = () if step.index is None else source.task.iterated  # what an item takes from there is its own
    for name, part in {**source.kwargs, **injected(source)}.items():
        if is_injected(part) and name not in iterated:
            kwargs[name] = Injected(provider(part).symbol)
    return call_key(task.symbol, task.version, task.signature, task.fn, args, kwargs)
