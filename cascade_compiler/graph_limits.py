"""Graph mode's limits: what the calls of a run share (S22). Nothing here waits. Numbers are added up as written: 0.1 is a tenth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cascade_vm.errors import CapacityError

if TYPE_CHECKING:
    from cascade_compiler.graph_steps import Step
    from cascade_vm.policies import RateLimit


class Capacity:
    """Who holds how much of what, and who waits for some: all or nothing, strictly first come, first served.

    :param totals: how much there is of each name. :raises TypeError, ValueError: that is no dict of amounts by name.
    """

    def __init__(self, totals: Mapping[str, float]) -> None:
        if not isinstance(totals, Mapping):
            raise TypeError(f"capacity takes a dict of amounts by name, not {type(totals).__name__!r}")
        for name in totals:
            if not isinstance(name, str):
                raise TypeError(f"capacity: the name of an amount must be a str, not {name!r}")
        self._shown = dict(totals)
        self._totals = {name: _exact(f"the capacity {name!r}", amount) for name, amount in totals.items()}
        self._free = dict(self._totals)
        self._held: dict[Step, dict[str, Fraction]] = {}
        self._waiting: list[tuple[Step, dict[str, Fraction]]] = []

    def check(self, amounts: Mapping[str, Any]) -> dict[str, Fraction]:
        """What ``amounts`` need.

        :raises CapacityError: more than there is at all. :raises ValueError: an amount is no number of 0 or more.
        """
        needs = {name: _exact(f"the amount of {name!r}", amount) for name, amount in amounts.items()}
        for name, need in needs.items():
            if name not in self._totals:
                raise CapacityError(self._unknown(name))
            if need > self._totals[name]:
                raise CapacityError(
                    f"{_as_written(amounts[name])} of {name!r} is more than the whole run has, which is {self._shown[name]!r}"
                )
        return {name: need for name, need in needs.items() if need}

    def request(self, step: Step, amounts: Mapping[str, Any]) -> bool:
        """Are ``amounts`` given to ``step``? Else it waits, and ``release`` will return it.

        :raises CapacityError, ValueError: as ``check``.
        """
        needs = self.check(amounts)
        if not needs:  # nothing of anything: whoever waits, it does not wait behind them
            self._held[step] = needs
            return True
        self._waiting.append((step, needs))
        return step in self._grant()

    def release(self, step: Step) -> list[Step]:
        """Take back what ``step`` holds; returns those that hold now what they waited for, first come first."""
        for name, amount in self._held.pop(step).items():
            self._free[name] += amount
        return self._grant()

    def _grant(self) -> list[Step]:
        granted: list[Step] = []
        waiting: list[tuple[Step, dict[str, Fraction]]] = []
        blocked: set[str] = set()  # names that somebody who came earlier waits for
        for at, (step, needs) in enumerate(self._waiting):
            if len(blocked) == len(self._free):  # nobody behind can have anything
                waiting += self._waiting[at:]
                break
            if blocked.isdisjoint(needs) and all(need <= self._free[name] for name, need in needs.items()):
                for name, need in needs.items():
                    self._free[name] -= need
                self._held[step] = needs
                granted.append(step)
            else:
                blocked.update(needs)
                waiting.append((step, needs))
        self._waiting = waiting
        return granted

    def _unknown(self, name: str) -> str:
        text = f"the run has no capacity {name!r}: give it with run(..., capacity={{{name!r}: ...}})"
        near = get_close_matches(name, self._totals, n=3)
        if near:
            return f"{text}; did you mean {' or '.join(map(repr, near))}?"
        return f"{text}; it has {', '.join(map(repr, self._totals))}" if self._totals else text


class Rates:
    """When the next call under each rate limit may start."""

    def __init__(self) -> None:
        self._limits: dict[str, RateLimit] = {}
        self._free: dict[str, Fraction] = {}

    def book(self, limit: RateLimit, now: float) -> float:
        """Book the next start; returns the seconds from ``now`` until then. Less than a nanosecond is no wait.

        :raises ValueError: another limit of this name has other numbers.
        """
        known = self._limits.setdefault(limit.name, limit)
        if known != limit:
            raise ValueError(
                f"two calls have a rate limit {limit.name!r} with different numbers: {_shown(known)}, and {_shown(limit)}. "
                f"Calls that name the same limit share it: give both the same numbers, or different names"
            )
        start = max(Fraction(now), self._free.get(limit.name, Fraction(now)))
        self._free[limit.name] = start + Fraction(str(limit.per)) / Fraction(str(limit.rate))
        seconds = float(start - Fraction(now))
        return seconds if seconds >= 1e-9 else 0.0


def _shown(limit: RateLimit) -> str:
    return f"{limit.rate!r} calls in {limit.per!r} seconds"


def _exact(what: str, amount: Any) -> Fraction:
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise ValueError(f"{what} must be a number, 0 or more, not {amount!r}")
    if not amount >= 0 or amount == math.inf:
        raise ValueError(f"{what} must be a finite number, 0 or more, not {amount!r}")
    return Fraction(float.__repr__(amount)) if isinstance(amount, float) else Fraction(int(amount))


def _as_written(amount: Any) -> str:
    return repr(int(amount)) if isinstance(amount, float) and amount.is_integer() else repr(amount)
