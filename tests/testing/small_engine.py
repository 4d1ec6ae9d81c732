"""A small, correct engine for the language, and a switch for each bug that the harness must find in it.

It walks the graph of LazyResults like any other engine, so the tests in which it takes part go all the way: strategy, spec,
graph, run, observation, comparison. With ``bug=None`` it is right. Every other value of ``BUGS`` breaks one thing, at the one
place where the name of the bug is tested. This file has the scheduling; the parts of a run that it inherits have the rest.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from small_bugs import BUGS
from small_calls import Calls
from small_graph import Step

from cascade_compiler.jumping import Jump
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import GATHER, ITEM
from cascade_vm.errors import TargetSkipped
from cascade_vm.skipping import Skipped, skipped_text

if TYPE_CHECKING:
    from cascade_compiler.testing import Built

__all__ = ["BUGS", "SmallEngine"]


@dataclass(eq=False)
class SmallEngine:
    bug: str | None = None

    async def __call__(self, built: Built) -> Any:
        return await _Run(self.bug, built).run()


class _Run(Calls):
    cancelled: asyncio.CancelledError | None = None  # while it cleaned up

    async def run(self) -> Any:
        self.options = self.built.options()
        self.jobs: list[asyncio.Future[Any]] = []
        values: dict[int, Step] = {}
        roots = self.expand(self.built.target, (), values)
        if type(self.built.target) is LazyResult:
            roots[0].is_target = True
        self.inputs(self.steps)
        self.check_all(self.steps)
        self.demand(roots)
        if self.bug == "runs what nobody needs":
            for lazy in self.built.nodes:
                self.demand(self.expand(lazy, (), values))
        try:
            while any(step.state != "done" for step in roots):
                if len(self.steps) > 1_000 or self.decisions > 3_000:
                    raise RuntimeError("runs away")  # some bugs make endless loops
                if not self.advance():
                    await self.woken.wait()
                    self.woken.clear()
                    self.drain()
            value = self.resolve(self.built.target, values)
            if type(value) is Skipped:
                raise TargetSkipped(skipped_text(value))
            if self.bug != "a run ends before its threads":
                await self.through(self.jobs)
            own = [step for step in self.standing if step.values is values and step.lazy.task.scope == "step"]
            for ending in (own, [step for step in self.standing if step not in own]):
                down = asyncio.create_task(self.tear_down(ending))
                await self.through([down])
                down.result()
            if self.cancelled is not None:
                raise self.cancelled
            return value
        except BaseException as failure:
            await self.clean_up()
            if self.bug != "leaves resources when the run fails" and self.standing:
                await self.through([asyncio.create_task(self.tear_down(list(self.standing)))])
            if self.bug == "a cancelled run swallows the cancellation" and isinstance(failure, asyncio.CancelledError):
                raise RuntimeError("stopped") from None
            if self.cancelled is not None:
                raise self.cancelled from None
            raise

    async def clean_up(self) -> None:
        flying = [step.task for step in self.steps if step.task is not None and not step.task.done()]
        if self.bug == "leaks what is in flight when it fails":
            return
        if self.bug != "lets the others finish when one failed":
            for step in self.steps:
                if step.task in flying and (step.state != "ending" or self.bug == "interrupts a tear-down when it is cancelled"):
                    step.task.cancel()
        await self.through([*flying, *(self.jobs if self.bug != "a run that fails ends before its threads" else ())])
        for step in self.steps:
            if step.task is not None and not step.task.cancelled():
                failure = step.task.exception()  # seen: asyncio shall not log it
                too_late = step.is_resource and step.state == "running" and failure is None
                if too_late and self.bug != "forgets what was set up when it is cancelled":
                    self.standing.append(step)

    async def through(self, tasks: list[asyncio.Future[Any]]) -> None:
        """Wait for all of ``tasks``, and be cancelled only then."""
        cancelled: asyncio.CancelledError | None = None
        while pending := [task for task in tasks if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as error:
                cancelled = error
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen: asyncio shall not log it
        self.cancelled = self.cancelled or cancelled

    def advance(self) -> bool:
        """Start what waits for the world, then make one synchronous call. False if there is nothing to do but wait."""
        if self.bug == "a wait between attempts blocks the rest" and any(step.state == "pausing" for step in self.steps):
            return False
        if self.decide():
            return True
        ready = sorted((step for step in self.steps if step.ready), key=self.order)
        admitted = []
        for step in ready:
            if step.is_resource and self.set_up(step):
                return True
            if step.is_map and step.is_early:
                self.start(step)
                return True  # its items may ask now, or it has ended already
            if not step.is_limited or self.admit(step):
                admitted.append(step)
            elif step.state == "done":
                return True
        ready = [step for step in admitted if step.ready]
        running = [step for step in self.steps if step.state == "running"]
        if self.bug == "a thread keeps all others waiting" and any(step.mode != "inline" for step in running):
            return False
        for step in ready:
            if step.is_early:
                if self.bug == "threads run one after the other" and step.mode != "inline" and any(s.mode == step.mode for s in running):
                    continue
                if self.bug == "awaits one after the other" and running:
                    break
                if self.bug == "waits for a whole stage" and any(s not in ready for s in running):
                    break
                self.start(step)
                if step.is_map:
                    return True
                running.append(step)
        if self.bug == "makes an eager start of what waits":
            for step in self.steps:
                if step.is_plain and step.is_async and all(s.state != "waiting" for s in step.waits):
                    self.start(step)
        calls = [step for step in ready if not step.is_early]
        if not calls:
            return False
        self.make(calls[-1] if self.bug == "sync calls in reverse order" else calls[0])
        return True

    def order(self, step: Step) -> Any:
        return (step.wave, step.place) if self.bug == "sync calls in the order of demand" else step.place

    def drain(self) -> None:
        """Take what has come in this tick, lowest place first."""
        came, self.finished = self.finished, []
        if self.bug != "raises the failure that was delivered first":
            came.sort(key=lambda step: step.place, reverse=self.bug == "raises the last of two failures")
        for step in came:
            if step.task and step.task.exception() and self.bug == "goes on with items after a failure" and step.of_map:
                step.state = "done"
                self.refill(step.of_map)
        paused = [step for step in came if step.state == "pausing"]
        landed = [step for step in came if step.state in ("running", "failing", "ending")]
        failed = [(step, failure) for step in landed if step.task and (failure := step.task.exception())]
        final = [(step, failure) for step, failure in failed if not self.try_again(step, failure)]
        if final and self.bug != "swallows a failure":
            self.fail(*final[0])
        for step in paused:
            step.state = "waiting"
        for step in landed:
            if step.state == "ending":
                self.finish(step, step.coming)
            elif step.task is not None and step.state == "running":
                self.finish(step, None if step.task.exception() else step.task.result())

    def finish(self, step: Step, value: Any) -> None:
        if value is None and self.bug == "runs again what returned None" and step.state != "again" and step.is_sync_call:
            step.state = "again"
            value = self.compute(step)
        if type(value) is Jump and self.bug != "a jump is a value":
            value = self.land(step, value)
        self.store(step, value)
        if step.holding and self.bug != "holds capacity for the graph that a call returns":
            self.release(step)
        goes_on = type(value) is LazyResult and not self.stays(step)
        if step.holding and not goes_on:
            self.release(step)
        ends = step.is_target and step.state != "ending" and type(value) is not Skipped
        if ends and not (goes_on and self.bug == "a step ends after the tail call"):
            ending = self.of_scope(step)
            if any(one.is_async for one in ending):
                step.state, step.coming = "ending", value
                self.fly(step, self.tear_down(ending))
                return
            self.tear_down_at_once(ending)
        if goes_on:
            self.nest(step, value)
            return
        if step.is_resource:
            self.has_set_up(step, value)
        step.state, step.value = "done", value
        self.finished_order.append(step)
        if step.of_map is not None:
            self.refill(step.of_map)
        if step.parent is not None:
            if type(value) is Skipped:
                if self.bug != "a skipped graph is None":
                    self.fail(step, TargetSkipped(skipped_text(value)))
                    return
                value = None
            self.finish(step.parent, value)

    def stays(self, step: Step) -> bool:
        """Is a graph that this step returned left as it is?"""
        if self.bug == "leaves nested results unresolved":
            return step.parent is None
        return self.bug == "leaves the graphs of items unresolved" and step.of_map is not None

    def nest(self, step: Step, value: LazyResult) -> None:
        step.state = "nested"
        values: dict[int, Step] = {}
        if self.bug == "what a route needs is not computed again" and value.policy is not None and value.policy.jumps is not None:
            values = {key: one for key, one in step.values.items() if one.state == "done"}
        count = len(self.steps)
        root = self.expand(value, step.place, values)[0]
        for inner in self.steps[count:]:
            inner.returned_by = step
        self.inputs(self.steps[count:])
        root.parent = step
        root.is_target = True
        if root.state == "done":  # the graph is an input and nothing else
            self.finish(step, root.value)
            return
        if step.lazy.task not in (ITEM, GATHER) and step.of_map is None and step.lazy.task is not None:
            root.before = (*self.call(step), step.lazy.task.label)
        self.demand([root])

    def fail(self, step: Step, failure: BaseException) -> None:
        """Raises ``failure``, as which a step has ended."""
        outer = step.returned_by
        if self.bug == "a retry covers the graph that a call returns" and outer is not None and self.may_retry(outer, failure):
            for inner in self.steps:
                if inner.returned_by is outer:
                    inner.demanded, inner.state = False, "given up"
            step.state, outer.state, outer.attempt = "given up", "waiting", outer.attempt + 1
            return
        raise failure
