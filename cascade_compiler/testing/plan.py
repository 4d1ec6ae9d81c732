"""What a schedule consists of: the attempts of calls and the failures, each with its time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Called
    from cascade_compiler.testing.thought import Place


@dataclass(frozen=True, slots=True)
class Planned:
    """One attempt of a call: when it starts, and when its own work ends (not that of a graph which it returns)."""

    task: str
    args: str
    start: float
    end: float
    is_async: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: when, of which task ("" for an item, a container, a router, a map), its text, and the place of the node.

    ``waited``: straight from a wait, and so in the first tick of its instant.
    """

    time: float
    task: str
    text: str
    place: Place
    waited: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What the rules leave open of the order of sync calls.

    ``takes_turns``: items and containers, which call nothing, are made when it is their turn, and not as soon as they can be.
    ``item_by_item``: what an item of a map has set going comes before the next item where its place is lower.
    ``refills_at_once``: where an item ends that had to wait, its map goes on with the next one in place.
    """

    takes_turns: bool = False
    item_by_item: bool = False
    refills_at_once: bool = False


READINGS = tuple(Reading(*flags) for flags in product((False, True), repeat=3))


@dataclass
class Ideal:
    """The schedule: ``calls`` and ``failures`` in the order in which they come, ``result`` and ``makespan`` of the run.

    With failures, ``makespan`` is the time of the earliest, and ``result`` None. ``sync_order`` are the calls of sync tasks in their
    order, up to the first failure.

    ``is_settled``: the rules say all of what is observed. Else the times of this schedule mean nothing, only the calls and what they
    come to. That is so where, at one instant, several ask for more capacity than there is, or for starts under one rate limit, and
    need not have asked in one tick (see ``ideal_limits``); where of two resources that are set up at once one must be torn down first;
    where two graphs wait for one synchronous set-up, or two synchronous calls for one cached value, and come by it in different places;
    and where a choice takes its route twice, so that it is open whether that stands in its place (N28).
    """

    calls: list[Planned] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    sync_order: list[Called] = field(default_factory=list)
    result: str | None = None
    makespan: float = 0
    is_settled: bool = True
    stored: Counter[tuple[str, str]] = field(default_factory=Counter)  # the cache, and the text of a value that it got

    def count(self) -> Counter[Called]:
        return Counter((call.task, call.args) for call in self.calls)
