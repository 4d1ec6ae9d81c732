"""Runs that need no machine: code of one strand that only calls. What comes of them is what a machine makes of them."""

from __future__ import annotations

import itertools
import traceback

import pytest

from cascade_compiler import Param, compile, literal, run, task
from cascade_vm import executable as executables
from cascade_vm import forms
from cascade_vm.errors import InputError
from cascade_vm.events import subscribe

KINDS = ("one", "two", "none", "many", "named", "item", "built")


@task
def inc(x):
    return x + 1


@task
def less(x):
    return x - 1


@task
def any_of(x):
    """Nothing can be proven of what it gives"""
    return [x][0] + 1


@task
def add(x, y):
    return x + y


@task
def five():
    return 5


@task
def three(x, y, z):
    return x + y + z


@task
def named(x, *, by):
    return x + by


@task
def pair(x):
    return [x, x + 1]


@task
def total(values):
    return sum(values)


@task
def failing(x):
    raise ValueError(x)


@task
def going_on(x):
    return add(inc(x), 0)


@task
def not_to_run(x):
    """Gives a graph that has an input which nobody gives"""
    return add(x, Param("missing", int))


@task
def counted_down(n):
    return counted_down(n - 1) if n else "done"


def call_of(kind, value):
    match kind:
        case "one":
            return any_of(value)
        case "two":
            return add(value, 1)
        case "none":
            return five().after(value)
        case "many":
            return three(value, 1, 2)
        case "named":
            return named(value, by=3)
        case "item":
            return pair(value)[1]
    return total([value, 1])


def both(build):
    """What comes of a run without a machine, and of one with: value or failure, with notes and the user's part of the traceback."""
    return told(lambda: run(build(), engine="interpreter")), told(lambda: run(build(), engine="interpreter", capacity={"nothing": 1}))


def told(call):
    try:
        return call()
    except Exception as failure:
        lines = traceback.extract_tb(failure.__traceback__)
        return str(failure), failure.__notes__, [(line.name, line.lineno) for line in lines if line.name in ("failing", "inc")]


@pytest.fixture
def machines(monkeypatch):
    """The frames that runs have begun with."""
    made = []
    kept = executables.root_frame

    def root_frame(activation):
        made.append(activation)
        return kept(activation)

    monkeypatch.setattr(executables, "root_frame", root_frame)
    return made


@pytest.mark.parametrize(("first", "second"), list(itertools.product(KINDS, KINDS)))
def test_every_form(first, second, machines):
    """As calls and as the tail"""
    one, other = both(lambda: call_of(second, call_of(first, inc(1))))
    assert len(machines) == 1  # of the two
    assert one == other == run(call_of(second, call_of(first, inc(1))), engine="graph")


@pytest.mark.parametrize("ends", [failing, going_on, not_to_run, counted_down], ids=lambda one: one.__name__)
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("last", [None, *KINDS])
def test_a_call_that_gives_no_value(ends, first, last):
    """In the middle, and at the end"""

    def build():
        value = ends(call_of(first, inc(1)))
        return value if last is None or ends is counted_down else call_of(last, value)

    one, other = both(build)
    assert one == other


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("position", range(7))
@pytest.mark.parametrize("ends", [failing, going_on, not_to_run])
def test_in_a_chain(known, position, ends):
    """P2, S25: whichever call of it gives no value, with proofs about the others or without"""
    step = inc if known else any_of

    def build():
        value = inc(0)
        for at in range(7):
            value = ends(value) if at == position else step(value)
        return value

    one, other = both(build)
    kept = compile(build()).link(engine="interpreter")
    assert one == other == told(kept.run) == told(kept.run)


def test_a_literal_graph_is_a_value():
    """S3: what is quoted is not run"""
    lazy = inc(1)
    assert run(literal(lazy), engine="interpreter") is lazy
    assert run({"a": literal(lazy), "b": inc(2)}, engine="interpreter") == {"a": lazy, "b": 3}


def chained(step, length):
    value = 0
    for _ in range(length):
        value = step(value)
    return value


def forms_of(executable):
    run_cells = dict(zip(executable.run.__code__.co_freevars, executable.run.__closure__, strict=True))
    return [one[0] for one in run_cells["strand"].cell_contents]


def test_what_is_proven_is_not_asked():
    assert forms_of(compile(chained(inc, 9)).link(engine="interpreter")) == [forms.SURE_END]
    assert forms_of(compile(chained(any_of, 9)).link(engine="interpreter")) == [forms.CHAIN, forms.TAIL_1]
    assert forms_of(compile(total([chained(inc, 9), 1])).link(engine="interpreter"))[0] == forms.SURE_CHAIN
    block = add(add(inc(1), inc(2)), add(inc(3), inc(4)))
    assert forms_of(compile(block).link(engine="interpreter"))[0] == forms.SURE_BLOCK
    mixed = add(add(inc(1), any_of(2)), add(inc(3), inc(4)))
    assert forms_of(compile(mixed).link(engine="interpreter"))[0] == forms.BLOCK
    few = add(inc(1), less(2))  # to look at the code of two functions would cost more than to look at what they give
    assert forms_of(compile(few).link(engine="interpreter"))[0] == forms.BLOCK


def test_subscribers_are_told():
    executable = compile(chained(inc, 9)).link(engine="interpreter")
    assert executable.run() == 9
    seen = []
    with subscribe(lambda event: seen.append(type(event).__name__)):
        assert executable.run() == 9
        assert run(chained(inc, 9), engine="interpreter") == 9
    assert seen.count("TaskStarted") == 18
    del seen[:]
    assert executable.run() == 9
    assert seen == []


def test_inputs_are_refused_as_ever():
    executable = compile(chained(inc, 9)).link(engine="interpreter")
    with pytest.raises(InputError, match="unknown input 'x'") as interpreted:
        executable.run(x=1)
    with pytest.raises(InputError) as generated:
        compile(chained(inc, 9)).link(engine="codegen").run(x=1)
    assert str(interpreted.value) == str(generated.value)


def test_a_failure_is_not_kept():
    """The frames that the traceback holds hold neither the exception nor the values of the run"""
    executable = compile(failing(chained(inc, 9))).link(engine="interpreter")
    for _ in range(2):
        with pytest.raises(ValueError, match="9") as raised:
            executable.run()
        at = raised.value.__traceback__
        while at is not None:
            if "cascade_vm" in at.tb_frame.f_code.co_filename:
                held = at.tb_frame.f_locals
                assert not any(raised.value in (one, getattr(one, "error", None)) for one in held.values())
                assert held.get("registers", []) == []
            at = at.tb_next
