"""Tasks in threads and processes (S7, S17, S18, S23). What is waited for here is other threads, never the clock.

``go`` is the one place that says which engine runs a graph.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from typing import Any

import pytest

from cascade_compiler import graph_mode, inject, resource
from cascade_compiler.task import task
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm.caching import MemoryCache
from cascade_vm.errors import CompileError, EventLoopRunning, NotSendable

HERE = "test_modes_graph_mode.py"
PATIENCE = 20.0  # real seconds after which what should have come is taken for lost


def go(target: Any, params: Any = None, **options: Any) -> Any:
    """The value of ``target``."""
    return graph_mode.run(target, params, **options)


def start(target: Any, **options: Any) -> Any:
    """A coroutine of the run."""
    return graph_mode.arun(target, **options)


var = contextvars.ContextVar("var", default="unset")


@task
def same(x):
    return x


@task(mode="thread")
def in_thread(x):
    return x, threading.current_thread() is threading.main_thread()


@task(mode="process")
def pid(x):
    return x, os.getpid()


@task(mode="process")
def fail_in_process(x):
    raise ValueError(x)


@task(mode="process")
def stop_in_process():
    raise StopIteration("there")


@task(mode="process")
def give_function():
    return lambda: 0


@task
async def later(x):
    await asyncio.sleep(0)
    return x


def notes_of(failure):
    return getattr(failure, "__notes__", [])


class TestThreads:
    def test_it_runs_in_a_thread(self):
        assert go(in_thread(same(1))) == (1, False)
        assert go([in_thread(1), same(in_thread(2)[0])]) == [(1, False), 2]
        assert go(in_thread.map([1, 2])) == [(1, False), (2, False)]

    def test_calls_overlap_each_other_and_synchronous_work(self):
        """S7"""
        both = threading.Barrier(3, timeout=PATIENCE)

        @task(mode="thread")
        def meet():
            return both.wait() >= 0

        @task
        def meet_here():
            return both.wait() >= 0

        assert go([meet_here(), meet(), meet()]) == [True] * 3

    def test_context_variables(self):
        @task(mode="thread")
        def read():
            return var.get()

        token = var.set("caller")
        try:
            assert go(read()) == "caller"
        finally:
            var.reset(token)

    def test_failures(self):
        @task(mode="thread")
        def fail(error):
            raise error

        for error in (ValueError("x"), StopIteration("x"), KeyboardInterrupt("x")):
            with pytest.raises(type(error)) as caught:
                go([fail(error)])
            assert caught.value is error
            (note,) = notes_of(error)
            assert f".fail, called at {HERE}:" in note

    def test_going_on(self):
        @task(mode="thread")
        def loop(n):
            return loop(same(n - 1)) if n else "end"

        assert go([loop(20), loop(0)]) == ["end", "end"]
        assert go(loop(20)) == "end"

    def test_policies(self):
        calls = []
        cache = MemoryCache()

        @task(mode="thread")
        def flaky():
            calls.append(threading.current_thread())
            if len(calls) < 3:
                raise ValueError
            return 1

        call = flaky().with_retry(3, delay=1).with_cache(cache).with_constraints(gpu=1).with_timeout(1000)
        run = run_virtual(lambda: start(same(call), capacity={"gpu": 1}))
        assert (run.value, run.elapsed, len(calls)) == (1, 2, 3)
        assert go(call, capacity={"gpu": 1}) == 1
        assert len(calls) == 3

    def test_a_thread_that_took_too_long_is_waited_for_at_the_end(self):
        """S17: nothing can interrupt it; its result is dropped"""
        release = threading.Event()
        ended = []

        @task
        def let_go(_):
            assert ended == []
            release.set()

        @task(mode="thread")
        def try_again(numbers):
            n = next(numbers)
            if n == 0:
                release.wait(PATIENCE)
                ended.append(n)
            return n

        run = capture_virtual(lambda: start(let_go(try_again(iter([0, 1])).with_timeout(5).with_retry(2))), patience=0.05)
        assert run.error is None
        assert run.leaks == ()
        assert ended == [0]

    def test_cancelled(self):
        """S18: the run ends when the thread has"""
        begun, release = threading.Event(), threading.Event()
        ended = []

        @task(mode="thread")
        def slow():
            begun.set()
            release.wait(PATIENCE)
            ended.append(True)

        async def main():
            run = asyncio.ensure_future(start([slow(), later(1)]))
            await asyncio.to_thread(begun.wait, PATIENCE)
            run.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            assert not run.done()
            run.cancel()
            await asyncio.sleep(0)
            release.set()
            with pytest.raises(asyncio.CancelledError):
                await run
            assert ended == [True]
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())

    def test_a_failure_elsewhere_waits_for_the_thread(self):
        release = threading.Event()
        ended = []

        @task(mode="thread")
        def slow():
            release.wait(PATIENCE)
            ended.append(True)
            raise OSError("too late")

        @task
        async def fail():
            asyncio.get_running_loop().call_soon(release.set)
            raise ValueError("first")

        with pytest.raises(ValueError, match="first") as caught:
            go([slow(), fail()])
        assert ended == [True]
        assert len(notes_of(caught.value)) == 1

    def test_what_has_not_started_does_not_start(self):
        started = []
        release = threading.Event()

        @task(mode="thread")
        def slow(n):
            started.append(n)
            release.wait(PATIENCE)

        @task
        async def fail():
            asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, release.set)
            raise ValueError("first")

        with pytest.raises(ValueError, match="first"):
            go([slow.map(range(500)), fail()])
        assert len(started) < 500

    def test_inside_a_loop(self):
        async def main():
            go([in_thread(1)])

        with pytest.raises(EventLoopRunning):
            asyncio.run(main())

    def test_no_thread_is_left(self):
        before = threading.active_count()
        go([in_thread.map(range(8)), in_thread(1)])
        assert threading.active_count() == before


class TestProcesses:
    def test_processes(self):
        (one, first), (two, second) = go([pid(same(1)), pid(x=2)])
        assert (one, two) == (1, 2)
        assert os.getpid() not in (first, second)

    def test_what_fails_in_a_process(self, processes):
        for call, error in ((fail_in_process("x"), ValueError), (stop_in_process(), StopIteration)):
            with pytest.raises(error) as caught:
                go([call], pools={"process": processes})
            assert notes_of(caught.value)[0].startswith(f"in task {call.task.label}, called at {HERE}:")
        with pytest.raises(NotSendable, match="give_function ran in another process, and what it returned cannot be sent back") as failed:
            go([give_function()], pools={"process": processes})
        assert ".give_function, called at " in notes_of(failed.value)[0]

    def test_a_task_that_no_process_could_find_is_refused_before_anything_runs(self):
        calls = []

        @task(mode="process")
        def local(x):
            return 1

        for target in (local(1), local.map([1])):
            with pytest.raises(CompileError, match="define it with def at the top of a module"):
                go([task(calls.append)(1), target])
        assert calls == []


def test_graph_mode_sets_resources_up_and_takes_values_for_them():
    ended = []

    @resource
    def made():
        yield 1
        ended.append("down")

    @task
    def use(x, r=inject(made)):
        return x, r

    assert graph_mode.run(use(1)) == (1, 1)
    assert ended == ["down"]
    assert graph_mode.run(use(1, 2)) == (1, 2)
    assert graph_mode.run(use(use(1), inject(made)), resources={"made": 3}) == ((1, 3), 3)
    assert ended == ["down"]
