"""What a call is told beyond its arguments: the object that the chaining methods of a LazyResult fill, and their checks.

A plain call has no Policy at all. What is data of it is in ``cascade_vm.policies``; here it is still live: classes, caches, nodes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from cascade_vm.bounded import shown
from cascade_vm.errors import CompileError
from cascade_vm.inputs import MISSING
from cascade_vm.policies import RateLimit, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cascade_compiler.jumping import JumpTable
    from cascade_compiler.lazy import LazyResult


class Condition(msgspec.Struct, frozen=True, gc=False, eq=False):
    """``run_if(test, otherwise=...)``. Of several, the one that was added last is asked first."""

    test: Any
    otherwise: Any = MISSING

    __repr__ = shown


class Policy(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Everything that a call was told. ``errors`` are the classes of ``retry.on``; ``constraints`` are (name, amount), sorted."""

    after: tuple[LazyResult, ...] = ()
    conditions: tuple[Condition, ...] = ()
    retry: Retry | None = None
    errors: tuple[type[BaseException], ...] = ()
    timeout: float | None = None
    cache: Any = None
    constraints: tuple[tuple[str, Any], ...] = ()
    rate: RateLimit | None = None
    jumps: JumpTable | None = None

    __repr__ = shown

    @property
    def is_plain(self) -> bool:
        """Is the call itself made like any other (whatever it comes after, or depends on)?"""
        return self.retry is None and self.timeout is None and self.cache is None and not self.constraints and self.rate is None


NO_POLICY = Policy()


def retried(
    max_attempts: int, delay: float, backoff: float, max_delay: float | None, jitter: float, on: Any, seed: int | None
) -> tuple[Retry, tuple[type[BaseException], ...]]:
    """The retry of ``with_retry``, checked; and its exception classes."""
    if type(max_attempts) is not int or max_attempts < 1:
        raise ValueError(f"with_retry: max_attempts counts all attempts, the first one too: an int of at least 1, not {max_attempts!r}")
    number("with_retry: delay", delay, "seconds")
    number("with_retry: backoff", backoff, "times the last wait")
    if max_delay is not None:
        number("with_retry: max_delay", max_delay, "seconds")
    if number("with_retry: jitter", jitter, "a share of the wait") > 1:
        raise ValueError(f"with_retry: jitter is a share of the wait, from 0 to 1, not {jitter!r}")
    if seed is not None and type(seed) is not int:
        raise TypeError(f"with_retry: seed must be an int, not {type(seed).__name__}")
    errors = tuple(on) if isinstance(on, (tuple, list)) else (on,)
    for error in errors:
        if not (isinstance(error, type) and issubclass(error, BaseException)):
            raise TypeError(f"with_retry: on= takes exception classes, not {error!r}")
        if not issubclass(error, Exception):
            raise ValueError(f"with_retry: {error.__name__} ends a run and is never retried (S16); on= takes subclasses of Exception")
    if not errors:
        raise ValueError("with_retry: on=() would retry nothing")
    names = tuple(f"{error.__module__}:{error.__qualname__}" for error in errors)
    longest = None if max_delay is None else float(max_delay)
    return Retry(max_attempts, float(delay), float(backoff), longest, float(jitter), seed, names), errors


def limited_time(lazy: LazyResult, seconds: float) -> float:
    """The timeout of ``with_timeout``, checked against the task."""
    if not number("with_timeout: seconds", seconds, "seconds"):
        raise ValueError("with_timeout: seconds must be more than 0")
    task: Any = getattr(lazy.task, "task", lazy.task)
    if not task.waits:
        raise CompileError(
            f"{task.label} is synchronous and runs on the caller's thread, where nothing can interrupt it, so a timeout could not hold "
            f"(S17). Make it an `async def`, or give it @task(mode='thread') or @task(mode='process')",
            code="C08",
        )
    return float(seconds)


def constrained(lazy: LazyResult, amounts: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The constraints of ``with_constraints``, beside those that the call has; sorted, so that their order means nothing."""
    if not amounts:
        raise TypeError("with_constraints takes amounts by name: with_constraints(gpu=1)")
    known = dict(lazy.policy.constraints) if lazy.policy is not None else {}
    for name, amount in amounts.items():
        if type(amount) is not type(lazy):
            number(f"with_constraints: {name}", amount, "an amount")
        known[name] = amount
    return tuple(sorted(known.items()))


def rate_limited(name: str, rate: float, per: float) -> RateLimit:
    """The limit of ``with_rate_limit``, checked."""
    if type(name) is not str or not name:
        raise TypeError(f"with_rate_limit: the name of the limit must be a str, not {name!r}")
    for what, value in (("rate", rate), ("per", per)):
        if not number(f"with_rate_limit: {what}", value, "calls" if what == "rate" else "seconds"):
            raise ValueError(f"with_rate_limit: {what} must be more than 0")
    return RateLimit(name, float(rate), float(per))


def cached(policy: Any) -> Any:
    """The cache of ``with_cache``, checked for what the protocol asks for."""
    from cascade_vm.caching import CachePolicy

    if isinstance(policy, type) or not isinstance(policy, CachePolicy):
        raise TypeError(f"with_cache takes a cache: an object with get(key) and put(key, value), such as MemoryCache(); not {policy!r}")
    return policy


def refuse_task(value: Any, what: str) -> None:
    """:raises TypeError: ``value`` is a task, which somebody forgot to call: it would always be true."""
    label = getattr(getattr(value, "task", None), "label", None)
    if callable(value) and label is not None and hasattr(value, "fn"):
        raise TypeError(f"{what} is the task {label} itself, not a call of it: write {getattr(value, '__name__', 'it')}(...)")


def number(what: str, value: Any, unit: str) -> float:
    """``value`` as a finite number that is not negative.

    :raises TypeError, ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} must be a number ({unit}), not {value!r}")
    try:
        as_float = float(value)
    except OverflowError:
        raise ValueError(f"{what} is too large: it must be a number that a float can hold ({unit})") from None
    if not math.isfinite(as_float) or as_float < 0:
        raise ValueError(f"{what} must be a finite number ({unit}), 0 or more, not {value!r}")
    return value


def with_policy(lazy: LazyResult, **changes: Any) -> LazyResult:
    """A new node like ``lazy``, with a changed policy."""
    return type(lazy)(lazy.task, lazy.args, lazy.kwargs, replace(lazy.policy or NO_POLICY, **changes), lazy.code, lazy.lasti)
