"""Events: what happens in a run, told to whoever subscribed.

    with subscribe(print):
        run(target)

Nobody subscribed: nothing is paid. A run that begins while somebody is subscribed is linked anew, with calls that tell (see
instrument.py); its events come in the order in which things happen, on the thread that runs, ``RunFinished`` once and last.
"""

from __future__ import annotations

import itertools
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from time import monotonic
from types import FrameType, TracebackType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import msgspec

from cascade_vm.bounded import shown
from cascade_vm.errors import TargetSkipped
from cascade_vm.notes import short


class Event(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Base of all events. ``run`` is a number, one for each run of this process; ``time`` in seconds, on the clock of the run."""

    run: int
    time: float

    __repr__ = shown


class RunStarted(Event, frozen=True, kw_only=True):
    """A run begins."""


class RunFinished(Event, frozen=True, kw_only=True):
    """A run has ended, after everything else. ``status`` is "returned", "failed", "cancelled" or "skipped"; ``error`` is its exception."""

    status: str
    error: str | None = None


class TaskEvent(Event, frozen=True, kw_only=True):
    """Base of what happens to one call: the task as notes show it, which map item and which attempt it is.

    ``call`` is a number, one for each call of the run: what is told of the same call has the same.
    """

    task: str
    index: int | None = None
    attempt: int = 1
    call: int = 0


class TaskStarted(TaskEvent, frozen=True, kw_only=True):
    """An attempt of a call begins."""


class TaskFinished(TaskEvent, frozen=True, kw_only=True):
    """A call has its value."""


class TaskFailed(TaskEvent, frozen=True, kw_only=True):
    """A call has failed for good."""

    error: str


class TaskRetrying(TaskEvent, frozen=True, kw_only=True):
    """An attempt has failed; the next one begins after ``wait`` seconds."""

    error: str
    wait: float


class TaskSkipped(TaskEvent, frozen=True, kw_only=True):
    """A call is skipped, because of the condition that ``reason`` names."""

    reason: str


class CacheHit(TaskEvent, frozen=True, kw_only=True):
    """A call has its value from a cache, or from the same call that was being made."""


class TaskBlocked(TaskEvent, frozen=True, kw_only=True):
    """A call waits for what ``reason`` names: capacity, or its turn under a rate limit."""

    reason: str


Subscriber = Callable[[Event], object]


class Watcher:
    """A subscriber that takes part in the runs it is told of; what it does not override costs nothing."""

    # A method (run, call, args, kwargs) -> context manager: the function of a call is run in it, in the thread where it runs; that of
    # another process not, but the call is made in it. None: nothing is done.
    around: Callable[[int, int, tuple[Any, ...], dict[str, Any]], AbstractContextManager[object]] | None = None

    def __call__(self, event: Event) -> object:
        """Take an event."""
        raise TypeError(f"{type(self).__name__} takes no events")

    def probe(self, teller: Teller) -> Any:
        """What is to look at the machine of a run while it runs (see probe.py); None for nothing."""
        return None

    def counter(self, teller: Teller) -> Counter | None:
        """What counts the events of a run; the watcher itself is not told of that run.

        No events are made where all count, which is many times cheaper.
        """
        return None


class Mapped:
    """A map begins, of ``task``; ``items`` is how many it has, or None where they cannot be counted ahead."""


class Counter(Protocol):
    """Counts what happens in one run. It must not raise. ``Mapped`` is told to counters alone."""

    def __call__(self, kind: Any, facts: dict[str, Any], /) -> object:
        """Take what would be an event: its kind, and its facts but for run and time."""

    def calls(self, task: str, fn: Callable[..., Any], items: bool) -> Callable[..., Any]:
        """``fn``, which counts its calls itself: where there are only counters, those that are made and end at once are not told.

        :param items: they are those of a map, which tells of one that fails.
        """

SUBSCRIBERS: list[Subscription] = []
_HERE = threading.local()
_RUNS = itertools.count(1)


class Subscription:
    """Ends with its ``with`` block, or with ``close()``. Runs that have begun go on telling."""

    __slots__ = ("_lineno", "_module", "_path", "_registry", "subscriber")

    def __init__(self, subscriber: Subscriber, caller: FrameType) -> None:
        self.subscriber = subscriber
        # What `warnings.warn` would find out for itself, were it called there.
        self._path = caller.f_code.co_filename
        self._lineno = caller.f_lineno
        self._module = caller.f_globals.get("__name__", "<unknown>")
        self._registry = caller.f_globals.setdefault("__warningregistry__", {})

    def close(self) -> None:
        """Runs that begin from now on tell nothing; a second time, nothing happens."""
        if self in SUBSCRIBERS:
            SUBSCRIBERS.remove(self)

    def warn(self, fault: Exception) -> None:
        """Show what the subscriber raised as a warning of the line that subscribed."""
        name = getattr(self.subscriber, "__qualname__", None) or type(self.subscriber).__qualname__
        text = f"a subscriber of events failed: {type(fault).__name__}: {fault} (in {name}, subscribed here)"
        with suppress(Warning):  # where warnings are errors, too, the run goes on
            warnings.warn_explicit(text, RuntimeWarning, self._path, self._lineno, self._module, self._registry)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def subscribe(subscriber: Subscriber, /) -> Subscription:
    """Have ``subscriber`` called with each event of the runs that begin from now on, until the subscription is closed.

    What it raises is shown as a warning of the line that subscribed, and does not touch the run.
    :raises TypeError: it cannot be called.
    """
    if not callable(subscriber):
        raise TypeError(f"subscribe takes a function of one event, not {subscriber!r}")
    made = Subscription(subscriber, sys._getframe(1))
    SUBSCRIBERS.append(made)
    return made


class Teller:
    """Tells the events of one run to those who were subscribed when it began."""

    __slots__ = ("_subscribed", "arounds", "clock", "counters", "counts_only", "latest", "linked", "numbers", "probe", "run")

    def __init__(self, clock: Callable[[], float], subscribed: tuple[Subscription, ...] | None = None) -> None:
        self._subscribed = tuple(SUBSCRIBERS) if subscribed is None else subscribed
        self.run = next(_RUNS)
        self.clock = clock
        self.linked: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # code -> the same with calls that tell
        self.numbers = itertools.count(1)  # of calls
        self.latest = 0  # the call whose beginning was told last
        self.arounds: tuple[Any, ...] = ()
        self.probe: Any = None
        self.counters: tuple[Counter, ...] = ()
        for one in self._subscribed:
            if isinstance(one.subscriber, Watcher):
                if one.subscriber.around is not None:
                    self.arounds += (one.subscriber.around,)
                self.probe = one.subscriber.probe(self) or self.probe
                if (counter := one.subscriber.counter(self)) is not None:
                    self.counters += (counter,)
                    self._subscribed = tuple([other for other in self._subscribed if other is not one])
        self.counts_only = bool(self.counters) and not self._subscribed and not self.arounds and self.probe is None

    def counted(self, task: str, fn: Callable[..., Any], *, items: bool = False) -> Callable[..., Any]:
        """``fn``, whose calls every counter counts."""
        for one in self.counters:
            fn = one.calls(task, fn, items)
        return fn

    def tell(self, kind: Callable[..., Event], **facts: Any) -> None:
        if self.counters:
            for count in self.counters:
                count(kind, facts)
            if not self._subscribed:
                return
        event = kind(run=self.run, time=self.clock(), **facts)
        _HERE.telling = True
        try:
            for one in self._subscribed:
                try:
                    one.subscriber(event)
                except Exception as fault:
                    one.warn(fault)
        finally:
            _HERE.telling = False

    def tell_map(self, task: str, items: int | None) -> None:
        """Tell those who count that a map begins."""
        for count in self.counters:
            count(Mapped, {"task": task, "items": items})

    def finish(self, status: str, failure: BaseException | None = None) -> None:
        """Tell that the run has ended, and with which exception."""
        error = None if failure is None else show_error(failure)
        self.tell(RunFinished, status="skipped" if isinstance(failure, TargetSkipped) else status, error=error)
        self.clock = monotonic  # that of graph mode holds the whole evaluation, which holds this


def show_error(failure: BaseException) -> str:
    """A failure as one line; never raises ``Exception``, whatever the class of the failure does."""
    try:
        text = str(failure)
    except Exception:
        return f"{type(failure).__name__}: <it has no text>"
    return f"{type(failure).__name__}: {short(text)}"


def someone_listens() -> bool:
    """Does a run that begins now have to tell? Not one that a subscriber begins: it would be told of that, and begin another."""
    return bool(SUBSCRIBERS) and not getattr(_HERE, "telling", False)
