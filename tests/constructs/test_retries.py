"""Retry and timeout: attempts, waits, what is retried, what is never (S16, S17; R7 to R9)."""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from typing import Any

import pytest

from cascade_compiler import Router, arun, cache_info, cycle_id, gather, task
from cascade_compiler import run as run_any
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm.errors import TargetSkipped

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@task
def note(x: Any, *rest: Any) -> Any:
    calls.append(x)
    return x


@task
async def wait(seconds: float, value: Any = None) -> Any:
    await asyncio.sleep(seconds)
    return value


def now() -> float:
    return asyncio.get_running_loop().time()


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: arun(target, engine=engine, **options))


def failing(
    times: int, error: BaseException | type[BaseException] = ValueError, *, is_async: bool = True, lasting: float = 0.0
) -> Any:
    """A task that fails so often, then returns how often it was called; the times of its calls are in ``calls``."""
    count = 0

    def attempt() -> int:
        nonlocal count
        count += 1
        if count <= times:
            raise error
        return count

    if is_async:

        @task
        async def work(*args):
            calls.append(now())
            await asyncio.sleep(lasting)
            return attempt()

        return work

    @task
    def sync_work(*args):
        calls.append("attempt")
        return attempt()

    return sync_work


class TestAttempts:
    @pytest.mark.parametrize("is_async", [True, False])
    def test_all_attempts_are_counted(self, engine, is_async):
        """R7"""
        for most in (1, 2, 5):
            calls.clear()
            got = capture_virtual(lambda: arun(failing(99, is_async=is_async)().with_retry(most), engine=engine))  # noqa: B023
            assert isinstance(got.error, ValueError)
            assert len(calls) == most
            assert got.elapsed == 0

    @pytest.mark.parametrize("is_async", [True, False])
    def test_it_ends_with_the_first_success(self, engine, is_async):
        assert virtual(engine, failing(2, is_async=is_async)().with_retry(5)).value == 3
        assert len(calls) == 3

    def test_three_unless_told(self, run):
        assert run(failing(2, is_async=False)().with_retry()) == 3
        with pytest.raises(ValueError):  # noqa: PT011
            run(failing(3, is_async=False)().with_retry())

    def test_the_last_retry_counts(self, run):
        """S1: with_retry again replaces the retry"""
        with pytest.raises(ValueError):  # noqa: PT011
            run(failing(3, is_async=False)().with_retry(10).with_retry(2))
        assert len(calls) == 2

    def test_only_the_last_failure_is_raised(self, run):
        """R7"""
        count = 0

        @task
        def work(x):
            nonlocal count
            count += 1
            raise ValueError(count)

        with pytest.raises(ValueError, match="3") as caught:
            run(gather(work("arg").with_retry(3), 1))
        (text,) = caught.value.__notes__
        first, second = text.splitlines()
        assert first.startswith(f"in task {work.task.label}, called at ")
        assert first.endswith(" (attempt 3 of 3)")
        assert second == "  x = 'arg'"

    def test_one_attempt_has_no_text(self, run):
        """R7"""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            run(failing(9, is_async=False)().with_retry(1))
        assert "attempt" not in caught.value.__notes__[0].splitlines()[0]

    def test_the_attempt_that_was_not_retried_is_named(self, run):
        """R7: failed at once, in the first of three"""
        with pytest.raises(KeyError) as caught:
            run(failing(9, KeyError, is_async=False)().with_retry(3, on=ValueError))
        assert caught.value.__notes__[0].splitlines()[0].endswith("(attempt 1 of 3)")
        assert len(calls) == 1

    def test_the_same_exception_object_again_and_again(self, run):
        """One exception object raised by each attempt: one note, of the last"""
        error = ValueError("same")
        with pytest.raises(ValueError, match="same") as caught:
            run(failing(9, error, is_async=False)().with_retry(3))
        assert caught.value is error
        assert len(error.__notes__) == 1

    def test_the_arguments_are_evaluated_once(self, run):
        assert run(failing(2, is_async=False)(note("part")).with_retry(3)) == 3
        assert calls.count("part") == 1

    def test_a_retried_target_in_a_loop(self, run):
        """R9, S24: each turn has its own attempts"""
        count = 0

        @task
        def loop(n):
            nonlocal count
            count += 1
            if count % 2:
                raise ValueError
            return loop(n - 1).with_retry(2) if n else "end"

        assert run(loop(50).with_retry(2)) == "end"
        assert count == 102


class TestOn:
    def test_only_what_is_named(self, run):
        """R7"""
        assert run(failing(1, KeyError, is_async=False)().with_retry(2, on=LookupError)) == 2
        assert run(failing(1, KeyError, is_async=False)().with_retry(2, on=(ValueError, KeyError))) == 2
        for error in (IndexError, RuntimeError):
            with pytest.raises(error):
                run(failing(1, error, is_async=False)().with_retry(2, on=(ValueError, KeyError)))

    def test_a_class_made_here(self, run):
        class Mine(Exception):
            pass

        assert run(failing(1, Mine, is_async=False)().with_retry(2, on=Mine)) == 2

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt, SystemExit, BaseException, BaseExceptionGroup("g", [KeyboardInterrupt()])]
    )
    def test_what_ends_a_program_is_never_retried(self, run, error):
        """R7"""
        kind = error if isinstance(error, type) else type(error)
        with pytest.raises(kind):
            run(failing(9, error, is_async=False)().with_retry(3))
        assert len(calls) == 1

    def test_a_keyboard_interrupt_of_an_async_task(self, engine):
        got = capture_virtual(lambda: arun(failing(9, KeyboardInterrupt)().with_retry(3, delay=1), engine=engine))
        assert isinstance(got.error, KeyboardInterrupt)
        assert len(calls) == 1

    def test_a_cancelled_error_that_nobody_asked_for(self, engine):
        """R7: a failure, never retried"""
        got = capture_virtual(
            lambda: arun(gather(failing(9, asyncio.CancelledError)().with_retry(3, delay=1), wait(5)), engine=engine)
        )
        assert isinstance(got.error, asyncio.CancelledError)
        assert len(calls) == 1
        assert not got.leaks
        assert got.elapsed == 0

    def test_a_stop_iteration_of_a_sync_task(self, engine):
        """R7, N18: StopIteration is an Exception, and is retried"""
        assert run_any(failing(2, StopIteration, is_async=False)().with_retry(3), engine=engine) == 3
        with pytest.raises((StopIteration, RuntimeError)):
            run_any(failing(9, StopIteration, is_async=False)().with_retry(3), engine=engine)

    def test_a_stop_iteration_with_a_value_is_a_failure(self, run):
        """It must not be taken for the end of something inside the engine"""
        with pytest.raises((StopIteration, RuntimeError)):
            run(failing(9, StopIteration("value"), is_async=False)().with_retry(2, on=ValueError))
        assert len(calls) == 1

    def test_a_generator_exit_is_not_retried(self, run):
        with pytest.raises(GeneratorExit):
            run(failing(9, GeneratorExit, is_async=False)().with_retry(3))
        assert len(calls) == 1

    def test_an_exception_group(self, run):
        assert run(failing(1, ExceptionGroup("g", [ValueError()]), is_async=False)().with_retry(2)) == 2


class TestWaits:
    @pytest.mark.parametrize(
        ("options", "starts"),
        [
            ({"delay": 2}, [0, 2, 4, 6]),
            ({"delay": 1, "backoff": 2}, [0, 1, 3, 7]),
            ({"delay": 1, "backoff": 3, "max_delay": 4}, [0, 1, 4, 8]),
            ({"delay": 10, "max_delay": 4}, [0, 4, 8, 12]),
            ({"delay": 8, "backoff": 0.5}, [0, 8, 12, 14]),
            ({"delay": 8, "backoff": 0}, [0, 8, 8, 8]),
            ({"delay": 5, "max_delay": 0}, [0, 0, 0, 0]),
            ({"delay": 0, "backoff": 9}, [0, 0, 0, 0]),
        ],
    )
    def test_back_off(self, engine, options, starts):
        """R7: Retry.wait(n)"""
        assert virtual(engine, failing(3)().with_retry(4, **options)).value == 4
        assert calls == starts

    def test_the_wait_begins_when_the_attempt_has_failed(self, engine):
        virtual(engine, failing(2, lasting=3)().with_retry(3, delay=1))
        assert calls == [0, 4, 8]

    def test_no_wait_after_the_last_attempt(self, engine):
        got = capture_virtual(lambda: arun(failing(9)().with_retry(2, delay=5), engine=engine))
        assert got.elapsed == 5

    def test_a_huge_back_off_does_not_overflow(self, engine):
        got = virtual(engine, failing(9)().with_retry(10, delay=1e300, backoff=1e300, max_delay=1))
        assert got.value == 10
        assert got.elapsed == 9

    def test_jitter_with_a_seed_is_repeatable(self, engine):
        """R7"""

        def starts(seed):
            calls.clear()
            virtual(engine, failing(3)().with_retry(4, delay=10, jitter=0.5, seed=seed))
            return list(calls)

        one = starts(7)
        assert one == starts(7) != starts(8)
        waits = [b - a for a, b in itertools.pairwise(one)]
        assert all(5 <= wait <= 15 for wait in waits)
        assert len(set(waits)) == 3

    def test_jitter_of_map_items_differs(self, engine):
        """R7: Retry.wait(n, index)"""
        from cascade_vm.policies import Retry

        tries: dict[int, list[float]] = {}

        @task
        async def work(x):
            tries.setdefault(x, []).append(now())
            if len(tries[x]) < 2:
                raise ValueError
            return x

        virtual(engine, work.map(range(4)).with_retry(2, delay=10, jitter=1, seed=3))
        expected = [Retry(2, 10.0, jitter=1.0, seed=3).wait(1, index) for index in range(4)]
        assert [times[1] for times in tries.values()] == pytest.approx(expected)
        assert len(set(expected)) == 4

    def test_a_wait_overlaps_other_work(self, engine):
        """R7"""
        got = virtual(engine, gather(failing(2)().with_retry(3, delay=5), wait(10), note("sync")))
        assert got.elapsed == 10

    def test_sync_tasks_wait_without_blocking(self, engine):
        """R7, settled reading of S16"""
        got = virtual(engine, gather(failing(2, is_async=False)().with_retry(3, delay=5), wait(10, "w"), note("other")))
        assert got.value == [3, "w", "other"]
        assert got.elapsed == 10
        assert calls == ["attempt", "other", "attempt", "attempt"]

    def test_after_a_wait_a_sync_attempt_waits_for_its_turn(self, engine):
        """R7: what stands before it, and is ready in the same tick, goes first"""

        @task
        def after_io(x):
            calls.append("before")
            return x

        got = virtual(engine, gather(after_io(wait(5)), failing(1, is_async=False)().with_retry(2, delay=5)))
        assert got.elapsed == 5
        assert calls == ["attempt", "before", "attempt"]

    def test_sync_attempts_without_a_delay_are_made_in_place(self, run):
        """R7: nothing else runs in between"""
        run(gather(note("a"), failing(2, is_async=False)().with_retry(3), note("b")))
        assert calls == ["a", "attempt", "attempt", "attempt", "b"]

    def test_no_loop_without_a_delay(self, engine, monkeypatch):
        """R7"""
        monkeypatch.setattr(asyncio.events, "new_event_loop", lambda: pytest.fail("a loop was made"))
        if engine == "interpreter":
            assert run_any(failing(2, is_async=False)().with_retry(3), engine=engine) == 3
            assert run_any(failing(0, is_async=False)().with_retry(3, delay=1), engine=engine) == 1

    def test_inside_a_running_loop_without_a_wait(self, engine):
        """N20: a delay that never comes to be waited for"""
        if engine != "interpreter":
            return

        async def main():
            return run_any(failing(2, is_async=False)().with_retry(3), engine=engine)

        assert asyncio.run(main()) == 3

    def test_a_failure_elsewhere_ends_a_wait(self, engine):
        """S15: no attempt is made after the run has failed"""

        @task
        async def bad():
            await asyncio.sleep(3)
            raise KeyError("bad")

        got = capture_virtual(lambda: arun(gather(failing(9)().with_retry(9, delay=100), bad()), engine=engine))
        assert isinstance(got.error, KeyError)
        assert got.elapsed == 3
        assert not got.leaks
        assert calls == [0]

    def test_cancelled_while_it_waits(self, engine):
        """S18"""
        for at in range(1, 40):
            got = capture_virtual(lambda: arun(failing(3)().with_retry(5, delay=1), engine=engine), cancel_at=at)
            assert not got.leaks
            if got.error is None:
                break
            assert isinstance(got.error, asyncio.CancelledError)

    def test_a_retry_in_a_route_and_under_a_condition(self, engine):
        target = Router(note("a"), {"a": failing(1)().with_retry(2, delay=2), "b": failing(9)()}).run_if(wait(1, 1))
        got = virtual(engine, target)
        assert got.value == 2
        assert got.elapsed == 3


class TestTimeouts:
    def test_an_attempt_that_takes_too_long(self, engine):
        """R8"""
        got = capture_virtual(lambda: arun(wait(10).with_timeout(2.5), engine=engine))
        assert type(got.error) is TimeoutError
        assert got.elapsed == 2.5
        assert not got.leaks
        assert str(got.error) == f"{wait.task.label} took longer than 2.5 seconds"
        assert got.error.__notes__[0].startswith(f"in task {wait.task.label}, called at ")

    def test_an_attempt_in_time(self, engine):
        got = virtual(engine, wait(2, "x").with_timeout(2.5))
        assert got.value == "x"
        assert got.elapsed == 2

    def test_per_attempt(self, engine):
        """R8"""
        tries = 0

        @task
        async def work():
            nonlocal tries
            tries += 1
            await asyncio.sleep(10 if tries < 3 else 2)
            return tries

        got = virtual(engine, work().with_timeout(3).with_retry(5, delay=1))
        assert got.value == 3
        assert got.elapsed == 3 + 1 + 3 + 1 + 2

    def test_on_decides_whether_a_timeout_is_retried(self, engine):
        """R8"""
        for on, elapsed in ((ValueError, 3), (TimeoutError, 9), (OSError, 9)):
            got = capture_virtual(lambda: arun(wait(10).with_timeout(3).with_retry(3, on=on), engine=engine))  # noqa: B023
            assert type(got.error) is TimeoutError
            assert got.elapsed == elapsed

    def test_a_timeout_of_its_own_is_its_own(self, engine):
        """R8: the task's own TimeoutError is not renamed"""
        error = TimeoutError("mine")

        @task
        async def work():
            raise error

        got = capture_virtual(lambda: arun(work().with_timeout(3), engine=engine))
        assert got.error is error
        assert str(error) == "mine"

    def test_the_coroutine_is_cancelled_and_awaited(self, engine):
        """R8"""
        ended = []

        @task
        async def work():
            try:
                await asyncio.sleep(10)
            finally:
                await asyncio.sleep(1)
                ended.append(now())

        got = capture_virtual(lambda: arun(work().with_timeout(2), engine=engine))
        assert type(got.error) is TimeoutError
        assert ended == [3]
        assert not got.leaks

    def test_a_failure_while_it_is_cancelled(self, engine):
        @task
        async def work():
            try:
                await asyncio.sleep(10)
            finally:
                raise KeyError("clean-up")

        got = capture_virtual(lambda: arun(work().with_timeout(2), engine=engine))
        assert type(got.error) in (TimeoutError, KeyError)
        assert got.elapsed == 2

    @pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside others"])
    @pytest.mark.parametrize("ends", ["returns", "raises", "returns a graph"])
    def test_what_swallows_the_cancellation_of_its_timeout(self, engine, beside, ends):
        """N44: what it comes to counts, however late, as with asyncio.timeout; no attempt follows a value"""

        @task
        async def deaf():
            calls.append("attempt")
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(3)  # its clean-up: nothing interrupts it
            if ends == "raises":
                raise LookupError("late")
            return note("graph") if ends == "returns a graph" else "late"

        call = deaf().with_timeout(2).with_retry(2, on=TimeoutError)
        got = capture_virtual(lambda: arun(gather(call, wait(9)) if beside else note(call), engine=engine))
        assert not got.leaks
        assert calls.count("attempt") == 1
        if ends == "raises":
            assert isinstance(got.error, LookupError)
            assert got.elapsed == 5
        else:
            value = "graph" if ends == "returns a graph" else "late"
            assert got.value == ([value, None] if beside else value)
            assert got.elapsed == (9 if beside else 5)

    @pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside others"])
    def test_what_is_cancelled_in_its_late_clean_up(self, engine, beside):
        """N44: a run that is cancelled meanwhile ends as cancelled"""

        @task
        async def deaf():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                try:
                    await asyncio.sleep(3)
                finally:
                    calls.append("cleaned up")

        async def main():
            call = deaf().with_timeout(2)
            run = asyncio.get_running_loop().create_task(arun(gather(call, wait(9)) if beside else note(call), engine=engine))
            await asyncio.sleep(3)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            return now()

        assert run_virtual(main).value == 3
        assert calls == ["cleaned up"]

    def test_cancelled_from_outside(self, engine):
        """S18: a CancelledError, and no TimeoutError"""

        async def main():
            running = asyncio.ensure_future(arun(wait(10).with_timeout(5).with_retry(3), engine=engine))
            await asyncio.sleep(1)
            running.cancel()
            await running

        got = capture_virtual(main)
        assert isinstance(got.error, asyncio.CancelledError)
        assert got.elapsed == 1
        assert not got.leaks

    def test_cancelled_from_outside_with_others_in_flight(self, engine):
        async def main():
            running = asyncio.ensure_future(arun(gather(wait(10).with_timeout(5).with_retry(3), wait(7)), engine=engine))
            await asyncio.sleep(1)
            running.cancel()
            await running

        got = capture_virtual(main)
        assert isinstance(got.error, asyncio.CancelledError)
        assert got.elapsed == 1
        assert not got.leaks

    def test_cancelled_in_the_tick_of_the_timeout(self, engine):
        """S18: cancellation is never retried, and wins"""

        async def main():
            running = asyncio.ensure_future(arun(gather(wait(10).with_timeout(5).with_retry(3), wait(7)), engine=engine))
            await asyncio.sleep(5)
            running.cancel()
            await running

        for seed in range(6):
            got = capture_virtual(main, seed=seed)
            assert isinstance(got.error, asyncio.CancelledError)
            assert not got.leaks

    def test_cancelled_at_every_moment(self, engine):
        for at in range(1, 60):
            got = capture_virtual(
                lambda: arun(gather(wait(10).with_timeout(5).with_retry(2, delay=1), wait(3)), engine=engine), cancel_at=at
            )
            assert not got.leaks
            if isinstance(got.error, TimeoutError):
                break
            assert isinstance(got.error, asyncio.CancelledError)

    def test_a_timeout_inside_a_timeout_of_the_caller(self, engine):
        async def main():
            async with asyncio.timeout(1):
                await arun(wait(10).with_timeout(5), engine=engine)

        got = capture_virtual(main)
        assert type(got.error) is TimeoutError
        assert got.elapsed == 1
        assert "took longer" not in str(got.error)

    def test_a_timeout_does_not_cover_a_returned_flow(self, engine):
        """R9"""

        @task
        async def go(n):
            await asyncio.sleep(1)
            return wait(100, "end") if n == 0 else go(n - 1)

        assert virtual(engine, go(3).with_timeout(2)).elapsed == 104
        assert virtual(engine, gather(go(0).with_timeout(2))).elapsed == 101

    def test_a_retry_does_not_cover_a_returned_flow(self, engine):
        """R9"""
        inner = failing(1)

        @task
        def go():
            calls.append("go")
            return inner()

        got = capture_virtual(lambda: arun(go().with_retry(3), engine=engine))
        assert isinstance(got.error, ValueError)
        assert calls == ["go", 0]
        calls.clear()
        got = capture_virtual(lambda: arun(gather(go().with_retry(3)), engine=engine))
        assert got.error is None  # the second call of inner succeeds

    def test_a_thread_task(self, run):
        """R8: the caller goes on; the thread itself cannot be stopped"""
        release = threading.Event()

        @task(mode="thread")
        def work():
            release.wait(5)

        try:
            threading.Timer(0.2, release.set).start()
            with pytest.raises(TimeoutError, match=r"took longer than 0.01 seconds"):
                run(work().with_timeout(0.01))
        finally:
            release.set()

    def test_a_tiny_timeout(self, engine):
        got = capture_virtual(lambda: arun(wait(1).with_timeout(1e-9), engine=engine))
        assert type(got.error) is TimeoutError
        assert str(got.error).endswith("took longer than 1e-09 seconds")

    def test_an_integer_of_seconds_is_shown_as_one(self, engine):
        got = capture_virtual(lambda: arun(wait(9).with_timeout(3), engine=engine))
        assert str(got.error).endswith("took longer than 3 seconds")

    def test_what_ends_at_once_never_times_out(self, engine):
        @task
        async def quick():
            return 1

        assert virtual(engine, quick().with_timeout(0.001)).value == 1


class TestShapes:
    def test_numbers_of_policies_are_part_of_the_shape(self):
        """S27"""
        forms = [
            note(1), note(1).with_retry(2), note(1).with_retry(3), note(1).with_retry(2, delay=1), note(1).with_retry(2, delay=1,
            backoff=2),
            note(1).with_retry(2, delay=1, max_delay=2), note(1).with_retry(2, delay=1, jitter=0.5), note(1).with_retry(2, delay=1, seed=1),
            note(1).with_retry(2, on=ValueError), note(1).with_retry(2, on=(ValueError, KeyError)), wait(1),
            wait(1).with_timeout(1), wait(1).with_timeout(2), wait(1).with_timeout(1).with_retry(2), wait(1).with_retry(2).with_timeout(2),
        ]  # fmt: skip
        assert len({cycle_id(one) for one in forms}) == len(forms)
        assert cycle_id(wait(1).with_retry(2).with_timeout(1)) == cycle_id(wait(1).with_timeout(1).with_retry(2))

    def test_alternating_through_the_cache(self):
        """P10: a blueprint with another number of attempts must never run"""
        for _ in range(3):
            for most in (1, 2, 3, 4):
                calls.clear()
                work = FLAKY.with_retry(most) if most > 1 else FLAKY
                with pytest.raises(ValueError, match="flaky"):
                    run_any(work, engine="interpreter")
                assert len(calls) == most

    def test_alternating_classes(self):
        """P10: on= of two classes of one name"""

        def make():
            class Mine(Exception):
                pass

            return Mine

        one, two = make(), make()
        node = [raises(kind).with_retry(3, on=on) for kind, on in ((one, one), (one, two), (two, two), (two, one))]
        for _ in range(3):
            for target, attempts in zip(node, (3, 1, 3, 1), strict=True):
                calls.clear()
                with pytest.raises(Exception) as caught:  # noqa: PT011
                    run_any(target, engine="interpreter")
                assert len(calls) == attempts
                assert type(caught.value).__name__ == "Mine"

    def test_other_literals_hit_the_cache(self):
        """S27"""
        run_any(note(0).with_retry(2), engine="interpreter")
        run_any(note(1).with_retry(2), engine="interpreter")
        before = cache_info().compiles
        for n in range(2, 20):
            assert run_any(note(n).with_retry(2), engine="interpreter") == n
        assert cache_info().compiles == before


@task
def flaky():
    calls.append(1)
    raise ValueError("flaky")


@task
def raises(kind):
    calls.append(1)
    raise kind


FLAKY = flaky()


@pytest.mark.parametrize("engine", ["graph", "interpreter", "codegen"])
def test_a_note_tells_no_attempt_of_a_call_that_has_ended(engine: str) -> None:
    """Policies of a call end with it, so they have no part in how the graph that it returned fares."""

    @task
    def skips(x: Any) -> Any:
        return note(x).run_if(False)

    @task
    async def skips_later(x: Any) -> Any:
        return note(x).run_if(False)

    for skipped, ending in (
        (skips(1).with_retry(2), ""), (skips_later(1).with_retry(2), ""), (skips.map([1]).with_retry(2), " (map item 0)"),
    ):  # fmt: skip
        with pytest.raises(TargetSkipped) as caught:
            run_any(note(skipped), engine=engine)
        (said,) = caught.value.__notes__
        assert re.fullmatch(rf"in task \S+, called at \S*test_retries.py:\d+{re.escape(ending)}", said)
