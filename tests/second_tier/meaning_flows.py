"""Tasks at whose calls anything may happen: they can be found by name, so that programs can be made of them."""

from __future__ import annotations

import asyncio
import functools

from cascade_compiler import task


@task
def add(a, b=1):
    return a + b


@task
def same(x):
    return x


@task
def both(*args, **kwargs):
    return args, kwargs


@task
async def later(x):
    await asyncio.sleep(0)
    return x


@task
async def at_once(x):
    return x


class Refused(Exception):
    pass


@task
def boom(x):
    raise Refused(x)


@task
async def boom_later(x):
    await asyncio.sleep(0)
    raise Refused(x)


@task
def boom_deep(x):
    return _deeper(x)


def _deeper(x):
    raise Refused(x)


@task
def wrong_arguments():
    return None


@task
def nested(x):
    return add(x, same(1))


@task
def nested_waits(x):
    return later(add(x, 1))


@task
async def later_nested(x):
    return add(x, same(1))


@task
async def later_nested_waits(x):
    return add(later(x), later(1))


@task
def nested_boom(x):
    return boom(x)


@task
def nested_boom_later(x):
    return add(1, boom_later(x))


@task
async def later_nested_boom(x):
    return boom(x)


@task
def nested_item(x):
    return same([x, 0])[0]


@task
def nested_container(x):
    return both([add(x), {"k": add(x, 2)}], (add(x, 3),))


@task
def no_graph(x):
    return add(1, 2, 3, x)


@task
async def no_graph_later(x):
    return add(1, 2, 3, x)


class Holder:
    def __call__(self, x):
        return ("held", x)


held = task(Holder())
part = task(functools.partial(int, base=2))
length = task(len)
shown = task(str)
anonymous = task(lambda x: ("lambda", x))


@task
def countdown(n, left=()):
    return ("end", left) if n == 0 else countdown(n - 1, left)


@task
def ping(n):
    return "ping" if n == 0 else pong(n - 1)


@task
def pong(n):
    return "pong" if n == 0 else ping(n - 1)


@task
def changing(n, x):
    if n == 0:
        return x
    if n % 3 == 0:
        return changing(add(n, -1), x)
    return changing(n - 1, [x, 1][0]) if n % 3 == 1 else changing(n - 1, add(x))


@task
def grows(n, *xs):
    return xs if n == 0 else grows(n - 1, *xs, add(n))


@task
def to_others(n, x):
    return both(x, add(n)) if n == 0 else to_others(n - 1, add(x, n))


@task
def to_later(n):
    return later("end") if n == 0 else to_later(n - 1)


@task
def through_later(n):
    return "end" if n == 0 else through_later(later(n - 1))


@task
async def chain_loop(n):
    return "end" if n == 0 else chain_loop(at_once(add(n, -1)))


@task
def fails_in_turn(n):
    if n == 2:
        return fails_in_turn(
            boom(n)
        )
    if n % 2:
        return fails_in_turn(same(n - 1))
    return fails_in_turn(
        same(n - 1)
    )


@task
def fails_itself(n, x):
    if n == 3:
        raise Refused(x)
    if n % 2:
        return fails_itself(n - 1, [n])
    return fails_itself(
        n - 1, x
    )


@task
def nests_in_turn(n, x):
    return x if n == 0 else nests_in_turn(n - 1, nested(x) if n % 3 else add(x))


@task
def no_graph_in_turn(n):
    return add(1, 2, 3) if n == 0 else no_graph_in_turn(n - 1)


@task
def types_in_turn(n, x):
    return x if n == 0 else types_in_turn(n - 1, [n, 1.5, "x", None, (n,), b"y"][n % 6])


@task
def mixed(n, x):
    """Plain arguments in most turns, and something else in some."""
    if n % 5 == 1:
        return mixed(n - 1, same(x))
    if n % 5 == 3:
        return mixed(n - 1, [same(n), x])
    if n % 5 == 4:
        return mixed(n - 1, [x])
    return ("end", x) if n == 0 else mixed(n - 1, x)


@task
def another(n):
    return ("another", n)


@task
def renamed(n):
    """Its name means something else after some turns."""
    if n == 5:
        globals()["renamed"] = another
    return "end" if n == 0 else renamed(n - 1)


RENAMED = renamed
