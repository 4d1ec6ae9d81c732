"""Tasks whose values are kept in caches with names."""

from __future__ import annotations

from cascade_compiler import Jump, Param, bind, select_jump, task
from cascade_vm.caching import MemoryCache

CACHE = MemoryCache(name="cache_flows.kept")
MADE: list[object] = []


@task
def make(x):
    MADE.append(x)
    return [x]


@task
def both(a, b):
    return a + b


@task
def step(x):
    return Jump("again", x - 1) if x else Jump("end", 7)


target = both(make(Param("x", int)).with_cache(CACHE), make(1).with_cache(CACHE))
mapped = make.map([1, 2, 1]).with_cache(CACHE)
jumping = bind(step(Param("x", int)), select_jump({"again": step(0), "end": make(0).with_cache(CACHE)}))
unnamed = make(1).with_cache(MemoryCache())
