"""Generated loops and chains give way, are cancelled, closed and interrupted as interpreted code is (S9, S18)."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from cascade_compiler import arun, run, task
from cascade_compiler.testing import run_virtual

ENGINES = ("interpreter", "codegen")
CALLER = contextvars.ContextVar("CALLER", default="nobody")


@task
def add(a, b):
    return a + b


def loops():
    """Loops of each form: turned inside of the task, through graphs, with nodes, mutual, of coroutines."""

    @task
    def turning(n):
        return "end" if n == 0 else turning(n - 1)

    @task
    def through_graphs(n):
        again = through_graphs
        return "end" if n == 0 else again(n=n - 1)

    @task
    def with_nodes(n):
        return "end" if n == 0 else with_nodes(add(n, -1))

    @task
    def ping(n):
        return "end" if n == 0 else pong(n - 1)

    @task
    def pong(n):
        return "end" if n == 0 else ping(n - 1)

    @task
    async def at_once(n):
        return n

    @task
    async def chain(n):
        return "end" if n == 0 else chain(at_once(add(n, -1)))

    @task
    def sync_end(n):
        return "end" if n == 0 else sync_end(at_once(add(n, -1)))

    return {
        "turning": turning, "through graphs": lambda n: through_graphs(n=n), "with nodes": with_nodes, "mutual": ping, "chain": chain,
        "chain with a synchronous end": sync_end,
    }  # fmt: skip


def hot(loop):
    """Have it run often enough to be generated in its last form."""
    for _ in range(3):
        assert asyncio.run(arun(loop(3), engine="codegen")) == "end"


@pytest.mark.parametrize("name", loops())
def test_a_loop_gives_way_at_each_turn_if_it_has_no_time(name):
    """S9: with time_slice=0 others in the loop have a turn at each tail call"""
    turns = {}
    for engine in ENGINES:
        loop = loops()[name]
        hot(loop)

        async def main(engine=engine, loop=loop):
            running = asyncio.ensure_future(arun(loop(50), engine=engine, time_slice=0))
            count = 0
            while not running.done():
                await asyncio.sleep(0)
                count += 1
            assert running.result() == "end"
            return count

        turns[engine] = run_virtual(main).value
        assert turns[engine] >= 50
    if "chain" not in name:
        assert turns["codegen"] == turns["interpreter"]


@pytest.mark.parametrize("name", loops())
def test_a_loop_with_time_enough_does_not_give_way(name):
    loop = loops()[name]
    hot(loop)

    async def main():
        running = asyncio.ensure_future(arun(loop(50), engine="codegen", time_slice=1000))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return running.done()

    assert run_virtual(main).value


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", loops())
def test_an_endless_loop_is_cancelled_at_its_next_yield(name, engine):
    loop = loops()[name]
    hot(loop)

    async def main():
        running = asyncio.ensure_future(arun(loop(-1), engine=engine, time_slice=0))
        for _ in range(20):
            await asyncio.sleep(0)
        running.cancel()
        for _ in range(4):
            await asyncio.sleep(0)
        return running.cancelled()

    assert run_virtual(main).value


@pytest.mark.parametrize("engine", ENGINES)
def test_a_coroutine_that_swallows_its_cancellation(engine):
    """The run is cancelled all the same, and goes no further"""
    went_on = []

    @task
    async def stubborn(x):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            went_on.append("swallowed")
        return x

    @task
    async def stubborn_fails(x):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise ValueError from None
        return x

    @task
    def after(x):
        went_on.append("after")
        return x

    for build in (lambda: after(stubborn(1)), lambda: stubborn(after(1)), lambda: after(stubborn_fails(1))):
        asyncio.run(arun(after(1), engine=engine))
        for _ in range(3):
            went_on.clear()

            async def main(build=build):
                running = asyncio.ensure_future(arun(build(), engine=engine))
                await asyncio.sleep(1)
                swallowed = went_on.copy()
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
                return went_on[len(swallowed) :]

            assert "after" not in run_virtual(main).value


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cancellation_that_nobody_asked_for_is_a_failure(engine):
    @task
    async def cancelled(x):
        raise asyncio.CancelledError("by itself")

    for _ in range(3):

        async def main():
            with pytest.raises(asyncio.CancelledError) as caught:
                await arun(add(cancelled(add(1, 1)), 1), engine=engine)
            return caught.value.args, caught.value.__notes__[0].split(",")[0]

        args, note = run_virtual(main).value
        assert args == ("by itself",)
        assert note.endswith(".cancelled")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", loops())
def test_a_run_that_is_closed(name, engine):
    """GeneratorExit, at each point at which it stands"""
    loop = loops()[name]
    hot(loop)
    for steps in range(1, 8):

        async def main(steps=steps):
            running = arun(loop(-1), engine=engine, time_slice=0)
            for _ in range(steps):
                running.send(None)
            running.close()

        run_virtual(main)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_chain_that_is_closed_while_it_waits(engine):
    ended = []

    @task
    async def wait(x):
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(x)
        return x

    for _ in range(3):

        async def main():
            running = arun(add(wait(add(1, 1)), 1), engine=engine, time_slice=1000)
            running.send(None)
            running.close()

        run_virtual(main)
    assert ended == [2, 2, 2]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_what_ends_programs_passes_through(kind):
    @task
    def raising(x):
        raise kind(x)

    @task
    def loop(n):
        return raising(n) if n == 0 else loop(n - 1)

    for build in (lambda: raising(1), lambda: add(1, raising(add(0, 1))), lambda: loop(4)):
        told = set()
        for engine in ("interpreter", "codegen", "codegen", "codegen"):
            with pytest.raises(kind) as caught:
                run(build(), engine=engine)
            told.add((caught.value.args, tuple(caught.value.__notes__)))
        assert len(told) == 1
        assert run(add(1, 2), engine="codegen") == 3  # and the next run works


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_ends_programs_ends_chains(kind, engine):
    @task
    async def raising(x):
        await asyncio.sleep(0)
        raise kind(x)

    for _ in range(3):
        with pytest.raises(kind):
            asyncio.run(arun(add(raising(add(1, 1)), 1), engine=engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_context_variables(engine):
    """S23: tasks see those of the caller, and what a coroutine sets the next one sees"""

    @task
    def seen(*_):
        return CALLER.get()

    @task
    async def seen_later(*_):
        await asyncio.sleep(0)
        return CALLER.get()

    @task
    async def put(x):
        CALLER.set(x)
        return x

    @task
    def loop(n, found):
        return found if n == 0 else loop(n - 1, [*found, CALLER.get()])

    def fresh(call):
        return contextvars.copy_context().run(call)

    for _ in range(3):

        async def main():
            CALLER.set("main")
            chain = await arun(seen(seen_later(seen())), engine=engine)
            looped = await arun(loop(3, []), engine=engine, time_slice=0)
            return chain, looped, await arun(seen(put("task")), engine=engine)

        assert fresh(lambda main=main: run_virtual(main).value) == ("main", ["main"] * 3, "task")

    def plain():
        CALLER.set("plain")
        return run(loop(2, []), engine=engine)

    assert fresh(plain) == ["plain"] * 2


def test_coroutines_that_do_not_suspend_give_way():
    @task
    async def busy(x):
        return x

    def build():
        lazy = busy(0)
        for _ in range(40):
            lazy = busy(add(lazy, 1))
        return lazy

    for engine in ENGINES:
        for _ in range(3):

            async def main(engine=engine):
                running = asyncio.ensure_future(arun(build(), engine=engine, time_slice=0))
                count = 0
                while not running.done():
                    await asyncio.sleep(0)
                    count += 1
                assert running.result() == 40
                return count

            assert run_virtual(main).value >= 40
