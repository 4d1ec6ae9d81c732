"""The virtual clock: time jumps, deadlocks and spins are errors, threads are waited for, seeds vary the order, leaks are told."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from cascade_compiler.testing import (
    Deadlock,
    Leak,
    OutOfBudget,
    VirtualPool,
    VirtualTimeError,
    VirtualTimeLoop,
    capture_virtual,
    run_virtual,
    takes,
)


def test_waiting_takes_no_real_time() -> None:
    began = time.monotonic()
    run = run_virtual(lambda: asyncio.sleep(86_400, "next day"))
    assert (run.value, run.elapsed) == ("next day", 86_400.0)
    assert time.monotonic() - began < 5


def test_independent_waits_overlap() -> None:
    async def main() -> list[int]:
        return list(await asyncio.gather(*(asyncio.sleep(n, n) for n in (3, 1, 2))))

    run = run_virtual(main())
    assert (run.value, run.elapsed) == ([3, 1, 2], 3.0)


def test_far_in_the_future_the_clock_still_moves() -> None:
    async def main() -> float:
        await asyncio.sleep(1e15)
        await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    assert run_virtual(main, budget=100).value == 1e15 + 1


def test_the_clock_stands_on_the_timer() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = []
        for delay in (0.1, 0.2, 1e-12):
            await asyncio.sleep(delay)
            seen.append(loop.time())
        return seen

    assert run_virtual(main).value == [0.1, 0.1 + 0.2, 0.1 + 0.2 + 1e-12]


def test_cancelled_timers_neither_count_nor_move_the_clock() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in range(1, 300):  # enough for asyncio to tidy its heap
            loop.call_later(delay, print).cancel()
        async with asyncio.timeout(1000):
            await asyncio.sleep(2)

    assert run_virtual(main).elapsed == 2.0

    async def stuck() -> None:
        asyncio.get_running_loop().call_later(5, print).cancel()
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="virtual time 0:"):
        run_virtual(stuck)


def test_deadlock_names_who_waits_where() -> None:
    async def forgotten() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.gather(forgotten(), asyncio.sleep(3))

    with pytest.raises(Deadlock, match=r"(?s)virtual time 3.*no timer.*forgotten, waiting at wait:\d+"):
        run_virtual(main)


def test_spinning_is_an_error() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(OutOfBudget, match="50 iterations"):
        run_virtual(main, budget=50)


def test_real_threads_are_waited_for_and_take_no_virtual_time() -> None:
    release = threading.Event()

    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        loop.call_soon(release.set)
        job = loop.run_in_executor(None, lambda: release.wait(5) and "from a thread")
        timer = asyncio.create_task(asyncio.sleep(10))
        answer = await asyncio.to_thread(str, await job)
        at = loop.time()
        await timer
        return answer, at

    assert run_virtual(main).value == ("from a thread", 0.0)


def test_a_thread_that_never_answers_is_a_deadlock() -> None:
    release = threading.Event()

    async def main() -> None:
        await asyncio.to_thread(release.wait, 5)

    try:
        with pytest.raises(Deadlock, match=r"thread or I/O has not answered within 0\.01"):
            run_virtual(main, patience=0.01)
    finally:
        release.set()


def test_sockets_work() -> None:
    async def main() -> bytes:
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            loop = asyncio.get_running_loop()
            reading = asyncio.create_task(loop.sock_recv(left, 5))
            await asyncio.sleep(0)
            await loop.sock_sendall(right, b"hello")
            return await reading

    assert run_virtual(main).value == b"hello"


def finishing_order(seed: int | None, delays: tuple[int, ...] = (1,) * 6) -> list[int]:
    order: list[int] = []

    async def one(number: int, delay: int) -> None:
        await asyncio.sleep(delay)
        order.append(number)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number, delay in enumerate(delays):
                group.create_task(one(number, delay))

    run_virtual(main, seed=seed)
    return order


def test_seeds_vary_the_order_of_simultaneous_completions() -> None:
    orders = {tuple(finishing_order(seed)) for seed in range(100)}
    assert len(orders) > 80  # of 720
    assert all(finishing_order(seed) == finishing_order(seed) for seed in (None, 0, 1, 2))


def test_seeds_do_not_change_the_order_of_time() -> None:
    for seed in range(20):
        assert finishing_order(seed, (3, 1, 2)) == [1, 2, 0]


def test_seeds_keep_the_order_of_plain_callbacks() -> None:
    async def main() -> list[int]:
        seen: list[int] = []
        for number in range(10):
            asyncio.get_running_loop().call_soon(seen.append, number)
        await asyncio.sleep(0)
        return seen

    assert all(run_virtual(main, seed=seed).value == list(range(10)) for seed in range(10))


def test_leaks_are_errors() -> None:
    async def main() -> str:
        main.left = asyncio.create_task(asyncio.sleep(7), name="left over")  # type: ignore[attr-defined]
        asyncio.get_running_loop().call_later(9, print)
        await asyncio.sleep(0)
        return "done"

    with pytest.raises(Leak, match=r"(?s)task left over \(sleep.*timer due at 7.*timer due at 9"):
        run_virtual(main)
    run = capture_virtual(main)
    assert run.value == "done"
    assert len(run.leaks) == 3


def test_a_cancelled_task_that_was_not_awaited_is_a_leak() -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(7), name="not awaited")
        await asyncio.sleep(0)
        task.cancel()

    assert capture_virtual(main).leaks[0].startswith("task not awaited")


def test_what_main_raises_comes_out() -> None:
    async def main() -> None:
        await asyncio.sleep(4)
        raise KeyError("b")

    with pytest.raises(KeyError, match="b"):
        run_virtual(main)
    run = capture_virtual(main)
    assert isinstance(run.error, KeyError)
    assert run.elapsed == 4.0
    with pytest.raises(KeyError):
        _ = run.value


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_base_exceptions_come_out(kind: type[BaseException]) -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise kind

    with pytest.raises(kind):
        run_virtual(main)


def test_cancelling_at_every_turn() -> None:
    async def main() -> str:
        await asyncio.sleep(1)
        await asyncio.sleep(1)
        return "done"

    turns = run_virtual(main).iterations
    endings = [capture_virtual(main, cancel_at=turn) for turn in range(1, turns + 2)]
    assert [type(run.error) for run in endings[:-1]] == [asyncio.CancelledError] * turns
    assert endings[-1].value == "done"
    assert {run.elapsed for run in endings} == {0.0, 1.0, 2.0}
    capture_virtual(main(), cancel_at=1)  # a coroutine that never began is closed without a warning


def test_a_task_that_swallows_cancellation_is_abandoned() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        main.left = asyncio.create_task(stubborn())  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    assert len(capture_virtual(main).leaks) == 1
    main.left = None  # type: ignore[attr-defined]


def test_a_running_loop_is_refused() -> None:
    async def main() -> None:
        run_virtual(asyncio.sleep(1))

    with pytest.raises(VirtualTimeError, match="from a plain def"):
        run_virtual(main)


def test_the_loop_can_be_used_directly() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(asyncio.sleep(100, "used")) == "used"
        assert runner.get_loop().time() == 100.0


def test_what_a_double_of_a_pool_runs_takes_virtual_time() -> None:
    ended: list[str] = []

    def work(name: str, seconds: float) -> str:
        takes(seconds, lambda: ended.append(name))
        return name

    def fail() -> None:
        takes(4, lambda: ended.append("failed"))
        raise ValueError("here")

    async def main() -> tuple[list[str], float]:
        loop = asyncio.get_running_loop()
        pool = VirtualPool(loop)
        values = await asyncio.gather(*(loop.run_in_executor(pool, work, name, n) for name, n in (("slow", 3), ("quick", 1))))
        there = loop.time()
        with pytest.raises(ValueError, match="here"):
            await loop.run_in_executor(pool, fail)
        return values, there

    began = time.monotonic()
    run = run_virtual(main)
    assert (run.value, run.elapsed) == ((["slow", "quick"], 3.0), 7.0)
    assert ended == ["quick", "slow", "failed"]
    assert time.monotonic() - began < 4  # the loop does not wait for threads: there are none


def test_outside_of_a_pool_a_call_takes_no_time() -> None:
    ended: list[int] = []
    takes(100, lambda: ended.append(1))
    assert ended == [1]
