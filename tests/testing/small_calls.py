"""How the calls of a graph are made: arguments, attempts, maps."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import Any

from small_graph import Step
from small_jumps import Jumps

from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import GATHER, ITEM, Literal
from cascade_vm.skipping import Skipped


class Calls(Jumps):
    # --- attempts ---

    def start(self, step: Step) -> None:
        if step.is_map:
            self.begin_map(step)
            return
        step.state = "running"
        self.fly(step, self.attempt(step, *self.call(step)))

    def fly(self, step: Step, coroutine: Any) -> None:
        step.task = asyncio.get_running_loop().create_task(coroutine)
        step.task.add_done_callback(lambda _: (self.finished.append(step), self.woken.set()))

    async def attempt(self, step: Step, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """One attempt of an async call."""
        timeout = step.lazy.policy.timeout if step.lazy.policy else None
        if step.mode != "inline":
            function = partial(self.in_pool, step.mode, function)
        if timeout is None or self.bug == "ignores a timeout" or (step.mode != "inline" and self.bug == "threads have no timeout"):
            return await function(*args, **kwargs)
        if step.ends_at is None or self.bug != "a timeout covers all attempts":
            step.ends_at = asyncio.get_running_loop().time() + timeout
        try:
            async with asyncio.timeout_at(step.ends_at) as limit:
                return await function(*args, **kwargs)
        except TimeoutError:
            if not limit.expired():
                raise
        label = getattr(step.lazy.task, "task", step.lazy.task).label
        raise TimeoutError(f"{label} took longer than {timeout:g} seconds")

    async def in_pool(self, mode: str, function: Any, *args: Any, **kwargs: Any) -> Any:
        """The call in a thread, which nothing interrupts; processes are threads here."""
        if self.bug == "calls what is for a thread itself" or (mode == "process" and self.bug == "calls what is for a process itself"):
            return function(*args, **kwargs)
        job = asyncio.wrap_future(self.options["pools"]["thread"].submit(function, *args, **kwargs))
        self.jobs.append(job)
        if self.bug != "a timeout waits for its thread":
            return await asyncio.shield(job)
        late: asyncio.CancelledError | None = None
        while not job.done():
            try:
                await asyncio.wait([job])
            except asyncio.CancelledError as cancelled:
                late = cancelled
        if late is not None:
            raise late
        return job.result()

    def try_again(self, step: Step, failure: BaseException) -> bool:
        """Is a failed attempt followed by another? Then it is at once, or when the wait is over."""
        if step.key is not None and self.bug == "stores failures":
            step.key[0].put(step.key[1], failure)
        again = self.may_retry(step, failure)
        policy = step.lazy.policy
        if not again and not (self.bug == "waits after the last attempt" and policy and policy.retry and step.state != "failing"):
            return False
        step.state = "waiting"
        if wait := self.wait(step):
            step.state = "pausing" if again else "failing"
            self.fly(step, asyncio.sleep(wait) if again else self.late(wait, failure))
        elif not again:
            return False
        if self.bug == "gives capacity back between attempts":
            self.release(step)
        step.attempt += again
        step.is_booked = False
        return True

    async def late(self, wait: float, failure: BaseException) -> None:
        await asyncio.sleep(wait)
        raise failure

    def may_retry(self, step: Step, failure: BaseException) -> bool:
        policy = step.lazy.policy
        if policy is None or policy.retry is None or step.lazy.task in (ITEM, GATHER):
            return False
        most = policy.retry.max_attempts
        if self.bug == "one attempt too many" or (self.bug == "one attempt too few" and most > 1):
            most += 1 if self.bug == "one attempt too many" else -1
        if self.bug == "never retries a timeout" and isinstance(failure, TimeoutError):
            return False
        made = step.attempt
        if self.bug == "items share their attempts" and step.of_map is not None:
            made = sum(item.attempt for item in step.of_map.items) - len(step.of_map.items) + 1
        errors = Exception if self.bug == "retries what on= does not name" else policy.errors
        return made < most and isinstance(failure, errors)

    def wait(self, step: Step) -> float:
        retry = step.lazy.policy.retry
        return retry.delay if self.bug == "ignores the backoff" else retry.wait(step.attempt, None)

    def make(self, step: Step) -> None:
        """A synchronous step whose turn it is: attempts until it ends, or has to wait."""
        if step.is_map:
            self.begin_map(step)
            return
        step.state = "made"
        while True:
            try:
                value = self.compute(step)
                break
            except Exception as failure:
                if self.try_again(step, failure):
                    if step.state == "waiting" and not step.is_limited:
                        step.state = "made"
                        continue
                    return
                if self.bug == "swallows a failure":
                    value = None
                    break
                if self.bug == "goes on with items after a failure" and step.of_map is not None:
                    step.state = "done"
                    self.refill(step.of_map)
                self.fail(step, failure)
                return
        self.finish(step, value)

    def fail(self, step: Step, failure: BaseException) -> None:
        raise failure

    # --- maps ---

    def begin_map(self, step: Step) -> None:
        step.state = "mapping"
        kind = step.lazy.task
        args = [self.resolve(arg, step.values) for arg in step.lazy.args]
        named = {name: self.resolve(arg, step.values) for name, arg in (step.lazy.kwargs | self.injected(step.lazy)).items()}
        if self.bug == "loses the keywords of a map":
            named = {name: value for name, value in named.items() if name in kind.iterated}
        common = {name: value for name, value in named.items() if name not in kind.iterated}
        iterated = {name: value for name, value in named.items() if name in kind.iterated}
        if self.bug == "iterates a common value":
            iterated |= {name: value for name, value in common.items() if isinstance(value, (list, tuple))}
            common = {name: value for name, value in common.items() if name not in iterated}
        if len({len(one) for one in (*args, *iterated.values())}) > 1:
            raise ValueError(f"{kind.label}: the iterables must have one length")
        rows = list(zip(*args, *iterated.values(), strict=True))
        count = len(args)
        calls = [
            (kind.task.fn, list(row[:count]), dict(zip(iterated, row[count:], strict=True)) | common) for row in rows
        ]
        step.rows = iter(calls)
        self.refill(step)

    def refill(self, step: Step) -> None:
        """Begin items of a map while there is room, and end it with the last one."""
        most = step.lazy.task.max_concurrency or 1_000
        if self.bug == "ignores max_concurrency":
            most = 1_000
        if self.bug == "max_concurrency is one too few":
            most = max(1, most - 1)
        while step.state == "mapping":
            running = sum(item.state != "done" for item in step.items)
            if running >= most or (running and self.bug == "starts items in groups" and len(step.items) % most == 0):
                return
            given = next(step.rows, None)
            if given is None:
                if not running:
                    self.finish(step, self.results(step))
                return
            item = Step((*step.place, len(step.items)), step.lazy, [], {}, demanded=True, of_map=step, given=given)
            item.returned_by = step.returned_by
            step.items.append(item)
            self.steps.append(item)
            if item.is_limited:
                continue  # it asks first
            if item.is_async:
                self.start(item)
            else:
                self.make(item)
                while item.state == "nested" and self.decide():
                    pass  # what is decided without a call comes before the next item

    def results(self, step: Step) -> Any:
        if self.bug == "a map of nothing is None" and not step.items:
            return None
        if self.bug == "maps in the order of completion":
            return [item.value for item in sorted(step.items, key=self.finished_order.index)]
        return [item.value for item in step.items]

    # --- values ---

    def compute(self, step: Step) -> Any:
        if step.given is None and step.lazy.task is ITEM:
            value, key = (self.resolve(arg, step.values) for arg in step.lazy.args)
            return value[key]
        if step.given is None and step.lazy.task is GATHER:
            items = list(step.lazy.args)
            if self.bug == "gathers in the order of completion":
                done = self.finished_order
                items.sort(key=lambda x: done.index(s) if (s := step.values.get(id(x))) in done else -1)
            return [self.resolve(item, step.values) for item in items]
        if step.is_resource:
            return next(self.generator(step))
        function, args, kwargs = self.call(step)
        assert not inspect.iscoroutinefunction(function)
        return function(*args, **kwargs)

    def call(self, step: Step) -> tuple[Any, list[Any], dict[str, Any]]:
        if step.given is not None:
            return step.given
        function = getattr(step.lazy.task, "fn", None)
        args = [self.resolve(arg, step.values) for arg in step.lazy.args]
        kwargs = {name: self.resolve(arg, step.values) for name, arg in (step.lazy.kwargs | self.injected(step.lazy)).items()}
        if self.bug == "loses a keyword" and kwargs:
            kwargs.popitem()
        if step.before is not None and step.before[0] is function and function is not None:
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
        """The value for what stands in the graph; the first Skipped in it, if there is one."""
        if type(value) is LazyResult:
            step = values[id(value)]
            step.reads += 1
            if self.bug == "releases a value before its second reader" and step.reads > 1 and step.state == "done":
                return None
            if type(step.value) is Skipped and self.bug == "takes a skip for None":
                return None
            return step.value
        if type(value) is Literal:
            return value if self.bug == "passes literal() unopened" else value.value
        if self.bug == "passes containers as they are":
            return value
        if isinstance(value, dict):
            pairs = [(self.resolve(key, values), self.resolve(part, values)) for key, part in value.items()]
            return next((part for pair in pairs for part in pair if type(part) is Skipped), None) or dict(pairs)
        if isinstance(value, (list, tuple, set, frozenset)):
            kind = list if self.bug == "rebuilds tuples as lists" and type(value) is tuple else type(value)
            parts = [self.resolve(part, values) for part in value]
            return next((part for part in parts if type(part) is Skipped), None) or kind(parts)
        return value
