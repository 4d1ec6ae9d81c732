"""When the items of a map should begin: in order, as many at a time as the map allows."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.thought import Job, Place, Poisoned, World
from cascade_compiler.testing.walks import is_limited

if TYPE_CHECKING:
    from cascade_compiler.testing.plan import Reading
    from cascade_compiler.testing.specs import Map

Begin = Callable[[Place], Coroutine[Any, Any, Any]]

_MOST = 1_000  # in progress, where the map does not say


class Items:
    """The items of one map, in progress up to its limit."""

    def __init__(self, world: World, reading: Reading, node: Map, place: Place) -> None:
        self._world = world
        self._reading = reading
        self._limit = node.limit or _MOST
        self._is_sync = node.delay is None and not is_limited(node)  # what is limited goes on as soon as it may
        self._place = place
        self._running = 0
        self._failed = False
        self._freed: float = -1  # when an item ended last
        self._change = Job()

    async def run(self, calls: Sequence[Begin]) -> list[Any]:
        """The values of all items. A sync map has its turn; each of ``calls`` is told the place of its item.

        :raises Poisoned: one of them failed.
        """
        jobs: list[Job] = []
        for index, call in enumerate(calls):
            turn = self._is_sync and index > 0 and self._reading.item_by_item
            waited = False
            while self._running >= self._limit:
                self._change = Job()
                await self._world.join(self._change)
                self._world.blur()  # the next item may come a tick earlier or later than what else follows from the end of this one
                turn = self._is_sync and not self._reading.refills_at_once
                waited = True
            place = (*self._place, index)
            if turn:
                await self._world.turn(place)
            # What fails at the instant at which it begins need not have done so before the next begins. And of an item that fails and
            # one that ends at the same instant, the one that ends may be seen first.
            settled = self._is_sync or (waited and self._freed < self._world.now)
            if self._failed and settled and not self._world.is_blurred:
                break
            jobs.append(self._world.start(self._item(call(place))))
        return await self._world.all(jobs)

    async def _item(self, call: Coroutine[Any, Any, Any]) -> Any:
        self._running += 1
        try:
            value = await call
            self._freed = self._world.now
            return value
        except Poisoned:
            self._failed = True
            raise
        finally:
            self._running -= 1
            self._world.finish(self._change)
