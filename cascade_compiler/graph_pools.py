"""Graph mode's threads and processes: made at first need, closed when the run ends (S23)."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import multiprocessing
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from cascade_compiler.task import Task
from cascade_vm import parcels
from cascade_vm.registry import lookup

_Outcome = tuple[Any, BaseException | None]


class Pools:
    """The executors of one run.

    Nothing can interrupt what runs in a thread or process. If nobody wants it any more, its result is dropped, its place in the pool stays
    taken, and the end of the run waits for it: it is among ``running`` until then.
    """

    def __init__(self, given: Mapping[str, Executor] | None = None) -> None:
        self._given = dict(given or {})  # the caller's, who closes them
        self.running: set[asyncio.Future[Any]] = set()
        self._executors: dict[str, Executor] = {}

    async def call(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Outcome:
        """(value, failure) of a call of ``task`` in the executor of its mode.

        :raises NotSendable: an argument cannot be sent to another process.
        """
        executor = self._given.get(task.mode) or self._executors.get(task.mode)
        if executor is None:
            executor = self._executors[task.mode] = _make(task.mode)
        future: Future[Any]
        if task.mode == "thread":
            future = executor.submit(contextvars.copy_context().run, _call, task.fn, args, kwargs)
        else:
            parcel = parcels.pack(task.label, task.fn, args, kwargs)
            future = executor.submit(_call_by_name, task.symbol, parcel)
        # Not wrap_future(): a loop that counts what runs in threads, as that of virtual time does, is to know of this.
        job = asyncio.get_running_loop().run_in_executor(_Submitted(future), future.result)
        self.running.add(job)
        job.add_done_callback(self._forget)
        try:
            result = await asyncio.shield(job)
        except asyncio.CancelledError:
            future.cancel()  # it does not start any more, if it has not yet
            raise
        if task.mode == "process":
            failed, result = parcels.unpack(task.label, result)
            return (None, result) if failed else (result, None)
        return result  # type: ignore[no-any-return]

    def _forget(self, job: asyncio.Future[Any]) -> None:
        self.running.discard(job)
        if not job.cancelled():
            job.exception()  # seen: asyncio shall not log it

    def close(self) -> None:
        for executor in self._executors.values():
            executor.shutdown(wait=True, cancel_futures=True)


class _Submitted(Executor):
    """Has one job, which was submitted already."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        return self._future


def _make(mode: str) -> Executor:
    if mode == "thread":
        return ThreadPoolExecutor(thread_name_prefix="cascade")
    return ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))


def _call(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Outcome:
    """The outcome as data: a StopIteration that is raised in an executor would never arrive (gh-112182)."""
    try:
        return fn(*args, **kwargs), None
    except BaseException as failure:
        return None, failure


def _call_by_name(symbol: str, parcel: bytes) -> parcels.Answer:
    """A call of a task in another process, which must find it by its name: no function that was decorated can be pickled."""

    def find() -> Callable[..., Any]:
        module, _, name = symbol.partition(":")
        if module == "__main__" and "__mp_main__" in sys.modules:  # how a spawned process calls the script that it was spawned from
            module = "__mp_main__"
        importlib.import_module(module)
        task = lookup(f"{module}:{name}")
        if task is None:
            raise LookupError(f"the process of the pool finds no @task {symbol}: define it at the top of its module")
        return task.fn

    return parcels.perform(symbol.replace(":", "."), find, parcel)
