"""A small, correct engine for today's language, and a switch for each bug that the harness must find in it.

It walks the graph of LazyResults like any other engine, so the tests in which it takes part go all the way: strategy, spec,
graph, run, observation, comparison. With ``bug=None`` it is right. Every other value of ``BUGS`` breaks one thing, at the one
place where the name of the bug is tested.
"""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import GATHER, ITEM, Literal
from cascade_vm.inputs import bind

if TYPE_CHECKING:
    from cascade_compiler.testing import Built

BUGS = (
    "runs what nobody needs", "loses a keyword", "swallows a failure", "ignores after", "runs a shared node twice",
    "leaves nested results unresolved", "leaks what is in flight when it fails", "awaits one after the other",
    "releases a value before its second reader", "runs again what returned None", "passes containers as they are",
    "a tail call keeps an old argument", "an omitted argument keeps its old value", "a tail call runs the wrong member",
    "sync calls in reverse order", "raises the last of two failures", "raises the failure that was delivered first",
    "waits for a whole stage", "rebuilds tuples as lists", "merges calls that look alike", "passes literal() unopened",
    "lets the others finish when one failed", "gathers in the order of completion", "prefers the default of an input",
    "makes an eager start of what waits", "a cancelled run swallows the cancellation",
)  # fmt: skip


@dataclass(eq=False)
class Step:
    """A node in one activation. ``place`` orders steps as eager Python would evaluate them, nested activations included."""

    place: tuple[int, ...]
    lazy: LazyResult
    waits: list[Step]
    values: dict[int, Step]
    parent: Step | None = None
    before: tuple[Any, list[Any], dict[str, Any], str] | None = None  # in a tail call: the call that made it, and its label
    state: str = "waiting"
    value: Any = None
    reads: int = 0
    task: asyncio.Task[Any] | None = None

    @property
    def ready(self) -> bool:
        return self.state == "waiting" and all(step.state == "done" for step in self.waits)

    @property
    def is_async(self) -> bool:
        return getattr(self.lazy.task, "is_async", False)


@dataclass(eq=False)
class SmallEngine:
    bug: str | None = None

    async def __call__(self, built: Built) -> Any:
        return await _Run(self.bug, built).run()


@dataclass(eq=False)
class _Run:
    bug: str | None
    built: Built
    steps: list[Step] = field(default_factory=list)
    finished: list[Step] = field(default_factory=list)
    order: list[Step] = field(default_factory=list)

    async def run(self) -> Any:
        self.woken = asyncio.Event()
        values: dict[int, Step] = {}
        self.expand(self.built.target, (), values)
        self.inputs(self.steps)
        if self.bug == "runs what nobody needs":
            for lazy in self.built.nodes:
                self.expand(lazy, (), values)
        try:
            while any(step.state != "done" for step in self.steps):
                if len(self.steps) > 2_000:
                    raise RuntimeError("runs away")  # some bugs make endless loops
                if not self.advance():
                    await self.woken.wait()
                    self.woken.clear()
                    self.drain()
        except BaseException as failure:
            await self.clean_up()
            if self.bug == "a cancelled run swallows the cancellation" and isinstance(failure, asyncio.CancelledError):
                raise RuntimeError("stopped") from None
            raise
        return self.resolve(self.built.target, values)

    async def clean_up(self) -> None:
        flying = [step.task for step in self.steps if step.task is not None and not step.task.done()]
        if self.bug == "leaks what is in flight when it fails":
            return
        if self.bug != "lets the others finish when one failed":
            for task in flying:
                task.cancel()
        if flying:
            await asyncio.wait(flying)

    # --- scheduling ---

    def advance(self) -> bool:
        """Start what waits for the world, then make one synchronous call. False if there is nothing to do but wait."""
        ready = sorted((step for step in self.steps if step.ready), key=lambda step: step.place)
        running = [step for step in self.steps if step.state == "running"]
        for step in ready:
            if step.is_async:
                if self.bug == "awaits one after the other" and running:
                    break
                if self.bug == "waits for a whole stage" and any(s not in ready for s in running):
                    break
                self.start(step)
                running.append(step)
        if self.bug == "makes an eager start of what waits":
            for step in self.steps:
                if step.state == "waiting" and step.is_async and all(s.state != "waiting" for s in step.waits):
                    self.start(step)
        calls = [step for step in ready if not step.is_async]
        if not calls:
            return False
        step = calls[-1] if self.bug == "sync calls in reverse order" else calls[0]
        try:
            value = self.compute(step)
        except Exception:
            if self.bug != "swallows a failure":
                raise
            value = None
        self.finish(step, value)
        return True

    def start(self, step: Step) -> None:
        step.state = "running"
        function, args, kwargs = self.call(step)
        step.task = asyncio.get_running_loop().create_task(function(*args, **kwargs))
        step.task.add_done_callback(lambda _: (self.finished.append(step), self.woken.set()))

    def drain(self) -> None:
        """Take what has come in this tick, lowest place first."""
        came, self.finished = self.finished, []
        if self.bug != "raises the failure that was delivered first":
            came.sort(key=lambda step: step.place, reverse=self.bug == "raises the last of two failures")
        failures = [failure for step in came if step.task and (failure := step.task.exception())]
        if failures and self.bug != "swallows a failure":
            raise failures[0]
        for step in came:
            if step.task is not None:
                self.finish(step, None if step.task.exception() else step.task.result())

    def finish(self, step: Step, value: Any) -> None:
        if value is None and self.bug == "runs again what returned None" and step.state != "again" and not step.is_async:
            step.state = "again"
            value = self.compute(step)
        if type(value) is LazyResult and not (self.bug == "leaves nested results unresolved" and step.parent is None):
            step.state = "nested"
            values: dict[int, Step] = {}
            count = len(self.steps)
            self.expand(value, step.place, values)
            root = values[id(value)]
            self.inputs(self.steps[count:])
            root.parent = step
            if root.state == "done":  # the graph is an input and nothing else
                self.finish(step, root.value)
            elif step.lazy.task not in (ITEM, GATHER):
                root.before = (*self.call(step), step.lazy.task.label)
            return
        step.state, step.value = "done", value
        self.order.append(step)
        if step.parent is not None:
            self.finish(step.parent, value)

    # --- from graph to steps ---

    def expand(self, value: Any, prefix: tuple[int, ...], values: dict[int, Step]) -> list[Step]:
        """Steps for all LazyResults in ``value`` that have none yet, in order; gives those that ``value`` itself names."""
        if isinstance(value, dict):
            return [step for pair in value.items() for part in pair for step in self.expand(part, prefix, values)]
        if isinstance(value, (list, tuple, set, frozenset)):
            return [step for part in value for step in self.expand(part, prefix, values)]
        if type(value) is not LazyResult:
            return []
        if id(value) not in values or self.bug == "runs a shared node twice":
            waits = self.expand([*value.args, *value.kwargs.values()], prefix, values)
            after = self.expand(value.policy.after if value.policy else (), prefix, values)
            if self.bug != "ignores after":
                waits += after
            twin = self.twin(value, prefix) if self.bug == "merges calls that look alike" else None
            step = twin or Step((*prefix, len(self.steps)), value, waits, values)
            values[id(value)] = step
            if twin is None:
                self.steps.append(step)
        return [values[id(value)]]

    def twin(self, lazy: LazyResult, prefix: tuple[int, ...]) -> Step | None:
        def text(one: LazyResult) -> str:
            return f"{one.args} {one.kwargs}"

        same = (s for s in self.steps if s.lazy.task is lazy.task and s.place[:-1] == prefix and text(s.lazy) == text(lazy))
        return next(same, None) if hasattr(lazy.task, "fn") else None

    def inputs(self, steps: list[Step]) -> None:
        """Bind all inputs of a graph at once, before anything runs."""
        asked = [step for step in steps if isinstance(step.lazy.task, InputKind)]
        given = {} if self.bug == "prefers the default of an input" and self.built.params else self.built.params
        found = bind([step.lazy.task for step in asked], given, refuse_unknown=False)  # type: ignore[misc]
        for step, value in zip(asked, found, strict=True):
            step.state, step.value = "done", value

    # --- values ---

    def compute(self, step: Step) -> Any:
        if step.lazy.task is ITEM:
            value, key = (self.resolve(arg, step.values) for arg in step.lazy.args)
            return value[key]
        if step.lazy.task is GATHER:
            items = list(step.lazy.args)
            if self.bug == "gathers in the order of completion":
                items.sort(key=lambda x: self.order.index(s) if (s := step.values.get(id(x))) in self.order else -1)
            return [self.resolve(item, step.values) for item in items]
        function, args, kwargs = self.call(step)
        assert not inspect.iscoroutinefunction(function)
        return function(*args, **kwargs)

    def call(self, step: Step) -> tuple[Any, list[Any], dict[str, Any]]:
        function = getattr(step.lazy.task, "fn", None)
        args = [self.resolve(arg, step.values) for arg in step.lazy.args]
        kwargs = {name: self.resolve(arg, step.values) for name, arg in step.lazy.kwargs.items()}
        if self.bug == "loses a keyword" and kwargs:
            kwargs.popitem()
        if step.before is not None and step.before[0] is function:
            old = inspect.signature(function).bind(*step.before[1], **step.before[2]).arguments
            if self.bug == "a tail call keeps an old argument" and len(args) > 1 and len(step.before[1]) > 1:
                args[1] = step.before[1][1]
            new = inspect.signature(function).bind(*args, **kwargs).arguments
            if self.bug == "an omitted argument keeps its old value" and "n" in new:
                kwargs |= {name: old[name] for name in ("a", "b") if name in old and name not in new}
        elif (
            self.bug == "a tail call runs the wrong member"
            and step.before is not None
            and step.before[3].rpartition(".m")[0] == step.lazy.task.label.rpartition(".m")[0] != ""
        ):
            function = step.before[0]
        return function, args, kwargs

    def resolve(self, value: Any, values: dict[int, Step]) -> Any:
        if type(value) is LazyResult:
            step = values[id(value)]
            step.reads += 1
            if self.bug == "releases a value before its second reader" and step.reads > 1 and step.state == "done":
                return None
            return step.value
        if type(value) is Literal:
            return value if self.bug == "passes literal() unopened" else value.value
        if self.bug == "passes containers as they are":
            return value
        if isinstance(value, dict):
            return {self.resolve(key, values): self.resolve(part, values) for key, part in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            kind = list if self.bug == "rebuilds tuples as lists" and type(value) is tuple else type(value)
            return kind([self.resolve(part, values) for part in value])
        return value
