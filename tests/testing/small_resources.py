"""Resources: which there are in a graph, setting them up, and tearing them down."""

from __future__ import annotations

import inspect
from collections import Counter
from contextlib import suppress
from typing import Any

from small_graph import Graph, Step

from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import MapKind
from cascade_compiler.resource import ResourceKind
from cascade_compiler.task import Task


class Resources(Graph):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.shared: dict[ResourceKind, Step] = {}  # of scope run: who sets it up
        self.sharing: list[Step] = []  # who waits for that
        self.standing: list[Step] = []  # in the order in which they were set up
        self.users: Counter[int] = Counter()  # how many nodes and containers take a node, by its id
        self.counted: list[Any] = []

    def fly(self, step: Step, coroutine: Any) -> None:
        raise NotImplementedError

    # --- in the graph ---

    def injected(self, lazy: LazyResult) -> dict[str, LazyResult]:
        """The defaults of a call's parameters that are resources, and what a resource injects."""
        task = lazy.task.task if isinstance(lazy.task, MapKind) else lazy.task
        if isinstance(task, ResourceKind):
            return task.injected
        if not isinstance(task, Task):
            return {}
        given = () if self.bug == "injects what is given" else lazy.kwargs
        return {name: node for name, node in task.injected.items() if name not in given}

    def is_replaced(self, step: Step) -> bool:
        return step.is_resource and step.lazy.task.name in self.built.resources and self.bug != "sets up a replaced resource"

    def need(self, steps: list[Step]) -> None:
        """Somebody takes ``steps``, so those of them that are resources are needed, even where they are injected by what is replaced."""
        for step in steps:
            if step.is_resource and not step.is_taken:
                step.is_taken = True
                if not self.is_replaced(step):
                    self.need(step.waits)

    def count_users(self, parts: list[Any]) -> None:
        direct = {id(part) for part in parts if type(part) is LazyResult}
        self.users.update(direct)
        for part in parts:
            if isinstance(part, (list, tuple, set, frozenset, dict)) and not any(part is one for one in self.counted):
                self.counted.append(part)
                self.count_users([*part, *part.values()] if isinstance(part, dict) else list(part))

    # --- setting up ---

    def set_up(self, step: Step) -> bool:
        """Begin to set up a resource whose own needs are there; False if it is not its turn yet."""
        kind = step.lazy.task
        if self.is_replaced(step):
            self.finish(step, self.built.resources[kind.name])
            return True
        shared = kind.scope == "run" or self.bug == "sets a resource of a step up once a run"
        if self.bug == "sets a resource of the run up for each graph":
            shared = False
        first = self.shared.setdefault(kind, step) if shared else step
        if first is not step:
            if first.state == "done":
                self.finish(step, first.value)
            else:
                step.is_blocked = True
                self.sharing.append(step)
            return True
        if not kind.is_async:
            return False
        step.state = "running"
        self.fly(step, anext(self.generator(step)))
        return True

    def generator(self, step: Step) -> Any:
        kind = step.lazy.task
        needs = {name: self.resolve(node, step.values) for name, node in kind.injected.items()}
        if self.bug == "resources do not get what they inject":
            needs = dict.fromkeys(needs)
        step.generator = kind.fn(**needs)
        return step.generator

    def has_set_up(self, step: Step, value: Any) -> None:
        """The value of a resource is there, for all who share it."""
        if step.generator is not None:
            self.standing.append(step)
        for other in [one for one in self.sharing if self.shared[one.lazy.task] is step]:
            self.sharing.remove(other)
            other.is_blocked = False
            self.finish(other, value)

    # --- tearing down ---

    def of_scope(self, step: Step) -> list[Step]:
        """What ends with the activation that ``step`` is the target of."""
        if self.bug == "tears everything down when the run ends":
            return []
        everywhere = self.bug == "tears resources of the run down with a step"
        own = [one for one in self.standing if one.values is step.values]
        return own if everywhere else [one for one in own if self.shared.get(one.lazy.task) is not one]

    async def tear_down(self, steps: list[Step]) -> None:
        """The last of ``steps`` first. Whatever fails, all are torn down.

        :raises BaseException: the first failure.
        """
        first: BaseException | None = None
        for step in steps if self.bug == "tears down in the order of the set-ups" else reversed(steps):
            self.standing.remove(step)
            try:
                if inspect.isasyncgen(step.generator):
                    await anext(step.generator, None)
                else:
                    next(step.generator, None)
            except Exception as failure:
                first = first or failure
                if self.bug == "a tear-down that fails is the last":
                    break
        if first is not None and self.bug != "swallows what fails in a tear-down":
            raise first

    def tear_down_at_once(self, steps: list[Step]) -> None:
        """``tear_down``, where nothing is async."""
        with suppress(StopIteration):
            self.tear_down(steps).send(None)
