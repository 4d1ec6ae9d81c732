"""The event log: what every task of a spec writes down when it starts and when it ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from cascade_compiler.testing.show import show, show_call

Called = tuple[str, str]  # (name of the task, text of its arguments)


@dataclass(frozen=True, slots=True)
class Event:
    """``kind`` is "start", "end", "raised" or "cancelled"; ``call`` pairs the events of one call; ``time`` is virtual."""

    kind: str
    task: str
    args: str
    time: float
    call: int
    is_async: bool

    def __str__(self) -> str:
        return f"{self.time:g} {self.kind} {self.task}{self.args}{' (async)' if self.is_async else ''}"


class Log:
    """Events in the order in which they happened. One log for one run."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._open: list[tuple[str, str, bool]] = []
        self._failed: Counter[Called] = Counter()
        self.stored: Counter[tuple[str, str]] = Counter()

    def start(self, task: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, is_async: bool) -> int:
        """Note that a call starts; gives the number to end it with."""
        call = len(self._open)
        self._open.append((task, show_call(args, kwargs), is_async))
        self.stop(call, "start")
        return call

    def earlier_attempts(self, call: int) -> int:
        """How many calls of this task with these arguments have been made before in vain, since the last one that succeeded."""
        task, args, _ = self._open[call]
        self._failed[task, args] += 1
        return self._failed[task, args] - 1

    def stop(self, call: int, kind: str) -> None:
        task, args, is_async = self._open[call]
        if kind == "end":
            self._failed[task, args] = 0
        self.events.append(Event(kind, task, args, _now(), call, is_async))

    def store(self, cache: str, value: Any) -> None:
        """Note that a value is put into a cache."""
        self.stored[cache, show(value)] += 1

    def calls(self) -> Counter[Called]:
        """How often each task was called with which arguments."""
        return Counter((event.task, event.args) for event in self.events if event.kind == "start")

    def sync_order(self) -> tuple[Called, ...]:
        """The calls of sync tasks, in order."""
        return tuple((e.task, e.args) for e in self.events if e.kind == "start" and not e.is_async)


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # a run without I/O needs no loop: no time passes in it
        return 0.0
