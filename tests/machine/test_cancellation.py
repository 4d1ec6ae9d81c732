"""Failing and cancelling: S15, S18, P7, on each engine. Cancelled at every moment, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import signal
import warnings
from collections import Counter
from typing import Any

import pytest

from cascade_compiler import arun, gather, run, task
from cascade_compiler.testing import capture_virtual, run_virtual


class Balance(Counter):
    """Counts what was begun against what has ended."""

    @property
    def open(self):
        return self["begun"] - self["ended"]


@pytest.fixture
def balance():
    return Balance()


@pytest.fixture(autouse=True, scope="module")
def _what_was_there_before_is_not_collected():
    """Makes the full collections below cheap."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _no_coroutine_is_forgotten():
    """A coroutine that was made and never awaited warns when it is freed: make that an error of the test that did it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in caught] == []


def make_io(balance, name="io", seconds=1, clean_up=0):
    @task(name=name)
    async def step(*_):
        balance["begun"] += 1
        try:
            await asyncio.sleep(seconds)
            await asyncio.sleep(0)
            return name
        finally:
            try:
                if clean_up:
                    await asyncio.sleep(clean_up)
            finally:
                balance["ended"] += 1

    return step


@task
def same(x):
    return x


@task
def pair(*items):
    return items


async def _fail(seconds, error):
    await asyncio.sleep(seconds)
    raise error


fail = task(_fail)


def graphs(balance) -> dict[str, Any]:
    """Graphs that wait in many ways; each is built anew by its function."""
    io, slow = make_io(balance), make_io(balance, seconds=3, clean_up=2)

    @task
    def nest(n):
        return pair(io(), nest(n - 1), slow()) if n else io()

    @task
    async def nest_later(n):
        await asyncio.sleep(1)
        return pair(io(), nest_later(n - 1)) if n else io()

    @task
    def loop(n, *_):
        return loop(n - 1, io(), slow()) if n else "end"

    @task
    async def loop_later(n, *_):
        balance["begun"] += 1
        try:
            await asyncio.sleep(0.5)
        finally:
            balance["ended"] += 1
        return loop_later(n - 1, io()) if n else "end"

    @task
    def sync_loop(n):
        return sync_loop(n - 1) if n else "end"

    return {
        "one": io,
        "flat": lambda: gather(io(), slow(), io()),
        "chain": lambda: io(io(slow(io()))),
        "diamond": lambda: _diamond(io),
        "mixed": lambda: pair(same(io()), [slow(), {"k": io(slow())}], same(1)),
        "nested": lambda: pair(nest(3), io()),
        "nested later": lambda: pair(nest_later(3), nest_later(2)),
        "loop": lambda: loop(4),
        "async loop": lambda: loop_later(4),
        "nested loops": lambda: pair(loop(3), loop_later(3), nest(1)),
        "time slices": lambda: pair(io(), sync_loop(20)),
        "no wait": lambda: pair(same(1), same(2)),
    }


def _diamond(io):
    top = io()
    return pair(io(top), io(top), top)


NAMES = list(graphs(Balance()))


class TestCancelEverywhere:
    @pytest.mark.parametrize("seed", [None, 1])
    @pytest.mark.parametrize("name", NAMES)
    def test_at_every_moment(self, engine, balance, name, seed):
        """S18, P7: cancelled at iteration k of the loop, for every k: CancelledError, and nothing left"""
        build = graphs(balance)[name]

        def main():
            return arun(build(), engine=engine, time_slice=0)

        whole = run_virtual(main, seed=seed)
        assert balance.open == 0
        for k in range(1, whole.iterations + 2):
            done = capture_virtual(main, seed=seed, cancel_at=k)
            assert done.leaks == (), k
            assert balance.open == 0, k
            if done.error is None:
                assert k >= whole.iterations - 1
            else:
                assert type(done.error) is asyncio.CancelledError, k

    @pytest.mark.parametrize("name", ["flat", "nested", "loop", "async loop", "nested loops"])
    def test_cancelled_again_while_it_cleans_up(self, engine, balance, name):
        """S18: a second cancellation does not leave anything behind either"""
        build = graphs(balance)[name]
        for k in range(1, 12):

            async def main(k=k):
                running = asyncio.ensure_future(arun(build(), engine=engine))
                for _ in range(k):
                    await asyncio.sleep(0.25)
                for _ in range(3):
                    running.cancel()
                    await asyncio.sleep(0)
                return await asyncio.wait([running]), running

            _, running = run_virtual(main).value
            assert running.cancelled() or running.exception() is None
            assert balance.open == 0

    def test_clean_up_is_awaited(self, engine, balance):
        """S18: cancels and awaits"""
        slow = make_io(balance, seconds=5, clean_up=2)

        async def main():
            running = asyncio.ensure_future(arun(gather(slow(), slow()), engine=engine))
            await asyncio.sleep(1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            return balance.open

        done = run_virtual(main)
        assert done.value == 0
        assert done.elapsed == 3

    def test_the_message_of_the_cancellation_is_kept(self, engine, balance):
        """S18"""

        async def main():
            running = asyncio.ensure_future(arun(gather(make_io(balance)(), make_io(balance)()), engine=engine))
            await asyncio.sleep(0.5)
            running.cancel("enough")
            with pytest.raises(asyncio.CancelledError) as caught:
                await running
            return caught.value.args

        assert run_virtual(main).value == ("enough",)

    def test_a_timeout_around_arun(self, engine, balance):
        """S18: the caller's own timeout works"""

        async def main():
            async with asyncio.timeout(0.5):
                await arun(gather(make_io(balance)(), make_io(balance)()), engine=engine)

        with pytest.raises(TimeoutError):
            run_virtual(main)
        assert balance.open == 0

    def test_a_timeout_around_a_single_awaitable(self, engine, balance):
        """S18: where nothing else is in flight, too"""

        async def main():
            async with asyncio.timeout(0.5):
                await arun(same(make_io(balance)()), engine=engine)

        with pytest.raises(TimeoutError):
            run_virtual(main)
        assert balance.open == 0

    def test_a_task_group_around_arun(self, engine, balance):
        """S18"""

        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(arun(gather(make_io(balance, seconds=5)(), make_io(balance)()), engine=engine))
                group.create_task(_fail(2, ValueError("outside")))

        with pytest.raises(ExceptionGroup):
            run_virtual(main)
        assert balance.open == 0

    def test_no_task_starts_after_the_cancellation(self, engine, balance):
        """S18: neither what waits nor what becomes ready"""
        slow = make_io(balance, seconds=2, clean_up=3)
        started = []

        @task
        def note(*_):
            started.append(1)

        async def main():
            running = asyncio.ensure_future(
                arun([note(make_io(balance, seconds=3)()), note(slow()), note(note())], engine=engine)
            )
            await asyncio.sleep(1)
            before = len(started)
            running.cancel()
            await asyncio.wait([running])
            return before

        assert run_virtual(main).value == len(started)

    def test_a_task_that_swallows_cancellation(self, engine):
        """S18: the run is cancelled all the same, and the task was awaited"""
        ended = []

        @task
        async def stubborn():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            ended.append(1)
            return "value"

        for target in (stubborn(), gather(stubborn(), stubborn()), same(stubborn())):

            async def main(target=target):
                running = asyncio.ensure_future(arun(target, engine=engine))
                await asyncio.sleep(1)
                running.cancel()
                await asyncio.wait([running])
                return running.cancelled()

            run_virtual(main)
        assert len(ended) == 4

    @pytest.mark.parametrize("several", [False, True])
    def test_swallowing_does_not_let_the_run_go_on(self, engine, several):
        """S18: cancelling a run cancels it; what comes after the stubborn task does not run"""
        ran_on = []

        @task
        async def stubborn():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                return "swallowed"

        @task
        def note(x):
            ran_on.append(x)

        async def main():
            target = note(stubborn())
            running = asyncio.ensure_future(arun(gather(target, stubborn()) if several else target, engine=engine))
            await asyncio.sleep(1)
            running.cancel()
            await asyncio.wait([running])
            return running.cancelled()

        assert run_virtual(main).value is True
        assert ran_on == []

    def test_a_task_that_raises_during_cancellation(self, engine):
        """S18, S15: the run is cancelled; the failure is not lost"""

        @task
        async def bad():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise ValueError("while cleaning up") from None

        async def main():
            running = asyncio.ensure_future(arun(gather(bad(), bad()), engine=engine))
            await asyncio.sleep(1)
            running.cancel()
            await running

        done = capture_virtual(main)
        assert type(done.error) is asyncio.CancelledError
        assert "while cleaning up" in "".join(getattr(done.error, "__notes__", []))
        assert done.leaks == ()

    def test_a_task_that_cancels_itself(self, engine, balance):
        """S15: a CancelledError that a task raises is its failure, and ends the run"""

        @task
        async def quits():
            await asyncio.sleep(1)
            raise asyncio.CancelledError("I quit")

        done = capture_virtual(lambda: arun(gather(quits(), make_io(balance, seconds=50)()), engine=engine))
        assert type(done.error) is asyncio.CancelledError
        assert (done.elapsed, done.leaks, balance.open) == (1, (), 0)

    def test_run_again_after_a_cancellation(self, engine, balance):
        """P7: the compiled code is as good as new"""
        target = gather(make_io(balance)(), same(make_io(balance)()))
        for k in (3, 4, 5):
            capture_virtual(lambda: arun(target, engine=engine), cancel_at=k)
        assert run_virtual(lambda: arun(target, engine=engine)).value == ["io", "io"]

    def test_the_frame_of_a_cancelled_run_is_not_pending(self, engine, balance):
        """P7: no future of the run is left unretrieved"""
        problems = []

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context["message"]))
            running = asyncio.ensure_future(
                arun(gather(make_io(balance)(), fail(0.5, ValueError("x")), fail(0.5, KeyError())), engine=engine)
            )
            await asyncio.wait([running])
            assert type(running.exception()) is ValueError
            del running
            gc.collect()
            await asyncio.sleep(0)

        run_virtual(main)
        gc.collect()
        assert problems == []


class TestFailing:
    def test_the_exception_is_the_one_that_was_raised(self, engine):
        """S15: the original object, its type, cause and context"""
        error = ValueError("first")
        cause = KeyError("why")

        @task
        def bad():
            raise error from cause

        for target in (bad(), same(bad()), gather(same(1), bad()), [same(bad())]):
            with pytest.raises(ValueError, match="first") as caught:
                run(target, engine=engine)
            assert caught.value is error
            assert caught.value.__cause__ is cause

    def test_the_note_names_task_place_and_arguments(self, engine):
        """S15: task, line and arguments, once"""

        @task
        def bad(row, limit=3):
            return row[0][0]

        with pytest.raises(TypeError) as caught:
            run(same(bad([1], limit=same(4))), engine=engine)
        (note,) = caught.value.__notes__
        assert "bad" in note
        assert "test_cancellation.py:" in note
        assert "row = [1]" in note
        assert "limit = 4" in note

    def test_the_note_of_a_nested_failure_names_the_innermost_task(self, engine):
        """S15, S25"""

        @task
        def bad():
            raise ValueError("deep")

        @task
        def nest():
            return same(bad())

        with pytest.raises(ValueError, match="deep") as caught:
            run(same(nest()), engine=engine)
        assert "bad" in caught.value.__notes__[0]

    def test_the_traceback_shows_the_task_and_no_engine(self, engine):
        """Engine frames are trimmed"""

        @task
        async def bad():
            await asyncio.sleep(0)
            raise ValueError("x")

        @task
        def bad_at_once():
            raise ValueError("x")

        for target in (bad(), gather(bad(), same(1)), same(bad_at_once()), gather(bad_at_once(), bad())):
            with pytest.raises(ValueError, match="x") as caught:
                run(target, engine=engine)
            files = [entry.path.name if hasattr(entry.path, "name") else str(entry.path) for entry in caught.traceback]
            assert "machine.py" not in files
            assert "asyncio_driver.py" not in files
            assert files[-1] == "test_cancellation.py"
            assert caught.traceback[-1].name in ("bad", "bad_at_once")

    def test_what_is_in_flight_is_cancelled_and_awaited_first(self, engine, balance):
        """S15"""
        slow = make_io(balance, seconds=50, clean_up=2)

        async def main():
            try:
                await arun(gather(slow(), fail(1, ValueError("x")), same(slow())), engine=engine)
            except ValueError:
                return balance.open

        done = run_virtual(main)
        assert (done.value, done.elapsed) == (0, 3)

    @pytest.mark.parametrize("name", NAMES)
    def test_a_failure_beside_every_graph(self, engine, balance, name):
        """S15, P7: a failure at every half second of a graph cancels all of it"""
        build = graphs(balance)[name]
        total = run_virtual(lambda: arun(build(), engine=engine)).elapsed
        for half in range(int(2 * total)):
            error = ValueError(half)
            done = capture_virtual(lambda half=half, error=error: arun(pair(build(), fail(half / 2 + 0.1, error)), engine=engine))
            assert done.error is error, half
            assert (done.leaks, balance.open) == ((), 0), half

    def test_a_synchronous_failure_beside_io(self, engine, balance):
        """S15: the I/O has been started, so it is cancelled"""

        @task
        def bad():
            raise ValueError("now")

        done = capture_virtual(lambda: arun(gather(make_io(balance)(), bad(), make_io(balance)()), engine=engine))
        assert type(done.error) is ValueError
        assert (done.elapsed, done.leaks, balance.open, balance["begun"]) == (0, (), 0, 2)

    def test_a_synchronous_failure_in_run(self, engine, balance):
        """S15: the same from run(), which has a loop of its own"""

        @task
        def bad():
            raise ValueError("now")

        with pytest.raises(ValueError, match="now"):
            run(gather(make_io(balance, seconds=0)(), bad()), engine=engine)
        assert balance.open == 0

    @pytest.mark.parametrize("seed", range(8))
    def test_two_failures_in_one_tick(self, engine, seed):
        """S15, settled: that of the lowest position is raised; the other is a note"""
        done = capture_virtual(
            lambda: arun(gather(fail(2, OSError("late")), fail(1, ValueError("low")), fail(1, KeyError("high"))), engine=engine),
            seed=seed,
        )
        assert type(done.error) is ValueError
        assert "KeyError" in "".join(done.error.__notes__)
        assert "high" in "".join(done.error.__notes__)

    @pytest.mark.parametrize("seed", range(4))
    def test_two_failures_in_one_tick_in_nested_frames(self, engine, seed):
        """S15, settled, S25"""

        @task
        def nest(x):
            return same(x)

        @task
        def fails(seconds, error):
            return same(fail(seconds, error))

        target = pair(nest(1), fails(1, ValueError("low")), fails(1, KeyError("high")))
        done = capture_virtual(lambda: arun(target, engine=engine), seed=seed)
        assert type(done.error) is ValueError
        assert done.leaks == ()

    def test_failures_during_clean_up_are_notes(self, engine):
        """S15: not lost"""

        @task
        async def bad_loser(name):
            try:
                await asyncio.sleep(50)
            finally:
                raise KeyError(name)

        done = capture_virtual(lambda: arun(gather(bad_loser("one"), fail(1, ValueError("x")), bad_loser("two")), engine=engine))
        assert type(done.error) is ValueError
        notes = "".join(done.error.__notes__)
        assert "one" in notes
        assert "two" in notes
        assert done.leaks == ()

    def test_exceptions_that_refuse_notes(self, engine):
        """S15: the exception comes through as it is"""

        class Refuses(Exception):
            def add_note(self, note):
                raise RuntimeError("no notes")

        class Slotted(Exception):
            __slots__ = ()

            def __setattr__(self, name, value):
                raise AttributeError(name)

        class WrongNotes(Exception):
            __notes__ = "no list"  # type: ignore[assignment]

        for error in (Refuses("x"), Slotted("x"), WrongNotes("x")):

            @task
            def bad(error=error):
                raise error

            @task
            async def bad_later(error=error):
                raise error

            for target in (bad(), same(bad()), gather(bad_later(), same(1)), gather(bad_later(), fail(0, KeyError()))):
                with pytest.raises(type(error)) as caught:
                    run(target, engine=engine)
                assert caught.value is error

    def test_an_exception_raised_twice(self, engine):
        """The same object may be raised by two tasks, in one run or in two."""
        error = ValueError("again")
        for _ in range(3):
            done = capture_virtual(lambda: arun(gather(fail(1, error), fail(1, error)), engine=engine))
            assert done.error is error

    @pytest.mark.parametrize(
        "hostile", [("__str__", "__repr__"), ("__eq__",), ("__hash__",), ("__bool__",)], ids=lambda names: names[0]
    )
    def test_hostile_exceptions(self, engine, hostile):
        """S15: a failing method of one of the exceptions never hides the failure"""

        def refuse(*_):
            raise RuntimeError("refused")

        kind = type("Hostile", (Exception,), dict.fromkeys(hostile, refuse))
        done = capture_virtual(lambda: arun(gather(fail(1, kind()), fail(1, kind()), fail(2, kind())), engine=engine))
        assert type(done.error) is kind
        assert done.leaks == ()

    def test_hostile_arguments_of_a_failing_task(self, engine):
        """S15: the note cannot hide the failure"""

        class Hostile:
            def __repr__(self):
                raise RuntimeError("no repr")

        @task
        def bad(x):
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            run(bad(Hostile()), engine=engine)

    @pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit])
    def test_exceptions_with_a_meaning_for_generators(self, engine, kind):
        """S15: from a sync task they arrive as they were raised"""
        error = kind("x")

        @task
        def bad():
            raise error

        for target in (bad(), gather(same(1), bad()), same(bad())):
            with pytest.raises(kind) as caught:
                run(target, engine=engine)
            assert caught.value is error

    def test_stop_iteration_beside_io(self, engine, balance):
        """S15: from a sync task, in a run that has a loop. `await` cannot carry a StopIteration, so it may come as the cause"""

        @task
        def bad():
            raise StopIteration(5)

        done = capture_virtual(lambda: arun(gather(make_io(balance)(), bad()), engine=engine))
        assert isinstance(done.error, (StopIteration, RuntimeError))
        if isinstance(done.error, RuntimeError):
            assert isinstance(done.error.__cause__, StopIteration)
        assert (done.leaks, balance.open) == ((), 0)

    def test_stop_iteration_in_a_coroutine(self, engine, balance):
        """Python's own rule: RuntimeError, with the StopIteration as its cause"""

        @task
        async def bad():
            await asyncio.sleep(1)
            raise StopIteration(5)

        done = capture_virtual(lambda: arun(gather(bad(), make_io(balance, seconds=9)()), engine=engine))
        assert type(done.error) is RuntimeError
        assert (done.elapsed, done.leaks, balance.open) == (1, (), 0)

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_interrupts_from_a_synchronous_task(self, engine, balance, kind):
        """S15, P7: what is in flight is cancelled and awaited"""

        @task
        def stop():
            raise kind("now")

        with pytest.raises(kind, match="now"):
            run(gather(same(1), stop()), engine=engine)
        with pytest.raises(kind, match="now"):
            run(gather(make_io(balance, seconds=0)(), stop()), engine=engine)
        assert balance.open == 0
        done = capture_virtual(lambda: arun(gather(make_io(balance)(), stop()), engine=engine))
        assert type(done.error) is kind
        assert (done.leaks, balance.open) == ((), 0)

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_interrupts_from_an_async_task(self, engine, balance, kind):
        """S15, P7: asyncio stops its loop for these; the run has cleaned up all the same when run() returns"""

        @task
        async def stop():
            await asyncio.sleep(0)
            raise kind("now")

        with pytest.raises(kind):
            run(gather(make_io(balance, seconds=0.001)(), stop()), engine=engine)
        gc.collect()
        assert balance.open == 0

    def test_ctrl_c_ends_a_synchronous_loop(self, engine):
        """The first Ctrl-C ends it, promptly"""
        rounds = []

        @task
        def loop(n):
            rounds.append(n)
            if n == 500:
                signal.raise_signal(signal.SIGINT)
            return loop(n - 1) if n else "end"

        with pytest.raises(KeyboardInterrupt):
            run(loop(1_000), engine=engine)
        assert len(rounds) < 510

    def test_ctrl_c_cancels_what_is_in_flight(self, engine, balance):
        """S15, S18: run() has a loop of its own, and cleans it up"""

        @task
        async def interrupt():
            await asyncio.sleep(0)
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0.01)

        with pytest.raises(KeyboardInterrupt):
            run(gather(make_io(balance, seconds=5)(), interrupt()), engine=engine)
        assert balance["begun"] == 1
        assert balance.open == 0

    def test_the_next_run_works_after_each_failure(self, engine):
        """One failed run leaves the compiled code as it was"""
        state = {"fail": True}

        @task
        def sometimes(x):
            if state["fail"]:
                raise MemoryError
            return x

        target = gather(same(1), sometimes(same(2)))
        for _ in range(3):
            state["fail"] = True
            with pytest.raises(MemoryError):
                run(target, engine=engine)
            state["fail"] = False
            assert run(target, engine=engine) == [1, 2]

    def test_a_failure_in_a_tail_call_loop(self, engine):
        """S15, S24: in the 1,000th round"""

        @task
        def loop(n):
            if n == 0:
                raise ValueError("at the end")
            return loop(n - 1)

        with pytest.raises(ValueError, match="at the end") as caught:
            run(loop(1_000), engine=engine)
        assert len(caught.value.__notes__) == 1
        assert "n = 0" in caught.value.__notes__[0]

    def test_a_failure_at_the_bottom_of_a_deep_recursion(self, engine):
        """S15, S25: neither notes nor traceback grow with the depth"""

        @task
        def down(n):
            if n == 0:
                raise ValueError("bottom")
            return same(down(n - 1))

        with pytest.raises(ValueError, match="bottom") as caught:
            run(same(down(5_000)), engine=engine)
        assert len("".join(caught.value.__notes__)) < 20_000
        assert len(caught.traceback) < 50

    def test_failures_of_items_and_containers_say_where(self, engine):
        """S15: built-in steps have a place too"""
        with pytest.raises(KeyError) as caught:
            run(same({})["missing"], engine=engine)
        assert "test_cancellation.py" in "".join(caught.value.__notes__)
