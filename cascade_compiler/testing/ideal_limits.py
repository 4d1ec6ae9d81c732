"""Who should have what calls share, and when: capacity, starts under rate limits, and cached values.

Capacity is given all or nothing, strictly first come, first served: who waits lets nobody pass who needs any of the same names. What
is asked for at the same time is served lowest place first. Two requests at one instant need not have come at the same time: one may
follow from a synchronous call, or from an async one that takes no time. Where it matters who of such two comes first, the rules do
not settle it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.amounts import Amounts, checked
from cascade_compiler.testing.show import show
from cascade_compiler.testing.specs import Go
from cascade_compiler.testing.thought import Job, Place, World

if TYPE_CHECKING:
    from cascade_compiler.testing.plan import Ideal
    from cascade_compiler.testing.specs import RateSpec

Key = tuple[str, str]  # the cache, and the call as text


@dataclass
class _Instant:
    """What was asked for at one instant."""

    time: float
    began: dict[str, float]  # what was held and waited for, when the first asked
    asked: dict[str, float] = field(default_factory=dict)
    moments: set[Any] = field(default_factory=set)
    booked: dict[str, dict[Any, Place]] = field(default_factory=dict)  # who booked last at each moment


class Limits:
    """What the calls of one run share."""

    def __init__(self, world: World, capacity: Amounts, plan: Ideal) -> None:
        self._world = world
        self._plan = plan
        self._capacity = capacity
        self._free = dict(capacity)
        self._waiting: list[tuple[dict[str, float], Job]] = []
        self._may_start: dict[str, float] = {}
        self._instant = _Instant(-1, {})
        self._stored: dict[Key, Any] = {}
        self._flights: dict[Key, tuple[Job, Any]] = {}

    async def hold(self, place: Place, amounts: Mapping[str, Any]) -> dict[str, float]:
        """Have ``amounts``, when they are there; what was needed in fact. Who comes here has asked.

        :raises CapacityError, ValueError: as ``checked``.
        """
        needed = checked(amounts, self._capacity)
        self._watch(needed)
        job = Job()
        self._waiting.append((needed, job))
        self._grant()
        if not job.done:
            await self._world.join(job)
            await self._world.ask(place)
        return needed

    def release(self, held: Amounts) -> None:
        for name, amount in held.items():
            self._free[name] += amount
        self._grant()

    def _grant(self) -> None:
        still: list[tuple[dict[str, float], Job]] = []
        blocked: set[str] = set()
        for needed, job in self._waiting:
            if blocked.isdisjoint(needed) and all(amount <= self._free[name] for name, amount in needed.items()):
                for name, amount in needed.items():
                    self._free[name] -= amount
                self._world.finish(job)
            else:
                blocked.update(needed)
                still.append((needed, job))
        self._waiting = still

    async def start(self, rate: RateSpec, place: Place) -> None:
        """Wait for the next start under ``rate``. Who comes here has asked."""
        booked = self._now().booked.setdefault(rate.name, {})
        booked[self._world.moment] = place
        if len(booked) > 1 and len(set(booked.values())) > 1:
            self._plan.is_settled = False
        now = self._world.now
        at = max(now, self._may_start.get(rate.name, now))
        self._may_start[rate.name] = at + rate.per / rate.rate
        if at > now:
            await self._world.sleep(at - now)
            self._world.blur()

    # --- cached values ---

    async def look_up(self, key: Key, place: Place, *, is_async: bool) -> Any:
        """(True, the value for ``key``), or (False, None): it is to be made now, and others wait for that."""
        while (flight := self._flights.get(key)) is not None:
            job, moment = flight
            if not is_async and moment != self._world.moment:
                self._plan.is_settled = False  # which of the two makes the call, in its turn?
            await self._world.join(job)
            await self._world.ask(place)
        if key in self._stored:
            return True, self._stored[key]
        self._flights[key] = (Job(), self._world.moment)
        return False, None

    def made(self, key: Key, value: Any) -> None:
        """The call for ``key`` has ended."""
        if type(value) is not Go:
            self._stored[key] = value
            self._plan.stored[key[0], show(value)] += 1
        self._world.finish(self._flights.pop(key)[0])

    def failed(self, key: Key) -> None:
        job, _ = self._flights.pop(key)
        job.poisoned = True
        self._world.finish(job)

    # --- is it settled who comes first? ---

    def _now(self) -> _Instant:
        if self._instant.time != self._world.now:
            began = {name: total - self._free[name] for name, total in self._capacity.items()}
            for needed, _ in self._waiting:
                for name, amount in needed.items():
                    began[name] += amount
            self._instant = _Instant(self._world.now, began)
        return self._instant

    def _watch(self, needed: Amounts) -> None:
        instant = self._now()
        instant.moments.add(self._world.moment)
        for name, amount in needed.items():
            instant.asked[name] = instant.asked.get(name, 0) + amount
        if len(instant.moments) > 1 and any(instant.began[n] + asked > self._capacity[n] for n, asked in instant.asked.items()):
            self._plan.is_settled = False
