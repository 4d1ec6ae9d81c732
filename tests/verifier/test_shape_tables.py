"""P10 of shapes: the table of a router is a literal of the graph that a task returns, which no verifier has seen; so it is looked at then."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cascade_compiler import Router, cache_clear, compile, task
from cascade_vm import Program, verify
from cascade_vm.errors import NotCompiled
from cascade_vm.isa import BRANCH


@task
def give(x: Any) -> Any:
    return x


@task
def routed(key: Any) -> Any:
    return Router(give(key), {"a": give(1), "b": give(2)})


def with_table_in(program: Program, register: int) -> Program:
    """The program, whose shape with a router looks its routes up in that literal."""

    def spoiled(i: Any) -> Any:
        return replace(i, reads=(i.reads[0], register)) if i.opcode == BRANCH else i

    blueprints = tuple([replace(one, instructions=tuple(map(spoiled, one.instructions))) for one in program.data.blueprints])
    made = Program(replace(program.data, blueprints=blueprints), {}, live=program._live)
    verify(made)
    return made


def test_a_table_that_is_none():
    """Each literal in its place: where it is no table of as many routes, the shape is not used"""
    program = compile(routed("b"), examples=[{}])
    (shape,) = program.data.shapes
    blueprint = program.data.blueprints[shape.blueprint]
    (table,) = [i.reads[1] for i in blueprint.instructions if i.opcode == BRANCH]
    assert blueprint.literals == 4
    for register in range(blueprint.literals):
        cache_clear()
        executable = with_table_in(program, register).link(jit=False)
        if register == table:
            assert executable.run() == 2
        else:
            with pytest.raises(NotCompiled, match="does not fit it"):
                executable.run()
