"""Capacity and rate limits of a run (S22, R12)."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from cascade_compiler import CapacityError, Param, Router, arun, gather, task
from cascade_compiler import run as run_any
from cascade_compiler.testing import capture_virtual, run_virtual

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@task
def note(x: Any, *rest: Any) -> Any:
    calls.append(x)
    return x


@task
def give(x: Any, *rest: Any) -> Any:
    return x


@task
async def wait(seconds: float, value: Any = None) -> Any:
    calls.append((value, asyncio.get_running_loop().time()))
    await asyncio.sleep(seconds)
    return value


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: arun(target, engine=engine, **options))


def starts() -> dict[Any, float]:
    return dict(one for one in calls if type(one) is tuple)


class TestCapacity:
    def test_no_more_than_there_is(self, engine):
        got = virtual(engine, gather(*(wait(1, i).with_constraints(a=1) for i in range(7))), capacity={"a": 2})
        assert got.value == list(range(7))
        assert got.elapsed == 4
        assert starts() == {i: i // 2 for i in range(7)}

    def test_amounts(self, engine):
        got = virtual(
            engine,
            gather(*(wait(1, i).with_constraints(a=amount) for i, amount in enumerate((2, 1, 2, 1, 3)))),
            capacity={"a": 3},
        )
        assert starts() == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2}
        assert got.elapsed == 3

    def test_first_come_first_served(self, engine):
        """R12: a request that waits blocks every later one that needs a name of it"""
        targets = [wait(3, "a").with_constraints(x=1), wait(1, "b").with_constraints(x=2), wait(1, "c").with_constraints(x=1)]
        virtual(engine, gather(*targets), capacity={"x": 2})
        assert starts() == {"a": 0, "b": 3, "c": 4}

    def test_all_or_nothing(self, engine):
        """R12: one that waits for y does not hold x; but it blocks later ones that need x"""
        targets = [
            wait(3, "holds y").with_constraints(y=1), wait(1, "both").with_constraints(x=1, y=1), wait(1, "x").with_constraints(x=1),
            wait(1, "z").with_constraints(z=1),
        ]  # fmt: skip
        virtual(engine, gather(*targets), capacity={"x": 1, "y": 1, "z": 1})
        assert starts() == {"holds y": 0, "both": 3, "x": 4, "z": 0}

    def test_no_deadlock_of_two_that_need_both(self, engine):
        targets = [wait(1, i).with_constraints(**({"x": 1, "y": 1} if i % 2 else {"y": 1, "x": 1})) for i in range(6)]
        assert virtual(engine, gather(*targets), capacity={"x": 1, "y": 1}).elapsed == 6

    def test_simultaneous_requests_by_position(self, engine):
        for seed in (None, 1, 2, 3):
            calls.clear()
            target = gather(*(wait(1, i).with_constraints(a=1).after(wait(2)) for i in range(4)))
            run_virtual(lambda: arun(target, engine=engine, capacity={"a": 1}), seed=seed)  # noqa: B023
            assert [starts()[i] for i in range(4)] == [2, 3, 4, 5]

    def test_fractions_add_up_exactly(self, engine):
        got = virtual(engine, gather(*(wait(1, i).with_constraints(a=0.1) for i in range(20))), capacity={"a": 1})
        assert got.elapsed == 2

    def test_an_amount_of_nothing(self, engine):
        targets = [wait(5, "all").with_constraints(a=1), wait(1, "none").with_constraints(a=0)]
        virtual(engine, gather(*targets), capacity={"a": 1})
        assert starts() == {"all": 0, "none": 0}

    def test_sync_calls(self, run):
        """A synchronous call holds it for itself alone"""
        assert run(gather(*(note(i).with_constraints(a=1) for i in range(5))), capacity={"a": 1}) == list(range(5))
        assert calls == list(range(5))

    def test_sync_calls_need_no_loop(self, engine, monkeypatch):
        monkeypatch.setattr(asyncio.events, "new_event_loop", lambda: pytest.fail("a loop was made"))
        if engine == "interpreter":
            assert run_any(gather(*(note(i).with_constraints(a=1) for i in range(5))), engine=engine, capacity={"a": 1})

    def test_a_sync_call_waits_for_an_async_one(self, engine):
        got = virtual(
            engine, gather(wait(3, "w").with_constraints(a=1), note("n").with_constraints(a=1), note("free")), capacity={"a": 1}
        )
        assert got.elapsed == 3
        assert calls == [("w", 0), "free", "n"]

    def test_map_items(self, engine):
        """S14, R12: index order"""
        got = virtual(engine, wait.map([1] * 6, range(6)).with_constraints(a=1), capacity={"a": 3})
        assert got.elapsed == 2
        assert starts() == {i: i // 3 for i in range(6)}

    def test_a_map_behind_a_call(self, engine):
        target = gather(
            wait(1, "first").with_constraints(a=1),
            wait.map([1, 1], [0, 1]).with_constraints(a=1),
            wait(1, "last").with_constraints(a=1),
        )
        virtual(engine, target, capacity={"a": 1})
        assert starts() == {"first": 0, 0: 1, 1: 2, "last": 3}

    def test_merged_constraints(self, engine):
        """with_constraints adds to what there is, and replaces the same name"""
        node = wait(1, "x").with_constraints(a=5, b=1).with_constraints(a=1)
        assert virtual(engine, node, capacity={"a": 1, "b": 1}).value == "x"

    def test_a_loop_in_one_run_shares_the_capacity(self, engine):
        @task
        def loop(n):
            return loop(n - 1).after(wait(1).with_constraints(a=1), wait(1).with_constraints(a=1)) if n else "end"

        assert virtual(engine, loop(3), capacity={"a": 1}).elapsed == 6


class TestHolding:
    def test_through_all_attempts_and_waits(self, engine):
        tries = 0

        @task
        async def work():
            nonlocal tries
            tries += 1
            await asyncio.sleep(1)
            if tries < 3:
                raise ValueError

        got = virtual(
            engine,
            gather(work().with_retry(3, delay=2).with_constraints(a=1), wait(1, "next").with_constraints(a=1)),
            capacity={"a": 1},
        )
        assert starts() == {"next": 7}
        assert got.elapsed == 8

    def test_released_before_what_it_returns_runs(self, engine):
        """R9: in a tail position, and nested"""

        @task
        async def go(n):
            await asyncio.sleep(1)
            return wait(10, "inner").with_constraints(a=1) if n == 0 else go(n - 1).with_constraints(a=1)

        assert virtual(engine, go(0).with_constraints(a=1), capacity={"a": 1}).elapsed == 11
        assert virtual(engine, go(3).with_constraints(a=1), capacity={"a": 1}).elapsed == 14
        got = virtual(engine, gather(go(2).with_constraints(a=1), go(0).with_constraints(a=1)), capacity={"a": 1})
        assert got.elapsed <= 1 + 1 + 1 + 1 + 10 + 10

    def test_a_sync_loop_of_constrained_tail_calls(self, run):
        @task
        def loop(n):
            return loop(n - 1).with_constraints(a=1) if n else "end"

        assert run(loop(2_000).with_constraints(a=1), capacity={"a": 1}) == "end"

    def test_a_sync_recursion_of_constrained_calls(self, run):
        @task
        def down(n):
            return give(down(n - 1).with_constraints(a=1)) if n else "end"

        assert run(down(500).with_constraints(a=1), capacity={"a": 1}) == "end"

    def test_released_after_a_timeout(self, engine):
        node = wait(10, "slow").with_timeout(2).with_constraints(a=1)
        got = capture_virtual(lambda: arun(gather(node, wait(1, "next").with_constraints(a=1)), engine=engine, capacity={"a": 1}))
        assert type(got.error) is TimeoutError
        assert not got.leaks
        assert "next" not in starts()

    def test_cancelled_at_every_moment(self, engine):
        for at in range(1, 60):
            got = capture_virtual(
                lambda: arun(gather(*(wait(1, i).with_constraints(a=1) for i in range(4))), engine=engine, capacity={"a": 2}),
                cancel_at=at,
            )
            assert not got.leaks
            if got.error is None:
                break
            assert isinstance(got.error, asyncio.CancelledError)

    def test_each_run_has_its_own(self, engine):
        async def main():
            await asyncio.gather(*(arun(wait(5, i).with_constraints(a=1), engine=engine, capacity={"a": 1}) for i in range(3)))

        assert run_virtual(main).elapsed == 5

    def test_the_mapping_that_was_given_is_not_changed(self, run):
        given = {"a": 1}
        run(note(1).with_constraints(a=1), capacity=given)
        assert given == {"a": 1}


class TestDynamic:
    def test_an_amount_that_is_computed(self, engine):
        targets = [wait(1, i).with_constraints(a=give(2)) for i in range(4)]
        assert virtual(engine, gather(*targets), capacity={"a": 4}).elapsed == 2

    def test_an_amount_is_evaluated_before_the_arguments(self, run):
        """It is a part of the call: it runs, and its failure is of the run"""
        run(note("x", note("arg")).with_constraints(a=note(1)), capacity={"a": 1})
        assert sorted(map(str, calls)) == ["1", "arg", "x"]
        assert calls[-1] == "x"

    def test_several_names_some_computed(self, engine):
        node = [wait(1, i).with_constraints(b=give(1), a=1, c=give(2)) for i in range(2)]
        assert virtual(engine, gather(*node), capacity={"a": 2, "b": 2, "c": 2}).elapsed == 2

    def test_a_param_as_amount(self, engine):
        target = gather(*(wait(1, i).with_constraints(a=Param("amount", int)) for i in range(4)))
        for amount, elapsed in ((1, 1), (2, 2), (4, 4)):
            got = run_virtual(lambda: arun(target, {"amount": amount}, engine=engine, capacity={"a": 4}))  # noqa: B023
            assert got.elapsed == elapsed

    @pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "1", None, True, [1]])
    def test_what_is_no_amount(self, run, amount):
        """R12: ValueError of the call"""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            run(note("x").with_constraints(a=give(amount)), capacity={"a": 5})
        assert "'a'" in str(caught.value)
        assert caught.value.__notes__[0].startswith(f"in task {note.task.label}, called at ")
        assert "x" not in calls

    def test_more_than_there_is(self, run):
        """R12: failure of the call, at once"""
        with pytest.raises(CapacityError, match=r"6 of 'a' is more than the whole run has, which is 5") as caught:
            run(note("x").with_constraints(a=give(6)), capacity={"a": 5})
        assert caught.value.__notes__[0].startswith(f"in task {note.task.label}, called at ")

    def test_more_than_there_is_at_once(self, engine):
        """R12: though something else holds it"""
        target = gather(wait(5).with_constraints(a=1), wait(1, "x").with_constraints(a=give(6)))
        got = capture_virtual(lambda: arun(target, engine=engine, capacity={"a": 5}))
        assert type(got.error) is CapacityError
        assert got.elapsed == 0
        assert not got.leaks

    def test_a_dynamic_amount_is_not_retried_into_a_loop(self, run):
        """The failure is of the call; retries are of attempts"""
        with pytest.raises(CapacityError):
            run(note("x").with_constraints(a=give(6)).with_retry(5), capacity={"a": 5})
        assert calls == []

    def test_a_skipped_amount(self, run):
        """R3"""
        from cascade_compiler import TargetSkipped

        with pytest.raises(TargetSkipped):
            run(note("x").with_constraints(a=give(1).run_if(0)), capacity={"a": 5})
        assert calls == []


class TestImpossible:
    def test_before_anything_runs(self, run):
        """R12"""
        for amounts, capacity in (
            ({"a": 2}, {"a": 1}),
            ({"a": 1}, {}),
            ({"a": 1}, None),
            ({"a": 1, "b": 9}, {"a": 1, "b": 8}),
            ({"b": 0}, {"a": 1}),
        ):
            with pytest.raises(CapacityError):
                run(gather(note("first"), note("x").with_constraints(**amounts)), capacity=capacity)
        assert calls == []

    def test_demanded_or_not(self, run):
        """R12: in the root graph, chosen or not"""
        bad = note("x").with_constraints(a=2)
        for target in (Router("b", {"a": bad, "b": note("B")}), bad.run_if(0, "other"), note("y").run_if(1, bad)):
            with pytest.raises(CapacityError):
                run(target, capacity={"a": 1})
        assert calls == []

    def test_in_a_later_graph_it_is_a_failure_of_the_call(self, run):
        """R12"""

        @task
        def go():
            return note("x", note("part")).with_constraints(a=2)

        with pytest.raises(CapacityError) as caught:
            run(gather(note("first"), go()), capacity={"a": 1})
        assert caught.value.__notes__[0].startswith(f"in task {note.task.label}, called at ")
        assert "x" not in calls
        assert "first" in calls

    def test_a_later_graph_that_does_not_demand_it(self, run):
        @task
        def go():
            return note("x").with_constraints(a=2).run_if(0, "other")

        assert run(go(), capacity={"a": 1}) == "other"

    def test_the_text_tells_what_to_do(self, run):
        with pytest.raises(CapacityError) as caught:
            run(note("x").with_constraints(gpus=1), capacity={"gpu": 1})
        assert "did you mean 'gpu'" in str(caught.value)
        assert "capacity=" in str(caught.value)

    def test_a_huge_amount(self, run):
        with pytest.raises((CapacityError, ValueError, TypeError, OverflowError)):
            run(note("x").with_constraints(a=10**400), capacity={"a": 1})

    @pytest.mark.parametrize("capacity", [{"a": -1}, {"a": float("nan")}, {"a": "1"}, {1: 1}, 5, ["a"], {"a": True}, {"a": None}])
    def test_what_is_no_capacity(self, engine, capacity):
        with pytest.raises((TypeError, ValueError), match=r"capacity"):
            run_any(note("x").with_constraints(a=1), engine=engine, capacity=capacity)
        assert calls == []


class TestPlaces:
    def test_an_impossible_demand_names_its_call(self, engine):
        """R12: before anything runs, and the line is named"""
        for target in (note("x").with_constraints(a=2), note("y", note.map(["x"]).with_constraints(a=2))):
            with pytest.raises(CapacityError, match=r"^2 of 'a' is more than the whole run has, which is 1") as caught:
                run_any(target, engine=engine, capacity={"a": 1})
            (told,) = caught.value.__notes__
            assert told.startswith("in task ")
            assert ".note, written at " in told
            assert "test_limits.py:" in told
        assert calls == []


class TestRates:
    def test_spacing(self, engine):
        """R12"""
        got = virtual(engine, gather(*(wait(0, i).with_rate_limit("r", 2, 1) for i in range(5))))
        assert starts() == {i: i * 0.5 for i in range(5)}
        assert got.elapsed == 2

    def test_no_error_adds_up(self, engine):
        virtual(engine, gather(*(wait(0, i).with_rate_limit("r", 3, 1) for i in range(31))))
        assert starts()[30] == pytest.approx(10, abs=1e-9)

    def test_names_share_or_do_not(self, engine):
        targets = [wait(0, i).with_rate_limit("r" if i % 2 else "s", 1, 2) for i in range(4)]
        virtual(engine, gather(*targets))
        assert starts() == {0: 0, 1: 0, 2: 2, 3: 2}

    def test_what_was_not_used_is_not_saved_up(self, engine):
        targets = [wait(0, 0).with_rate_limit("r", 1)] + [wait(0, i).with_rate_limit("r", 1).after(wait(10)) for i in (1, 2)]
        virtual(engine, gather(*targets))
        assert starts() == {0: 0, None: 0, 1: 10, 2: 11}

    def test_sync_calls(self, engine):
        got = virtual(engine, gather(*(note(i).with_rate_limit("r", 1, 3) for i in range(3)), note("free")))
        assert got.elapsed == 6
        assert calls == [0, "free", 1, 2]

    def test_each_attempt_counts(self, engine):
        """R12: for each attempt"""
        tries = []

        @task
        async def work():
            tries.append(asyncio.get_running_loop().time())
            if len(tries) < 4:
                raise ValueError

        virtual(engine, work().with_rate_limit("r", 1, 5).with_retry(4, delay=1))
        assert tries == [0, 5, 10, 15]

    def test_the_longer_of_delay_and_rate(self, engine):
        tries = []

        @task
        async def work():
            tries.append(asyncio.get_running_loop().time())
            if len(tries) < 3:
                raise ValueError

        virtual(engine, work().with_rate_limit("r", 1, 5).with_retry(3, delay=7))
        assert tries == [0, 7, 14]

    def test_map_items(self, engine):
        got = virtual(engine, wait.map([0] * 4, range(4)).with_rate_limit("r", 1, 2))
        assert starts() == {0: 0, 1: 2, 2: 4, 3: 6}
        assert got.elapsed == 6

    def test_in_position_order(self, engine):
        for seed in (None, 1, 2, 3):
            calls.clear()
            target = gather(*(wait(0, i).with_rate_limit("r", 1).after(wait(1)) for i in range(4)))
            run_virtual(lambda: arun(target, engine=engine), seed=seed)  # noqa: B023
            assert [starts()[i] for i in range(4)] == [1, 2, 3, 4]

    def test_capacity_is_held_while_it_waits_for_the_rate(self, engine):
        """R12: capacity first, then the rate of each attempt"""
        targets = [
            wait(1, 0).with_rate_limit("r", 1, 5),
            wait(1, 1).with_rate_limit("r", 1, 5).with_constraints(a=1),
            wait(1, 2).with_constraints(a=1),
        ]
        virtual(engine, gather(*targets), capacity={"a": 1})
        assert starts() == {0: 0, 1: 5, 2: 6}

    def test_a_timeout_does_not_cover_the_wait(self, engine):
        """R8: per attempt; the wait for the rate comes before it"""
        got = virtual(engine, gather(*(wait(1, i).with_rate_limit("r", 1, 10).with_timeout(2) for i in range(3))))
        assert got.elapsed == 21

    def test_two_numbers_under_one_name(self, engine):
        target = gather(wait(0, 0).with_rate_limit("r", 1), wait(0, 1).with_rate_limit("r", 2))
        got = capture_virtual(lambda: arun(target, engine=engine))
        assert type(got.error) is ValueError
        assert "'r'" in str(got.error)
        assert "different names" in str(got.error)
        assert not got.leaks

    def test_a_loop_of_rated_turns(self, engine):
        @task
        async def loop(n):
            return loop(n - 1).with_rate_limit("r", 1, 2) if n else "end"

        assert virtual(engine, loop(5).with_rate_limit("r", 1, 2)).elapsed == 10

    def test_a_fast_rate_never_waits_for_the_first(self, engine, monkeypatch):
        monkeypatch.setattr(asyncio.events, "new_event_loop", lambda: pytest.fail("a loop was made"))
        if engine == "interpreter":
            assert run_any(note(1).with_rate_limit("r", 0.001), engine=engine) == 1

    def test_cancelled_at_every_moment(self, engine):
        for at in range(1, 60):
            got = capture_virtual(
                lambda: arun(gather(*(wait(1, i).with_rate_limit("r", 1) for i in range(3))), engine=engine), cancel_at=at
            )
            assert not got.leaks
            if got.error is None:
                break


class TestShapes:
    def test_alternating_through_the_cache(self):
        """P10: amounts and rates are part of the shape"""
        for _ in range(3):
            for amount, fits in ((1, True), (2, False), (0.5, True), (3, False), (give(1), True), (give(2), False)):
                node = note("x").with_constraints(a=amount)
                if fits:
                    assert run_any(node, engine="interpreter", capacity={"a": 1}) == "x"
                else:
                    with pytest.raises(CapacityError):
                        run_any(node, engine="interpreter", capacity={"a": 1})

    def test_alternating_rates(self):
        for per in itertools.islice(itertools.cycle((1, 2, 3)), 9):
            calls.clear()
            assert virtual("interpreter", gather(*(wait(0, i).with_rate_limit("r", 1, per) for i in range(3)))).elapsed == 2 * per

    def test_alternating_names(self):
        for name in ("a", "b", "a", "b"):
            node = note("x").with_constraints(**{name: 1})
            assert run_any(node, engine="interpreter", capacity={name: 1}) == "x"
            with pytest.raises(CapacityError):
                run_any(node, engine="interpreter", capacity={"other": 1})
