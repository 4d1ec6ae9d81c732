"""What the calls of a run share: capacity, starts under rate limits, cached values. A call asks when it is ready, before its turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from small_graph import Step
from small_resources import Resources

from cascade_compiler.lazy import LazyResult
from cascade_vm.call_key import call_key
from cascade_vm.errors import CapacityError
from cascade_vm.policies import RateLimit


class Limits(Resources):
    def call(self, step: Step) -> tuple[Any, list[Any], dict[str, Any]]:
        raise NotImplementedError

    def check_all(self, steps: list[Step]) -> None:
        """:raises CapacityError: what is written in the root graph is more than there is."""
        for step in steps:
            static = {name: amount for name, amount in self.constraints(step) if not isinstance(amount, LazyResult)}
            self.check(static)

    def constraints(self, step: Step) -> tuple[tuple[str, Any], ...]:
        policy = step.lazy.policy
        return policy.constraints if policy is not None and self.bug != "ignores constraints" else ()

    def check(self, amounts: dict[str, Any]) -> None:
        for name, amount in amounts.items():
            if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount < 0:
                raise ValueError(f"an amount of {name} must be a number")
            if amount > self.built.capacity.get(name, -1) and self.bug != "an amount above the capacity is cut":
                raise CapacityError(f"there is less of {name}")

    def admit(self, step: Step) -> bool:
        """May the next attempt of ``step`` start? If not, it waits for something now."""
        if not step.has_asked:
            step.has_asked = True
            if self.bug == "takes capacity before it looks into the cache":
                self.request(step)
                if not step.is_blocked and not self.look_up(step):
                    step.is_blocked = True
            elif self.look_up(step):
                self.request(step)
        if step.is_blocked or step.state != "waiting":
            return False
        rate = step.lazy.policy.rate
        if rate is None or step.is_booked or self.bug == "ignores rate limits":
            return True
        if step.attempt > 1 and self.bug == "only the first attempt keeps its distance":
            return True
        step.is_booked = True
        wait = self.book(rate, step)
        if wait:
            step.state = "pausing"
            self.fly(step, asyncio.sleep(wait))
            if self.bug == "gives capacity back while it waits for its start":
                self.release(step)
        return not wait

    # --- caches ---

    def look_up(self, step: Step) -> bool:
        """Is ``step`` to make its call? Else it has its value from the cache, or waits for that which is made now."""
        cache = step.lazy.policy.cache
        if cache is None or self.bug == "ignores the cache":
            return True
        task = getattr(step.lazy.task, "task", step.lazy.task)
        function, args, kwargs = self.call(step)
        if self.bug == "the key of a cached call has no keywords":
            kwargs = {}
        if self.bug == "the key of a cached call has one argument":
            args = args[:1]
        symbol = "any" if self.bug == "the key of a cached call has no task" else task.symbol
        key = call_key(symbol, task.version, None, function, args, kwargs)
        hit = cache.get(key)
        if hit is not None and not (hit.value is None and self.bug == "a stored None is a miss"):
            if isinstance(hit.value, BaseException):
                raise hit.value
            self.finish(step, hit.value)
            return False
        if (cache, key) in self.flights and self.bug != "twins make their cached calls at once":
            self.flights[cache, key].append(step)
            step.is_blocked = True
            return False
        self.flights[cache, key] = []
        step.key = (cache, key)
        return True

    def store(self, step: Step, value: Any) -> None:
        """The call of ``step`` has ended with ``value``: let those have it who wait for it."""
        if step.key is None:
            return
        (cache, key), step.key = step.key, None
        waiting = self.flights.pop((cache, key), [])
        is_value = type(value) is not LazyResult
        if is_value or self.bug == "stores the graph that a call returns":
            cache.put(key, value)
        for other in waiting:
            other.is_blocked = False
            other.has_asked = self.bug == "who waited for a cached value makes the call"
            if is_value and not other.has_asked:
                self.finish(other, None if self.bug == "who waited for a cached value gets None" else value)

    # --- capacity ---

    def request(self, step: Step) -> None:
        values = step.of_map.values if step.of_map is not None else step.values
        amounts = {name: self.resolve(amount, values) for name, amount in self.constraints(step)}
        if self.bug == "an amount that is a node is 0":
            amounts = {name: 0 if isinstance(amount, LazyResult) else amounts[name] for name, amount in self.constraints(step)}
        if self.bug == "the items of a map share what one needs" and step.of_map is not None and step.place[-1] > 0:
            amounts = {}
        self.check(amounts)
        step.amounts = {name: min(amount, self.built.capacity[name]) for name, amount in amounts.items() if amount}
        step.is_blocked = True
        self.queue.append(step)
        self.grant()

    def grant(self) -> None:
        """Give what is free to those who have waited longest."""
        queue = self.queue[::-1] if self.bug == "the last that came is served first" else list(self.queue)
        blocked: set[str] = set()
        for step in queue:
            if self.bug == "takes one amount while it waits for the other":
                self.take_some(step)
                continue
            free = all(self.held[name] + amount <= self.built.capacity[name] for name, amount in step.amounts.items())
            if free and (blocked.isdisjoint(step.amounts) or self.bug == "lets later requests pass"):
                self.held.update(step.amounts)
                step.holding = dict(step.amounts)
                self.let_in(step)
            else:
                blocked |= self.built.capacity.keys() if self.bug == "who waits blocks all names" else step.amounts.keys()

    def take_some(self, step: Step) -> None:
        for name, amount in sorted(step.amounts.items(), reverse=step.place[-1] % 2 == 0):
            if name not in step.holding:
                if self.held[name] + amount > self.built.capacity[name]:
                    return
                self.held.update({name: amount})
                step.holding[name] = amount
        self.let_in(step)

    def let_in(self, step: Step) -> None:
        step.is_blocked = False
        self.queue.remove(step)

    def release(self, step: Step) -> None:
        if self.bug == "keeps the capacity of what was tried again" and step.attempt > 1:
            return
        self.held.subtract(step.holding)
        step.holding = {}
        self.grant()

    # --- rates ---

    def book(self, rate: RateLimit, step: Step) -> float:
        """Seconds until the next start under ``rate``, which is taken."""
        now = asyncio.get_running_loop().time()
        key: Any = (rate.name, id(step.lazy)) if self.bug == "calls do not share their rate limit" else rate.name
        space = rate.per if self.bug == "one start in each period" else rate.per / rate.rate
        starts = self.starts.setdefault(key, [])
        at = max(now, starts[-1] + space) if starts else now
        if self.bug == "a burst at the start of each period":
            count = int(rate.rate)
            at = max(now, starts[-count] + rate.per) if len(starts) >= count else now
        starts.append(at)
        return at - now

    def __post_init__(self) -> None:
        super().__post_init__()
        self.held: Counter[str] = Counter()  # type: ignore[assignment]
        self.queue: list[Step] = []
        self.starts: dict[Any, list[float]] = {}
        self.flights: dict[tuple[Any, bytes], list[Step]] = {}  # who waits for the value of a cached call that is made now
