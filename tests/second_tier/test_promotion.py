"""When code goes over to the second tier, that it goes only where it may, and what has to stay the same when it does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from unittest import mock

import pytest
from meaning_flows import add, boom, both, countdown, later, nested, same

from cascade_compiler import CapacityError, EventLoopRunning, arun, cache_info, compile, inject, resource, task
from cascade_compiler import run as run_any
from cascade_vm import direct, events, tiers
from cascade_vm.tiers import HOT


@task
def plain(x):
    return x


def fresh():
    """A task of its own, whose shapes nobody has run."""

    @task
    def mine(x, y=0):
        return x

    return mine


def fresh_loop():
    @task
    def loop(n):
        return "end" if n == 0 else loop(n - 1)

    return loop


def code_of(made):
    return made.task.entries[0].code


class TestWhen:
    def test_code_is_interpreted_until_it_has_run_so_often(self):
        mine = fresh()
        for n in range(HOT - 1):
            assert run_any(mine(n)) == n
        assert not code_of(mine).generated
        for n in range(3):
            assert run_any(mine(n)) == n
        assert code_of(mine).generated
        assert code_of(mine).whole is not None

    def test_codegen_generates_at_once(self):
        mine = fresh()
        assert run_any(mine(1), engine="codegen") == 1
        assert code_of(mine).generated

    def test_the_interpreter_never_generates_nor_uses_what_is_there(self):
        mine, loop = fresh(), fresh_loop()
        never = mock.Mock(side_effect=AssertionError)
        with mock.patch.multiple(tiers, generate=never, generate_chain=never):
            for n in range(2 * HOT):
                assert run_any(mine(n), engine="interpreter") == n
            assert run_any(loop(2 * HOT), engine="interpreter") == "end"
        assert run_any(mine(1), engine="codegen") == 1
        for _ in range(3):
            assert run_any(loop(3), engine="codegen") == "end"

        @task
        async def wait(x):
            return x

        async def chains():
            for _ in range(3):
                assert await arun(mine(wait(mine(1))), engine="codegen") == 1
            with mock.patch("cascade_vm.asyncio_driver.drive_chain", side_effect=AssertionError):
                assert await arun(mine(wait(mine(1))), engine="interpreter") == 1

        with mock.patch.object(direct, "run", side_effect=AssertionError):
            assert run_any(mine(1), engine="interpreter") == 1
            assert run_any(loop(3), engine="interpreter") == "end"
        asyncio.run(chains())
        for code in (entry_code(mine(1)), entry_code(loop(1))):
            assert code.generated
            for made in code.generated.values():
                with mock.patch.dict(made.function.__globals__, clear=True):  # if it ran, it would not find its names
                    assert run_any(mine(2), engine="interpreter") == 2
                    assert run_any(loop(2), engine="interpreter") == "end"

    def test_a_cold_loop_goes_over_at_its_back_edge(self):
        """It is called by the interpreter some hundred times, and then by a loop"""
        callers = []

        @task
        def loop(n):
            callers.append(sys._getframe(1).f_code.co_name)
            return "end" if n == 0 else loop(n - 1)

        assert run_any(loop(1000)) == "end"
        assert callers.count("_run") <= HOT + 2
        assert callers[-700:] == ["loop"] * 700
        assert code_of(loop).loops

    def test_a_cold_loop_with_nodes_goes_over_too(self):
        callers = []

        @task
        def loop(n):
            callers.append(sys._getframe(1).f_code.co_name)
            return "end" if n == 0 else loop(plain(n - 1))

        assert run_any(loop(1000)) == "end"
        assert callers.count("_run") <= HOT + 2
        assert callers[-700:] == ["loop"] * 700

    def test_a_program_becomes_a_function(self):
        program = compile(both(same(1), add(1, 2))).link()
        for _ in range(HOT + 1):
            assert program.run() == ((1, 3), {})
        assert "run" in vars(program)
        with mock.patch.object(type(program), "_interpret", side_effect=AssertionError):
            assert program.run() == ((1, 3), {})
        interpreted = compile(both(same(1))).link(engine="interpreter")
        for _ in range(HOT + 1):
            assert interpreted.run() == ((1,), {})
        assert interpreted._whole is None

    def test_what_is_too_large_is_left(self):
        mine = fresh()
        lazy = mine(0)
        for n in range(60):
            lazy = mine(lazy, n)
        with mock.patch.object(tiers, "_LARGEST", 50):
            for _ in range(HOT + 5):
                assert run_any(mine(lazy, 7)) == 0
        assert not entry_code(mine(lazy, 7)).generated

    def test_assumptions_that_fail_too_often_are_given_up(self):
        @task
        def grown(x):
            return x + x

        def build(x):
            return grown(grown(grown(grown(x))))

        assert run_any(build(1), engine="codegen") == 16
        code = code_of(grown)
        assert "SCALARS" in code.generated[0].source
        for n in range(10):
            assert run_any(build([n]), engine="codegen") == [n] * 16
        assert run_any(build(1), engine="codegen") == 16
        assert "SCALARS" not in code.generated[0].source
        assert not code.assumes


def entry_code(lazy):
    from cascade_compiler.cache import activate

    return activate(lazy, {})[0]


class TestTogether:
    def test_threads_that_promote_at_once(self):
        def work(mine, loop, start):
            start.wait()
            found = []
            for n in range(HOT + 40):
                found.append(run_any(both(mine(n), nested(n), loop(3))))
                try:
                    run_any(both(mine(n), boom(mine(n + 1))))
                except Exception as failure:
                    found.append((failure.args, failure.__notes__[0].rpartition("x = ")[2]))
            return found

        switch = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            mine, loop = fresh(), fresh_loop()
            start = threading.Barrier(4)
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                seen = list(pool.map(lambda _: work(mine, loop, start), range(4)))
        finally:
            sys.setswitchinterval(switch)
        expected = [one for n in range(HOT + 40) for one in (((n, n + 1, "end"), {}), ((n + 1,), str(n + 1)))]
        assert all(one == expected for one in seen)

    def test_threads_in_one_loop_while_literals_change_their_types(self):
        @task
        def doubled(x):
            return x + x

        @task
        def loop(n, x):
            return x if n == 0 else loop(n - 1, doubled(doubled([x, str(x)][n % 2]))[:0])

        def work(_):
            return [run_any(loop(20, ""), engine="codegen") for _ in range(20)]

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, range(4))) == [[""] * 20] * 4

    def test_hits_count_the_turns_of_generated_loops(self):
        counted = {}
        for engine in ("interpreter", "codegen"):
            loop = fresh_loop()
            for _ in range(3):
                run_any(loop(10), engine=engine)
            before = cache_info().hits
            run_any(loop(500), engine=engine)
            counted[engine] = cache_info().hits - before
        assert counted["codegen"] == counted["interpreter"] == 501

    def test_hits_are_counted_where_a_loop_fails(self):
        @task
        def loop(n):
            return boom.fn(n) if n == 0 else loop(n - 1)

        counted = {}
        for engine in ("interpreter", "codegen"):
            for _ in range(3):
                before = cache_info().hits
                with pytest.raises(Exception, match="0"):
                    run_any(loop(50), engine=engine)
            counted[engine] = cache_info().hits - before
        assert counted["codegen"] == counted["interpreter"] == 51


class TestWhatElseARunIsToDo:
    def test_events_of_hot_code_tell_everything(self):
        def kinds(build, engine):
            seen = []
            with events.subscribe(lambda event: seen.append((type(event).__name__, getattr(event, "task", None)))):
                run_any(build(), engine=engine)
            return seen

        loop = fresh_loop()
        builds = (lambda: both(same(1), nested(2)), lambda: loop(5), lambda: add(later(add(1, 2)), 1))
        for build in builds:
            for _ in range(3):
                run_any(build(), engine="codegen")
            told = [kinds(build, engine) for engine in ("interpreter", "codegen", "codegen", "auto")]
            assert all(one == told[0] for one in told)
            assert len(told[0]) > 5
        program = compile(both(same(1), add(1, 2))).link(engine="codegen")
        seen = []
        with events.subscribe(seen.append):
            assert program.run() == ((1, 3), {})
        assert [type(event).__name__ for event in seen].count("TaskFinished") == 3
        assert program.run() == ((1, 3), {})
        assert len(seen) == 8

    def test_capacity_is_checked(self):
        mine = fresh()
        for _ in range(3):
            with pytest.raises(TypeError):
                run_any(mine(1), engine="codegen", capacity=5)
            with pytest.raises(ValueError, match="gpu"):
                run_any(mine(1), engine="codegen", capacity={"gpu": -1})
            assert run_any(mine(1), engine="codegen", capacity={"gpu": 1}) == 1

            async def main():
                with pytest.raises(ValueError, match="gpu"):
                    await arun(add(later(mine(1)), 1), engine="codegen", capacity={"gpu": -1})
                return await arun(add(later(mine(1)), 1), engine="codegen", capacity={"gpu": 1})

            assert asyncio.run(main()) == 2

    def test_options_reach_the_graphs_that_hot_code_goes_on_with(self):
        @resource
        def given():
            yield "set up"

        @task
        def held(x, value=inject(given)):
            return x, value

        @task
        def constrained(x):
            return held(x).with_constraints(gpu=1)

        @task
        def nests(x):
            return both(held(x), 1)

        for _ in range(3):
            assert run_any(constrained(1), engine="codegen", capacity={"gpu": 1}) == (1, "set up")
            assert run_any(constrained(1), engine="codegen", capacity={"gpu": 1}, resources={"given": "other"}) == (1, "other")
            assert run_any(both(nests(1), 2), engine="codegen", resources={"given": "other"}) == (((((1, "other"), 1), {}), 2), {})
            with pytest.raises(CapacityError):
                run_any(constrained(1), engine="codegen")
            with pytest.raises(CapacityError):
                run_any(both(1, constrained(1)), engine="codegen", capacity={"cpu": 1})

    def test_pools_reach_the_graphs_that_hot_code_goes_on_with(self):
        @task(mode="thread")
        def threaded(x):
            return threading.current_thread().name

        @task
        def tail(x):
            return threaded(x)

        @task
        def again(n):
            return tail(n) if n == 0 else again(n - 1)

        with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
            for build in (lambda: tail(1), lambda: both(tail(1), 2)[0][0], lambda: again(5)):
                for _ in range(3):
                    assert run_any(build(), engine="codegen", pools={"thread": pool}) == "mine_0"

    def test_run_in_a_running_loop(self):
        """A synchronous program may be run there; what has to wait says so"""

        @task
        def tail(x):
            return add(later(x), 1)

        async def main():
            assert run_any(both(same(1), nested(1)), engine="codegen")[0] == (1, 2)
            assert run_any(countdown(5), engine="codegen") == ("end", ())
            for build in (lambda: add(later(1), 2), lambda: tail(1), lambda: both(1, tail(1)), lambda: both(tail(2), 1)):
                with pytest.raises(EventLoopRunning):
                    run_any(build(), engine="codegen")

        for _ in range(3):
            asyncio.run(main())

    def test_resources_are_torn_down_where_hot_code_is_interrupted(self):
        ended = []

        @resource
        def given():
            yield 1
            ended.append("torn down")

        @task
        def interrupted(x, value=inject(given)):
            raise KeyboardInterrupt

        @task
        def tail(x):
            return interrupted(x)

        for build in (lambda: tail(1), lambda: both(tail(1), 1)):
            for _ in range(3):
                ended.clear()
                with pytest.raises(KeyboardInterrupt):
                    run_any(build(), engine="codegen")
                assert ended == ["torn down"]

    def test_resources_are_torn_down_where_the_machine_itself_is_interrupted(self):
        """Ctrl-C between two instructions, in a run that generated code began without a machine"""
        ended = []

        @resource
        def given():
            yield 1
            ended.append("torn down")

        @task
        def uses(x, value=inject(given)):
            return x

        @task
        def tail(x):
            return both(uses(x), uses(x))

        assert run_any(tail(1), engine="codegen") == ((1, 1), {})
        ended.clear()
        from cascade_vm.machine import Machine

        settled = Machine.settle

        def interrupted(self, *args):
            settled(self, *args)
            if self.resources is not None and self.resources.order:
                raise KeyboardInterrupt

        with mock.patch.object(Machine, "settle", interrupted), pytest.raises(KeyboardInterrupt):
            run_any(tail(1), engine="codegen")
        assert ended == ["torn down"]
