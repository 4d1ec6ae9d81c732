"""Shapes ahead of time: of graphs that tasks return, as far as they can be known before they are met.

Two sources. Examples: the workflow is run with inputs that the user gives, and every graph met on the way is kept. And the tasks
themselves: where one ends in a call of a task that its source shows, that is built with nothing in the place of its arguments
(tracing.py), since a shape does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cascade_compiler.cache import activate
from cascade_compiler.capture import capture
from cascade_compiler.inputs import InputKind
from cascade_compiler.ir import Graph
from cascade_compiler.shape import digest
from cascade_compiler.task import Task
from cascade_compiler.tracing import returned_graphs
from cascade_vm.errors import CascadeError, CompileError
from cascade_vm.executable import Options, run_activation
from cascade_vm.outcome import Error
from cascade_vm.shapes import Shapes

_MOST = 10_000  # shapes of one program: who has more than that has a shape for each value


class Recorder(Shapes):
    """Keeps one graph of each shape that is met."""

    __slots__ = ("graphs",)

    recording = True

    def __init__(self) -> None:
        super().__init__({}, jit=True)
        self.graphs: dict[str, Graph] = {}

    def meet(self, cycle_id: str, graph: Graph) -> None:
        if len(self.graphs) < _MOST:
            self.graphs.setdefault(cycle_id, graph)


class Known(NamedTuple):
    """Graphs of the shapes that a run is known to meet, by cycle_id; and by the symbol of a task, the shapes that its source shows it to
    return."""

    graphs: dict[str, Graph]
    returned: dict[str, list[str]]


def known_shapes(target: Any, declared: Sequence[InputKind], first: Graph, examples: Iterable[Mapping[str, Any]]) -> Known:
    """A graph of each shape that a run of ``target`` is known to meet; ``first`` is that which it begins with.

    :raises CompileError: a run with one of ``examples`` fails; the text says which, and how.
    """
    recorder = Recorder()
    for number, inputs in enumerate(examples):
        if not isinstance(inputs, Mapping):
            raise TypeError(f"examples takes dicts of inputs by name; number {number} is a {type(inputs).__name__}")
        try:
            activation = activate(target, dict(inputs), root=True, declared=declared, known=recorder)
            outcome = run_activation(activation, dict(inputs), Options(engine="interpreter", shapes=recorder))
        except CascadeError as fault:
            raise CompileError(f"example {number} cannot be run: {fault}", code="C12") from fault
        if type(outcome) is Error:
            failure = outcome.error
            if not isinstance(failure, Exception):
                raise failure
            raise CompileError(f"example {number} failed with {type(failure).__name__}: {failure}", code="C12") from failure
    seen: set[Task] = set()
    returned: dict[str, list[str]] = {}
    waiting = [first, *recorder.graphs.values()]
    while waiting:
        for task in {op.task for op in waiting.pop().ops if op.task is not None} - seen:
            seen.add(task)
            for lazy in returned_graphs(task):
                try:
                    graph = capture(lazy, ())
                except CascadeError:  # a call that this task will never come to
                    continue
                cycle_id = digest(graph)
                if cycle_id not in returned.setdefault(task.symbol, []):
                    returned[task.symbol].append(cycle_id)
                if cycle_id not in recorder.graphs:
                    recorder.meet(cycle_id, graph)
                    waiting.append(graph)
    return Known(recorder.graphs, returned)
