"""Single flight among the runs of one event loop: what one of them is computing for a cache, the others wait for (N46).

Within one run the machine wakes who waits by itself, in the order of places. What is here is between runs, and knows nothing but futures
of their loop. Runs of other loops and threads are not waited for: docs/decisions/0013-single-flight-within-a-loop.md.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from cascade_vm.caching import Hit

Name = tuple[int, bytes]  # identity of the cache, key of the call
_OF_LOOPS: WeakKeyDictionary[Any, dict[Name, Flight]] = WeakKeyDictionary()
ABOVE: ContextVar[tuple[Flight, ...]] = ContextVar("cascade_flights", default=())  # of the calls that this code runs within


class Flight:
    """A call that is being made, and who in other runs waits for its value.

    :param loop: the event loop of all of them.
    """

    __slots__ = ("_all", "_loop", "_name", "_waiting", "cache")

    def __init__(self, loop: Any, name: Name, cache: Any) -> None:
        self.cache = cache  # while it lives, nothing else has its identity
        self._all = _OF_LOOPS[loop]
        self._loop = loop
        self._name = name
        self._waiting: list[Any] = []
        self._all[name] = self

    async def landing(self) -> Hit | None:
        """Wait for its end: its value; None: it came to none, and whoever asks next makes the call."""
        future = self._loop.create_future()
        self._waiting.append(future)
        return await future  # type: ignore[no-any-return]

    def land(self, hit: Hit | None) -> None:
        """It has ended. A second time, nothing happens."""
        if self._all.get(self._name) is self:
            del self._all[self._name]
        waiting, self._waiting = self._waiting, []
        if not self._loop.is_closed():
            for future in waiting:
                if not future.done():
                    future.set_result(hit)


def flight_in(loop: Any, name: Name) -> Flight | None:
    """The flight of this name that another run of ``loop`` makes, and that can be waited for.

    One that this very code runs within cannot: it would wait for itself.
    """
    flight = _OF_LOOPS.setdefault(loop, {}).get(name)
    return None if flight is None or flight in ABOVE.get() else flight


def take_off(loop: Any, name: Name, cache: Any) -> Flight | None:
    """A new flight; None where there is one of this name already."""
    return None if name in _OF_LOOPS.setdefault(loop, {}) else Flight(loop, name, cache)


class Within:
    """``awaitable``, as something that runs within ``flight``."""

    __slots__ = ("awaitable", "flight")

    def __init__(self, flight: Flight, awaitable: Any) -> None:
        self.flight = flight
        self.awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        token = ABOVE.set((*ABOVE.get(), self.flight))
        try:
            return (yield from self.awaitable.__await__())
        finally:
            with suppress(ValueError):  # closed by the collector, in another context
                ABOVE.reset(token)

    def close(self) -> None:
        self.awaitable.close()
