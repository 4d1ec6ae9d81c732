"""Events of runs (R16, N38): what is told, in which order, and that nothing is paid where nobody listens."""



from __future__ import annotations

import asyncio
import sys
import warnings
from typing import Any

import pytest

from cascade_compiler import Jump, Router, TargetSkipped, arun, bind, gather, inject, resource, subscribe, task
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm import executable
from cascade_vm.caching import MemoryCache
from cascade_vm.events import (
    CacheHit,
    RunFinished,
    RunStarted,
    TaskBlocked,
    TaskFailed,
    TaskFinished,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
)

events: list[Any] = []


@pytest.fixture(autouse=True)
def _no_events():
    events.clear()


@task
def note(x: Any, *rest: Any) -> Any:
    return x


@task
async def wait(seconds: float, value: Any = None, *rest: Any) -> Any:
    await asyncio.sleep(seconds)
    return value


@task
def boom(*rest: Any) -> Any:
    raise ValueError("boom")


@task(mode="thread")
def thread(x: Any = None) -> Any:
    if x == "boom":
        raise ValueError("boom")
    return x


def told(engine: str, target: Any, cancel_at: int | None = None, **options: Any) -> Any:
    """Run with a subscription; the outcome, and what was told is in ``events``"""
    with subscribe(events.append):
        return capture_virtual(lambda: arun(target, engine=engine, **options), cancel_at=cancel_at)


def names(*kinds: Any) -> list[str]:
    return [type(one).__name__ for one in events if not kinds or isinstance(one, kinds)]


def of(kind: Any) -> list[Any]:
    return [one for one in events if isinstance(one, kind)]


def short(one: Any) -> str:
    return one.task.rpartition(".")[2]


def assert_framed(status: str) -> None:
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert len(of(RunStarted)) == len(of(RunFinished)) == 1
    assert events[-1].status == status
    assert len({one.run for one in events}) == 1
    times = [one.time for one in events[1:]]
    assert times == sorted(times)


def assert_paired() -> None:
    """Each call that began has ended, by a value or a failure, once"""
    began: dict[Any, int] = {}
    for one in events:
        key = (one.run, getattr(one, "task", None), getattr(one, "index", None))
        if isinstance(one, TaskStarted):
            began[key] = began.get(key, 0) + 1
        elif isinstance(one, (TaskFinished, TaskFailed, TaskRetrying)):
            began[key] = began.get(key, 0) - 1
            assert began[key] >= 0, (key, names())
    assert not any(began.values()), (began, names())


class TestFrame:
    def test_success(self, engine):
        assert told(engine, note("top", note("part"))).value == "top"
        assert_framed("returned")
        assert [(type(one).__name__, short(one)) for one in events[1:-1]] == [("TaskStarted", "note"), ("TaskFinished", "note")] * 2
        assert events[-1].error is None

    def test_a_failure(self, engine):
        assert isinstance(told(engine, gather(note(1), boom())).error, ValueError)
        assert_framed("failed")
        assert names() == ["RunStarted", "TaskStarted", "TaskFinished", "TaskStarted", "TaskFailed", "RunFinished"]
        assert "boom" in events[-1].error
        assert "ValueError" in events[-2].error

    def test_skipped(self, engine):
        assert isinstance(told(engine, note(1).run_if(note(0))).error, TargetSkipped)
        assert_framed("skipped")
        (skip,) = of(TaskSkipped)
        assert "note" in skip.reason
        assert short(skip) == "note"

    @pytest.mark.parametrize("at", range(1, 8))
    def test_cancelled(self, engine, at):
        got = told(engine, gather(wait(1), wait(2), note(3), thread(4)), cancel_at=at)
        if not events:  # cancelled before its first step
            return
        assert_framed("returned" if got.error is None else "cancelled")
        assert_paired()
        for one in of(TaskFailed):
            assert one.error.startswith("CancelledError")

    def test_cancelled_in_the_middle_of_a_call_under_a_policy(self, engine):
        """N38: a call that is cancelled fails, with its CancelledError"""
        for target in (wait(5).with_retry(2), wait(5).with_timeout(9), wait.map(seconds=[5, 6]).with_retry(2), wait.map(seconds=[5, 6])):
            events.clear()

            async def main(target=target):
                run = asyncio.get_running_loop().create_task(arun(target, engine=engine))
                await asyncio.sleep(1)
                run.cancel()
                await run

            with subscribe(events.append):
                got = capture_virtual(main)
            assert isinstance(got.error, asyncio.CancelledError)
            assert_framed("cancelled")
            assert_paired()
            assert of(TaskFailed)
            assert all("CancelledError" in one.error for one in of(TaskFailed))

    def test_without_a_loop(self, run):
        with subscribe(events.append):
            assert run(note(1)) == 1
            with pytest.raises(ValueError, match="boom"):
                run(boom())
        assert names() == [
            "RunStarted", "TaskStarted", "TaskFinished", "RunFinished", "RunStarted", "TaskStarted", "TaskFailed", "RunFinished",
        ]  # fmt: skip
        assert [one.status for one in of(RunFinished)] == ["returned", "failed"]

    def test_a_failure_elsewhere_cancels(self, engine):
        @task
        async def late():
            await asyncio.sleep(1)
            raise ValueError("late")

        told(engine, gather(wait(5), late(), wait(6).with_retry(3)))
        assert_framed("failed")
        assert_paired()
        assert sorted(one.error.partition(":")[0] for one in of(TaskFailed)) == ["CancelledError", "CancelledError", "ValueError"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt("x"), SystemExit(2)])
    def test_what_is_no_exception(self, run, error):
        @task
        def fail():
            raise error

        with subscribe(events.append), pytest.raises(type(error)):
            run(fail())
        assert len(of(RunFinished)) == 1
        assert isinstance(events[-1], RunFinished)
        assert events[-1].status == "failed"

    def test_the_last_event_comes_after_the_tear_downs(self, run):
        @resource
        def thing():
            yield 1
            events.append("down")

        @task
        def work(r=inject(thing)):
            return r

        with subscribe(events.append):
            run(work())
        assert events[-2] == "down"
        assert isinstance(events[-1], RunFinished)

    def test_a_tear_down_that_fails(self, run):
        @resource
        def bad_thing():
            yield 1
            raise OSError("down")

        @task
        def work(r=inject(bad_thing)):
            return r

        with subscribe(events.append), pytest.raises(OSError, match="down"):
            run(work())
        assert events[-1].status == "failed"
        assert "down" in events[-1].error


class TestNothingIsPaid:
    def test_the_plain_code(self, monkeypatch):
        """R16: nobody has subscribed, and the Code object that was compiled is the one that runs"""
        codes = []
        make = executable.Machine

        def machine(root, *rest):
            codes.append(root.code)
            return make(root, *rest)

        monkeypatch.setattr(executable, "Machine", machine)
        from cascade_compiler import run

        def target():
            return note(1, note(2))

        run(target(), engine="interpreter", capacity={"nothing": 1})
        run(target(), engine="interpreter", capacity={"nothing": 1})
        with subscribe(events.append):
            run(target(), engine="interpreter", capacity={"nothing": 1})
        run(target(), engine="interpreter", capacity={"nothing": 1})
        assert codes[0] is codes[1] is codes[3]
        assert codes[2] is not codes[0]

    def test_the_module_is_not_made_for_it(self, monkeypatch):
        from cascade_vm import instrument, scheduler

        def refuse(*_):
            raise AssertionError("instrumented")

        monkeypatch.setattr(instrument, "instrumented", refuse)
        monkeypatch.setattr(scheduler, "instrumented", refuse)

        @task
        def loop(n):
            return loop(n - 1, *()) if n else gather(note(1), note(2))

        assert capture_virtual(lambda: arun(loop(5), engine="interpreter")).value == [1, 2]

    def test_after_the_subscription(self, run):
        with subscribe(events.append):
            pass
        run(note(1))
        assert events == []

    def test_closing_twice(self, run):
        subscription = subscribe(events.append)
        subscription.close()
        subscription.close()
        run(note(1))
        assert events == []

    def test_a_run_that_began_before(self, engine):
        """R16: no events of a run whose start came before the subscription"""

        async def main():
            first = asyncio.get_running_loop().create_task(arun(wait(5, "first"), engine="interpreter"))
            await asyncio.sleep(1)
            with subscribe(events.append):
                second = await arun(wait(1, "second"), engine="interpreter")
            return await first, second

        assert run_virtual(main).value == ("first", "second")
        assert_framed("returned")
        assert len(events) == 4

    def test_a_run_goes_on_telling(self, engine):
        async def main():
            with subscribe(events.append):
                run = asyncio.get_running_loop().create_task(arun(wait(5), engine="interpreter"))
                await asyncio.sleep(1)
            await run

        run_virtual(main)
        assert_framed("returned")


class TestCalls:
    def test_a_retry(self, engine):
        count = 0

        @task
        async def flaky():
            nonlocal count
            count += 1
            if count < 3:
                raise ValueError(count)
            return count

        assert told(engine, flaky().with_retry(4, delay=2, backoff=2)).value == 3
        assert_framed("returned")
        shown = [(type(one).__name__, one.attempt, getattr(one, "wait", None)) for one in events[1:-1]]
        assert shown == [
            ("TaskStarted", 1, None), ("TaskRetrying", 1, 2), ("TaskStarted", 2, None), ("TaskRetrying", 2, 4),
            ("TaskStarted", 3, None), ("TaskFinished", 3, None),
        ]  # fmt: skip
        start = events[1].time
        assert [one.time - start for one in of(TaskStarted)] == [0, 2, 6]

    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_retry_that_fails_for_good(self, engine, is_async):
        async def later():
            raise ValueError("x")

        def sync():
            raise ValueError("x")

        told(engine, gather(task(later if is_async else sync)().with_retry(2), 1))
        assert names() == ["RunStarted", "TaskStarted", "TaskRetrying", "TaskStarted", "TaskFailed", "RunFinished"]
        assert of(TaskFailed)[0].attempt == 2

    def test_a_map(self, engine):
        told(engine, note.map(x=[5, 6]))
        assert [(type(one).__name__, one.index) for one in events[1:-1]] == [
            ("TaskStarted", 0), ("TaskFinished", 0), ("TaskStarted", 1), ("TaskFinished", 1),
        ]  # fmt: skip
        assert all(short(one) == "note" for one in events[1:-1])

    def test_an_async_map(self, engine):
        told(engine, wait.map(seconds=[2, 1]))
        assert [(type(one).__name__, one.index) for one in events[1:-1]] == [
            ("TaskStarted", 0), ("TaskStarted", 1), ("TaskFinished", 1), ("TaskFinished", 0),
        ]  # fmt: skip

    def test_a_map_with_a_failing_item(self, engine):
        @task
        async def item(x):
            await asyncio.sleep(x)
            if x == 2:
                raise ValueError(x)

        told(engine, item.map(x=[1, 2, 3]))
        assert_framed("failed")
        assert_paired()
        assert [(one.index, one.error.partition(":")[0]) for one in of(TaskFailed)] == [(1, "ValueError"), (2, "CancelledError")]

    def test_a_map_with_retries(self, engine):
        tried: list[Any] = []

        @task
        async def item(x):
            tried.append(x)
            if x == 1 and tried.count(1) < 2:
                raise ValueError(x)

        told(engine, item.map(x=[0, 1]).with_retry(2))
        assert [(one.index, one.attempt) for one in of(TaskRetrying)] == [(1, 1)]
        assert [(one.index, one.attempt) for one in of(TaskFinished)] == [(0, 1), (1, 2)]
        assert_paired()

    def test_a_cache_hit(self, engine):
        cache = MemoryCache()
        target = gather(note(1).with_cache(cache), note(1).with_cache(cache), note(2))
        told(engine, target)
        assert len(of(CacheHit)) == 1
        assert len(of(TaskStarted)) == 2
        events.clear()
        told(engine, target)
        assert len(of(CacheHit)) == 2
        assert len(of(TaskStarted)) == 1
        assert_paired()

    def test_single_flight_is_a_hit(self, engine):
        cache = MemoryCache()
        told(engine, gather(wait(1, "x").with_cache(cache), wait(1, "x").with_cache(cache)))
        assert len(of(CacheHit)) == 1
        assert len(of(TaskStarted)) == 1
        assert_paired()

    def test_blocked(self, engine):
        told(engine, gather(wait(1).with_constraints(gpu=1), wait(1).with_constraints(gpu=1)), capacity={"gpu": 1})
        (blocked,) = of(TaskBlocked)
        assert "gpu" in blocked.reason
        assert short(blocked) == "wait"
        assert names()[1:4] in (["TaskStarted", "TaskBlocked", "TaskFinished"], ["TaskBlocked", "TaskStarted", "TaskFinished"])

    def test_blocked_by_a_rate(self, engine):
        told(engine, gather(*(wait(0).with_rate_limit("api", 1) for _ in range(3))))
        assert len(of(TaskBlocked)) == 2
        assert all("api" in one.reason for one in of(TaskBlocked))
        assert_paired()

    def test_skipped_calls(self, engine):
        skipped = note("s").run_if(0)
        told(engine, gather(wait(0, skipped), note("user", skipped), note("other")))
        assert_framed("skipped")
        assert sorted(short(one) for one in of(TaskSkipped)) == ["note", "note", "wait"]
        assert len(of(TaskStarted)) == 1

    def test_a_skip_in_a_choice_that_goes_on(self, engine):
        assert told(engine, gather(note("s").run_if(0, otherwise=5), note("r"))).value == [5, "r"]
        assert_framed("returned")
        assert len(of(TaskStarted)) == 1

    def test_routes_that_are_not_chosen_tell_nothing(self, engine):
        told(engine, Router("a", {"a": note(1), "b": note(2)}))
        assert names() == ["RunStarted", "TaskStarted", "TaskFinished", "RunFinished"]

    def test_a_tail_loop(self, engine):
        @task
        def loop(n):
            return loop(n - 1) if n else "end"

        told(engine, loop(3))
        assert len(of(TaskStarted)) == len(of(TaskFinished)) == 4
        assert_paired()

    @pytest.mark.parametrize("bound", [True, False])
    def test_jumps(self, engine, bound):
        @task
        def step(n):
            return Jump("again", n - 1) if n else Jump("end", n)

        told(engine, bind(step(2), {"again": step(0), "end": None}) if bound else note(1, step(0)))
        assert_framed("returned" if bound else "failed")
        assert_paired()

    def test_threads(self, engine):
        told(engine, gather(thread(1), thread(2).with_retry(2)))
        assert_framed("returned")
        assert_paired()
        assert len(of(TaskFinished)) == 2

    def test_a_thread_that_fails(self, engine):
        told(engine, gather(thread("boom"), 1))
        assert_framed("failed")
        assert_paired()
        events.clear()
        told(engine, gather(thread("boom").with_retry(2), 1))
        assert len(of(TaskRetrying)) == 1
        assert_paired()

    def test_a_timeout(self, engine):
        told(engine, gather(wait(5).with_timeout(1), 1))
        assert_framed("failed")
        assert_paired()
        (failed,) = of(TaskFailed)
        assert failed.error.startswith("TimeoutError")

    def test_nested_graphs_tell_too(self, engine):
        @task
        def outer():
            return note("inner", wait(1))

        told(engine, gather(outer(), 1))
        assert [short(one) for one in of(TaskStarted)] == ["outer", "wait", "note"]
        assert_paired()

    def test_a_call_that_does_not_begin(self, engine):
        """Arguments that do not fit: the call fails, and whoever reads the events sees why"""

        @task
        def strict(a):
            return a

        @task
        def wrong():
            return {"a": 1}

        told(engine, gather(boom(), strict(wrong()["b"])))
        assert_framed("failed")
        assert_paired()


class TestSubscribers:
    def test_one_that_fails_warns(self, engine):
        def bad(event):
            raise ZeroDivisionError("subscriber")

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with subscribe(bad), subscribe(events.append):
                assert capture_virtual(lambda: arun(note("x", wait(1)), engine=engine)).value == "x"
        assert_framed("returned")
        assert len(caught) == len(events)
        assert all(str(one.message).startswith("a subscriber of events failed: ZeroDivisionError: subscriber (in ") for one in caught)

    def test_the_warning_is_of_the_line_that_subscribed(self, engine):
        """Not of the engine's: a user can find it, and filter it by module"""

        def bad(event):
            raise ZeroDivisionError("subscriber")

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            subscription, line = subscribe(bad), sys._getframe().f_lineno
            with subscription:
                capture_virtual(lambda: arun(note("x", wait(1)), engine=engine))
                capture_virtual(lambda: arun(gather(note("x"), boom()), engine=engine))
        assert {(one.filename, one.lineno) for one in caught} == {(__file__, line)}
        assert all(one.category is RuntimeWarning and "bad, subscribed here)" in str(one.message) for one in caught)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.filterwarnings("ignore", module=__name__.replace(".", r"\."))
            with subscribe(bad):
                capture_virtual(lambda: arun(note("x"), engine=engine))
        assert caught == []

    def test_it_is_shown_once(self, engine):
        """As any warning of one line is, unless filters say otherwise"""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            with subscribe(lambda event: 1 / 0):
                for _ in range(3):
                    capture_virtual(lambda: arun(note("x"), engine=engine))
        assert len(caught) == 1

    def test_the_same_function_twice(self, run):
        """Each subscription is its own, and closing one closes that"""
        with subscribe(events.append):
            with subscribe(events.append):
                run(note(1))
            run(note(1))
        run(note(1))
        assert len(of(RunStarted)) == 3

    def test_one_that_fails_where_warnings_are_errors(self, engine):
        """It does not touch the run, even then"""

        def bad(event):
            raise ZeroDivisionError("subscriber")

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with subscribe(bad), subscribe(events.append):
                got = capture_virtual(lambda: arun(note("x", wait(1)), engine=engine))
        assert got.error is None
        assert got.value == "x"
        assert_framed("returned")

    def test_several_in_order(self, run):
        order: list[int] = []
        with subscribe(lambda e: order.append(1)), subscribe(lambda e: order.append(2)):
            run(note(1))
        assert order == [1, 2] * 4

    def test_it_must_be_callable(self):
        with pytest.raises(TypeError):
            subscribe(3)

    def test_one_that_unsubscribes_itself(self, run):
        def once(event):
            events.append(event)
            if len(events) == 1:
                subscription.close()

        subscription = subscribe(once)
        run(note(1))
        assert_framed("returned")  # a run that has begun goes on telling
        run(note(1))
        assert len(of(RunStarted)) == 1

    def test_one_that_runs_a_graph(self, run):
        """A run inside a subscriber is a run of its own: here without end, were it told to itself"""
        inside: list[int] = []

        def curious(event):
            if isinstance(event, RunFinished) and not inside:
                inside.append(run(note(7)))

        with subscribe(curious):
            assert run(note(1)) == 1
        assert inside == [7]


class TestRuns:
    def test_two_concurrent_runs(self, engine):
        async def main():
            return await asyncio.gather(arun(wait(2, "a", wait(1)), engine=engine), arun(wait(1, "b", wait(1)), engine=engine))

        with subscribe(events.append):
            assert run_virtual(main).value == ["a", "b"]
        runs = {one.run for one in events}
        assert len(runs) == 2
        every = list(events)
        for number in runs:
            events[:] = [one for one in every if one.run == number]
            assert_framed("returned")
            assert_paired()
            assert len(events) == 6

    def test_a_run_inside_a_run(self, run):
        @task
        def outer():
            return run(note(1))

        with subscribe(events.append):
            run(outer())
        first, second = events[0].run, events[2].run
        assert first != second
        assert [one.run for one in events] == [first, first, second, second, second, second, first, first]

    def test_numbers_go_up(self, run):
        with subscribe(events.append):
            for _ in range(3):
                run(note(1))
        numbers = [one.run for one in of(RunStarted)]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 3

    def test_the_value_is_the_same(self, run):
        """Told or not, a run gives the same"""

        @task
        def loop(n, rows=()):
            return loop(n - 1, gather(*rows, note(n))) if n else rows

        plain = run(loop(4))
        with subscribe(events.append):
            assert run(loop(4)) == plain == [4, 3, 2, 1]
