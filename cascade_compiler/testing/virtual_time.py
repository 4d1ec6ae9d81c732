"""An event loop whose clock is virtual: waiting costs nothing, and a schedule can be chosen by seed.

``VirtualTimeLoop`` runs real asyncio code: tasks, futures, timers, sockets, ``run_in_executor``. Only the clock differs.
When nothing is ready the clock jumps to the next timer, so a test of ten retries with back-off takes a millisecond, and
``loop.time()`` tells exactly how long the code *would* have waited.

What it does when nothing is ready, in this order:

1. a thread started with ``run_in_executor`` (``asyncio.to_thread``) or registered I/O is pending: wait for it in real time,
   at most ``patience`` seconds. Work in threads takes no virtual time;
2. a timer is pending: jump to it. Cancelled timers do not count and never move the clock;
3. otherwise nothing can ever happen again: raise ``Deadlock``, naming every task and the line it waits at, where a real
   loop would hang.

With ``seed``, events of the same iteration are delivered in an order drawn from the seed: timers of one instant (their order is
undefined, says asyncio's documentation), neighbouring tasks that start, neighbouring tasks whose future is done. Code that
depends on the order of simultaneous completions fails under some seed, and does so again under the same seed. All other
callbacks keep their places, as transports rely on them.

To run a coroutine on this loop, see ``run_virtual``.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple
from weakref import WeakSet

from cascade_vm.errors import CascadeError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor


T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualTimeError(CascadeError):
    """A run in virtual time cannot go on, or did not end cleanly."""


class Deadlock(VirtualTimeError):
    """Nothing is ready, and no timer, thread or I/O is pending: what the tasks wait for can never come."""


class OutOfBudget(VirtualTimeError):
    """The loop made more iterations than allowed: the code under test probably spins."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector event loop with a virtual clock that starts at 0.

    :param seed: deliver simultaneous events in an order drawn from it; None keeps asyncio's own order.
    :param budget: iterations of the loop after which ``OutOfBudget`` is raised.
    :param patience: real seconds to wait for a thread or for I/O before time moves on without it.
    """

    if TYPE_CHECKING:  # what asyncio's BaseEventLoop has, but typeshed does not show
        _ready: deque[asyncio.Handle]
        _scheduled: list[asyncio.TimerHandle]
        _stopping: bool
        _timer_cancelled_count: int
        _clock_resolution: float
        _selector: Any

        def _process_events(self, event_list: Any) -> None: ...

    def __init__(self, *, seed: int | None = None, budget: int = 100_000, patience: float = 5.0) -> None:
        super().__init__()
        self.iterations = 0
        self._now = 0.0
        self._random = None if seed is None else Random(seed)
        self._budget = budget
        self._patience = patience
        self._jobs: set[asyncio.Future[Any]] = set()
        self._made: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.virtual_jobs = 0  # those of a VirtualPool, which a timer ends
        self._hooks: dict[int, Callable[[], object]] = {}
        self._clock_resolution = 0.0  # the clock stands exactly on the timer that it jumped to
        self._own_io = len(self._selector.get_map())  # the pipe with which threads wake the loop

    def time(self) -> float:
        """The virtual time, in seconds since the loop was made."""
        return self._now

    def call_at_iteration(self, number: int, callback: Callable[[], object]) -> None:
        """Call ``callback`` at the start of iteration ``number``, counted from 1: a way to interfere at every possible moment."""
        self._hooks[number] = callback

    def refill(self, budget: int) -> None:
        """Allow ``budget`` iterations from here on."""
        self._budget = self.iterations + budget

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        job = super().run_in_executor(executor, func, *args)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    def create_task(self, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:  # type: ignore[override]
        task: asyncio.Task[T] = super().create_task(coro, **options)
        self._made.add(task)
        return task

    def close(self) -> None:
        """Close the loop. Its tasks that are done are forgotten, too.

        asyncio looks for the tasks of one loop among those of all, and one that has failed stays among them as long as somebody has
        its exception: after thousands of tests they are hundreds.
        """
        super().close()
        for task in list(self._made):
            if task.done():
                asyncio._unregister_task(task)
        self._made.clear()

    def leaks(self) -> tuple[str, ...]:
        """What would outlive the code that runs now: other tasks that are not done, timers that still tick, running threads."""
        current = asyncio.current_task(self) if self.is_running() else None
        tasks = sorted((t for t in asyncio.all_tasks(self) if t is not current), key=lambda t: t.get_name())
        timers = sorted(handle.when() for handle in self._scheduled if not handle.cancelled())
        jobs = sum(not job.done() for job in self._jobs)
        found = [f"task {_where(task)}" for task in tasks]
        found += [f"timer due at {when:g}" for when in timers]
        return (*found, *([f"{jobs} running in threads"] if jobs else []))

    # --- one iteration --------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        self.iterations += 1
        if self.iterations > self._budget:
            raise OutOfBudget(
                f"{self._budget} iterations of the event loop at virtual time {self._now:g} and no end: something spins "
                f"(a loop around `await asyncio.sleep(0)`?). If the code needs them, give a larger budget.{self._waiting()}"
            )
        if hook := self._hooks.pop(self.iterations, None):
            hook()
        self._collect_due_timers()
        if not self._ready and not self._stopping:
            self._wait_or_jump()
        if self._random is not None and len(self._ready) > 1:
            self._shuffle(self._random)
        super()._run_once()  # type: ignore[misc]

    def _wait_or_jump(self) -> None:
        in_threads = sum(not job.done() for job in self._jobs) > self.virtual_jobs
        pending = in_threads or len(self._selector.get_map()) > self._own_io
        self._process_events(self._selector.select(self._patience if pending else 0))
        if self._ready:
            return
        if self._scheduled:
            self._now = max(self._now, self._scheduled[0].when())
            self._collect_due_timers()
        elif pending:
            raise Deadlock(f"a thread or I/O has not answered within {self._patience:g} real seconds{self._waiting()}")
        else:
            raise Deadlock(
                f"deadlock at virtual time {self._now:g}: nothing is ready, and no timer, thread or I/O is pending, so what "
                f"is waited for can never come{self._waiting()}"
            )

    def _collect_due_timers(self) -> None:
        """Move what is due to the ready queue; drop cancelled timers from the head, as asyncio itself does."""
        timers = self._scheduled
        while timers and (timers[0].cancelled() or timers[0].when() <= self._now):
            handle = heapq.heappop(timers)
            handle._scheduled = False  # type: ignore[attr-defined]
            if handle.cancelled():
                self._timer_cancelled_count -= 1
            else:
                self._ready.append(handle)

    def _shuffle(self, random: Random) -> None:
        """Shuffle each group of neighbours of one kind. What was to come after all of a group still does."""
        shuffled: list[asyncio.Handle] = []
        for kind, neighbours in groupby(list(self._ready), _event):
            group = list(neighbours)
            shuffled += random.sample(group, len(group)) if kind is not None else group
        self._ready.clear()
        self._ready.extend(shuffled)

    def _waiting(self) -> str:
        lines = sorted(f"\n  {_where(task)}" for task in asyncio.all_tasks(self))
        return "".join(lines[:20]) + (f"\n  ... and {len(lines) - 20} more" if len(lines) > 20 else "")


def _event(handle: asyncio.Handle) -> str | None:
    """What kind of event a callback delivers; None for all whose place must not change."""
    if isinstance(handle, asyncio.TimerHandle):
        return "timer"
    callback = getattr(handle, "_callback", None)
    task = getattr(callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return None
    if "wakeup" in getattr(callback, "__name__", ""):
        return "wake-up"
    coroutine = task.get_coro()  # a further step of a task (after sleep(0)) is none: only its own turn has come
    return "start" if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED else None


def _where(task: asyncio.Task[Any]) -> str:
    """A task by name, with the innermost line that it waits at."""
    inner: Any = task.get_coro()
    name = getattr(inner, "__qualname__", type(inner).__name__)
    frame = getattr(inner, "cr_frame", None)
    while (deeper := getattr(inner, "cr_await", None)) is not None and getattr(deeper, "cr_frame", None) is not None:
        inner, frame = deeper, deeper.cr_frame
    at = f", waiting at {frame.f_code.co_name}:{frame.f_lineno}" if frame is not None else ""
    return f"{task.get_name()} ({name}{at})"
