"""Graph mode: what a step does when it is its turn, and what its failure is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler import graph_calls, graph_events, graph_map, graph_resources
from cascade_compiler.graph_steps import Gate, Step, value_of, where
from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import GATHER, ITEM, MapKind
from cascade_compiler.resource import ResourceKind
from cascade_compiler.scan import attributes, emptied
from cascade_compiler.task import Task
from cascade_vm import notes
from cascade_vm.errors import RouteNotFound
from cascade_vm.skipping import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cascade_compiler.graph_evaluation import Evaluation


def decide(run: Evaluation, step: Step) -> None:
    """Ask the first gate of ``step``, whose test has its value."""
    gate = step.gates[0]
    skipped = _first_skipped(step.asked())
    if skipped is not None:
        graph_events.tell_skipped(run, step, skipped)
        run.settle(step, skipped)
    elif gate.table is not None:
        run.choose(step, _route(gate, gate.table, value_of(gate.test)))
    elif bool(value_of(gate.test)):
        run.pass_gate(step)
    else:
        condition = gate.source.task.label if type(gate.source) is LazyResult else notes.short(value_of(gate.test))
        skipped = Skipped(f"{step.kind.label} (called at {where(step.source)})", condition)
        graph_events.tell_skipped(run, step, skipped)
        if gate.routes:
            run.choose(step, gate.routes[0])
        else:
            run.settle(step, skipped)


def _route(gate: Gate, table: Mapping[Any, int], key: Any) -> Any:
    try:
        return gate.routes[table[key]]
    except (KeyError, TypeError):  # it is not among them, or cannot be hashed
        if len(gate.routes) > len(table):
            return gate.routes[-1]
    raise RouteNotFound(f"there is no route for {notes.short(key)}: the routes are {', '.join(map(notes.short, table))}")


def compute(run: Evaluation, step: Step) -> None:
    """Do what ``step`` is for: all that it needs has its value."""
    skipped = _first_skipped(step.parts())
    if skipped is not None:
        graph_events.tell_skipped(run, step, skipped)
        run.settle(step, skipped)
        return
    step.resolve()
    if isinstance(step.kind, Task):
        graph_calls.make(run, step)
    elif isinstance(step.kind, ResourceKind):
        graph_resources.enter(run, step)
    elif isinstance(step.kind, MapKind):
        graph_map.start(run, step)
    elif step.kind is ITEM:
        run.arrive(step, step.args[0][step.args[1]])
    elif isinstance(step.kind, InputKind):
        run.settle(step, step.value)
    else:
        run.settle(step, step.args if step.kind is GATHER else _rebuild(step.source, step.args))


def _first_skipped(parts: Iterable[Any]) -> Skipped | None:
    return next((part.value for part in parts if type(part) is Step and type(part.value) is Skipped), None)


def _rebuild(original: Any, items: list[Any]) -> Any:
    """A container of the type of ``original`` that holds ``items``; a dict's keys and values in turn (S3)."""
    kind = type(original)
    if kind in (tuple, frozenset):
        return kind(items)
    made = emptied(original)
    if issubclass(kind, (tuple, frozenset)):
        base: Any = tuple if issubclass(kind, tuple) else frozenset
        filled = base.__new__(kind, items)
        for name, part in attributes(made):
            object.__setattr__(filled, name[1:], part)
        return filled
    if issubclass(kind, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            made[key] = value
    elif issubclass(kind, list):
        made.extend(items)
    else:
        made.update(items)
    return made


def description(step: Step, has_ended: bool) -> str:
    """The note for a failure of what ``step`` did; of a call that ``has_ended`` no attempt is told, since policies end with the call."""
    kind, source = step.kind, step.source
    if kind is None:
        return notes.builtin_note(type(source).__name__, None)
    if isinstance(kind, ResourceKind):
        return notes.builtin_note(kind.label, None)
    if step.gates:
        label = "router" if step.gates[0].table is not None else f"condition of {kind.label}"
        return notes.builtin_note(label, where(source))
    if isinstance(kind, Task):
        retry = step.policy.retry
        attempt = notes.attempt_text(step.index, max(step.attempt, 1), 1 if retry is None or has_ended else retry.max_attempts)
        return notes.task_note(kind.label, where(source), kind.fn, step.args, step.kwargs, attempt)
    label = f"item [{notes.short(step.args[1])}]" if kind is ITEM and step.args else kind.label
    return notes.builtin_note(label, where(source))
