"""A double of an executor: what it runs takes virtual time, as long as it says itself.

A function that is submitted is called at once, in the thread of the event loop, and computes its outcome. With ``takes(seconds)`` it says
how long it would have taken; its future is done when so much virtual time has passed. So threads and processes can be tested without
either, and without a clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_calling: list[VirtualPool] = []  # the pools whose functions are being called, the innermost last


class VirtualPool(Executor):
    """An executor with as many threads as are asked for, in the virtual time of ``loop``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._seconds: float = 0
        self._then: Callable[[], object] | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._seconds, self._then = 0, None
        value: Any = None
        failure: BaseException | None = None
        _calling.append(self)
        try:
            value = fn(*args, **kwargs)
        except BaseException as raised:
            failure = raised
        finally:
            _calling.pop()
        then = self._then

        def end() -> None:
            if then is not None:
                then()
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(value)

        virtual_jobs(self._loop, 1)
        future.add_done_callback(lambda _: virtual_jobs(self._loop, -1))
        self._loop.call_later(self._seconds, end)
        return future

    def take(self, seconds: float, then: Callable[[], object]) -> None:
        """The function that is being called takes so long; ``then`` is called at its end."""
        self._seconds, self._then = seconds, then


def takes(seconds: float, then: Callable[[], object]) -> None:
    """What a function says that is called by a VirtualPool; called by anything else, it takes no time."""
    if _calling:
        _calling[-1].take(seconds, then)
    else:
        then()


def virtual_jobs(loop: Any, more: int) -> None:
    """So many more jobs that end by themselves in virtual time: a loop that counts what runs in threads must not wait for them."""
    loop.virtual_jobs = getattr(loop, "virtual_jobs", 0) + more
