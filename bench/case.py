"""A benchmark case: a piece of work, done in several ways that take turns, and the result that each of them must give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

BY_HAND = "by hand"
LIMIT: int | None = None  # of sizes, for tests of the cases themselves


def sized(count: int) -> int:
    """The size to take where ``count`` is meant."""
    return count if LIMIT is None else min(count, LIMIT)


class Cannot(Exception):
    """A way of doing the work that does not exist. The text says why, and stands in the table."""


@dataclasses.dataclass(frozen=True)
class Work:
    """One side of a case. ``call`` is timed, with what ``prepare`` returned where there is one; a call does ``count`` units."""

    call: Callable[..., Any]
    count: int
    prepare: Callable[[], Any] | None = None
    expect: Any = None  # what the call returns; None where it returns nothing
    note: str = ""  # what differs from the other sides, such as a smaller size
    alike: bool = False  # the first call costs what all others do: where calls are long, its time counts

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
            raise AssertionError(f"expected {_short(self.expect)}, got {_short(got)}")
        return took


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, (list, tuple, dict)) or len(value) < 50 else f"{len(value)} items"
    return text if len(text) < 200 else text[:200] + " ..."


@dataclasses.dataclass(frozen=True)
class Reach:
    """What a side should reach: ``measure`` at most ``most``, or at least ``least``.

    ``measure``: "ratio" to the reference; "extra", seconds a unit above the reference; "rate", units a second;
    "each", seconds a unit; "seconds", for the whole.
    """

    side: str
    measure: str
    most: float | None = None
    least: float | None = None


@dataclasses.dataclass(frozen=True)
class Peers:
    """The function ``work`` of each module in ``bench.peers`` gives that peer's side, called with ``given``."""

    work: str
    given: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """``sides`` make the ways to do the work, by name, the reference first. They are called late: some build large graphs.

    :param beside: what the reference is, in words.
    :param quick: part of ``--quick``; ``only_quick``: of nothing else, since there is a longer form of it.
    :param share: seconds that a side may spend, as a multiple of what the mode gives.
    """

    name: str
    unit: str  # what ``count`` counts, in the singular
    beside: str
    sides: Mapping[str, Callable[[], Work]]
    reaches: tuple[Reach, ...] = ()
    peers: Peers | None = None
    quick: bool = True
    only_quick: bool = False
    share: float = 1.0
    about: str = ""


def wanted(case: Case, quick: bool, names: Sequence[str] | None) -> bool:
    """Is ``case`` part of the run that is asked for?"""
    part = case.quick if quick else not case.only_quick
    return part and (not names or any(text in case.name for text in names))
