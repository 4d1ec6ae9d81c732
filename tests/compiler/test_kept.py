"""What is kept of a graph: its operations, which the cycle collector does not see, and beside them all that could lead back to them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from cascade_compiler import Param, task
from cascade_compiler.capture import capture
from cascade_compiler.ir import Kept, render
from cascade_vm.memory_cache import MemoryCache


class Made(MemoryCache):
    """A cache that may have attributes, and be referred to weakly."""


def graph_and_owner(what: str) -> tuple[Any, Any]:
    """A graph, and the object in it that will lead to what is kept of it."""

    class Refused(Exception):
        pass

    @task
    def use(*args: Any) -> Any:
        return args

    cache, default = Made(), Made()
    target = use(use(1), Param("x", default=default)).with_cache(cache).with_retry(2, on=Refused)
    owner = {"a task": use.fn, "a default": default, "a cache": cache, "an exception": Refused}[what]
    return capture(target), owner


@pytest.mark.parametrize("what", ["a task", "a default", "a cache", "an exception"])
def test_a_cycle_through_what_is_kept_is_collected(what):
    graph, owner = graph_and_owner(what)
    owner.leads_to = Kept(graph)
    seen = weakref.ref(owner)
    del graph, owner
    gc.collect()
    assert seen() is None


def test_the_graph_comes_back_as_it_was():
    graph, _ = graph_and_owner("a task")
    again = Kept(graph).graph()
    assert render(again) == render(graph)
    assert [(op.task, op.detail, op.live) for op in again.ops] == [(op.task, op.detail, op.live) for op in graph.ops]
    assert list(again.nodes) == list(graph.nodes)
    for at, node in graph.nodes.items():
        assert (again.nodes[at].policy.errors, again.nodes[at].policy.cache) == (node.policy.errors, node.policy.cache)
    assert again.literals == [None] * len(graph.literals)
