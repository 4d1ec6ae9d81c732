"""Graph mode's calls: of a task, plain or under a policy (S16, S17, S19, S22).

A call under a policy goes, in this order, through

    begin         look into its cache, and wait there if another call for the same value is being made; ask for capacity
    next_attempt  book a start under its rate limit, and wait for that
    attempt       the call itself: of a synchronous task in its turn, of another at once
    end           put the value into the cache, give the capacity back; what the call returned is not its business any more

and from a failed attempt back to next_attempt, while its retry allows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs

from cascade_compiler.graph_events import TellingFailure, tell, tell_failed
from cascade_compiler.graph_injection import key_of
from cascade_compiler.jumping import Jump
from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal
from cascade_vm.caching import Hit
from cascade_vm.events import CacheHit, TaskBlocked, TaskFinished, TaskRetrying, TaskStarted, show_error
from cascade_vm.flights import ABOVE, Flight, flight_in, take_off

if TYPE_CHECKING:
    from cascade_compiler.graph_evaluation import Evaluation
    from cascade_compiler.graph_pools import Pools
    from cascade_compiler.graph_steps import Step


def make(run: Evaluation, step: Step) -> None:
    """Make a call whose arguments are there."""
    if not step.policy.is_plain:
        begin(run, step)
    elif step.kind.waits:
        run.put(step, launch, early=True)
    elif run.teller is None:
        run.arrive(step, step.kind.fn(*step.args, **step.kwargs))
    else:
        tell(run, step, TaskStarted)
        with TellingFailure(run, step):
            value = step.kind.fn(*step.args, **step.kwargs)
        _end(run, step, value)


def begin(run: Evaluation, step: Step) -> None:
    """Take the value from the cache, or from the call that is being made for it; else ask for capacity.

    :raises NotCacheable: an argument of which no key can be made. :raises CapacityError: it needs more than there is.
    :raises ValueError: an amount that is no number.
    """
    cache = step.policy.cache
    if cache is not None:
        with TellingFailure(run, step):
            key = key_of(step)
            hit = cache.get(key)
        if hit is not None:
            tell(run, step, CacheHit)
            run.settle(step, hit.value)
            return
        name = (id(cache), key)
        others = run.being_made.get(name)
        if others is not None:
            others.append(step)
            return
        if run.in_loop:
            loop = asyncio.get_running_loop()
            elsewhere = flight_in(loop, name)
            if elsewhere is not None:
                step.flight = _Elsewhere(elsewhere)
                run.put(step, launch, early=True)
                return
            own = take_off(loop, name, cache)
            if own is not None:
                run.flights[name] = own
        step.key = name
        run.being_made[name] = []
    if step.policy.constraints:
        with TellingFailure(run, step):
            granted = run.capacity.request(step, step.amounts)
        if not granted:
            tell(run, step, TaskBlocked, reason=f"capacity: {', '.join(step.amounts)}")
            return
    next_attempt(run, step)


def next_attempt(run: Evaluation, step: Step) -> None:
    step.attempt += 1
    seconds = _until_allowed(run, step)
    if seconds:
        _pause(run, step, seconds, attempt)
    else:
        attempt(run, step)


def attempt(run: Evaluation, step: Step) -> None:
    if step.kind.waits:
        run.put(step, launch, early=True)
    else:
        run.put(step, _call, early=False)


def _call(run: Evaluation, step: Step) -> None:
    """An attempt of a synchronous call, whose turn it is. What is tried again without a wait is tried again at once."""
    while True:
        tell(run, step, TaskStarted)
        try:
            value = step.kind.fn(*step.args, **step.kwargs)
        except BaseException as failure:
            seconds = _before_retry(run, step, failure)
            if seconds is None:
                raise
        else:
            _end(run, step, value)
            return
        if seconds:
            _pause(run, step, seconds, next_attempt)
            return
        step.attempt += 1
        seconds = _until_allowed(run, step)
        if seconds:
            _pause(run, step, seconds, attempt)
            return


def land(run: Evaluation, step: Step, value: Any, failure: BaseException | None) -> None:
    """What was in flight for ``step`` has ended.

    :raises BaseException: ``failure``, if the call is not tried again.
    """
    if step.flight is not None:
        step.flight.land(run, step, value, failure)
    elif step.pause:
        step.pause, then, step.then = 0.0, step.then, None
        assert then is not None
        then(run, step)
    elif failure is None:
        _end(run, step, value)
    else:
        seconds = _before_retry(run, step, failure)
        if seconds is None:
            raise failure
        if seconds:
            _pause(run, step, seconds, next_attempt)
        else:
            next_attempt(run, step)


def _end(run: Evaluation, step: Step, value: Any) -> None:
    policy = step.policy
    tell(run, step, TaskFinished)
    if step.key is not None:
        is_value = type(value) not in (LazyResult, Literal, Jump)
        if is_value:
            policy.cache.put(step.key[1], value)
        for other in run.being_made.pop(step.key):
            if is_value:
                other.value = value
            run.put(other, _take_known if is_value else begin, early=True)
        flight = run.flights.pop(step.key, None)
        if flight is not None:
            flight.land(Hit(value) if is_value else None)
        step.key = None
    if policy.constraints:
        for other in run.capacity.release(step):
            run.put(other, next_attempt, early=True)
    run.arrive(step, value)


@attrs.define(eq=False)
class _Elsewhere:
    """A step waits for the same call in another run of this event loop."""

    flight: Flight

    async def fly(self) -> Any:
        return await self.flight.landing()

    def land(self, run: Evaluation, step: Step, value: Any, failure: BaseException | None) -> None:
        step.flight = None
        if failure is not None:
            raise failure
        if value is None:
            begin(run, step)
        else:
            tell(run, step, CacheHit)
            run.settle(step, value.value)

    def came_late(self, run: Evaluation, failure: BaseException | None) -> BaseException | None:
        return failure


def _take_known(run: Evaluation, step: Step) -> None:
    tell(run, step, CacheHit)
    run.settle(step, step.value)


def _before_retry(run: Evaluation, step: Step, failure: BaseException) -> float | None:
    """Seconds to wait before the next attempt; None if there is none."""
    retry = step.policy.retry
    is_last = retry is None or step.attempt >= retry.max_attempts or isinstance(failure, asyncio.CancelledError)
    if is_last or not isinstance(failure, step.policy.errors):
        tell_failed(run, step, failure)
        return None
    assert retry is not None
    seconds = retry.wait(step.attempt, step.index)
    if run.teller is not None:
        tell(run, step, TaskRetrying, error=show_error(failure), wait=seconds)
    return seconds


def _until_allowed(run: Evaluation, step: Step) -> float:
    """Seconds to wait for the start that is booked under its rate limit."""
    rate = step.policy.rate
    if rate is None:
        return 0.0
    with TellingFailure(run, step):
        seconds = run.rates.book(rate, run.clock())
    if seconds:
        tell(run, step, TaskBlocked, reason=f"rate limit: {rate.name}")
    return seconds


def _pause(run: Evaluation, step: Step, seconds: float, then: Any) -> None:
    step.pause, step.then = seconds, then
    run.put(step, launch, early=True)


# --- in flight --------------------------------------------------------------------------------------------------------


def launch(run: Evaluation, step: Step) -> None:
    """Put into flight what ``step`` waits for. Needs an event loop."""
    run.in_flight[step] = asyncio.create_task(_fly(run, step), name=None if step.kind is None else step.kind.label)


async def _fly(run: Evaluation, step: Step) -> None:
    if not step.pause and step.flight is None:
        tell(run, step, TaskStarted)
        if step.key in run.flights:
            ABOVE.set((*ABOVE.get(), run.flights[step.key]))
    run.completed.append((step, *await _within_time(run.pools, step)))
    run.woken.set()


async def _within_time(pools: Pools, step: Step) -> tuple[Any, BaseException | None]:
    if step.policy.timeout is None or step.pause or step.flight is not None:
        return await _outcome(pools, step)
    seconds = step.policy.timeout
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            value, failure = await _outcome(pools, step)
            if isinstance(failure, asyncio.CancelledError) and limit.expired():
                raise failure  # the limit's own cancellation, of which it makes a TimeoutError
            return value, failure
    except TimeoutError:
        return None, TimeoutError(f"{step.kind.label} took longer than {seconds:g} seconds")
    except asyncio.CancelledError as cancelled:  # by the run too, at the same time
        return None, cancelled


async def _outcome(pools: Pools, step: Step) -> tuple[Any, BaseException | None]:
    """(value, failure), as data: KeyboardInterrupt would stop the loop itself, and no coroutine can raise StopIteration."""
    try:
        if step.flight is not None:
            return await step.flight.fly(), None
        if step.pause:
            await asyncio.sleep(step.pause)
            return None, None
        if step.kind.is_async:
            return await step.kind.fn(*step.args, **step.kwargs), None
        return await pools.call(step.kind, step.args, step.kwargs)
    except BaseException as failure:
        return None, failure
