"""Running a coroutine in virtual time, and holding it to leave nothing behind.

>>> import asyncio
>>> async def patient():
...     await asyncio.sleep(3600)
...     return "done"
>>> run = run_virtual(patient)
>>> run.value, run.elapsed
('done', 3600.0)
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cascade_compiler.testing.virtual_time import VirtualTimeError, VirtualTimeLoop

T = TypeVar("T")
Main = Callable[[], Awaitable[T]] | Coroutine[Any, Any, T]

_CLEANUP_BUDGET = 10_000


class Leak(VirtualTimeError):
    """The code ended, but tasks, timers or threads that it started are still there."""


@dataclass(frozen=True)
class VirtualRun(Generic[T]):
    """How a run in virtual time went.

    ``elapsed`` is in virtual seconds; ``leaks`` says what was left in the loop at the moment in which the code ended;
    ``iterations`` is how often the loop turned until then. Exactly one of ``value`` and ``error`` is there.
    """

    elapsed: float
    leaks: tuple[str, ...]
    iterations: int
    error: BaseException | None
    _value: T | None

    @property
    def value(self) -> T:
        """What the code returned.

        :raises BaseException: what the code raised, if it did.
        """
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]


def run_virtual(main: Main[T], *, seed: int | None = None, budget: int = 100_000, patience: float = 5.0) -> VirtualRun[T]:
    """Run ``main`` to its end in virtual time; ``.value`` and ``.elapsed`` of what comes back are the outcome.

    :param main: a coroutine, or a function without parameters that gives one.
    :param seed: deliver simultaneous completions in an order drawn from it; None keeps asyncio's order.
    :param budget: iterations of the loop after which the run is given up with ``OutOfBudget``.
    :param patience: real seconds to wait for threads and I/O before time moves on without them.
    :raises BaseException: what ``main`` raised.
    :raises Deadlock: nothing can happen any more, and ``main`` has not ended.
    :raises Leak: ``main`` ended, and left tasks, timers or threads behind.
    """
    run = capture_virtual(main, seed=seed, budget=budget, patience=patience)
    if run.error is not None:
        raise run.error
    if run.leaks:
        raise Leak("left in the event loop when the code had ended:" + "".join(f"\n  {leak}" for leak in run.leaks))
    return run


def capture_virtual(
    main: Main[T],
    *,
    seed: int | None = None,
    budget: int = 100_000,
    patience: float = 5.0,
    cancel_at: int | None = None,
) -> VirtualRun[T]:
    """Like ``run_virtual``, but what ``main`` raises and what it leaks are told, not raised.

    :param cancel_at: cancel ``main`` at this iteration of the loop, counted from 1, if it has not ended by then. Counting up
        from 1 until ``iterations`` is less than ``cancel_at`` cancels at every moment at which the run can be cancelled.
    """
    _refuse_running_loop(main)
    loop = VirtualTimeLoop(seed=seed, budget=budget, patience=patience)
    at_end: list[Any] = []

    async def watched() -> T:
        try:
            return await (main if inspect.isawaitable(main) else main())
        finally:
            at_end.extend((loop.time(), loop.leaks(), loop.iterations))

    error: BaseException | None = None
    value: T | None = None
    task = loop.create_task(watched(), name="main")
    if cancel_at is not None:
        loop.call_at_iteration(cancel_at, lambda: task.done() or task.cancel())
    try:
        value = loop.run_until_complete(task)
    except (KeyboardInterrupt, SystemExit) as raised:
        if not (task.done() and not task.cancelled() and task.exception() is raised):
            raise
        error = raised
    except BaseException as raised:
        error = raised
        if not at_end:  # Deadlock or OutOfBudget: main has not ended
            at_end.extend((loop.time(), (), loop.iterations))
    finally:
        _close(loop)
        if inspect.iscoroutine(main) and inspect.getcoroutinestate(main) == inspect.CORO_CREATED:
            main.close()  # cancelled before its first step
    elapsed, leaks, iterations = at_end[:3]
    return VirtualRun(elapsed, leaks, iterations, error, value)


def _refuse_running_loop(main: Main[Any]) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if inspect.iscoroutine(main):
        main.close()
    raise VirtualTimeError(
        "a run in virtual time has a loop of its own, but "
        "this thread's event loop is running: call it from a plain def"
    )


def _close(loop: VirtualTimeLoop) -> None:
    """Cancel what is left, let it end within a bounded number of iterations, and close the loop."""
    try:
        for _ in range(3):  # what swallows a cancellation gets another one, and is then abandoned
            left = asyncio.all_tasks(loop)
            if not left:
                break
            for task in left:
                task.cancel()
            loop.refill(_CLEANUP_BUDGET)
            try:
                loop.run_until_complete(asyncio.wait(left))
            except VirtualTimeError:
                continue
            for task in left:
                if not task.cancelled():
                    task.exception()  # retrieved: asyncio shall not log it
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.refill(_CLEANUP_BUDGET)
        loop.run_until_complete(loop.shutdown_asyncgens())
    except VirtualTimeError:
        return
    finally:
        loop.close()
