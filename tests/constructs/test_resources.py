"""Resources: set up before their first use, torn down in reverse, however the run ends (S21; R14, N36)."""



from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest

from cascade_compiler import (
    CompileError,
    ResourceError,
    Router,
    TargetSkipped,
    arun,
    bind,
    common,
    gather,
    inject,
    resource,
    select_jump,
    task,
)
from cascade_compiler import Jump as JumpTo
from cascade_compiler.testing import capture_virtual, run_virtual

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in caught] == []


@task
def note(x: Any, *rest: Any) -> Any:
    calls.append(x)
    return x


@task
def use(x: Any, *given: Any) -> Any:
    calls.append(x)
    return (x, *given)


@task
async def wait(seconds: float, value: Any = None, *rest: Any) -> Any:
    await asyncio.sleep(seconds)
    calls.append(value)
    return value


@task
def boom(*rest: Any) -> Any:
    calls.append("boom")
    raise ValueError("boom")


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: arun(target, engine=engine, **options))


def make(name: str, *needs: Any, scope: str = "run", is_async: bool = False, takes: float = 0, up: Any = None, down: Any = None) -> Any:
    """A resource that writes down its set-up and tear-down, takes so long for each, and may fail in either."""
    if is_async:

        async def generator(needs=None):
            calls.append(f"begin {name}")
            try:
                if takes:
                    await asyncio.sleep(takes)
            except asyncio.CancelledError:
                calls.append(f"broken {name}")
                raise
            if up is not None:
                raise up
            calls.append(f"+{name}")
            yield f"value of {name}"
            if takes:
                await asyncio.sleep(takes)
            calls.append(f"-{name}")
            if down is not None:
                raise down

    else:

        def generator(needs=None):
            if up is not None:
                raise up
            calls.append(f"+{name}")
            yield f"value of {name}"
            calls.append(f"-{name}")
            if down is not None:
                raise down

    generator.__name__ = name
    generator.__qualname__ = f"make.<locals>.{name}"
    if needs:
        generator.__defaults__ = ([None, *map(inject, needs)][-1],)
    return resource(generator, scope=scope)


def downs() -> list[str]:
    return [one[1:] for one in calls if isinstance(one, str) and one.startswith("-")]


def ups() -> list[str]:
    return [one[1:] for one in calls if isinstance(one, str) and one.startswith("+")]


def assert_balanced() -> None:
    assert downs() == ups()[::-1], calls


both_kinds = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
both_scopes = pytest.mark.parametrize("scope", ["run", "step"])



def torn_down(kind):
    """What a note says of the tear-down of a resource."""
    return f"resource {kind.symbol.replace(':', '.')}, while it was torn down"

class TestOrder:
    @both_scopes
    def test_after_the_arguments_before_the_call(self, run, scope):
        """R14: an injected default stands behind the arguments and keywords of its call"""
        made = make("alpha", scope=scope)

        @task
        def work(a, b=0, r=inject(made)):
            calls.append("work")
            return a, b, r

        assert run(gather(note("first"), work(note("a"), b=note("b")), note("last"))) == ["first", ("a", "b", "value of alpha"), "last"]
        assert calls == ["first", "a", "b", "+alpha", "work", "last", "-alpha"]

    @both_scopes
    def test_as_an_argument_in_its_place(self, run, scope):
        made = make("beta", scope=scope)
        assert run(use("work", note("a"), inject(made), note("b"))) == ("work", "a", "value of beta", "b")
        assert calls == ["a", "+beta", "b", "work", "-beta"]

    @both_scopes
    def test_in_a_container_and_twice(self, run, scope):
        made = make("gamma", scope=scope)
        assert run(use("work", [inject(made), {"k": inject(made)}], inject(made))) == (
            "work", ["value of gamma", {"k": "value of gamma"}], "value of gamma",
        )  # fmt: skip
        assert calls == ["+gamma", "work", "-gamma"]

    @both_kinds
    def test_once_however_often_it_is_injected(self, engine, is_async):
        made = make("delta", is_async=is_async, takes=1)

        @task
        def work(x, r=inject(made)):
            return r

        @task
        async def later(x, r=inject("delta")):
            return r

        got = virtual(engine, gather(work(1), later(2), work(3), inject(made)))
        assert got.value == ["value of delta"] * 4
        assert ups() == downs() == ["delta"]

    @both_scopes
    @both_kinds
    def test_a_chain(self, engine, scope, is_async):
        """What a resource needs is there before, and is torn down after"""
        one = make("one", scope=scope, is_async=is_async, takes=1)
        two = make("two", one, scope=scope)
        three = make("three", two, scope=scope, is_async=is_async, takes=1)

        got = virtual(engine, use("work", inject(three)))
        assert got.value == ("work", "value of three")
        assert [c for c in calls if not c.startswith("begin")] == ["+one", "+two", "+three", "work", "-three", "-two", "-one"]
        assert got.elapsed == (4 if is_async else 0)

    def test_async_ones_are_set_up_at_once_and_torn_down_by_the_end_of_set_up(self, engine):
        """R14: started as soon as demanded; torn down in the reverse order of the ends of the set-ups"""
        slow = make("slow", is_async=True, takes=3)
        fast = make("fast", is_async=True, takes=1)
        got = virtual(engine, use("work", inject(slow), inject(fast), note("sync")))
        assert calls == ["begin slow", "begin fast", "sync", "+fast", "+slow", "work", "-slow", "-fast"]
        assert got.elapsed == 7

    def test_an_async_one_overlaps_other_waiting(self, engine):
        made = make("over", is_async=True, takes=2)
        got = virtual(engine, gather(wait(2, "io"), use("work", inject(made))))
        assert got.elapsed == 4
        assert calls == ["begin over", *[c for c in calls if c in ("io", "+over")], "work", "-over"]

    def test_a_run_resource_in_nested_graphs_is_one(self, engine):
        made = make("whole")

        @task
        def inner(n, r=inject(made)):
            calls.append(n)
            return use(n, inject(made)) if n else r

        assert virtual(engine, gather(inner(0), inner(1), inner(0))).value == ["value of whole", (1, "value of whole"), "value of whole"]
        assert calls == ["+whole", 0, 1, 1, 0, "-whole"]

    def test_a_step_resource_in_nested_graphs_is_one_each(self, run):
        """N36: its resources end before the value is handed on"""
        made = make("each", scope="step")

        @task
        def inner(n):
            calls.append(f"inner {n}")
            return use(n, inject(made))

        @task
        def outer(a, b, r=inject(made)):
            calls.append("outer")
            return a, b

        assert run(outer(inner(0), inner(1))) == ((0, "value of each"), (1, "value of each"))
        assert calls == ["inner 0", "+each", 0, "-each", "inner 1", "+each", 1, "-each", "+each", "outer", "-each"]

    @both_kinds
    def test_a_nested_step_tears_down_before_its_consumer_goes_on(self, engine, is_async):
        made = make("nest", scope="step", is_async=is_async, takes=1)

        @task
        async def inner():
            return use("inside", inject(made))

        got = virtual(engine, use("outside", inner()))
        assert got.value == ("outside", ("inside", "value of nest"))
        assert [c for c in calls if c != "begin nest"] == ["+nest", "inside", "-nest", "outside"]
        assert got.elapsed == (2 if is_async else 0)


class TestLoops:
    @both_kinds
    def test_run_scope_in_a_loop_by_tail_call(self, engine, is_async):
        made = make("r", is_async=is_async, takes=1)

        @task
        def loop(n, r=inject(made)):
            calls.append(n)
            return loop(n - 1) if n else r

        assert virtual(engine, loop(3)).value == "value of r"
        assert [c for c in calls if c != "begin r"] == ["+r", 3, 2, 1, 0, "-r"]

    @both_kinds
    @pytest.mark.parametrize("async_task", [False, True])
    def test_step_scope_in_a_loop_by_tail_call(self, engine, is_async, async_task):
        made = make("s", scope="step", is_async=is_async, takes=1)

        def sync_loop(n, r=inject(made)):
            calls.append(n)
            return loop(n - 1) if n else r

        async def async_loop(n, r=inject(made)):
            await asyncio.sleep(1)
            return sync_loop(n, r)

        loop = task(async_loop if async_task else sync_loop)
        got = virtual(engine, loop(2))
        assert got.value == "value of s"
        assert [c for c in calls if c != "begin s"] == ["+s", 2, "-s", "+s", 1, "-s", "+s", 0, "-s"]
        assert got.elapsed == 3 * (2 * is_async + async_task)

    @both_kinds
    def test_step_scope_in_a_loop_by_jump(self, engine, is_async):
        made = make("j", scope="step", is_async=is_async, takes=1)

        @task
        def step(n, r=inject(made)):
            calls.append(n)
            return JumpTo("again", n - 1) if n else JumpTo("end", r)

        got = virtual(engine, bind(step(2), select_jump({"again": step(0), "end": None})))
        assert got.value == "value of j"
        assert [c for c in calls if c != "begin j"] == ["+j", 2, "-j", "+j", 1, "-j", "+j", 0, "-j"]

    def test_run_scope_in_a_loop_by_jump(self, run):
        made = make("jr")

        @task
        def step(n, r=inject(made)):
            calls.append(n)
            return JumpTo("again", n - 1) if n else JumpTo("end", r)

        assert run(bind(step(2), {"again": step(0), "end": None})) == "value of jr"
        assert calls == ["+jr", 2, 1, 0, "-jr"]

    def test_both_scopes_in_a_loop(self, run):
        whole = make("whole2")
        step = make("step2", whole, scope="step")

        @task
        def loop(n, r=inject(step)):
            calls.append(n)
            return loop(n - 1) if n else "end"

        assert run(loop(1)) == "end"
        assert calls == ["+whole2", "+step2", 1, "-step2", "+step2", 0, "-step2", "-whole2"]

    def test_a_loop_whose_graph_changes(self, run):
        """Turns with the resource and turns without it, in turn"""
        made = make("some", scope="step")

        @task
        def with_it(n, r=inject(made)):
            calls.append(f"with {n}")
            return without(n - 1) if n else "end"

        @task
        def without(n):
            calls.append(f"without {n}")
            return with_it(n - 1) if n else "end"

        assert run(with_it(3)) == "end"
        assert calls == ["+some", "with 3", "-some", "without 2", "+some", "with 1", "-some", "without 0"]

    def test_a_dependency_injects(self, run):
        """The resource belongs to the turn, though the target does not take it"""
        made = make("dep", scope="step")

        @task
        def part(n, r=inject(made)):
            calls.append(f"part {n}")
            return n

        @task
        def loop(n, _=None):
            calls.append(f"loop {n}")
            return loop(n - 1, part(n)) if n else "end"

        assert run(loop(2)) == "end"
        assert calls == ["loop 2", "+dep", "part 2", "loop 1", "-dep", "+dep", "part 1", "loop 0", "-dep"]

    def test_many_turns_keep_nothing(self, run):
        alive = peak = 0

        @resource(scope="step")
        def counted():
            nonlocal alive, peak
            alive += 1
            peak = max(peak, alive)
            yield alive
            alive -= 1

        @task
        def loop(n, r=inject(counted)):
            return loop(n - 1) if n else "end"

        assert run(loop(5_000)) == "end"
        assert (alive, peak) == (0, 1)


class TestDemand:
    @both_scopes
    @both_kinds
    def test_a_route_that_is_not_chosen(self, engine, scope, is_async):
        made = make("unchosen", scope=scope, is_async=is_async)
        other = make("chosen", scope=scope, is_async=is_async)
        got = virtual(engine, Router(note("b"), {"a": use("x", inject(made)), "b": use("y", inject(other))}))
        assert got.value == ("y", "value of chosen")
        assert [c for c in calls if not c.startswith("begin")] == ["b", "+chosen", "y", "-chosen"]

    def test_a_route_that_is_the_resource(self, run):
        made = make("route")
        assert run(use("x", Router("a", {"a": inject(made), "b": 1}))) == ("x", "value of route")
        assert calls == ["+route", "x", "-route"]

    @both_scopes
    def test_a_false_condition(self, run, scope):
        made = make("unused", scope=scope)
        with pytest.raises(TargetSkipped):
            run(use("x", inject(made)).run_if(note(False)))
        assert run(use("x", inject(made)).run_if(note(False), otherwise=3)) == 3
        assert calls == [False, False]

    @both_scopes
    def test_a_true_condition(self, run, scope):
        made = make("used", scope=scope)
        assert run(use("x", inject(made)).run_if(note(True))) == ("x", "value of used")
        assert calls == [True, "+used", "x", "-used"]

    @both_scopes
    def test_in_an_otherwise(self, run, scope):
        made = make("other", scope=scope)
        assert run(note("x").run_if(note(False), otherwise=use("y", inject(made)))) == ("y", "value of other")
        assert calls == [False, "+other", "y", "-other"]

    @both_scopes
    def test_a_skipped_target_tears_down(self, run, scope):
        made = make("down", scope=scope)
        with pytest.raises(TargetSkipped):
            run(gather(use("x", inject(made)), note("y").run_if(note(0))))
        assert calls == ["+down", "x", 0, "-down"]

    def test_an_explicit_argument(self, run):
        """A task whose call gives the argument does not use the resource"""
        made = make("explicit")

        @task
        def work(a, r=inject(made)):
            return a, r

        assert run(gather(work(1, "given"), work(2, r=None))) == [(1, "given"), (2, None)]
        assert calls == []

    def test_a_keyword_only_parameter(self, run):
        made = make("kwonly")

        @task
        def work(*, r=inject(made)):
            return r

        assert run(work()) == "value of kwonly"
        assert run(work(r=4)) == 4
        assert calls == ["+kwonly", "-kwonly"]


class TestMaps:
    @both_scopes
    @both_kinds
    def test_one_for_all_items(self, engine, scope, is_async):
        made = make("mapped", scope=scope, is_async=is_async)

        @task
        def item(x, r=inject(made)):
            calls.append(x)
            return x, r

        assert virtual(engine, item.map(x=[1, 2])).value == [(1, "value of mapped"), (2, "value of mapped")]
        assert [c for c in calls if c != "begin mapped"] == ["+mapped", 1, 2, "-mapped"]

    def test_as_a_common_value(self, run):
        made = make("shared")

        @task
        def item(x, r):
            return x, r

        assert run(item.map(x=[1, 2], **common(r=inject(made)))) == [(1, "value of shared"), (2, "value of shared")]
        assert calls == ["+shared", "-shared"]

    def test_item_graphs_have_their_own_steps(self, run):
        made = make("itemstep", scope="step")

        @task
        def item(x):
            return use(x, inject(made))

        assert run(item.map(x=[1, 2])) == [(1, "value of itemstep"), (2, "value of itemstep")]
        assert calls == ["+itemstep", 1, "-itemstep", "+itemstep", 2, "-itemstep"]

    @both_kinds
    def test_async_items_with_steps_of_their_own(self, engine, is_async):
        made = make("aitem", scope="step", is_async=is_async, takes=1)

        @task
        async def item(x):
            await asyncio.sleep(x)
            return wait(1, x, inject(made))

        got = virtual(engine, item.map(x=[1, 2, 3]))
        assert got.value == [1, 2, 3]
        assert got.elapsed == 3 + 1 + 2 * is_async
        assert len(ups()) == len(downs()) == 3

    def test_an_item_fails(self, engine):
        made = make("failing", scope="step")
        whole = make("whole3")

        @task
        async def item(x, w=inject(whole)):
            await asyncio.sleep(x)
            return boom(inject(made)) if x == 2 else wait(9, x, inject(made))

        got = capture_virtual(lambda: arun(item.map(x=[1, 2, 3]), engine=engine))
        assert isinstance(got.error, ValueError)
        assert not got.leaks
        assert got.elapsed == 2
        assert calls == ["+whole3", "+failing", "+failing", "boom", "-failing", "-failing", "-whole3"]

    def test_an_empty_map(self, run):
        made = make("empty")

        @task
        def item(x, r=inject(made)):
            return x

        assert run(item.map(x=[])) == []
        assert_balanced()


class TestFailing:
    @pytest.mark.parametrize("at", range(4))
    @both_kinds
    @both_scopes
    def test_the_set_up_at_each_place(self, engine, at, is_async, scope):
        """What was set up before is torn down, in reverse; what comes later is not set up"""
        error = OSError("no")
        made: list[Any] = []
        for place in range(4):
            made.append(make(f"f{place}", *made[-1:], scope=scope, is_async=is_async, takes=1, up=error if place == at else None))
        got = capture_virtual(lambda: arun(use("work", inject(made[-1])), engine=engine))
        assert got.error is error
        assert not got.leaks
        assert ups() == [f"f{n}" for n in range(at)]
        assert_balanced()
        assert "work" not in calls
        assert error.__notes__ == [f"in resource {made[at].symbol.replace(':', '.')}"]

    @both_kinds
    @both_scopes
    def test_a_tear_down_after_success(self, engine, is_async, scope):
        error = OSError("late")
        first, last = make("t1", scope=scope, is_async=is_async), make("t3", scope=scope, is_async=is_async)
        bad = make("t2", scope=scope, is_async=is_async, down=error)
        got = capture_virtual(lambda: arun(use("work", inject(first), inject(bad), inject(last)), engine=engine))
        assert got.error is error
        assert not got.leaks
        assert downs() == ["t3", "t2", "t1"]
        assert error.__notes__ == [f"in resource {bad.symbol.replace(':', '.')}, while it was torn down"]

    @both_kinds
    @both_scopes
    def test_a_tear_down_after_a_failure(self, engine, is_async, scope):
        first = make("u1", scope=scope, is_async=is_async)
        bad = make("u2", scope=scope, is_async=is_async, down=OSError("late"))
        got = capture_virtual(lambda: arun(boom(inject(first), inject(bad)), engine=engine))
        assert isinstance(got.error, ValueError)
        assert not got.leaks
        assert downs() == ["u2", "u1"]
        assert got.error.__notes__[1:] == [f"{torn_down(bad)}, failed too: OSError: 'late'"]

    @both_kinds
    @both_scopes
    def test_two_tear_downs(self, engine, is_async, scope):
        """The first that fails, the last that was set up, is the run's; the other becomes its note"""
        made = [make(f"v{n}", scope=scope, is_async=is_async, down=OSError(str(n))) for n in range(3)]
        got = capture_virtual(lambda: arun(use("work", *map(inject, made)), engine=engine))
        assert isinstance(got.error, OSError)
        assert str(got.error) == "2"
        assert downs() == ["v2", "v1", "v0"]
        assert got.error.__notes__[1:] == [f"{torn_down(made[n])}, failed too: OSError: '{n}'" for n in (1, 0)]

    @both_kinds
    def test_a_step_and_then_the_run(self, engine, is_async):
        """A tear-down of a step fails: the run's are torn down all the same, and their failure is a note"""
        whole = make("w1", is_async=is_async, down=OSError("run"))
        step = make("w2", scope="step", is_async=is_async, down=OSError("step"))
        got = capture_virtual(lambda: arun(use("work", inject(whole), inject(step)), engine=engine))
        assert str(got.error) == "step"
        assert downs() == ["w2", "w1"]
        assert got.error.__notes__[1:] == [f"{torn_down(whole)}, failed too: OSError: 'run'"]

    @both_kinds
    def test_a_step_in_the_middle_of_a_loop(self, engine, is_async):
        count = 0

        async def a():
            nonlocal count
            count += 1
            yield count
            calls.append(f"-{count}")
            if count == 2:
                raise OSError("second")

        def s():
            nonlocal count
            count += 1
            yield count
            calls.append(f"-{count}")
            if count == 2:
                raise OSError("second")

        made = resource(a if is_async else s, scope="step")

        @task
        def loop(n, r=inject(made)):
            calls.append(n)
            return loop(n - 1) if n else "end"

        got = capture_virtual(lambda: arun(loop(5), engine=engine))
        assert isinstance(got.error, OSError)
        assert calls == [5, "-1", 4, "-2"]

    @both_kinds
    @both_scopes
    def test_nothing_is_thrown_into_the_generator(self, engine, is_async, scope):
        """N36: it is resumed, however the scope ended"""
        seen: list[Any] = []

        def s():
            try:
                yield 1
                seen.append("resumed")
            except BaseException as thrown:
                seen.append(thrown)
                raise

        async def a():
            try:
                yield 1
                seen.append("resumed")
            except BaseException as thrown:
                seen.append(thrown)
                raise

        made = resource(a if is_async else s, scope=scope)
        for target in (boom(inject(made)), use("x", inject(made)), use("x", inject(made), boom())):
            seen.clear()
            capture_virtual(lambda: arun(target, engine=engine))  # noqa: B023
            assert seen == ["resumed"]

    @both_kinds
    @both_scopes
    def test_no_yield_at_all_on_the_way(self, engine, is_async, scope):
        def s():
            if calls:
                yield 1

        async def a():
            if calls:
                yield 1

        made = resource(a if is_async else s, scope=scope)
        got = capture_virtual(lambda: arun(use("x", inject(made)), engine=engine))
        assert isinstance(got.error, ResourceError)
        assert made.name in str(got.error)
        assert calls == []

    @both_kinds
    @both_scopes
    def test_a_second_yield(self, engine, is_async, scope):
        before = make("before", scope=scope)

        def s(needs=inject(before)):
            yield 1
            try:
                yield 2
            finally:
                calls.append("closed")

        async def a(needs=inject(before)):
            yield 1
            try:
                yield 2
            finally:
                calls.append("closed")

        made = resource(a if is_async else s, scope=scope)
        got = capture_virtual(lambda: arun(use("x", inject(made)), engine=engine))
        assert isinstance(got.error, ResourceError)
        assert calls == ["+before", "x", "closed", "-before"]

    @both_scopes
    def test_set_up_fails_while_another_is_being_set_up(self, engine, scope):
        slow = make("x1", scope=scope, is_async=True, takes=5)
        bad = make("x2", scope=scope, is_async=True, takes=1, up=OSError("no"))
        early = make("x3", scope=scope)
        got = capture_virtual(lambda: arun(use("work", inject(slow), inject(bad), inject(early)), engine=engine))
        assert isinstance(got.error, OSError)
        assert got.elapsed == 1
        assert not got.leaks
        assert calls == ["begin x1", "begin x2", "+x3", "broken x1", "-x3"]

    def test_without_a_loop(self, run):
        """A run that does not wait needs no loop, and tears down all the same"""
        whole, step = make("y1"), make("y2", scope="step")
        with pytest.raises(ValueError, match="boom"):
            run(boom(inject(whole), inject(step)))
        assert calls == ["+y1", "+y2", "boom", "-y2", "-y1"]

    @both_kinds
    def test_system_exit_in_a_set_up(self, engine, is_async):
        before = make("z1")
        bad = make("z2", before, is_async=is_async, up=SystemExit(3))
        got = capture_virtual(lambda: arun(use("x", inject(bad)), engine=engine))
        assert isinstance(got.error, SystemExit)
        assert ups() == downs() == ["z1"]

    @pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt, asyncio.CancelledError])
    @both_kinds
    def test_odd_exceptions_in_a_set_up(self, engine, is_async, error):
        """They fail the run like any other: nothing hangs"""
        bad = make("odd", is_async=is_async, takes=1, up=error("mine"))
        got = capture_virtual(lambda: arun(gather(use("x", inject(bad)), wait(9)), engine=engine))
        assert type(got.error) is error
        assert not got.leaks
        assert got.elapsed == (1 if is_async else 0)

    def test_a_run_resource_that_needs_one_of_a_step(self, run):
        """The one that was set up last is torn down first: no resource outlives what it needs (refusing it will do)"""
        short_lived = make("short_lived", scope="step")
        long_lived = make("long_lived", short_lived)
        try:
            run(use("x", inject(long_lived)))
        except CompileError:
            assert calls == []
        else:
            assert_balanced()

    def test_a_resource_is_used_by_a_task_that_is_retried(self, run):
        made = make("retried")
        count = 0

        @task
        def work(r=inject(made)):
            nonlocal count
            count += 1
            if count < 3:
                raise ValueError(count)
            return r

        assert run(work().with_retry(3)) == "value of retried"
        assert calls == ["+retried", "-retried"]


def cancel_everywhere(make_target: Any, engine: str, check: Any) -> int:
    """Cancel at every iteration until the run ends before; how many there were."""
    at = 1
    while True:
        calls.clear()
        got = capture_virtual(lambda: arun(make_target(), engine=engine), cancel_at=at)
        assert not got.leaks, (at, got.leaks)
        if got.iterations < at:
            assert got.error is None
            return at
        assert isinstance(got.error, asyncio.CancelledError), (at, got)
        check(at)
        at += 1
        assert at < 400


class TestCancelling:
    @both_scopes
    def test_at_every_moment(self, engine, scope):
        """Balanced, in reverse, whether it comes in a set-up, in the work, or in a tear-down"""
        one = make("c1", scope=scope, is_async=True, takes=1)
        two = make("c2", one, scope=scope)
        three = make("c3", two, scope=scope, is_async=True, takes=2)
        moments = set()

        def check(at):
            assert_balanced()
            moments.add(tuple(c for c in calls if c is not None))
            assert len([c for c in calls if str(c).startswith("begin")]) == len(
                [c for c in calls if str(c).startswith("broken") or c in ("+c1", "+c3")]
            )

        cancel_everywhere(lambda: wait(1, "work", inject(three)), engine, check)
        assert {m for m in moments if "broken c1" in m}
        assert {m for m in moments if "broken c3" in m}
        assert {m for m in moments if "work" in m}  # in a tear-down
        assert {m for m in moments if "+c3" in m and "work" not in m}  # in the work

    def test_a_loop_at_every_moment(self, engine):
        whole = make("d1", is_async=True, takes=1)
        step = make("d2", whole, scope="step", is_async=True, takes=1)

        @task
        async def loop(n, r=inject(step)):
            await asyncio.sleep(1)
            calls.append(n)
            return loop(n - 1) if n else "end"

        def check(at):
            assert calls.count("+d1") == calls.count("-d1") <= 1
            assert calls.count("+d2") == calls.count("-d2")
            depth = 0
            for one in calls:
                depth += {"+d1": 1, "+d2": 1, "-d1": -1, "-d2": -1}.get(one, 0)
                assert 0 <= depth <= 2
                if one in ("+d2", "-d2"):
                    assert depth == (2 if one == "+d2" else 1)

        assert cancel_everywhere(lambda: loop(2), engine, check) > 6

    def test_nested_and_mapped_at_every_moment(self, engine):
        step = make("e2", scope="step", is_async=True, takes=1)
        whole = make("e1", is_async=True, takes=1)

        @task
        async def item(x, w=inject(whole)):
            await asyncio.sleep(x)
            return wait(1, x, inject(step))

        def check(at):
            for name in ("e1", "e2"):
                assert calls.count(f"+{name}") == calls.count(f"-{name}"), calls
            if "+e1" in calls:
                assert [c for c in calls if isinstance(c, str)][-1] == "-e1"

        cancel_everywhere(lambda: item.map(x=[1, 2, 3]), engine, check)

    def test_twice_during_a_tear_down(self, engine):
        """What a tear-down has begun must end, however often the run is cancelled"""
        made = make("twice", is_async=True, takes=4)

        async def main():
            run = asyncio.get_running_loop().create_task(arun(wait(1, "x", inject(made)), engine=engine))
            for _ in range(3):
                await asyncio.sleep(2)  # at 2 set-up, at 4, at 6
            await asyncio.sleep(0.5)  # 6.5: it is torn down since 5
            run.cancel()
            await asyncio.sleep(0.5)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            return asyncio.get_running_loop().time()

        assert run_virtual(main).value == 9
        assert calls == ["begin twice", "+twice", "x", "-twice"]


class TestNames:
    def test_unknown(self, run):
        make("database_pool")
        with pytest.raises(CompileError, match="database_pool"):
            run(use("x", inject("databse_pool"), note("y")))
        assert calls == []

    def test_unknown_in_a_default(self, run):
        @task
        def work(r=inject("no_such_thing_at_all")):
            return r

        with pytest.raises(CompileError, match="no_such_thing_at_all"):
            run(work())

    def test_unknown_in_a_graph_that_is_met_later(self, run):
        @task
        def later():
            return use("x", inject("no_such_thing_either"))

        with pytest.raises(CompileError, match="no_such_thing_either") as caught:
            run(later())
        assert caught.value.__notes__[0].startswith(f"in task {later.task.label}, called at ")

    def test_a_name_that_is_defined_later(self, run, engine):
        name = f"defined_later_{engine}"  # names are those of the process

        @task
        def work(r=inject(name)):
            return r

        with pytest.raises(CompileError):
            run(work())
        make(name)
        assert run(work()) == f"value of {name}"

    def test_two_modules_with_one_name(self, run):
        def twin():
            yield 1

        def other():
            yield 2

        other.__name__, other.__module__ = "twin", "elsewhere"
        resource(twin)
        second = resource(other)
        with pytest.raises(CompileError, match="elsewhere"):
            run(use("x", inject("twin")))
        assert run(use("x", inject(second))) == ("x", 2)


class TestCycles:
    def test_resources_that_need_each_other(self, run):
        """Refused, with their names"""
        make("hen", "egg")
        make("egg", "hen")
        with pytest.raises(CompileError, match=r"(hen.*egg|egg.*hen).*inject each other can never be set up"):
            run(use("x", inject("hen")))
        assert calls == []


class TestOverriding:
    @both_scopes
    @both_kinds
    def test_a_value_stands_in(self, engine, scope, is_async):
        made = make("replaced", scope=scope, is_async=is_async)

        @task
        def loop(n, r=inject(made)):
            return loop(n - 1) if n else r

        assert virtual(engine, loop(2), resources={"replaced": "fake"}).value == "fake"
        assert calls == []

    def test_none_and_false_are_values(self, run):
        made = make("falsy")
        for value in (None, 0, ""):
            assert run(use("x", inject(made)), resources={"falsy": value}) == ("x", value)
        assert calls == ["x"] * 3

    def test_others_are_set_up(self, run):
        one = make("real")
        two = make("fake", one)
        three = make("third", two)
        assert run(use("x", inject(three), inject(one)), resources={"fake": 0}) == ("x", "value of third", "value of real")
        assert ups() == ["third", "real"] or ups() == ["real", "third"]
        assert_balanced()

    @both_kinds
    def test_what_it_injects_is_not_set_up(self, engine, is_async):
        """N45: nothing else demands it, nor what that injects in turn"""
        deep = make("deep", is_async=is_async)
        low = make("low", deep, is_async=is_async)
        top = make("top", low, is_async=is_async)

        @task
        def work(x, r=inject(top)):
            calls.append("work")
            return r

        @task
        def loop(n, r=inject(top)):
            return loop(n - 1) if n else use("end", r, inject(top))

        assert virtual(engine, gather(work(1), inject(top)), resources={"top": 1}).value == [1, 1]
        assert calls == ["work"]
        assert virtual(engine, loop(3), resources={"top": 1}).value == ("end", 1, 1)
        assert calls == ["work", "end"]
        calls.clear()
        assert virtual(engine, work(1), resources={"low": 1}).value == "value of top"
        assert ups() == ["top"]
        assert virtual(engine, work(1)).value == "value of top"
        assert ups() == ["top", "deep", "low", "top"]

    def test_no_loop_for_what_it_injects(self, run):
        """N45, S9: an async resource that is not set up needs no loop"""
        low = make("aio", is_async=True)
        made = make("plain", low)

        async def inside():
            return run(use("x", inject(made)), resources={"plain": 3})

        assert asyncio.run(inside()) == ("x", 3)

    def test_what_fails_is_not_set_up(self, run):
        made = make("outer", make("broken", up=OSError("no")))
        with pytest.raises(OSError, match="no"):
            run(use("x", inject(made)))
        assert run(use("y", inject(made)), resources={"outer": 3}) == ("y", 3)

    @pytest.mark.parametrize("how", ["argument", "container", "after", "target", "route", "resource", "map"])
    def test_what_others_demand_too(self, run, how):
        """N45: whatever else in the graph may need it, it is set up, and once"""
        low = make("low")
        top = make("top", low)
        fake = use("fake", inject(top))

        @task
        def pair(x, y):
            return x, y

        other = {
            "argument": lambda: use("u", inject(low)), "container": lambda: use("u", [inject(low)]),
            "after": lambda: use("u").after(inject(low)), "target": lambda: inject(low),
            "route": lambda: Router(1, {1: inject(low)}), "resource": lambda: inject(make("third", low)),
            "map": lambda: pair.map(x=[1], **common(y=inject(low))),
        }[how]()  # fmt: skip
        for target in (gather(fake, other), gather(other, fake)):
            calls.clear()
            assert ("fake", 5) in run(target, resources={"top": 5})
            assert ups().count("low") == 1
            assert "top" not in ups()
            assert_balanced()

    def test_what_others_might_demand(self, run):
        """N45: where another call may need it, a choice that comes later does not keep it from being set up"""
        low = make("low")
        top = make("top", low)
        target = Router(use("k", inject(top))[0], {"k": note("chosen"), "other": use("no", inject(low))})
        assert run(target, resources={"top": 5}) == "chosen"
        assert calls == ["+low", "k", "chosen", "-low"]

    def test_the_same_graph_with_and_without(self, run):
        """What is compiled once runs with any replacements"""
        low = make("low")
        top = make("top", low)
        for resources, expected in (({"top": 1}, []), (None, ["low", "top"]), ({"low": 1}, ["top"]), ({"top": 1, "low": 2}, [])):
            calls.clear()
            run(use("x", inject(top)), resources=resources)
            assert ups() == expected
            assert_balanced()

    def test_in_a_graph_that_is_met_later(self, run):
        low = make("low", scope="step")
        top = make("top", low, scope="step")

        @task
        def inner(n):
            return use(n, inject(top), *[inject(low)] * (n > 1))

        assert run(gather(inner(1), inner(2)), resources={"top": 5}) == [(1, 5), (2, 5, "value of low")]
        assert calls == [1, "+low", 2, "-low"]

    def test_the_next_run_has_the_resource(self, run):
        made = make("again")
        assert run(use("x", inject(made)), resources={"again": 1}) == ("x", 1)
        assert run(use("x", inject(made))) == ("x", "value of again")


class TestRuns:
    @both_scopes
    def test_each_run_has_its_own(self, engine, scope):
        count = 0

        @resource(scope=scope)
        async def numbered():
            nonlocal count
            count += 1
            mine = count
            await asyncio.sleep(1)
            yield mine
            calls.append(f"-{mine}")

        @task
        async def work(seconds, r=inject(numbered)):
            await asyncio.sleep(seconds)
            return r

        async def main():
            return await asyncio.gather(*(arun(work(n), engine=engine) for n in (3, 1, 2)))

        assert run_virtual(main).value == [1, 2, 3]
        assert calls == ["-2", "-3", "-1"]

    def test_a_run_inside_a_run(self, run):
        made = make("inner_run")

        @task
        def outer(r=inject(made)):
            return run(use("x", inject(made)))

        assert run(outer()) == ("x", "value of inner_run")
        assert calls == ["+inner_run", "+inner_run", "x", "-inner_run", "-inner_run"]

    def test_one_fails_and_the_other_does_not(self, engine):
        made = make("apart", is_async=True, takes=1)

        @task
        async def work(fails, r=inject(made)):
            await asyncio.sleep(1)
            if fails:
                raise ValueError("one")
            await asyncio.sleep(5)
            calls.append("work")
            return r

        async def main():
            return await asyncio.gather(
                arun(work(True), engine=engine), arun(work(False), engine=engine), return_exceptions=True
            )

        first, second = run_virtual(main).value
        assert isinstance(first, ValueError)
        assert second == "value of apart"
        assert calls == ["begin apart", "begin apart", "+apart", "+apart", "-apart", "work", "-apart"]

    @both_kinds
    def test_the_same_graph_twice(self, engine, is_async):
        made = make("same", is_async=is_async)
        target = use("x", inject(made))
        for _ in range(3):
            assert virtual(engine, target).value == ("x", "value of same")
        assert len(ups()) == len(downs()) == 3
