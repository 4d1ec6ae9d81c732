"""A clock and a queue for computations that are only thought through: no function of a user runs, and no real time passes.

What ``ideal`` computes about a node is a coroutine here. It goes on until it has to wait: for another one, for a time, or for its turn,
of which there is one after the other, lowest place first. All that needs no turn comes before any turn of the same instant. What is
asked for at the same time (capacity, a start under a rate limit) is served lowest place first, too.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from heapq import heappop, heappush
from itertools import count
from typing import Any

Place = tuple[float, ...]
Register = Callable[["Job"], None]


class Poisoned(Exception):
    """What is asked for depends on a failure."""


class Job:
    """A computation that has begun; without a coroutine, a mere event to wait for."""

    __slots__ = ("coroutine", "done", "poisoned", "value", "waiting")

    def __init__(self, coroutine: Coroutine[Any, Any, Any] | None = None) -> None:
        self.coroutine = coroutine
        self.waiting: list[Job] = []
        self.done = False
        self.poisoned = False
        self.value: Any = None


@types.coroutine
def _wait(register: Register) -> Generator[Register, None, None]:
    yield register


class World:
    """The instant ``now``, in seconds, and all jobs that have begun and not ended."""

    def __init__(self) -> None:
        self.now: float = 0
        self._number = count()
        self._runnable: deque[Job] = deque()
        self._turns: list[tuple[Place, int, Job]] = []
        self._asking: list[tuple[Place, int, Job]] = []
        self._batch = 0  # of what was asked for at this instant
        self.is_blurred = False
        self._sleeping: list[tuple[float, int, Job]] = []

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Job:
        """Begin a job at once, in place: when this returns it has ended, or waits."""
        job = Job(coroutine)
        self._step(job)
        return job

    def finish(self, job: Job) -> None:
        job.done = True
        self._runnable.extend(job.waiting)
        job.waiting.clear()

    async def join(self, job: Job) -> Any:
        """The value of a job, when it has ended.

        :raises Poisoned: it has none.
        """
        if not job.done:
            await _wait(job.waiting.append)
        if job.poisoned:
            raise Poisoned
        return job.value

    async def all(self, jobs: list[Job]) -> list[Any]:
        """The values of all jobs, when all have ended.

        :raises Poisoned: one of them has none; the others have ended all the same.
        """
        values = []
        poisoned = False
        for job in jobs:
            try:
                values.append(await self.join(job))
            except Poisoned:
                poisoned = True
        if poisoned:
            raise Poisoned
        return values

    async def sleep(self, seconds: float) -> None:
        if seconds:
            await _wait(lambda job: heappush(self._sleeping, (self.now + seconds, next(self._number), job)))

    def blur(self) -> None:
        """Something that takes no time, but a tick of an event loop, has happened: what came first at this instant is not settled."""
        self.is_blurred = True

    async def ask(self, place: Place) -> None:
        """Wait until nothing else happens at this instant but turns, and all lower places have asked that ask at the same time."""
        await _wait(lambda job: heappush(self._asking, (place, next(self._number), job)))

    @property
    def moment(self) -> tuple[float, int]:
        """When it is, for what was asked for: what has the same moment came together, and what has another did not for sure."""
        return (self.now, next(self._number) if self.is_blurred else -self._batch)

    async def turn(self, place: Place) -> None:
        """Wait until nothing else happens at this instant, and no lower place waits for its turn."""
        await _wait(lambda job: heappush(self._turns, (place, next(self._number), job)))

    def run(self) -> None:
        """Go on until nothing can happen any more."""
        while True:
            while self._runnable:
                self._step(self._runnable.popleft())
            if self._asking:
                together, self._asking = sorted(self._asking), []
                for _, _, job in together:
                    self._step(job)
                self._batch += 1
            elif self._turns:
                self._step(heappop(self._turns)[2])
            elif self._sleeping:
                self.now, self._batch, self.is_blurred = self._sleeping[0][0], 0, False
                while self._sleeping and self._sleeping[0][0] == self.now:
                    self._runnable.append(heappop(self._sleeping)[2])
            else:
                return

    def _step(self, job: Job) -> None:
        assert job.coroutine is not None
        try:
            register = job.coroutine.send(None)
        except StopIteration as ended:
            job.value = ended.value
        except Poisoned:
            job.poisoned = True
        else:
            register(job)
            return
        self.finish(job)
