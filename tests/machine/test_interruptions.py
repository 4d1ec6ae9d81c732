"""An exception that comes from outside, as Ctrl-C does, comes between any two steps of the machine: it is raised, and nothing else is."""

from __future__ import annotations

import pytest

from cascade_compiler import run, task
from cascade_vm.frame import Frame


@task
def inc(x):
    return x + 1


@task
def add(x, y):
    return x + y


@task
def wide(n):
    return narrow(n - 1) if n else "over"


@task
def narrow(n):
    return wide(add(inc(inc(inc(n))), add(inc(-3), -1)))


@pytest.mark.parametrize("turn", range(1, 8))
def test_just_after_a_tail_call(monkeypatch, turn):
    """The frame has begun another graph, which may be shorter than that whose last instruction has just run"""
    entered = []
    enter = Frame.enter

    def interrupted(frame, *activation):
        enter(frame, *activation)
        entered.append(frame)
        if len(entered) == turn:
            raise KeyboardInterrupt

    monkeypatch.setattr(Frame, "enter", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(wide(10), engine="interpreter")
    assert run(add(1, 2)) == 3
