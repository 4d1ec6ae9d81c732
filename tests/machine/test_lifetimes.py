"""When values die: at their last use (P6, S4), on the machine; and what graph mode must not keep either."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

import pytest

from cascade_compiler import Param, arun, cache_info, compile, gather, task
from cascade_compiler import run as run_any
from cascade_compiler.testing import run_virtual


class Thing:
    """Something that a weak reference can watch."""

    def __init__(self, mark=None):
        self.mark = mark


@pytest.fixture(autouse=True)
def _no_collector():
    """A value dies by itself, not by the collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def watch():
    return Watch()


class Watch:
    """Makes things, and says which of them are alive."""

    def __init__(self):
        self.refs: dict[str, weakref.ref[Thing]] = {}

        @task
        def make(mark, *_):
            thing = Thing(mark)
            self.refs[mark] = weakref.ref(thing)
            return thing

        @task
        async def make_later(mark, *_):
            await asyncio.sleep(1)
            thing = Thing(mark)
            self.refs[mark] = weakref.ref(thing)
            return thing

        @task
        def use(*things):
            return None

        @task
        def look(*_):
            return self.alive

        self.make, self.make_later, self.use, self.look = make, make_later, use, look

    @property
    def alive(self):
        return sorted(mark for mark, ref in self.refs.items() if ref() is not None)


@task
def same(x):
    return x


class TestLastUse:
    """The machine only: graph mode may hold values until the activation ends."""

    def test_a_value_is_gone_after_its_last_reader(self, watch):
        """P6: a later task sees it dead"""
        used = watch.use(watch.make("a"))
        assert run_any([used, watch.look()])[1] == []

    def test_it_lives_until_its_last_reader(self, watch):
        """P6"""
        thing = watch.make("a")
        assert run_any(gather(watch.use(thing), watch.look(), watch.use(thing), watch.look()))[1::2] == [["a"], []]

    def test_arguments_do_not_live_on_in_the_call(self, watch):
        """P6: in a chain only one value is alive at a time"""
        lazy = watch.make("0")
        for n in range(1, 10):
            lazy = watch.make(str(n), lazy)
        assert run_any([watch.use(lazy), watch.look()])[1] == []
        seen: list[list[str]] = []

        @task
        def step(mark, thing):
            seen.append(watch.alive)
            made = Thing(mark)
            watch.refs[mark] = weakref.ref(made)
            return made

        lazy = watch.make("0")
        for n in range(1, 10):
            lazy = step(str(n), lazy)
        run_any(same(watch.use(lazy)))
        assert seen == [[str(n)] for n in range(9)]

    def test_an_unused_result_dies_at_once(self, watch):
        """P6: demanded for its order only"""
        assert run_any(watch.look().after(watch.make("a"))) == []

    def test_containers_die_with_their_last_reader(self, watch):
        """P6: a rebuilt container holds its items no longer than its readers need it"""
        held = [watch.make("a"), {"k": watch.make("b")}]
        assert run_any([watch.use(held), watch.look()])[1] == []

    def test_the_items_of_a_container_that_is_built(self, watch):
        """P6: the value of an item dies with its whole, once taken"""
        whole = same([watch.make("a"), watch.make("b")])
        assert run_any([watch.use(whole[0]), watch.look()])[1] == []

    def test_what_the_target_returns_lives(self, watch):
        kept = run_any([watch.make("a"), watch.use(watch.make("b"))])
        assert watch.alive == ["a"]
        assert kept[0].mark == "a"

    def test_values_that_wait_for_io(self, watch):
        """P6: gone at the stop after the last use, while other I/O is in flight"""
        seen = []

        @task
        async def slow():
            await asyncio.sleep(5)

        async def main():
            running = asyncio.ensure_future(arun([watch.use(watch.make_later("a")), watch.use(watch.make("b")), slow()]))
            await asyncio.sleep(0.5)
            seen.append(watch.alive)
            await asyncio.sleep(2)
            seen.append(watch.alive)
            return await running

        run_virtual(main)
        assert seen == [[], []]

    def test_arguments_of_io_that_has_ended(self, watch):
        """P6: an operation keeps its arguments for the note of its failure while it is in flight, and no longer"""
        seen = []

        @task
        async def look_later():
            await asyncio.sleep(2)
            seen.append(watch.alive)

        @task
        async def hold(thing):
            await asyncio.sleep(1)

        run_virtual(lambda: arun(gather(hold(watch.make("a")), look_later())))
        run_virtual(lambda: arun(look_later().after(hold([watch.make("b")]))))
        assert seen == [[], []]

    def test_peak_follows_the_width(self):
        """P6: a long program holds as much as it is wide"""
        alive = [0]
        most = []

        class Counted:
            def __init__(self):
                alive[0] += 1

            def __del__(self):
                alive[0] -= 1

        @task
        def step(*_):
            most.append(alive[0])
            return Counted()

        lazy = [step() for _ in range(4)]
        for _ in range(200):
            lazy = [step(x) for x in lazy]
        # Depth first, the chains run one after the other: four ends and the one at work
        run_any(lazy)
        assert max(most) <= 6

    def test_literals_die_at_their_last_use_in_a_loop(self):
        """S4, P6: a literal that only a graph holds goes with the round"""
        refs: list[weakref.ref[Thing]] = []

        @task
        def loop(n, thing):
            assert [ref() for ref in refs[1:-1]] == [None] * len(refs[1:-1])
            if n == 0:
                return "end"
            fresh = Thing()
            refs.append(weakref.ref(fresh))
            return loop(n - 1, fresh)

        first = Thing()
        refs.append(weakref.ref(first))
        lazy = loop(20, first)
        del first
        assert run_any(lazy) == "end"
        assert sum(ref() is not None for ref in refs) == 1  # the caller's own graph holds its literal
        del lazy
        assert sum(ref() is not None for ref in refs) == 0

    def test_values_of_nested_frames(self, watch):
        """P6, S25: a finished child frame holds nothing"""

        @task
        def nest(mark):
            return watch.use(watch.make(mark), watch.make(mark + "2"))

        assert run_any(gather(nest("a"), watch.look(), same(nest("b")), watch.look()))[1::2] == [[], []]

    def test_values_of_the_caller_of_a_nested_frame(self, watch):
        """P6, S25: a value that dies before the nested call is gone while the child runs"""

        @task
        def nest(_):
            return watch.look()

        assert run_any(same(nest(watch.use(watch.make("a"))))) == []

    def test_the_argument_of_a_nested_call(self, watch):
        """P6, S25: dead when its graph runs, if that does not hold it"""

        @task
        def nest(thing):
            return watch.look()

        assert run_any(same(nest(watch.make("a")))) == []

    def test_the_argument_of_a_tail_call(self, watch):
        """P6, S24"""

        @task
        def go(thing):
            return watch.look()

        assert run_any(go(watch.make("a"))) == []


class TestNothingIsKept:
    """Both engines."""

    def test_after_a_run(self, run, watch):
        """P6, S4"""
        literal_thing = Thing()
        gone = weakref.ref(literal_thing)
        run(watch.use(watch.make("a"), same([literal_thing]), literal_thing))
        del literal_thing
        assert watch.alive == []
        assert gone() is None

    def test_after_a_failed_run(self, run, watch):
        """P6: the frames go with the exception"""
        thing = Thing()
        gone = weakref.ref(thing)

        @task
        def fail(*_):
            raise ValueError("x")

        with contextlib.suppress(ValueError):
            run([watch.make("a"), same(thing), fail(watch.make("b"), thing)])
        del thing
        gc.collect()  # the traceback of an exception may be part of a cycle
        assert watch.alive == []
        assert gone() is None

    def test_the_exception_holds_no_values_of_other_tasks(self, watch):
        """P6: one may keep an exception; with it come the frames of the failing task, not all values of the run"""

        @task
        def fail():
            raise ValueError("x")

        try:
            run_any(gather(watch.make("a"), watch.use(watch.make("b")), fail()))
        except ValueError as error:
            kept = error
        gc.collect()
        assert watch.alive == []
        assert type(kept) is ValueError

    def test_a_failed_run_makes_no_reference_cycle(self, watch):
        """P6: its values die with the exception, not with the collector's next round"""

        @task
        def fail(*_):
            raise ValueError("x")

        with contextlib.suppress(ValueError):
            run_any(gather(watch.make("a"), fail(watch.make("b"))))
        assert watch.alive == []

    def test_after_a_cancelled_run(self, engine, watch):
        """P6, P7"""

        @task
        async def forever():
            await asyncio.sleep(100)

        async def main():
            running = asyncio.ensure_future(arun([watch.make("a"), watch.use(watch.make("b"), forever())], engine=engine))
            await asyncio.sleep(1)
            running.cancel()
            await asyncio.wait([running])
            del running
            gc.collect()
            return watch.alive

        assert run_virtual(main).value == []

    def test_programs_hold_their_constants_and_nothing_of_a_run(self, watch):
        """S4, P6"""
        program = compile([watch.use(watch.make("a")), [1, 2]])
        program.run()
        assert watch.alive == []

    def test_the_cache_holds_no_task(self, run):
        """S4, S27: a task made on the fly is freed with its last user"""

        @task
        def fresh(x):
            return x

        gone = weakref.ref(fresh.task)
        assert run(fresh(same(1))) == 1
        del fresh
        gc.collect()
        assert gone() is None

    def test_the_cache_holds_no_closure_that_is_a_dependency(self, run):
        """S4: neither as the root of a graph nor inside one whose root lives on"""

        def once():
            held = Thing()

            @task
            def fresh(x):
                return x, held.mark

            run(same([fresh(1)]))
            return weakref.ref(held)

        refs = [once() for _ in range(3)]
        gc.collect()
        assert [ref() for ref in refs] == [None] * 3
        assert cache_info().size <= cache_info().maxsize

    def test_given_inputs_are_not_kept(self, run):
        """S4, S20"""
        given = Thing()
        gone = weakref.ref(given)
        run([same(Param("x"))], {"x": given})
        del given
        assert gone() is None
