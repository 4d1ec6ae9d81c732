"""P10 of shapes: the table of a router is a literal of the graph that a task returns, and looked at when that is met."""

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
def pair(x: Any, y: Any) -> Any:
    return x, y


@task
def routed(key: Any, other: Any) -> Any:
    return pair(Router(give(key), {"a": give(1), "b": give(2)}), other)


def with_table_in(program: Program, register: int) -> Program:
    """The program, whose shape with a router looks its routes up in that literal."""

    def spoiled(i: Any) -> Any:
        return replace(i, reads=(i.reads[0], register)) if i.opcode == BRANCH else i

    blueprints = tuple(
        [replace(one, instructions=tuple(map(spoiled, one.instructions))) for one in program.data.blueprints]
    )
    made = Program(replace(program.data, blueprints=blueprints), {}, live=program._live)
    verify(made)
    return made


@pytest.mark.parametrize(
    ("other", "could_be_meant"),
    [("text", False), ({"a": 0, "b": 1, "c": 2}, False), ({"a": 1, "b": 0}, False), ({"a": 0, "b": True}, False), ({}, False),
     ({"a": 0}, True), ({"x": 0, "b": 1}, True)],
    ids=repr,
)  # fmt: skip
def test_another_literal_in_the_place_of_the_table(other, could_be_meant):
    """Where it is no table of as many routes, or of all but the last, the shape is not used"""
    program = compile(routed("b", other), examples=[{}])
    shapes = [program.data.blueprints[shape.blueprint].instructions for shape in program.data.shapes]
    ((table, some),) = [(i.reads[1], some) for some in shapes for i in some if i.opcode == BRANCH]
    cache_clear()
    assert with_table_in(program, table).link(jit=False).run() == (2, other)
    cache_clear()
    spoiled = with_table_in(program, some[-1].reads[1]).link(jit=False)
    if could_be_meant:
        assert spoiled.run() == (2, other)
        return
    with pytest.raises(NotCompiled, match="does not fit it"):
        spoiled.run()
