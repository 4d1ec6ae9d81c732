"""What the calls of a run share: capacity, and starts under rate limits. A call asks for both when it is ready, before its turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from small_graph import Graph, Step

from cascade_compiler.lazy import LazyResult
from cascade_vm.errors import CapacityError
from cascade_vm.policies import RateLimit


class Limits(Graph):
    def fly(self, step: Step, coroutine: Any) -> None:
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
