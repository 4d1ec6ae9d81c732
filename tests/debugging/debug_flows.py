"""Workflows to step through: one for each construct."""

from __future__ import annotations

import asyncio
import signal

from cascade_compiler import Jump, Router, bind, gather, inject, resource, select_jump, task, workflow

TRACE: list[str] = []  # what resources did


@task
def add(a, b):
    return a + b


@task
def double(x):
    return 2 * x


@task
async def fetch(name):
    for _ in range(ord(name) - 96):  # turns of the loop: "a" takes one, "b" two
        await asyncio.sleep(0)
    return f"<{name}>"


@task
def fail(x):
    raise ValueError(f"no {x}")


@task
def is_big(x):
    return x > 10


@workflow
def straight(n: int = 3):
    return add(double(double(n)), 1)


@workflow
def overlapping():
    return gather(fetch("a"), double(double(4)), add(fetch("b"), fetch("c")))


@workflow
def mapped():
    return gather(double.map([1, 2]), fetch.map(["a", "b"]))


class Tries:
    left = 2


def reset() -> None:
    """As if nothing had run."""
    Tries.left = 2
    TRACE.clear()


@task
def unsteady(x):
    Tries.left -= 1
    if Tries.left >= 0:
        raise ConnectionError(f"{Tries.left} left")
    return x


@workflow
def retried():
    return double(unsteady(7).with_retry(4, on=ConnectionError))


@workflow
def routed(x: int = 12):
    return Router(is_big(x), {True: double(x), False: add(x, 1)})


@workflow
def conditional(x: int = 3):
    return gather(double(double(x).run_if(is_big(x), otherwise=add(x, 100))), 5)


@task
def deeper(n):
    return double(add(n, 1))


@workflow
def nested():
    return add(deeper(1), double(deeper(2)))


@task
def tag(x):
    return str(x)


@workflow
def blocked():  # what ``expand`` gives has to wait: the frame leaves the order of its strands
    return gather(tag(expand(1)), double(4))


@task
def expand(n):
    return fetch("a")


@task
def countdown(n):
    return countdown(n - 1) if n else double(21)


@workflow
def looping(n: int = 4):
    return countdown(n)


@resource
def debugged_store():
    TRACE.append("set up")
    try:
        yield "store"
    finally:
        TRACE.append("torn down")


@resource
async def debugged_line():
    await asyncio.sleep(0)
    TRACE.append("line set up")
    try:
        yield "line"
    finally:
        TRACE.append("line torn down")


@task
def use(where, what):
    return f"{what} in {where}"


@workflow
def with_resource():
    return use(inject("debugged_store"), use(inject("debugged_line"), fetch("a")))


@task
def choose(n, total=0):
    return Jump("again", {"n": n - 1, "total": total + n}) if n else Jump("done", total)


@workflow
def jumping(n: int = 2):
    return double(bind(choose(n), select_jump({"again": choose(0), "done": None})))


@workflow
def skipped(x: int = 3):
    return gather(x, double(double(x).run_if(is_big(x))))


@task
def failing_deep(n):
    return add(double(n), fail(n))


@workflow
def failing():
    return add(failing_deep(1), fetch("a"))


@workflow
def failing_item():
    return double.map([1, None])


@task(mode="thread")
def threaded(x):
    return x + 1


@workflow
def in_thread():
    return double(threaded(1))


@task
def many(n):
    return [{"at": at, "text": "x" * 500} for at in range(n)]


@workflow
def large():
    return gather(many(100_000), double(1))


graph = double(21)


@task
def interrupt(x):
    signal.raise_signal(signal.SIGINT)
    return x


@workflow
def signalled():
    return double(interrupt(7))
