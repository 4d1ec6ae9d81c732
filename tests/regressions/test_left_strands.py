"""Frames that leave their strands, and long chains of conditions: what the machine did wrongly there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from cascade_compiler import TargetSkipped, inject, resource, task

told: list[Any] = []


@task
def one(x: Any) -> Any:
    return x


@task
def all_of(*args: Any) -> list[Any]:
    return list(args)


@task
async def later(x: Any) -> Any:
    await asyncio.sleep(0)
    return x


@task
def nested(x: Any) -> Any:
    return later(x)


@task
def tell(x: Any) -> Any:
    told.append("told")
    return x


@resource(scope="step")
def of_step() -> Iterator[str]:
    told.append("set up")
    yield "step"
    told.append("torn down")


@task
def use(x: Any, y: Any, step: Any = inject(of_step)) -> list[Any]:
    return [x, y, step]


@task
def graph_with_a_step() -> Any:
    return all_of(use(nested(1), one(2)), 3)[0]


def test_a_select_whose_source_has_run_in_the_strand_that_is_left(run):
    """The strand of the source had not ended when the frame left it, and nobody told the select: the run stood still"""
    value = one(5)
    assert run(all_of(one(1).run_if(one(0), otherwise=value), value, nested(7))) == [5, 5, 7]


def test_an_item_that_is_returned_ends_the_step(run):
    """A frame that had left its strands gave the item back at once, and its resources lasted to the end of the run"""
    told.clear()
    assert run(tell(graph_with_a_step())) == [1, 2, "step"]
    assert told == ["set up", "torn down", "told"]


@pytest.mark.parametrize("count", [1, 3_000])
def test_many_conditions_of_one_call(run, count):
    """The name of what is skipped was looked for by recursion"""
    call = one(1)
    for _ in range(count):
        call = call.run_if(one(1))
    with pytest.raises(TargetSkipped, match="one"):
        run(call.run_if(one(0)))
