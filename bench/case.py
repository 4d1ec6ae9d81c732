"""A benchmark case: something to time, what to time beside it, and the result that both must give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from time import perf_counter
from typing import Any


@dataclasses.dataclass(frozen=True)
class Work:
    """One side of a case. ``call`` is timed, with what ``prepare`` returned where there is one; a call does ``count`` units."""

    call: Callable[..., Any]
    count: int
    prepare: Callable[[], Any] | None = None
    expect: Any = None  # what the call returns; None where it returns nothing

    def arguments(self) -> tuple[Any, ...]:
        return () if self.prepare is None else (self.prepare(),)

    def check(self) -> float:
        """Call once; the seconds that it took.

        :raises AssertionError: the call does not give what it should.
        """
        arguments = self.arguments()
        start = perf_counter()
        got = self.call(*arguments)
        took = perf_counter() - start
        if got != self.expect:
            raise AssertionError(f"expected {self.expect!r}, got {got!r}")
        return took


@dataclasses.dataclass(frozen=True)
class Case:
    """``make`` gives (subject, reference), or None for the reference. It is called late: some cases build large graphs."""

    name: str
    unit: str  # what ``count`` counts, in the singular
    beside: str  # what the reference is
    make: Callable[[], tuple[Work, Work | None]]
