"""What a call can be told beyond its arguments, as data: part of a blueprint, and of the shape of a graph (S27).

What is no data (the exception classes of a retry, a cache) stands beside it in a ``LivePolicy``, as functions stand beside symbols.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from cascade_vm.bounded import shown


class Retry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How often a call is tried, and how long is waited between two attempts (S16).

    Before attempt n + 1 the wait is ``delay * backoff ** (n - 1)`` seconds, at most ``max_delay``, then varied by up to ``jitter`` of
    itself in both directions. ``on`` names exception classes, ``module:qualname``.
    """

    max_attempts: int
    delay: float = 0.0
    backoff: float = 1.0
    max_delay: float | None = None
    jitter: float = 0.0
    seed: int | None = None
    on: tuple[str, ...] = ("builtins:Exception",)

    __repr__ = shown

    def wait(self, attempt: int, index: int | None = None) -> float:
        """Seconds to wait after attempt number ``attempt`` (from 1) has failed; ``index`` is the map item's, if it is one.

        With a seed the jitter of each wait is fixed, and differs from item to item and from attempt to attempt.
        """
        if not self.delay:
            return 0.0
        longest = float("inf") if self.max_delay is None else self.max_delay
        try:
            wait = min(self.delay * self.backoff ** (attempt - 1), longest)
        except OverflowError:
            wait = longest
        if self.jitter:
            source = random.random() if self.seed is None else random.Random(f"{self.seed}/{index}/{attempt}").random()
            wait *= 1 + self.jitter * (2 * source - 1)
        return wait

    @property
    def waits(self) -> bool:
        """Can there be a wait between two attempts?"""
        return self.max_attempts > 1 and self.delay > 0


class RateLimit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """At most ``rate`` calls start in each ``per`` seconds, evenly spaced; calls that name the same limit share it (S22)."""

    name: str
    rate: float
    per: float = 1.0

    __repr__ = shown


class CallPolicy(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All that one call is told. An amount of None in ``constraints`` is dynamic: an operand of the instruction gives it."""

    retry: Retry | None = None
    timeout: float | None = None
    cache: str | None = None  # the name of a cache, or of its class, "module:qualname"; see LivePolicy
    constraints: tuple[tuple[str, float | None], ...] = ()
    rate: RateLimit | None = None

    __repr__ = shown

    @property
    def dynamic(self) -> int:
        """How many amounts come as operands."""
        return sum(amount is None for _, amount in self.constraints)


class LivePolicy:
    """What of a policy only a process knows: the exception classes that are retried, and the cache."""

    __slots__ = ("cache", "errors")

    def __init__(self, errors: tuple[type[BaseException], ...] = (Exception,), cache: Any = None) -> None:
        self.errors = errors
        self.cache = cache
