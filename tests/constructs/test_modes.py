"""Tasks in threads and processes (S23; R13, R17, N31). Real threads: what is tested is order and overlap, never real time."""



from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import os
import threading
import warnings
from typing import Any

import pytest

from cascade_compiler import CompileError, Jump, Router, arun, common, gather, inject, resource, task
from cascade_compiler.testing import capture_virtual, run_virtual
from cascade_vm.errors import NotSendable, RemoteError

VARIABLE: contextvars.ContextVar[Any] = contextvars.ContextVar("VARIABLE", default="unset")
calls: list[Any] = []
PATIENCE = 20  # real seconds after which a test gives up; never reached


@pytest.fixture(autouse=True)
def _clean():
    calls.clear()
    before = set(threading.enumerate())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in caught] == []
    left = [one for one in threading.enumerate() if one not in before and one.name.startswith("cascade")]
    assert left == []


def virtual(engine: str, target: Any, **options: Any) -> Any:
    return run_virtual(lambda: arun(target, engine=engine, **options))


@task
def note(x: Any, *rest: Any) -> Any:
    calls.append(x)
    return x


@task
async def wait(seconds: float, value: Any = None) -> Any:
    await asyncio.sleep(seconds)
    return value


@task(mode="thread")
def where(x: Any = None) -> Any:
    return threading.get_ident()


@task(mode="thread")
def read(x: Any = None) -> Any:
    return VARIABLE.get()


@task(mode="process")
def in_process(x: int) -> tuple[int, int]:
    return os.getpid(), x + 1


@task(mode="process")
def fail_in_process(kind: str) -> Any:
    if kind == "exit":
        raise SystemExit(4)
    if kind == "stop":
        raise StopIteration("stop")
    raise {"key": KeyError, "value": ValueError}[kind]("from afar")


@task(mode="process")
def double(x: int) -> int:
    if x < 0:
        raise ValueError(x)
    return 2 * x


class TwoArguments(Exception):
    """Can be pickled, but not unpickled: it passes on one argument, and takes two."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(f"{what} ({code})")


class Hostile(Exception):
    """Cannot be pickled at all, nor shown."""

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")

    def __str__(self) -> str:
        raise RuntimeError("no text")


class OneWay:
    """Pickled without trouble; whoever unpickles it has some."""

    def __reduce__(self) -> Any:
        return _refuse, ("the far end",)


def _refuse(where: str) -> Any:
    raise OSError(where)


@task(mode="process")
def raise_odd(kind: str) -> Any:
    raise TwoArguments(7, "from afar") if kind == "two" else Hostile("x")


@task(mode="process")
def give_odd(kind: str) -> Any:
    return {
        "graph": lambda: in_process(1), "in a list": lambda: [in_process(1)], "lock": threading.Lock, "one way": OneWay,
        "jump": lambda: Jump("end", threading.Lock()),
    }[kind]()  # fmt: skip


@task(mode="process")
def take(x: Any, *rest: Any, **named: Any) -> Any:
    return "taken"


class Gates:
    """Threads that wait for each other: a deadlock unless they overlap."""

    def __init__(self, parties: int) -> None:
        self.barrier = threading.Barrier(parties, timeout=PATIENCE)

    def task(self) -> Any:
        @task(mode="thread")
        def meet(x: Any = None) -> Any:
            self.barrier.wait()
            return x

        return meet


class TestThreads:
    def test_another_thread(self, run):
        assert run(where()) != threading.get_ident()
        assert run(gather(where(), where(1)))[0] != threading.get_ident()

    def test_context_variables(self, run):
        """S23: a copy of the caller's"""
        token = VARIABLE.set("of the caller")
        try:
            assert run(read()) == "of the caller"
            assert run(read.map(x=[1, 2])) == ["of the caller"] * 2
            assert run(gather(read(), read().with_retry(2))) == ["of the caller"] * 2
        finally:
            VARIABLE.reset(token)

    def test_setting_in_a_thread_is_for_the_task(self, engine):
        @task(mode="thread")
        def change():
            VARIABLE.set("changed")
            return VARIABLE.get()

        async def main():
            VARIABLE.set("before")
            got = await arun(gather(change(), read().after(change())), engine=engine)
            return got, VARIABLE.get()

        assert run_virtual(main).value == (["changed", "before"], "before")

    def test_they_overlap(self, engine):
        gates = Gates(3)
        meet = gates.task()
        assert virtual(engine, gather(meet(1), meet(2), meet(3))).value == [1, 2, 3]

    def test_items_of_a_map_overlap(self, engine):
        meet = Gates(3).task()
        assert virtual(engine, meet.map(x=[1, 2, 3])).value == [1, 2, 3]

    def test_in_flight_while_synchronous_work_is_done(self, engine):
        """S7: started before synchronous work that does not feed it"""
        started, go_on = threading.Event(), threading.Event()

        @task(mode="thread")
        def slow():
            started.set()
            assert go_on.wait(PATIENCE)
            return "slow"

        @task
        def sync():
            assert started.wait(PATIENCE)
            go_on.set()
            return "sync"

        assert virtual(engine, gather(sync(), slow())).value == ["sync", "slow"]

    def test_the_bound_of_a_map(self, engine):
        lock, running, most = threading.Lock(), 0, 0

        @task(mode="thread")
        def item(x):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            try:
                return x
            finally:
                with lock:
                    running -= 1

        assert virtual(engine, item.map(x=range(30), max_concurrency=2)).value == list(range(30))
        assert most <= 2
        assert running == 0

    def test_going_on(self, run):
        """A thread task may return a graph: as a tail call, nested, and in a map"""

        @task(mode="thread")
        def go(n):
            return go(n - 1) if n else threading.get_ident()

        @task(mode="thread")
        def graph(n):
            return note(n)

        assert run(go(20)) != threading.get_ident()
        assert run(gather(graph(1), graph(2))) == [1, 2]
        assert run(graph.map(n=[1, 2])) == [1, 2]

    def test_in_a_route_that_is_not_chosen(self, run):
        assert run(Router("b", {"a": where(), "b": note(2)})) == 2

    @pytest.mark.parametrize("error", [ValueError("x"), StopIteration("x"), SystemExit(3), KeyboardInterrupt("x"), GeneratorExit("x")])
    def test_what_it_raises_is_raised(self, engine, error):
        """The very object, from nested places too; nothing hangs"""

        @task(mode="thread")
        def fail():
            raise error

        for target in (gather(fail(), 1), gather(note(fail()), wait(5))):
            got = capture_virtual(lambda: arun(target, engine=engine))  # noqa: B023
            assert not got.leaks
            if isinstance(error, StopIteration):  # N18: no coroutine can raise it
                assert isinstance(got.error, RuntimeError)
                assert got.error.__cause__ is error
            else:
                assert got.error is error
            assert got.elapsed == 0

    def test_stop_iteration_from_run(self, run):
        """N18: `run` raises it like any other"""

        @task(mode="thread")
        def fail():
            raise StopIteration("x")

        with pytest.raises((StopIteration, RuntimeError)):
            run(fail())

    def test_the_note(self, run):
        @task(mode="thread")
        def fail(x):
            raise ValueError("x")

        with pytest.raises(ValueError, match="x") as caught:
            run(gather(fail(3), 1))
        (text,) = caught.value.__notes__
        assert text.startswith(f"in task {fail.task.label}, called at ")
        assert text.endswith("\n  x = 3")

    def test_a_cancelled_error_of_its_own(self, engine):
        """N19: a failure like any other, never retried"""

        @task(mode="thread")
        def fail():
            calls.append("fail")
            raise asyncio.CancelledError("mine")

        got = capture_virtual(lambda: arun(gather(fail().with_retry(3), wait(9)), engine=engine))
        assert isinstance(got.error, asyncio.CancelledError)
        assert not got.leaks
        assert got.elapsed == 0
        assert calls == ["fail"]

    @pytest.mark.parametrize("what", [1, "thread", {"threads": None}, {"thread": 3}])
    def test_wrong_pools(self, run, what):
        with pytest.raises(TypeError):
            run(note(1), pools=what)

    def test_inside_a_running_loop(self, engine):
        async def main():
            return await arun(gather(where(), note(1)), engine=engine)

        assert asyncio.run(main())[1] == 1

    def test_outside_of_a_loop(self, run):
        assert run(gather(where(), note(2)))[1] == 2

    def test_a_resource_and_a_thread(self, engine):
        """The resource is torn down after the thread has ended, whatever happens meanwhile"""
        go_on = threading.Event()

        @resource
        def handle():
            calls.append("+")
            yield "handle"
            calls.append("-")

        @task(mode="thread")
        def slow(h=inject(handle)):
            assert go_on.wait(PATIENCE)
            calls.append("thread")

        @task
        async def boom():
            await asyncio.sleep(1)
            threading.Timer(0.02, go_on.set).start()
            raise ValueError("boom")

        got = capture_virtual(lambda: arun(gather(slow(), boom().after(note("started"))), engine=engine), patience=0.05)
        assert isinstance(got.error, ValueError)
        assert not got.leaks
        assert calls == ["+", "started", "thread", "-"] or calls == ["started", "+", "thread", "-"]


class TestTimeouts:
    def slow(self, results: list[Any]) -> tuple[Any, threading.Event]:
        go_on = threading.Event()

        @task(mode="thread")
        def slow(x=None):
            calls.append("begin")
            assert go_on.wait(PATIENCE)
            calls.append("late")
            results.append(x)
            return "late"

        return slow, go_on

    def test_the_run_ends_only_after_it(self, engine):
        """N31: the slot stays taken, what it comes to is dropped, and the run ends only when it has ended"""
        results: list[Any] = []
        slow, go_on = self.slow(results)

        @task
        async def opener():
            try:
                await asyncio.sleep(100)
            finally:
                calls.append("cancelled")
                threading.Timer(0.02, go_on.set).start()

        got = capture_virtual(lambda: arun(gather(slow("x").with_timeout(2), opener()), engine=engine), patience=0.4)
        assert isinstance(got.error, TimeoutError), got.error
        assert str(got.error) == f"{slow.task.label} took longer than 2 seconds"
        assert got.elapsed == 2
        assert not got.leaks
        assert calls == ["begin", "cancelled", "late"]
        assert results == ["x"]

    def test_a_retry_after_a_timeout(self, engine):
        """The late result of the first attempt does not become the value of the second"""
        go_on = threading.Event()
        count = 0

        @task(mode="thread")
        def slow():
            nonlocal count
            count += 1
            if count == 1:
                assert go_on.wait(PATIENCE)
                calls.append("late")
                return "first"
            go_on.set()
            return "second"

        @task
        def keep(x):
            calls.append(x)
            return x

        got = run_virtual(lambda: arun(keep(slow().with_timeout(2).with_retry(2, on=TimeoutError)), engine=engine), patience=0.02)
        assert got.value == "second"
        assert got.elapsed == 2
        assert sorted(calls) == ["late", "second"]

    def test_cancelled_while_a_thread_runs(self, engine):
        results: list[Any] = []
        slow, go_on = self.slow(results)

        async def main():
            run = asyncio.get_running_loop().create_task(arun(gather(slow("x"), wait(50)), engine=engine))
            await asyncio.sleep(1)
            run.cancel()
            await asyncio.sleep(1)
            assert not run.done()  # it waits for the thread
            run.cancel()
            await asyncio.sleep(1)
            assert not run.done()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await run

        run_virtual(main, patience=0.02)
        assert calls == ["begin", "late"]

    def test_a_queue_that_is_cancelled_does_not_start(self, engine):
        """In a pool of one, what has not started when the run fails never starts"""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:

            @task(mode="thread")
            def first():
                calls.append("first")
                raise ValueError("first")

            @task(mode="thread")
            def other(x):
                calls.append(x)

            got = capture_virtual(lambda: arun(gather(first(), *(other(n) for n in range(5))), engine=engine, pools={"thread": pool}))
            assert isinstance(got.error, ValueError)
            assert not got.leaks
            assert pool.submit(len, "abc").result() == 3
        assert calls[0] == "first"  # what was queued may have begun before the loop heard of the failure: but nothing begins afterwards


class TestPools:
    def test_a_given_pool_is_used_and_left_open(self, engine):
        with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:

            @task(mode="thread")
            def name(x=None):
                return threading.current_thread().name

            for _ in range(2):
                got = virtual(engine, gather(name(), name(1)), pools={"thread": pool}).value
                assert all(one.startswith("mine") for one in got)
            assert pool.submit(len, "abc").result() == 3

    def test_a_given_pool_is_left_open_by_a_failure(self, engine):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:

            @task(mode="thread")
            def fail():
                raise ValueError

            for _ in range(2):
                got = capture_virtual(lambda: arun(gather(fail(), where()), engine=engine, pools={"thread": pool}))
                assert isinstance(got.error, ValueError)
            assert pool.submit(len, "abc").result() == 3

    def test_own_pools_are_closed(self, run):
        names: list[threading.Thread] = []

        @task(mode="thread")
        def me(x=None):
            names.append(threading.current_thread())

        run(gather(me(), me(1)))
        assert names
        assert not any(one.is_alive() for one in names)

    def test_own_pools_are_closed_after_a_failure(self, run):
        names: list[threading.Thread] = []

        @task(mode="thread")
        def me(x=None):
            names.append(threading.current_thread())
            raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011
            run(gather(me(), me(1)))
        assert names
        assert not any(one.is_alive() for one in names)

    def test_no_pool_where_none_is_needed(self, run, monkeypatch):
        def refuse(*_: Any, **__: Any) -> Any:
            raise AssertionError("a pool was made")

        monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", refuse)
        monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", refuse)
        assert run(gather(note(1), wait(0, 2))) == [1, 2]
        assert run(Router("b", {"a": where(), "b": 3})) == 3


class TestRefused:
    @pytest.mark.parametrize("mode", ["thread", "process"])
    def test_async(self, mode):
        async def later():
            return 1

        with pytest.raises(TypeError, match="async def"):
            task(mode=mode)(later)

    def test_unknown(self):
        with pytest.raises(ValueError, match="mode"):
            task(mode="fiber")(len)

    def test_a_local_function_in_a_process(self, run):
        @task(mode="process")
        def local():
            return 1

        with pytest.raises(CompileError, match="local"):
            run(gather(note("before"), local()))
        assert calls == []

    def test_a_lambda_in_a_process(self, run):
        fn = task(mode="process")(lambda: 1)
        with pytest.raises(CompileError, match="lambda"):
            run(gather(note("before"), fn()))
        assert calls == []

    def test_in_a_map_too(self, run):
        @task(mode="process")
        def local_item(x):
            return x

        with pytest.raises(CompileError, match="local_item"):
            run(gather(note("before"), local_item.map(x=[1])))
        assert calls == []

    def test_in_a_graph_that_is_met_later(self, run):
        @task(mode="process")
        def local_later():
            return 1

        @task
        def go():
            return local_later()

        with pytest.raises(CompileError, match="local_later") as caught:
            run(go())
        assert caught.value.__notes__[0].startswith(f"in task {go.task.label}, called at ")


class TestProcesses:
    def go(self, engine: str, target: Any, pool: Any) -> Any:
        return capture_virtual(lambda: arun(target, engine=engine, pools={"process": pool}), patience=PATIENCE)

    def test_another_process(self, engine, processes):
        got = self.go(engine, gather(in_process(1), note("x")), processes).value
        assert got[0][0] != os.getpid()
        assert got[0][1] == 2
        assert processes.submit(len, "abc").result() == 3  # left open

    @pytest.mark.parametrize(("kind", "error"), [("key", KeyError), ("value", ValueError), ("exit", SystemExit)])
    def test_exceptions(self, engine, processes, kind, error):
        got = self.go(engine, gather(fail_in_process(kind), 1), processes)
        assert isinstance(got.error, error)
        assert not got.leaks
        assert got.error.__notes__[-1].startswith(f"in task {fail_in_process.task.label}, called at ")
        assert processes.submit(len, "abc").result() == 3

    def test_a_map_with_common_values_and_a_retry(self, engine, processes):
        assert self.go(engine, double.map(x=[1, 2, 3]).with_retry(2), processes).value == [2, 4, 6]
        got = self.go(engine, double.map(x=[1, -2]).with_retry(2), processes)
        assert isinstance(got.error, ValueError)
        assert got.error.__notes__[-1].splitlines()[0].endswith("(map item 1, attempt 2 of 2)")

    def assert_fails_alone(self, engine: str, target: Any, pool: Any, kind: type[BaseException], label: str) -> BaseException:
        """The failure of ``target``: a call beside it, in the same pool, has its value; and the pool goes on."""
        got = self.go(engine, gather(target, double(1)), pool)
        assert type(got.error) is kind, got.error
        assert not got.leaks
        assert not got.error.__notes__[1:]  # the other call did not fail
        assert got.error.__notes__[0].startswith(f"in task {label}, called at ")
        assert self.go(engine, double(2), pool).value == 4
        return got.error

    @pytest.mark.parametrize(
        ("target", "name"),
        [
            (lambda: take(lambda: 1), "argument x"),
            (lambda: take(1, threading.Lock()), "argument rest"),
            (lambda: take(1, key=threading.Lock()), "argument key"),
            (lambda: take.map(x=[1], **common(y=iter(lambda: 1, 2))), "argument y"),
        ],
    )
    def test_arguments_that_cannot_be_sent(self, engine, processes, target, name):
        error = self.assert_fails_alone(engine, target(), processes, NotSendable, take.task.label)
        assert f"{take.task.label} runs in another process, and its {name} cannot be sent there: " in str(error)
        assert "mode='thread'" in str(error)

    def test_an_argument_that_cannot_be_unpickled(self, engine, processes):
        """It would break the pool for everybody, were it the executor that pickles"""
        error = self.assert_fails_alone(engine, take(OneWay()), processes, NotSendable, take.task.label)
        assert str(error) == (
            f"the arguments of {take.task.label} were pickled, but cannot be unpickled in its process: OSError: the far end"
        )

    @pytest.mark.parametrize("kind", ["graph", "in a list", "lock", "one way", "jump"])
    def test_a_result_that_cannot_be_sent(self, engine, processes, kind):
        error = self.assert_fails_alone(engine, give_odd(kind), processes, NotSendable, give_odd.task.label)
        assert str(error).startswith(f"{give_odd.task.label} ran in another process")
        assert ("let a task of another mode" in str(error)) is (kind in ("graph", "jump"))
        assert ("returned an object of 'OneWay'" in str(error)) is (kind == "one way")

    @pytest.mark.parametrize(
        ("kind", "shown"), [("two", "TwoArguments: from afar (7)"), ("hostile", "Hostile: (its text cannot be shown)")]
    )
    def test_an_exception_that_cannot_be_sent(self, engine, processes, kind, shown):
        """N41: it has the type and the text of what was raised, and does no harm to anybody else"""
        error = self.assert_fails_alone(engine, raise_odd(kind), processes, RemoteError, raise_odd.task.label)
        assert f"the task failed in another process with {TwoArguments.__module__}.{shown}. " in str(error)
        assert "in raise_odd" in str(error.__cause__)

    def test_it_is_tried_again(self, engine, processes):
        got = self.go(engine, raise_odd("two").with_retry(2, on=RemoteError), processes)
        assert got.error.__notes__[0].splitlines()[0].endswith("(attempt 2 of 2)")

    def test_the_traceback_of_the_other_process(self, engine, processes):
        """As text, in the cause: without the engine's own frames"""
        error = self.go(engine, gather(fail_in_process("value"), 1), processes).error
        text = str(error.__cause__)
        assert text.startswith("\nTraceback (most recent call last):\n")
        assert text.endswith("ValueError: from afar\n")
        assert text.count('  File "') == 1
        assert "in fail_in_process" in text

    def test_a_common_value(self, engine, processes):
        assert self.go(engine, gather(double(double(3)), *[common(x=1) and double(1)]), processes).value == [12, 2]

    def test_its_own_pool(self, run):
        assert run(in_process(4))[1] == 5
