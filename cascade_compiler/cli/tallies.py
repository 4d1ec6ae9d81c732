"""What the runs of a command are doing, counted by task: for whoever shows it while they go on.

Nothing is kept of a call that has ended but that it has. A run counts on its own thread; who looks at the figures from another sees them as
they are at that moment, perhaps in the middle of a change.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_vm.events import (
    CacheHit,
    Mapped,
    RunFinished,
    TaskBlocked,
    TaskFailed,
    TaskFinished,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
    Watcher,
    show_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cascade_vm.events import Teller

_MOST_STOPPED = 1_000  # calls that are remembered by name when they are cancelled
_BACK_OFF = "a retry"


class Call(NamedTuple):
    """A call that has begun, or waits; ``reason`` says for what it waits, and is "" while it runs."""

    task: str
    item: int | None
    reason: str


class Line:
    """Calls that are made and end at once, counted where they are made: how many have begun, and how many of these have ended."""

    __slots__ = ("begun", "ended", "items")

    def __init__(self, items: bool) -> None:
        self.begun = 0
        self.ended = 0
        self.items = items  # are they those of a map?


class Tally:
    """Of one task: how many of its calls are where. Those in ``lines`` are beside the other figures, until it is added to another."""

    __slots__ = (
        "cancelled", "done", "failed", "hits", "items", "items_done", "lines", "retries", "running", "skipped", "task", "waiting",
    )  # fmt: skip

    def __init__(self, task: str) -> None:
        self.task = task
        self.running = 0
        self.done = 0  # also those whose value came from a cache
        self.failed = 0
        self.cancelled = 0
        self.skipped = 0
        self.hits = 0
        self.retries = 0
        self.items: int | None = 0  # of its maps; None where one of them cannot be counted ahead
        self.items_done = 0
        self.waiting: dict[str, int] = {}  # by reason
        self.lines: list[Line] = []

    @property
    def waits(self) -> int:
        return sum(list(self.waiting.values()))

    def add(self, other: Tally) -> None:
        """Add the figures of another run."""
        for name in ("cancelled", "done", "failed", "hits", "items_done", "retries", "running", "skipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.items = None if self.items is None or other.items is None else self.items + other.items
        for reason, count in list(other.waiting.items()):
            self.waiting[reason] = self.waiting.get(reason, 0) + count
        for line in list(other.lines):
            ended = line.ended  # read first: what ends meanwhile is not yet seen to have begun, either
            self.running += max(line.begun - ended, 0)
            self.done += ended
            self.items_done += ended if line.items else 0

    @property
    def is_seen(self) -> bool:
        """Has any of its calls begun, or been skipped?"""
        return not self.lines or any(line.begun for line in self.lines) or any(
            (self.done, self.failed, self.cancelled, self.skipped, self.running, self.retries, self.items != 0, self.waiting)
        )


class Tallies(Watcher):
    """A subscriber that counts: see the module."""

    def __init__(self) -> None:
        self.stopped: list[Call] = []  # what was cancelled or interrupted while it ran or waited, as far as it is remembered
        self._ended: dict[str, Tally] = {}  # of runs that have ended
        self._runs: dict[int, _Run] = {}
        self._lock = threading.Lock()

    def counter(self, teller: Teller) -> _Run:
        """Counts what happens in one run."""
        run = _Run(self.stopped)
        with self._lock:
            self._runs[teller.run] = run

        def ended() -> None:
            with self._lock:
                self._runs.pop(teller.run, None)
                for one in run.tallies.values():
                    if not one.is_seen:
                        continue
                    self._ended.setdefault(one.task, Tally(one.task)).add(one)

        run.ended = ended
        return run

    def by_task(self) -> list[Tally]:
        """The figures of each task that has been seen, in the order in which they were seen first."""
        found: dict[str, Tally] = {}
        with self._lock:
            for tallies in (self._ended, *(run.tallies for run in self._runs.values())):
                for name, one in list(tallies.items()):
                    if one.is_seen:
                        found.setdefault(name, Tally(name)).add(one)
        return list(found.values())

    def in_progress(self) -> list[Call]:
        """The calls that run or wait now."""
        with self._lock:
            runs = list(self._runs.values())
        return [call for run in runs for call in run.in_progress()]


class _Run:
    """One run: its tallies, and its calls that have begun or wait, by number."""

    def __init__(self, stopped: list[Call]) -> None:
        self.tallies: dict[str, Tally] = {}
        self.running: dict[int, tuple[Tally, int | None]] = {}  # no Call: one is begun and ended with every turn of a loop
        self.waiting: dict[int, Call] = {}
        self.stopped = stopped
        self.ended: Callable[[], None] = lambda: None

    def calls(self, task: str, fn: Callable[..., Any], items: bool) -> Callable[..., Any]:
        """``fn``, with its calls counted: by two additions, since a call may be shorter than being told of one."""
        line = Line(items)
        self._of({"task": task}).lines.append(line)

        def counted(*args: Any, **kwargs: Any) -> Any:
            line.begun += 1
            try:
                value = fn(*args, **kwargs)
            except BaseException as failure:
                line.begun -= 1
                if not items:
                    self._failed({"task": task, "call": 0, "error": show_error(failure)})
                raise
            line.ended += 1
            return value

        return counted

    def __call__(self, kind: Any, facts: Mapping[str, Any]) -> None:
        """Take what is told."""
        if kind is TaskStarted:
            name = facts["task"]
            tally = self.tallies.get(name) or self._tally(name)
            call = facts["call"]
            if self.waiting:
                self._leave(call)
            self.running[call] = tally, facts.get("index")
            tally.running += 1
        elif kind is TaskFinished:
            begun = self.running.pop(facts["call"], None)
            if begun is not None:
                tally, item = begun
                tally.running -= 1
            else:
                tally, item = self._of(facts), facts.get("index")
            tally.done += 1
            if item is not None:
                tally.items_done += 1
        else:
            told = _OTHERS.get(kind)
            if told is not None:
                told(self, facts)

    def in_progress(self) -> list[Call]:
        """The calls that run or wait."""
        told = [Call(tally.task, item, "") for tally, item in list(self.running.values())]
        lines = [(tally.task, line) for tally in list(self.tallies.values()) for line in list(tally.lines)]
        counted = [Call(task, None, "") for task, line in lines for _ in range(line.begun - line.ended)]
        return [*told, *counted, *list(self.waiting.values())]

    def _tally(self, name: str) -> Tally:
        made = self.tallies[name] = Tally(name)
        return made

    def _of(self, facts: Mapping[str, Any]) -> Tally:
        return self.tallies.get(facts["task"]) or self._tally(facts["task"])

    def _leave(self, call: int) -> Call | None:
        """The call neither runs nor waits now; gives what it did."""
        begun = self.running.pop(call, None)
        if begun is not None:
            begun[0].running -= 1
            return Call(begun[0].task, begun[1], "")
        was = self.waiting.pop(call, None)
        if was is not None:
            self.tallies[was.task].waiting[was.reason] -= 1
        return was

    def _wait(self, facts: Mapping[str, Any], reason: str) -> None:
        self._leave(facts["call"])
        self.waiting[facts["call"]] = Call(facts["task"], facts.get("index"), reason)
        tally = self._of(facts)
        tally.waiting[reason] = tally.waiting.get(reason, 0) + 1

    def _failed(self, facts: Mapping[str, Any]) -> None:
        was = self._leave(facts["call"])
        tally = self._of(facts)
        if facts["error"].startswith(("CancelledError:", "KeyboardInterrupt:")):
            tally.cancelled += 1
            if len(self.stopped) < _MOST_STOPPED:
                self.stopped.append(was or Call(facts["task"], facts.get("index"), ""))
        else:
            tally.failed += 1

    def _retrying(self, facts: Mapping[str, Any]) -> None:
        self._of(facts).retries += 1
        self._wait(facts, _BACK_OFF)

    def _blocked(self, facts: Mapping[str, Any]) -> None:
        self._wait(facts, facts["reason"])

    def _hit(self, facts: Mapping[str, Any]) -> None:
        self._leave(facts["call"])
        tally = self._of(facts)
        tally.hits += 1
        tally.done += 1
        tally.items_done += facts.get("index") is not None

    def _skipped(self, facts: Mapping[str, Any]) -> None:
        self._leave(facts["call"])
        self._of(facts).skipped += 1

    def _mapped(self, facts: Mapping[str, Any]) -> None:
        tally = self._of(facts)
        tally.items = None if facts["items"] is None or tally.items is None else tally.items + facts["items"]

    def _finished(self, facts: Mapping[str, Any]) -> None:
        for call in self.in_progress():  # nobody was told of their end
            if len(self.stopped) < _MOST_STOPPED:
                self.stopped.append(call)
        for number in (*self.running, *self.waiting):
            self._leave(number)
        for tally in self.tallies.values():
            for line in tally.lines:
                line.begun = line.ended
        self.ended()


_OTHERS: dict[Any, Callable[[_Run, Mapping[str, Any]], None]] = {
    TaskFailed: _Run._failed,
    TaskRetrying: _Run._retrying,
    TaskBlocked: _Run._blocked,
    CacheHit: _Run._hit,
    TaskSkipped: _Run._skipped,
    Mapped: _Run._mapped,
    RunFinished: _Run._finished,
}
