"""What the calls of one run share: its capacity, its rate limits, and the cached calls that are being made. Made at first need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cascade_vm.capacity import Capacity
from cascade_vm.rate import Rates

if TYPE_CHECKING:
    from cascade_vm.flights import Flight


class Limits:
    """One for a run."""

    __slots__ = ("being_made", "capacity", "flights", "rates")

    def __init__(self, capacity: Mapping[str, float] | None) -> None:
        self.capacity = Capacity(capacity or {})
        self.rates = Rates()
        self.being_made: dict[tuple[int, bytes], list[Any]] = {}  # (cache, key) -> the calls that wait for that value
        self.flights: dict[tuple[int, bytes], Flight] = {}  # of those, what other runs may wait for

    def land_all(self) -> None:
        """The run is over: what it has not come to, others make."""
        for flight in self.flights.values():
            flight.land(None)
        self.flights.clear()
