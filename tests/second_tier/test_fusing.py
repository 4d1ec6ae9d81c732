"""Runs of calls that the interpreter takes as one: the value, the failure, the values that die are those of one call after the other."""

from __future__ import annotations

import gc
import weakref

import pytest

from cascade_compiler import compile, run, task
from cascade_vm.forms import BLOCK, CHAIN, SPAWNS
from cascade_vm.fusing import WARM


@task
def inc(x):
    return x + 1


@task
def add(x, y):
    return x + y


@task
def quotient(x, y):
    return x // y


@task
def going_on(x, y):
    return add(inc(x), y)


@task
def first_of(pair):
    return pair[0]


@task
async def later(x):
    return x


@task
def total(*parts):
    return sum(parts)


class Thing:
    pass


def forms(executable):
    return [one[0] for strand in executable._code.fused for one in strand]


def mixed(last):
    """Calls of one and of two values, and at the end of a run of calls in one register"""
    one, two = inc(1), add(2, 3)
    return add(last(add(one, two), inc(add(one, two))), inc(inc(inc(inc(two)))))


def test_what_is_fused():
    executable = compile(mixed(quotient)).link(engine="interpreter")
    assert executable.run() == 8 // 8 + 9 - 1
    assert BLOCK in forms(executable)
    waiting = compile(total(*[later(at) for at in range(4)])).link(engine="interpreter")
    assert waiting.run() == 6
    assert SPAWNS in forms(waiting)
    chain = compile(inc(inc(inc(inc(add(1, 2)))))).link(engine="interpreter")
    assert chain.run() == 7
    assert CHAIN in forms(chain)


def test_only_what_runs_often_is_fused():
    """Fusing takes as long as it saves in some runs"""
    executable = compile(mixed(quotient)).link()
    counts = []
    for _ in range(WARM + 1):
        executable.run()
        counts.append(BLOCK in forms(executable))
    assert counts == [False] * (WARM - 1) + [True] * 2


# Alone, such calls are run without a machine (straight.py); where a run has capacity, there is one.
with_and_without_a_machine = pytest.mark.parametrize("way", [{}, {"capacity": {"nothing": 1}}], ids=["straight", "machine"])


@with_and_without_a_machine
@pytest.mark.parametrize("position", range(5))
def test_the_failing_call_is_told(position, way):
    """P2: of several calls in a block, with its own arguments"""
    value = add(8, 1)
    for at in range(5):
        value = quotient(value, at - position)
        value = add(value, 1)
    with pytest.raises(ZeroDivisionError) as raised:
        run(value, engine="interpreter", **way)
    with pytest.raises(ZeroDivisionError) as expected:
        run(value, engine="graph")
    assert raised.value.__notes__ == expected.value.__notes__
    assert "y = 0" in raised.value.__notes__[0]


@with_and_without_a_machine
@pytest.mark.parametrize("position", range(4))
def test_a_graph_from_the_middle(position, way):
    """S25: a call of a block may give a graph; the rest goes on with its value"""
    value = add(1, 1)
    for at in range(4):
        value = (going_on if at == position else add)(value, at)
        value = add(value, 10)
    assert run(value, engine="interpreter", **way) == run(value, engine="graph") == 2 + 6 + 40 + 1


class Watch:
    """Tasks that make things, and look how many of them are alive."""

    def __init__(self):
        alive = weakref.WeakSet()
        self.seen = seen = []

        @task
        def make(n):
            thing = Thing()
            alive.add(thing)
            return thing

        @task
        def look(*values):
            gc.collect()
            seen.append(len(alive))
            return sum(values)

        self.make, self.look = make, look


@task
def take(thing, other):
    return 1


@with_and_without_a_machine
def test_values_die_in_the_middle(way):
    """P6: at the end of the call that is the last one to take them"""
    watch = Watch()
    thing = watch.make(1)
    both_alive = watch.look(take(thing, 1), 1)
    graph = watch.look(add(take(thing, both_alive), 1), watch.look(take(watch.make(2), watch.make(3)), 1))
    assert run(graph, engine="interpreter", **way) == 4
    assert watch.seen == [1, 0, 0]


@with_and_without_a_machine
def test_values_of_a_chain_die_one_after_the_other(way):
    """P6: when a call has ended, what it was given is not there any more"""
    watch = Watch()

    @task
    def another(thing):
        watch.look.fn()
        return watch.make.fn(1)

    @task
    def first(x, y):
        return watch.make.fn(x)

    for begin in (watch.make(1), first(1, 2)):  # a call of the chain itself, and one before it
        del watch.seen[:]
        assert isinstance(run(another(another(another(another(begin)))), engine="interpreter", **way), Thing)
        assert watch.seen == [1, 1, 1, 1]


def test_values_of_a_chain_that_is_proven_die():
    """P6: that no call gives a graph has been proven; what the first is given dies with its end"""
    watch = Watch()
    look = watch.look.fn

    @task
    def first(x, y):
        return watch.make.fn(x)

    @task
    def told(thing):
        look()
        return 1.5, 2

    value = first(1, 2)
    for _ in range(6):
        value = told(value)
    for target in (value, add(first_of(value), 1)):  # the chain as the end, and in the middle
        del watch.seen[:]
        program = compile(target).link(engine="interpreter")
        assert program.run() == program.run()
        assert watch.seen == [1, 0, 0, 0, 0, 0] * 2


@with_and_without_a_machine
def test_what_nobody_reads_dies_at_once(way):
    """P6: and not with the end of the next call"""
    watch = Watch()
    one = inc(0)
    graph = add(watch.look(one).after(watch.make(one), watch.make(one)), watch.look(2))
    assert run(graph, engine="interpreter", **way) == 3
    assert watch.seen == [0, 0]


@with_and_without_a_machine
def test_values_die_before_the_graph_that_a_call_gives(way):
    """P6: the last taker of a value may go on with a graph; the value is not there any more when that runs"""
    watch = Watch()

    @task
    def take_and_look(thing, other):
        return watch.look(other)

    assert run(inc(take_and_look(watch.make(1), inc(1))), engine="interpreter", **way) == 3
    assert watch.seen == [0]
