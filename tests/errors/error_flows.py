"""Workflows that go wrong, each in one way."""

from __future__ import annotations

from dataclasses import dataclass

from cascade_compiler import Jump, Param, Router, bind, gather, inject, resource, select_jump, task, workflow
from cascade_compiler.mapping import common


@task
def price(row):
    return row["b"]


@task
def row(**columns):
    return columns


@task
def add(x, y):
    return x + y


@task
async def later(x):
    return x + 1


def helper(x):
    return deeper(x)


def deeper(x):
    raise ValueError(f"cannot use {x!r}")


@task
def through_helpers(x):
    return helper(x)


@task
def with_cause(x):
    try:
        deeper(x)
    except ValueError as fault:
        raise RuntimeError("could not be done") from fault


@task
def with_context(x):
    try:
        deeper(x)
    except ValueError:
        raise KeyError("while that was handled") from None


@task
async def fails_later(x):
    deeper(x)


@task
def slow_to_work(x):
    raise OSError(f"no answer from {x}")


@task
async def never():
    import asyncio

    await asyncio.Event().wait()


@task
def countdown(n):
    return countdown(n - 1) if n else deeper(n)


@task
def inner(x):
    return price(row(a=x))


@task
def big(values, text, more):
    raise ValueError("too much")


class Hostile:
    def __repr__(self):
        raise RuntimeError("not even that")


@task
def hostile():
    return Hostile()


@task
def takes(x):
    raise ValueError("whatever it was")


class Silent(Exception):
    """Refuses notes."""

    def add_note(self, note):
        raise TypeError("no notes")


@task
def silent():
    raise Silent("quietly")


@task
def several():
    raise ExceptionGroup("two of them", [ValueError("one"), TypeError("two")])


@task
def leaves():
    raise SystemExit(3)


@resource
def broken():
    raise OSError("cannot connect")
    yield


@resource
def closing():
    yield "open"
    raise OSError("cannot close")


@resource
def nothing():
    if deeper is None:
        yield


@task
def needs(value=inject(broken)):
    return value


@task
def needs_closing(value=inject(closing)):
    raise ValueError(f"while {value}")


@task
def needs_nothing(value=inject(nothing)):
    return value


@task
def weekend(day):
    return day in ("Sat", "Sun")


@task
def step(n):
    return Jump("elsewhere", n)


@task(mode="thread")
def in_a_thread(x):
    return deeper(x)


@task
def unhashable():
    return []


@dataclass
class Order:
    total: object


@workflow
def report(day: str, limit: int = 10, tags: tuple[str, ...] = ()):
    return add(day, limit)


plain = price(row(a=1))
keyword = add(x=1, y="2")
helpers = through_helpers(5)
cause = with_cause("it")
context = with_context("it")
asynchronous = add(later(1), fails_later("now"))
mapped = price.map([{"b": 1}, {"b": 2}, {"a": 3}])
mapped_common = add.map([1, 2, "3"], **common(y=1))
retried = slow_to_work("db").with_retry(3)
timed = never().with_timeout(0.001)
loop = countdown(3)
nested = add(1, inner("x"))
long_arguments = big(list(range(1000)), "x" * 1000, {str(n): n for n in range(500)})
unshowable = takes(hostile())
without_notes = silent()
group = several()
exits = leaves()
set_up = needs()
tear_down = needs_closing()
no_yield = needs_nothing()
skipped = price(row(b=1)).run_if(weekend("Mon"))
no_route = Router(add("a", "b"), {"a": plain, "b": keyword})
no_jump = bind(step(4), select_jump({"again": step(0), "done": None}))
unbound = step(4)
no_capacity = add(1, 2).with_constraints(gpu=1)
no_item = row(a=1)["c"]
no_place = gather([add(1, 2)])[3]
threaded = in_a_thread("it")
no_hash = gather({add(1, 2), unhashable()})
wrong_call = add(1)
hidden = add(Order(add(1, 2)), 1)
task_itself = add
from_lambda = add(task(lambda x: x)(1), 2)
twice = add(Param("x", int), Param("x", str))

_parts: list[object] = []
circle = row(parts=_parts)
_parts.append(circle)


@workflow
def used_as_value(n: int):
    return add(n, 1) if weekend(n) else n


@workflow
def returns_nothing(n: int):
    add(n, 1)
