"""How a run goes on: the graphs that tasks return, as far as their source shows, as loops in the picture."""

from __future__ import annotations

from itertools import islice

from cascade_compiler.lazy import LazyResult
from cascade_compiler.pictures.live import Collector
from cascade_compiler.task import Task
from cascade_compiler.tracing import _UNKNOWN, returned_graphs
from cascade_vm.pictures.plan import Value, named

_TASKS, _GRAPHS = 60, 12  # the most tasks whose source is read, and graphs of each


def collector() -> Collector:
    """One that shows nothing of values that are not known."""
    return Collector(_UNKNOWN)


def add_loops(collected: Collector) -> None:
    """Add what the tasks of the plan return as calls of tasks.

    Of a call of a task that is in the picture already, an edge leads back there: that is a loop, and what the returned call takes comes
    along an edge to it, for the next turn. Any other returned graph is drawn beside it.
    """
    waiting = list(collected.tasks)
    for task in islice(waiting, _TASKS):  # which grows meanwhile
        for graph in islice(returned_graphs(task), _GRAPHS):
            _add(collected, task, graph, waiting)


def _add(collected: Collector, task: Task, graph: LazyResult, waiting: list[Task]) -> None:
    plan = collected.plan
    caller = collected.tasks[task]
    plan.sections.append(f"returned by {named(task.symbol)}")
    collected.section = len(plan.sections) - 1
    before = set(collected.tasks)
    head = collected.tasks.get(graph.task) if type(graph.task) is Task else None
    if head is None:
        root: Value = collected.add(graph)
        if isinstance(root, int):
            _jump(collected, caller, root, "returns")
    else:
        _jump(collected, caller, head, "returns")
        for part in (*graph.args, *graph.kwargs.values()):
            found = collected.add(part)
            if isinstance(found, int) and found not in plan.vertices[head].turns:
                plan.vertices[head].turns += (found,)
    collected.section = -1
    waiting += [one for one in collected.tasks if one not in before]


def _jump(collected: Collector, source: int, target: int, label: str) -> None:
    vertex = collected.plan.vertices[source]
    if (label, target) not in vertex.jumps:
        vertex.jumps += ((label, target),)
