"""Tasks that return graphs: what a program can know of them before they do."""

from __future__ import annotations

import shape_helpers

from cascade_compiler import Jump, Param, bind, gather, inject, resource, select_jump, task, workflow


@task
def inc(x):
    return x + 1


@task
async def later(x):
    return x + 1


@task
def add(*values):
    return sum(values)


@task
def countdown(n, log=()):
    return countdown(n - 1, log=(*log, n)) if n else log


@task
def odd(n):
    return even(n - 1) if n else "odd"


@task
def even(n):
    return odd(n - 1) if n else "even"


@task
def crawl(left, found):
    """Names that are assigned once, shared, and conditional arguments."""
    page = inc(left)
    if left > 0:
        return crawl(left - 1, add(found, page, page) if left % 2 else add(found, later(page)))
    return found


@task
def told(n):
    if n == 0:
        return "told"
    return told(inc(n - 2)).with_retry(max_attempts=3, delay=0).with_constraints(gpu=1)


@task
def wide(n):
    return gather([inc(n), {"b": later(n)}]) if n else []


@task
def mapped(n):
    return inc.map(list(range(n)))


@task
def elsewhere(n):
    return shape_helpers.double(inc(n))


@task
def unseen(n):
    """What no reader of the source can know: how many calls there will be."""
    calls = [inc(at) for at in range(n)]
    return add(*calls)


@task
def chosen(n):
    what = {"a": inc, "b": countdown}["a" if n else "b"]
    return what(n)


@resource(scope="step")
def counter():
    yield []


@task
def stepping(n, seen=inject("counter")):
    seen.append(f"step {n}")
    return stepping(inc(n - 2)) if n else seen


@task
def go(n):
    return Jump("again", n - 1) if n else Jump("done", "over")


@task
def starts(n):
    return bind(go(n), select_jump({"again": go(0), "done": None}))


@task
def in_item(n):
    return even(n)


@workflow
def parity(n: int):
    return even(n)


@workflow
def crawling(n: int):
    return crawl(n, 0)


@workflow
def unseen_flow(n: int):
    return unseen(n)


@workflow
def everything(n: int):
    return {
        "log": countdown(n), "told": told(n).with_constraints(gpu=1), "wide": wide(n), "mapped": mapped(n),
        "elsewhere": elsewhere(n), "step": stepping(n), "items": in_item.map([n, n]),
    }  # fmt: skip


nested = add(countdown(Param("n", int)), even(3))


@task
def fails(n):
    raise ValueError(f"no {n}")


@task
def chosen_or_fails(n):
    return fails(n) if n else "well"


hook = None


@task
def uses_hook(n):
    return hook(n)
