"""A strand that stands at a call whose graph is running, while a call of another strand comes to its end: each has its own value.

The compiler orders strands so that this does not come up; a listing or an artifact need not.
"""

from __future__ import annotations

import pytest

from cascade_compiler import compile, task
from cascade_vm import assemble
from cascade_vm.listing import disassemble


@task
def inc(x):
    return x + 1


@task
def wide(n):
    return inc.map([n, n])


@task
def told(n):
    return inc(n)


@pytest.mark.parametrize("engine", ["interpreter", "codegen"])
def test_a_call_under_a_policy_ends_first(engine):
    listing = disassemble(compile([told(1).with_constraints(gpu=1), wide(inc(5))]))
    assert "%1    R0 = perform" in listing
    assert "%3    R1 = call" in listing
    turned = listing.replace("%1    R0 = perform", "%3    R0 = perform").replace("%3    R1 = call", "%1    R1 = call")
    program = assemble(turned)
    executable = program.link(engine=engine, capacity={"gpu": 1})
    assert executable.run() == [2, [7, 7]]
