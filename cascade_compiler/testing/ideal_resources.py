"""When resources should be set up and torn down: once a scope, before the first use, and in reverse order at the end of the scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.behaviour import resource_name
from cascade_compiler.testing.resource_functions import DOWN, parameter, value_of
from cascade_compiler.testing.show import show_call
from cascade_compiler.testing.thought import Job, Place, Poisoned

if TYPE_CHECKING:
    from cascade_compiler.testing.ideal_thought import Thought
    from cascade_compiler.testing.specs import ResourceSpec


class Held:
    """What one scope has set up, in the order of the ends of the set-ups."""

    def __init__(self, thought: Thought) -> None:
        self._thought = thought
        self._jobs: dict[int, Job] = {}
        self._held: list[tuple[str, ResourceSpec, Place]] = []
        self._last: float = -1  # when a set-up ended last

    async def value(self, number: int, spec: ResourceSpec, needs: list[Any], place: Place) -> Any:
        """The value of a resource, whose own needs are there. Who comes first sets it up."""
        known = self._jobs.get(number)
        if known is not None and not known.done and spec.delay is None:
            self._thought.plan.is_settled = False  # it has the place of whom, of two graphs that wait for its turn?
        if known is None:
            self._jobs[number] = self._thought.world.start(self._set_up(number, spec, needs, place))
        return await self._thought.world.join(self._jobs[number])

    async def _set_up(self, number: int, spec: ResourceSpec, needs: list[Any], place: Place) -> Any:
        name = resource_name(number)
        named = dict(zip(map(parameter, spec.needs), needs, strict=True))
        if spec.delay is None:
            await self._thought.world.turn(place)
        await self._thought.attempt(name, show_call((), named), spec.delay or 0, is_async=spec.delay is not None)
        if spec.fails == "up":
            self._thought.fail(ValueError(name), place, name, waited=bool(spec.delay))
        now = self._thought.world.now
        if self._held and self._last == now and (spec.delay is not None or self._held[-1][1].delay is not None):
            self._thought.plan.is_settled = False  # which of the two is torn down first?
        self._last = now
        self._held.append((name, spec, place))
        return value_of(name, named)

    async def end(self) -> None:
        """Tear all down. What fails keeps nothing else from being torn down.

        :raises Poisoned: something failed.
        """
        failed: list[tuple[str, Place]] = []
        while self._held:
            name, spec, place = self._held.pop()
            await self._thought.attempt(name + DOWN, "()", spec.down if spec.delay is not None else 0, is_async=spec.delay is not None)
            if spec.fails == "down":
                failed.append((name + DOWN, place))
        for name, place in failed[: None if not self._thought.plan.is_settled else 1]:
            self._thought.note(ValueError(name), place, name)
        if failed:
            raise Poisoned
