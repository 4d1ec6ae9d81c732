"""Runs do not see each other (P18), nested and concurrent runs, context variables (S23), run() inside a running loop (S9)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cascade_compiler import EventLoopRunning, Param, arun, cache_clear, cache_info, cache_resize, compile, gather, task, workflow
from cascade_compiler import run as run_any
from cascade_compiler.testing import run_virtual


@task
def same(x):
    return x


@task
def add(x, y):
    return x + y


@task
async def wait(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


@task
def countdown(n, mark):
    return mark if n == 0 else countdown(n - 1, mark)


@task
def nest(x):
    return add(same(x), wait(0, x))


class TestConcurrentRuns:
    @pytest.mark.parametrize("seed", [None, 1, 2])
    def test_n_runs_in_one_loop_equal_n_runs_alone(self, engine, seed):
        """P18"""

        def build(n):
            return [add(wait(n % 3, n), n), {"k": nest(n)}, countdown(20, n), wait(1, [n])]

        async def main():
            return await asyncio.gather(*(arun(build(n), engine=engine, time_slice=0) for n in range(30)))

        done = run_virtual(main, seed=seed)
        assert done.value == [[2 * n, {"k": 2 * n}, n, [n]] for n in range(30)]
        assert done.elapsed == 2

    @pytest.mark.parametrize("seed", [None, 1])
    def test_one_graph_run_by_many(self, engine, seed):
        """P18: the same objects"""
        calls = []

        @task
        async def note(x):
            calls.append(x)
            await asyncio.sleep(1)
            return len(calls)

        target = gather(note(1), same(note(2)))

        async def main():
            return await asyncio.gather(*(arun(target, engine=engine) for _ in range(10)))

        assert run_virtual(main, seed=seed).value == [[20, 20]] * 10

    def test_one_program_run_by_many(self):
        """P18: one linked program in one loop"""

        @workflow
        def flow(x: int):
            return [add(wait(1, x), x), nest(x), countdown(10, x)]

        program = compile(flow)

        async def main():
            return await asyncio.gather(*(program.arun(x=n) for n in range(20)))

        assert run_virtual(main).value == [[2 * n, 2 * n, n] for n in range(20)]

    def test_constants_of_a_program_are_fresh_for_each_run(self):
        """S4, P18: what one run does to a mutable constant no other run sees"""

        @task
        async def grow(items, x):
            items.append(x)
            await asyncio.sleep(0)
            return items

        @workflow
        def flow(x: int):
            return grow([], x)

        program = compile(flow)

        async def main():
            return await asyncio.gather(*(program.arun(x=n) for n in range(5)))

        assert run_virtual(main).value == [[n] for n in range(5)]
        assert [program.run(x=n) for n in range(3)] == [[0], [1], [2]]

    def test_a_failing_run_leaves_its_neighbours_alone(self, engine):
        """P18, S15"""

        @task
        async def fail(seconds):
            await asyncio.sleep(seconds)
            raise ValueError(seconds)

        async def main():
            return await asyncio.gather(
                arun(gather(wait(3, "a"), wait(2)), engine=engine), arun(gather(fail(1), wait(5)), engine=engine),
                arun(same(wait(3, "b")), engine=engine), return_exceptions=True,
            )  # fmt: skip

        done = run_virtual(main)
        assert done.elapsed == 3
        assert done.value[0] == ["a", None]
        assert done.value[2] == "b"
        assert type(done.value[1]) is ValueError

    def test_a_cancelled_run_leaves_its_neighbours_alone(self, engine):
        """P18, S18"""
        target = gather(wait(3, "a"), wait(2, "b"))

        async def main():
            first, second = (asyncio.ensure_future(arun(target, engine=engine)) for _ in range(2))
            await asyncio.sleep(1)
            first.cancel()
            await asyncio.wait([first])
            return await second

        assert run_virtual(main).value == ["a", "b"]


class TestSharedPrograms:
    """P18: what many may run at once, none can change"""

    def test_nothing_can_be_set(self):
        program = compile(add(Param("x", int), 4))
        for name in ("data", "allow", "source_maps", "provenance", "inputs", "blueprints", "_live", "run", "other"):
            with pytest.raises(AttributeError, match=f"cannot be changed, so {name!r}"):
                setattr(program, name, None)
        with pytest.raises(AttributeError, match="cannot be deleted"):
            del program.data
        assert program.run(x=4) == 8

    def test_nor_anything_in_it(self):
        program = compile(add(Param("x", int), 4))
        for mapping in (program.inputs, program.blueprints, program.source_maps, program.fingerprints, program.provenance):
            with pytest.raises(TypeError):
                mapping["x"] = None
        with pytest.raises(AttributeError):
            program.data.entry = "0" * 40
        with pytest.raises(AttributeError):
            program.entry.registers = 9


class TestThreads:
    def test_runs_in_several_threads(self, engine):
        """P18: one cache, many threads, cold and hot"""
        cache_clear()

        def one(n):
            return [run_any([add(same(n), k), countdown(k, n), {"k": same([n, k])}], engine=engine) for k in range(20)]

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(one, range(16)))
        assert results == [[[n + k, n, {"k": [n, k]}] for k in range(20)] for n in range(16)]

    def test_runs_with_io_in_several_threads(self, engine):
        """P18: each thread has a loop of its own"""

        def one(n):
            return run_any([wait(0, n), nest(n)], engine=engine)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(one, range(12))) == [[n, 2 * n] for n in range(12)]

    def test_one_program_in_several_threads(self):
        """P18: linking happens once, whoever comes first"""

        @workflow
        def flow(x: int):
            return [add(x, 1), countdown(5, x), []]

        program = compile(flow)
        barrier = threading.Barrier(8)

        def one(n):
            barrier.wait()
            return [program.run(x=n) for _ in range(10)]

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(one, range(8))) == [[[n + 1, n, []]] * 10 for n in range(8)]

    def test_shapes_compiled_in_several_threads_under_a_tight_bound(self):
        """P18, S28: eviction while others look up"""
        bound = cache_info().maxsize
        cache_resize(2)
        try:

            def one(n):
                return [run_any(gather(*[same(n)] * (k % 7), n)) for k in range(70)]

            with ThreadPoolExecutor(6) as pool:
                results = list(pool.map(one, range(6)))
        finally:
            cache_resize(bound)
        assert results == [[[n] * (k % 7 + 1) for k in range(70)] for n in range(6)]


class TestNestedRuns:
    def test_run_inside_a_task(self, run):
        """P18: a synchronous run in the middle of another"""

        @task
        def inner(x):
            return run(add(same(x), 1))

        assert run([inner(1), add(inner(2), 10)]) == [2, 13]

    def test_run_of_the_same_graph_inside_a_task(self, run):
        """P18: re-entering the same compiled code"""

        @task
        def down(n):
            return run(same(down(n - 1))) + 1 if n else 0

        assert run(same(down(10))) == 10

    def test_run_with_io_inside_a_task_of_a_run_without(self, run):
        """S9: the outer run has no loop, so the inner one may have its own"""

        @task
        def inner(x):
            return run(wait(0, x))

        assert run(same(inner(5))) == 5

    def test_arun_inside_an_async_task(self, engine):
        """P18"""

        @task
        async def inner(x):
            return await arun(add(wait(1, x), wait(1, 1)), engine=engine)

        done = run_virtual(lambda: arun([inner(1), inner(2), same(inner(3))], engine=engine))
        assert (done.value, done.elapsed) == ([2, 3, 4], 1)

    def test_cancelling_reaches_the_inner_run(self, engine):
        """S18"""
        ended = []

        @task
        async def leaf():
            try:
                await asyncio.sleep(100)
            finally:
                ended.append(1)

        @task
        async def inner():
            return await arun(gather(leaf(), leaf()), engine=engine)

        async def main():
            running = asyncio.ensure_future(arun(gather(inner(), inner()), engine=engine))
            await asyncio.sleep(1)
            running.cancel()
            await asyncio.wait([running])
            return running.cancelled()

        assert run_virtual(main).value is True
        assert ended == [1] * 4

    def test_a_run_inside_a_matching_comparison(self, run):
        """P18: user code that runs while the engine binds inputs or rebuilds containers may run graphs itself"""

        class Key:
            def __hash__(self):
                return run(same(1))

            def __eq__(self, other):
                return run(same(True))

        key = Key()
        assert run(same({key: same(1)})) == {key: 1}


class TestInsideALoop:
    def test_synchronous_runs_work(self, engine):
        """S9: they need no loop, so they may be run anywhere"""

        async def main():
            return run_any([add(same(1), 2), countdown(100, "end")], engine=engine, time_slice=0)

        assert run_virtual(main).value == [3, "end"]

    def test_what_waits_is_refused_before_anything_runs(self, engine):
        """S9: EventLoopRunning, and no task was called"""
        calls = []

        @task
        def note(x):
            calls.append(x)
            return x

        async def main():
            for target in (wait(0), same(wait(0)), gather(note(1), wait(0)), note(wait(note(2)))):
                with pytest.raises(EventLoopRunning, match="arun"):
                    run_any(target, engine=engine)

        run_virtual(main)
        assert calls == []

    def test_a_program_that_waits_is_refused_before_anything_runs(self):
        """S9"""
        calls = []

        @task
        def note(x):
            calls.append(x)
            return x

        program = compile(gather(note(1), wait(0)))

        async def main():
            with pytest.raises(EventLoopRunning, match="arun"):
                program.run()
            return await program.arun()

        assert run_virtual(main).value == [1, None]
        assert calls == [1]

    def test_a_nested_graph_that_waits_is_refused_when_it_is_met(self, engine):
        """S9, S25: nobody could know before; what it would have awaited is not left as a coroutine without an owner"""

        @task
        def surprise():
            return same(wait(0))

        async def main():
            with pytest.raises(EventLoopRunning, match="arun"):
                run_any(same(surprise()), engine=engine)
            with pytest.raises(EventLoopRunning, match="arun"):
                run_any(surprise(), engine=engine)

        run_virtual(main)

    def test_the_running_loop_is_still_there_afterwards(self, engine):
        """S9"""

        async def main():
            loop = asyncio.get_running_loop()
            run_any(same(1), engine=engine)
            assert asyncio.get_running_loop() is loop
            await asyncio.sleep(0)
            return "fine"

        assert run_virtual(main).value == "fine"


VAR: contextvars.ContextVar[str] = contextvars.ContextVar("VAR", default="default")


@task
def read(*_):
    return VAR.get()


@task
async def read_later(*_):
    before = VAR.get()
    await asyncio.sleep(0)
    assert VAR.get() == before
    return before


@task
def read_nested():
    return gather(read(), read_later())


class TestContextVariables:
    def test_the_callers_values_are_seen(self, run):
        """S23: by synchronous and asynchronous tasks, alone, together, and nested"""
        target = [read(), read_later(), read(read_later()), read_nested(), gather(read_later(), read_later())]
        assert run(target) == ["default", "default", "default", ["default"] * 2, ["default"] * 2]
        token = VAR.set("mine")
        try:
            assert run(target) == ["mine", "mine", "mine", ["mine"] * 2, ["mine"] * 2]
            assert run(read_later()) == "mine"
        finally:
            VAR.reset(token)

    def test_each_run_sees_its_own(self, engine):
        """S23, P18"""

        async def one(n):
            VAR.set(f"run {n}")
            await asyncio.sleep(0)
            return await arun([read(), read_later(), read(wait(n % 2)), read_nested()], engine=engine)

        async def main():
            return await asyncio.gather(*(one(n) for n in range(6)))

        assert run_virtual(main).value == [[f"run {n}"] * 3 + [[f"run {n}"] * 2] for n in range(6)]

    def test_the_callers_context_in_a_loop_with_time_slices(self, engine):
        """S23, S9b"""

        @task
        def loop(n):
            assert VAR.get() == "mine"
            return VAR.get() if n == 0 else loop(n - 1)

        async def main():
            VAR.set("mine")
            return await arun(loop(50), engine=engine, time_slice=0)

        assert run_virtual(main).value == "mine"

    def test_async_siblings_do_not_see_each_others_changes(self, engine):
        """S23: what is in flight beside others has a copy of the context, as an asyncio task has"""

        @task
        async def change(value):
            before = VAR.get()
            VAR.set(value)
            await asyncio.sleep(1)
            return before, VAR.get()

        done = run_virtual(lambda: arun(gather(change("a"), change("b"), change("c")), engine=engine))
        assert done.value == [("default", "a"), ("default", "b"), ("default", "c")]

    def test_a_run_in_a_thread_sees_that_threads_context(self, engine):
        """S23"""
        VAR.set("main thread")
        seen = []
        thread = threading.Thread(target=lambda: seen.append(run_any([read(), read_later()], engine=engine)))
        thread.start()
        thread.join()
        assert seen == [["default", "default"]]
        VAR.set("default")

    def test_params_of_each_run_are_its_own(self, engine):
        """S20, P18"""

        @task
        def late():
            return add(Param("x", int), wait(0, 1))

        async def main():
            return await asyncio.gather(
                *(arun([late(), Param("x", int), same(wait(1, n))], {"x": n}, engine=engine) for n in range(5))
            )

        assert run_virtual(main).value == [[n + 1, n, n] for n in range(5)]
