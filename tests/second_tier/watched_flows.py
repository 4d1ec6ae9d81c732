"""Tasks whose values are watched."""

from __future__ import annotations

import asyncio
import sys
import weakref

from cascade_compiler import task

ALIVE: list[tuple[str, weakref.ref[Thing]]] = []


class Thing:
    def __init__(self, mark):
        self.mark = mark
        ALIVE.append((mark, weakref.ref(self)))


class Wrong(Exception):
    pass


def alive():
    return sorted(str(mark) for mark, ref in ALIVE if ref() is not None)


@task
def make(mark):
    return Thing(mark)


@task
def use(*_):
    return None


@task
def look(*_):
    return alive()


@task
def both(*values):
    return tuple(None if type(one) is Thing else one for one in values)


@task
async def later(x):
    await asyncio.sleep(0)
    return x


@task
def nested(x):
    return look(use(x), look(x))[:]  # while it runs, its own literal lives


@task
def nested_waits(x):
    return later(use(x))


@task
def look_inside(a, b):
    return look(1)


@task
async def look_inside_later(a, b):
    return look(1)


@task
async def look_after_io(a, b):
    return look(later(1))


@task
def look_deep(x):
    return look_inside(x, x)


@task
def tail_with_literal(x):
    return goes_on(Thing("literal"))


@task
async def tail_with_literal_later(x):
    return goes_on(Thing("literal"))


@task
def goes_on(thing):
    return look(1)


@task
def tails_with_literals(n):
    return tails_again(Thing("literal"), n)


@task
def tails_again(thing, n):
    return look(later(1)) if n == 0 else tails_with_literals(n - 1)


@task
def loop_of_literals(n, thing, seen):
    seen.append(len(alive()))
    return seen if n == 1 else loop_of_literals(n - 1, Thing("next"), seen)


@task
def passed(thing):
    return thing


@task
def loop_of_nodes(n, thing, seen):
    seen.append(len(alive()))
    return seen if n == 1 else loop_of_nodes(n - 1, make("next"), seen)


@task
def loop_of_containers(n, thing, seen):
    seen.append(len(alive()))
    return seen if n == 1 else loop_of_containers(n - 1, {"k": [make("next")]}, seen)


@task
def loop_with_more(n, thing, seen):
    seen.append(len(alive()))
    return seen if n == 1 else loop_with_more(n - 1, passed(passed(Thing("next"))), seen)


@task
def loop_that_looks(n, used, looked, seen):
    seen.append(looked)
    return seen if n == 1 else loop_that_looks(n - 1, use(Thing("literal")), look(), seen)


@task
def fail(x):
    raise Wrong(x)


@task
def failing_loop(n, thing):
    if n == 0:
        raise Wrong
    return failing_loop(n - 1, make(n))


def _note(n, blocks, whole):
    if n in (whole // 10, 10):
        blocks[n] = sys.getallocatedblocks()


@task
def count(n, blocks, whole=None):
    _note(n, blocks, whole or n)
    return n if n == 0 else count(n - 1, blocks, whole or n)


@task
def count_by_node(n, blocks, whole=None):
    _note(n, blocks, whole or n)
    return n if n == 0 else count_by_node(passed(n - 1), blocks, whole or n)


@task
def count_in_list(n, blocks, whole=None):
    if type(n) is list:
        (n,) = n
    _note(n, blocks, whole or n)
    return n if n == 0 else count_in_list([passed(n - 1)], blocks, whole or n)
