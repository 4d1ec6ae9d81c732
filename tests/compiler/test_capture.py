"""Capture: graph in, IR text out."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import pytest

from cascade_compiler import CompileError, Param, gather, literal, task
from cascade_compiler.capture import capture
from cascade_compiler.ir import Effects, Kind, render
from cascade_compiler.passes import run_passes
from cascade_compiler.passes.merge_twins import merge_twins


@task
def f(*args: Any, **kwargs: Any) -> Any:
    return args


@task
async def g(*args: Any) -> Any:
    return args


@task(pure=True)
def area(*args: Any) -> Any:
    return args


def text(target: Any) -> str:
    return render(capture(target)).replace("test_capture.", "")


def test_order_is_eager_pythons_and_shared_nodes_come_once():
    """S2, S6"""
    a = f(1)
    assert text(f(a, [a, {"k": g(a)}], x=f(2))) == (
        "%0 = literal 0\n%1 = call f(%0)\n%2 = spawn g(%1)\n%3 = literal 1\n%4 = build dict(%3, %2)\n%5 = build list(%1, %4)\n"
        "%6 = literal 2\n%7 = call f(%6)\n%8 = call f(%1, %5, x=%7)\nresult %8"
    )


def test_order_only_nodes_come_after_the_arguments():
    """S8"""
    assert text(f(f(1)).after(g())) == ("%0 = literal 0\n%1 = call f(%0)\n%2 = spawn g()\n%3 = call f(%1) after %2\nresult %3")


def test_a_container_without_nodes_is_one_literal():
    """S3, S4"""
    kept = [1, [2, {"a": (3,)}]]
    graph = capture(f(kept, kept))
    assert [op.kind for op in graph.ops] == [Kind.LITERAL, Kind.LITERAL, Kind.CALL]
    assert graph.literals[0] is kept


def test_a_container_in_two_places_is_built_once():
    shared = [f(1)]
    assert text(f(shared, shared)).count("build") == 1


def test_literal_stops_the_scan_also_inside_containers():
    """S3"""
    hidden = [f(1)]
    graph = capture(f(literal(hidden), [literal(hidden)]))
    assert graph.literals == [hidden, hidden]
    assert text(f(literal(1), [literal(2)])).count("build list") == 1


def test_gather_and_items_and_inputs():
    assert text(gather(Param("x"), f()[Param("x")])) == (
        "%0 = input x\n%1 = call f()\n%2 = item %1[%0]\n%3 = build list(%0, %2)\nresult %3"
    )


def test_subclasses_are_built_from_a_prototype():
    class Point(NamedTuple):
        x: Any
        y: Any

    point = capture(f(Point(f(), 2)))
    assert point.classes == [Point]
    assert type(point.literals[0]) is Point
    assert len(point.literals[0]) == 0
    assert point.literals[1] == 2
    counted: Any = collections.defaultdict(list, a=f())
    graph = capture(f(counted))
    assert graph.ops[-2].detail == "dict-like"
    assert graph.literals[0] == {}
    assert graph.literals[0].default_factory is list


def test_a_cycle_is_named_with_its_tasks():
    held: list[Any] = []
    node = f(g(held))
    held.append(node)
    with pytest.raises(CompileError, match=r"cycle: test_capture\.f -> test_capture\.g -> a list -> test_capture\.f"):
        capture(node)


def test_deep_and_wide_graphs_are_linear():
    """P19, by counting: operations are nodes and literals, whatever the sharing."""
    node = f(0)
    for _ in range(40):
        node = f(node, node)
    assert len(capture(node).ops) == 42
    chain = f(0)
    for _ in range(100_000):
        chain = f(chain)
    assert len(capture(chain).ops) == 100_002
    nested: Any = f(1)
    for _ in range(5_000):
        nested = [nested]
    assert len(capture(f(nested)).ops) == 5_003


def test_effects_follow_from_the_task():
    ops = capture(f(area(g()[0]))).ops
    by_kind = {op.task.label.rpartition(".")[2] if op.task else op.kind.value: op.effects for op in ops}
    assert by_kind["f"] == Effects.RAISES | Effects.IMPURE
    assert by_kind["area"] == Effects.RAISES
    assert by_kind["g"] == Effects.RAISES | Effects.WAITS | Effects.IMPURE
    assert by_kind["item"] == Effects.RAISES
    assert by_kind["literal"] == Effects.NONE


def test_merge_twins_before_and_after():
    """Calls of a pure task on the same values become one; impure ones, and those on equal but separate literals, stay."""
    shared = f(1)
    graph = capture(f(area(shared), area(shared), f(shared), f(shared), area(2), area(2)))
    merged = render(run_passes(graph, (merge_twins,)))
    assert render(graph).count("call test_capture.area") == 4
    assert merged.count("call test_capture.area") == 3
    assert merged.count("call test_capture.f") == render(graph).count("call test_capture.f")
    assert "(%2, %2, " in merged


def test_merge_twins_leaves_graphs_without_pure_tasks_alone():
    graph = capture(f(f(1), f(1)))
    assert merge_twins(graph) is graph
