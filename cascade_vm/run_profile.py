"""What one run did with its time: made of its events, and of what its probe saw of the machine.

A call is at any moment in one phase: it runs, or it is held up by capacity, by a rate limit, or between two attempts. What a call did
while it ran is its own time; the rest of that is waiting, too: ``queued`` (for a thread of the pool, or for the loop to come to it),
``suspended`` (a coroutine that awaits something, or a result that has not been fetched), or ``in a process`` (nothing is known of what it
does there). Graph mode tells events, and nothing of how calls run: its time is ``not told apart``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cascade_vm.events import (
    CacheHit,
    Event,
    RunFinished,
    RunStarted,
    TaskBlocked,
    TaskEvent,
    TaskFailed,
    TaskFinished,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
)
from cascade_vm.probe import Called, Level, Probe

SUSPENDED, QUEUED, CAPACITY, RATE, BACK_OFF = "suspended", "queued", "capacity", "rate limit", "back-off"
PROCESS, UNKNOWN = "in a process", "not told apart"
WAITS = (SUSPENDED, QUEUED, CAPACITY, RATE, BACK_OFF, PROCESS, UNKNOWN)


class Span(msgspec.Struct, frozen=True, gc=False):
    """A phase of a call. ``kind`` is "run" for an attempt, else what it waited for, or, without a length, what happened to it. Times in
    seconds, on the clock of the run; ``outcome`` is "finished", "failed", "retried" or "" for a phase that simply ended."""

    call: int
    task: str
    index: int | None
    attempt: int
    kind: str
    begin: float
    end: float
    outcome: str = ""
    error: str | None = None
    mode: str = ""  # "inline", "async", "thread", "process"; "" where it is not known: graph mode does not say
    detail: str = ""
    last: bool = False  # is it the last of its call?


class TaskFigures:
    """What is known of a task, over all of its calls. Times in seconds."""

    __slots__ = ("calls", "failed", "finished", "hits", "longest", "own", "retries", "skipped", "task", "total", "waiting")

    def __init__(self, task: str) -> None:
        self.task = task
        self.calls = self.finished = self.failed = self.retries = self.hits = self.skipped = 0
        self.own = self.total = self.longest = 0.0
        self.waiting: dict[str, float] = {}

    def add(self, other: TaskFigures) -> None:
        """Count what ``other`` counts as well."""
        for name in ("calls", "finished", "failed", "retries", "hits", "skipped", "own", "total"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest = max(self.longest, other.longest)
        for kind, seconds in other.waiting.items():
            self.waiting[kind] = self.waiting.get(kind, 0.0) + seconds


class _Open:
    """A call that has not ended: its phase, and since when that is."""

    __slots__ = ("began", "detail", "kind", "since")

    def __init__(self, time: float) -> None:
        self.began = self.since = time
        self.kind = ""
        self.detail = ""


class RunProfile:
    """Of one run. It grows while that goes on."""

    def __init__(self, run: int, probe: Probe | None, most_spans: int) -> None:
        self.run = run
        self.probe = probe
        self.began = self.ended = 0.0
        self.status = "running"
        self.error: str | None = None
        self.tasks: dict[str, TaskFigures] = {}
        self.spans: list[Span] = []
        self.dropped = 0  # spans beyond the bound
        self.events = 0
        self.inline = 0.0  # seconds that synchronous calls took
        self._most = most_spans
        self._open: dict[int, _Open] = {}
        self._root: Level | None = None

    @property
    def seconds(self) -> float:
        """How long it took, to its last event."""
        return self.ended - self.began

    def __repr__(self) -> str:
        calls = sum(one.calls for one in list(self.tasks.values()))
        return f"<RunProfile of run {self.run}: {self.status}, {calls:,} call{'s' * (calls != 1)}, {self.seconds:.6g} s>"

    @property
    def root(self) -> Level:
        """The lowest level of its stacks."""
        found = self.probe.root if self.probe is not None else self._root
        if found is None:
            found = self._root = self._root or Level("run", None)
        return found

    def take(self, event: Event) -> None:
        """Count an event."""
        self.events += 1
        if isinstance(event, RunStarted):
            self.began = event.time
        self.ended = event.time
        handle = _HANDLERS.get(type(event))
        if handle is not None:
            handle(self, event)

    def _figures(self, event: TaskEvent) -> TaskFigures:
        found = self.tasks.get(event.task)
        if found is None:
            found = self.tasks[event.task] = TaskFigures(event.task)
        return found

    def _called(self, event: TaskEvent) -> Called | None:
        return self.probe.called.get(event.call) if self.probe is not None else None

    def _level(self, event: TaskEvent, called: Called | None) -> Level:
        return called.level if called is not None else self.root.level(event.task)

    def _of(self, event: TaskEvent) -> _Open:
        found = self._open.get(event.call)
        if found is None:
            found = self._open[event.call] = _Open(event.time)
            self._figures(event).calls += 1
            self._level(event, self._called(event)).calls += 1
        return found

    def _span(self, event: TaskEvent, kind: str, begin: float, **more: Any) -> None:
        if len(self.spans) >= self._most:
            self.dropped += 1
            return
        called = self._called(event)
        mode = called.mode if called is not None else ""
        self.spans.append(Span(event.call, event.task, event.index, event.attempt, kind, begin, event.time, mode=mode, **more))

    def _wait(self, event: TaskEvent, kind: str, seconds: float) -> None:
        """So long a call waited."""
        if seconds <= 0:
            return
        called = self._called(event)
        level = self._level(event, called)
        level.waiting[kind] = level.waiting.get(kind, 0.0) + seconds
        waiting = self._figures(event).waiting
        waiting[kind] = waiting.get(kind, 0.0) + seconds
        if called is not None:
            called.figures.waiting += seconds

    def _close(self, event: TaskEvent, one: _Open, outcome: str = "", last: bool = False) -> None:
        """The phase of a call ends."""
        seconds = event.time - one.since
        error = getattr(event, "error", None)
        if one.kind == "run":
            self._span(event, "run", one.since, outcome=outcome, error=error, last=last)
            self._ran(event, seconds, one.since)
        elif one.kind:
            self._span(event, one.kind, one.since, outcome=outcome, error=error, detail=one.detail, last=last)
            self._wait(event, one.kind, seconds)

    def _ran(self, event: TaskEvent, seconds: float, since: float) -> None:
        """An attempt took so long."""
        called = self._called(event)
        own = 0.0
        if called is None:
            self._wait(event, UNKNOWN, seconds)
            return
        if called.mode == "inline":
            own = seconds
            assert self.probe is not None
            self.probe.inner += seconds
            self.inline += seconds
        elif called.mode == "process":
            self._wait(event, PROCESS, seconds)
        else:
            own = min(called.own, seconds)
            queued = 0.0
            if called.began is not None:
                queued = max(called.began - since, 0.0)
                self._wait(event, QUEUED, queued)
            elif called.mode == "thread":
                queued = seconds - own
                self._wait(event, QUEUED, queued)
            self._wait(event, SUSPENDED, seconds - own - queued)
            called.own, called.began = 0.0, None
        called.level.own += own
        called.figures.own += own
        self._figures(event).own += own

    def _end(self, event: TaskEvent, outcome: str) -> None:
        one = self._of(event)
        figures = self._figures(event)
        self._close(event, one, outcome, last=True)
        if outcome == "finished":
            figures.finished += 1
        else:
            figures.failed += 1
        total = event.time - one.began
        figures.total += total
        figures.longest = max(figures.longest, total)
        self._forget(event)

    def _forget(self, event: TaskEvent) -> None:
        self._open.pop(event.call, None)
        if self.probe is not None:
            self.probe.called.pop(event.call, None)

    # --- events -----------------------------------------------------------------------------------------------------------

    def _started(self, event: TaskStarted) -> None:
        one = self._of(event)
        self._close(event, one)
        one.kind, one.since = "run", event.time

    def _finished(self, event: TaskFinished) -> None:
        self._end(event, "finished")

    def _failed(self, event: TaskFailed) -> None:
        self._end(event, "failed")

    def _retrying(self, event: TaskRetrying) -> None:
        one = self._of(event)
        self._close(event, one, "retried")
        self._figures(event).retries += 1
        self._span(event, "retry", event.time, error=event.error)
        one.kind, one.since, one.detail = BACK_OFF, event.time, event.error

    def _blocked(self, event: TaskBlocked) -> None:
        one = self._of(event)
        self._close(event, one)
        one.kind, _, one.detail = event.reason.partition(": ")
        one.since = event.time

    def _hit(self, event: CacheHit) -> None:
        self._of(event)
        self._figures(event).hits += 1
        self._span(event, "cache hit", event.time, last=True)
        self._forget(event)

    def _skipped(self, event: TaskSkipped) -> None:
        self._figures(event).skipped += 1
        self._span(event, "skipped", event.time, detail=event.reason, last=True)
        self._forget(event)

    def _over(self, event: RunFinished) -> None:
        self.status, self.error = event.status, event.error
        if self.probe is not None:
            self.probe.over()


_HANDLERS: dict[type, Callable[[RunProfile, Any], None]] = {
    TaskStarted: RunProfile._started,
    TaskFinished: RunProfile._finished,
    TaskFailed: RunProfile._failed,
    TaskRetrying: RunProfile._retrying,
    TaskBlocked: RunProfile._blocked,
    CacheHit: RunProfile._hit,
    TaskSkipped: RunProfile._skipped,
    RunFinished: RunProfile._over,
}
