"""When the next call under a rate limit may start (S22). Nothing here waits itself: it books, and says how long to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_vm.exact import exact

if TYPE_CHECKING:
    from fractions import Fraction

    from cascade_vm.policies import RateLimit

# No clock is finer, and sums of floats are not either: a shorter wait is none. The booking itself stays exact.
_SHORTEST = 1e-9


class _Booked:
    """What is booked under one name: ``free`` is the moment from which the next start may be."""

    __slots__ = ("free", "limit", "step")

    def __init__(self, limit: RateLimit, step: Fraction, free: Fraction) -> None:
        self.limit = limit
        self.step = step
        self.free = free


class Rates:
    """The rate limits of one run, by name. Not for several threads at once."""

    def __init__(self) -> None:
        self._booked: dict[str, _Booked] = {}

    def wait(self, limit: RateLimit, now: float) -> float:
        """Book the next start under ``limit``: seconds from ``now`` until it may be; 0.0 is at once.

        Starts are served in the order of these calls, and are ``per / rate`` seconds apart or more: of a burst of calls the k-th starts
        ``k * per / rate`` after the first, with no error that adds up (less than a nanosecond is no wait). What was not used is not saved
        up for later. A booking is never given back: a call that is cancelled while it waits leaves its place empty.

        :param now: seconds, on the one clock of the run.
        :raises ValueError: another limit with this name has other numbers; or a number is not above 0 or not finite, or both together
            make a wait that no float can hold.
        """
        from fractions import Fraction

        at = Fraction(now)
        booked = self._booked.get(limit.name)
        if booked is None:
            booked = self._booked[limit.name] = _Booked(limit, _step(limit), at)
        elif booked.limit != limit:
            raise ValueError(
                f"two calls have a rate limit {limit.name!r} with different numbers: {_shown(booked.limit)}, and {_shown(limit)}. "
                f"Calls that name the same limit share it: give both the same numbers, or different names"
            )
        start = max(at, booked.free)
        booked.free = start + booked.step
        wait = float(start - at)
        return wait if wait >= _SHORTEST else 0.0


def _step(limit: RateLimit) -> Fraction:
    """Seconds between two starts, exactly."""
    from fractions import Fraction

    rate = exact(f"the rate of the limit {limit.name!r}", limit.rate)
    per = exact(f"the seconds of the limit {limit.name!r}", limit.per)
    if not rate or not per:
        raise ValueError(f"a rate limit must allow something, in some time: {limit.name!r} has {_shown(limit)}")
    step = Fraction(per) / rate
    try:
        float(step)
    except OverflowError:
        raise ValueError(f"the rate limit {limit.name!r} would never let a second call start: {_shown(limit)}") from None
    return step


def _shown(limit: RateLimit) -> str:
    return f"{limit.rate!r} calls in {limit.per!r} seconds"
