"""What is the same for all graphs of one run that is only thought through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from cascade_compiler.testing.ideal_limits import Limits
from cascade_compiler.testing.ideal_resources import Held
from cascade_compiler.testing.plan import Failure, Ideal, Planned, Reading
from cascade_compiler.testing.show import show_failure
from cascade_compiler.testing.thought import Place, Poisoned, World


class Thought:
    """The clock, what calls share, and the plan that is written down."""

    def __init__(self, reading: Reading, capacity: Mapping[str, float]) -> None:
        self.reading = reading
        self.world = World()
        self.plan = Ideal()
        self.limits = Limits(self.world, capacity, self.plan)
        self.held = Held(self)
        self.in_pools: float = 0  # when the last call in a thread or process ends, whether anybody waits for it or not

    async def attempt(self, task: str, args: str, seconds: float, *, is_async: bool) -> None:
        """One attempt of a call, from its start to its end."""
        now = self.world.now
        self.plan.calls.append(Planned(task, args, now, now + seconds, is_async))
        if not is_async and not self.plan.failures:
            self.plan.sync_order.append((task, args))
        if is_async and not seconds:
            self.world.blur()
        await self.world.sleep(seconds)

    def fail(self, failure: Exception, place: Place, task: str = "", waited: bool = False) -> NoReturn:
        """:raises Poisoned: always."""
        self.note(failure, place, task, waited)
        raise Poisoned from failure

    def note(self, failure: Exception, place: Place, task: str = "", waited: bool = False) -> None:
        self.plan.failures.append(Failure(self.world.now, task, show_failure(failure), place, waited))
