"""Functions of calls, wrapped for those who watch them while they run: a probe that takes the time, and what calls are to run within.

Which call it is that runs is known from what was told last: a call is made as soon as its beginning has been told.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cascade_vm.jobs import Job

if TYPE_CHECKING:
    from cascade_vm.blueprint import Symbol
    from cascade_vm.events import Teller


def watching(symbol: Symbol, teller: Teller, fn: Callable[..., Any], told_before: bool) -> Callable[..., Any]:
    """``fn``, what a call of ``symbol`` calls (for a thread, what makes its job), watched by those whom ``teller`` knows.

    :param told_before: is the beginning of a call told before the loop comes to it? Then it is queued until then.
    """
    if symbol.mode == "thread":
        return _Thread(teller, fn)
    if symbol.is_async and symbol.mode == "inline":
        return (_Queued if told_before else _Awaiting)(teller, fn)
    return _Inline(teller, fn) if teller.arounds else fn  # of a process, too: nothing here reaches into it, but the call can be seen


def _around(teller: Teller, call: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ExitStack:
    stack = ExitStack()
    for one in teller.arounds:
        stack.enter_context(one(teller.run, call, args, kwargs))
    return stack


class _Watched:
    __slots__ = ("fn", "teller")

    def __init__(self, teller: Teller, fn: Callable[..., Any]) -> None:
        self.teller = teller
        self.fn = fn


class _Inline(_Watched):
    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _around(self.teller, self.teller.latest, args, kwargs):
            return self.fn(*args, **kwargs)


class _Awaiting(_Watched):
    __slots__ = ()
    is_queued = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(self.teller.latest, args, kwargs)

    async def _run(self, call: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        teller = self.teller
        if teller.probe is None:
            with _around(teller, call, args, kwargs):
                return await self.fn(*args, **kwargs)
        timed = _Timed(teller, call, self.fn(*args, **kwargs), teller.clock() if self.is_queued else None)
        if not teller.arounds:
            return await timed
        with _around(teller, call, args, kwargs):
            return await timed


class _Queued(_Awaiting):
    __slots__ = ()
    is_queued = True


class _Timed:
    """Awaits what it is given, and takes the time of each of its steps: what is left of the whole is waiting."""

    __slots__ = ("awaitable", "began", "call", "teller")

    def __init__(self, teller: Teller, call: int, awaitable: Any, began: float | None) -> None:
        self.teller = teller
        self.call = call
        self.awaitable = awaitable
        self.began = began  # where that is of interest

    def __await__(self) -> Generator[Any, Any, Any]:
        teller, probe = self.teller, self.teller.probe
        steps = self.awaitable.__await__()
        sent: Any = None
        thrown: BaseException | None = None
        first = self.began
        while True:
            begun = teller.clock()
            try:
                if thrown is not None:
                    wanted = steps.throw(thrown)
                elif sent is not None:
                    wanted = steps.send(sent)
                else:
                    wanted = next(steps)  # there are iterators without send
            except StopIteration as stop:
                return stop.value
            finally:
                probe.ran(self.call, teller.clock() - begun, first)
            first = sent = thrown = None
            try:
                sent = yield wanted
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as failure:
                thrown = failure


class _Thread(_Watched):
    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        job: Job = self.fn(*args, **kwargs)
        job.fn = _InThread(self.teller, self.teller.latest, job.fn)
        return job


class _InThread:
    __slots__ = ("call", "fn", "teller")

    def __init__(self, teller: Teller, call: int, fn: Callable[..., Any]) -> None:
        self.teller = teller
        self.call = call
        self.fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        teller = self.teller
        begun = teller.clock()
        try:
            with _around(teller, self.call, args, kwargs):
                return self.fn(*args, **kwargs)
        finally:
            if teller.probe is not None:
                teller.probe.ran(self.call, teller.clock() - begun, begun)
