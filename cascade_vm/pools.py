"""The threads and processes of a run: made at first need, closed by who made them (S23)."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cascade_vm.jobs import Job, call_in_process, call_in_thread
from cascade_vm.parcels import pack, unpack

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


class Pools:
    """Executors by mode. Those that a caller gives are the caller's to close.

    A job that is in a thread or process cannot be interrupted: ``running`` has it until it ends, and its slot stays taken.
    """

    __slots__ = ("_executors", "_given", "running")

    def __init__(self, given: Mapping[str, Executor] | None = None) -> None:
        self._given = dict(given or {})
        self._executors: dict[str, Executor] = {}
        self.running: set[Any] = set()  # the driver's futures of jobs that have not ended

    def submit(self, job: Job) -> Future[Any]:
        """Have ``job`` done; ``outcome`` tells what the future's result means.

        :raises NotSendable: an argument cannot be sent to another process.
        """
        executor = self._given.get(job.mode) or self._executors.get(job.mode)
        if executor is None:
            executor = self._executors[job.mode] = _made(job.mode)
        if job.mode == "thread":
            context = contextvars.copy_context()  # what `run_in_executor` leaves out
            return executor.submit(context.run, call_in_thread, job.fn, job.args, job.kwargs)
        return executor.submit(call_in_process, job.symbol, pack(job.label, job.fn, job.args, job.kwargs))

    @staticmethod
    def outcome(job: Job, result: Any) -> tuple[bool, Any]:
        """(has it failed, value or exception)."""
        return result if job.mode == "thread" else unpack(job.label, result)

    def close(self) -> None:
        """Close what was made here. Waits for what still runs."""
        for executor in self._executors.values():
            executor.shutdown(wait=True, cancel_futures=True)
        self._executors.clear()


class Submitted:
    """An executor of one job, which has been submitted already."""

    __slots__ = ("_future",)

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        return self._future


def _made(mode: str) -> Executor:
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    if mode == "thread":
        return ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4), thread_name_prefix="cascade")
    import multiprocessing

    # Never fork: a forked child has the locks of threads that it does not have.
    return ProcessPoolExecutor(os.cpu_count() or 1, mp_context=multiprocessing.get_context("spawn"))


def check_pools(pools: Any) -> None:
    """:raises TypeError: it is no dict of executors by mode."""
    if pools is None:
        return
    if not isinstance(pools, Mapping) or not set(pools) <= {"thread", "process"}:
        raise TypeError(f"pools takes executors by mode, {{'thread': ..., 'process': ...}}, not {pools!r}")
    for mode, executor in pools.items():
        if not callable(getattr(executor, "submit", None)):
            raise TypeError(f"pools[{mode!r}] is {executor!r}, and should be an executor of concurrent.futures")
