"""What the calls of one run share: its capacity, its rate limits, and the cached calls that are being made. Made at first need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascade_vm.capacity import Capacity
from cascade_vm.rate import Rates


class Limits:
    """One for a run."""

    __slots__ = ("being_made", "capacity", "rates")

    def __init__(self, capacity: Mapping[str, float] | None) -> None:
        self.capacity = Capacity(capacity or {})
        self.rates = Rates()
        self.being_made: dict[tuple[int, bytes], list[Any]] = {}  # (cache, key) -> the calls that wait for that value
