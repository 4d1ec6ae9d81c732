"""Hamilton: a module of functions that are wired by the names of their parameters; ``parameterize`` makes many nodes of one function."""

from __future__ import annotations

import asyncio
from itertools import count as numbers
from typing import Any

from hamilton import ad_hoc_utils, async_driver, driver
from hamilton.execution import executors
from hamilton.function_modifiers import parameterize, source, value
from hamilton.htypes import Collect, Parallelizable

from bench.case import Cannot, Work
from bench.event_loop import event_loop
from bench.tasks import Layers, last

_NUMBERS = numbers()


def _module(*functions: Any) -> Any:
    return ad_hoc_utils.create_temporary_module(*functions, module_name=f"bench_graph_{next(_NUMBERS)}")


def chain(length: int) -> Work:
    def step(x: int) -> int:
        return x + 1

    places = {f"v{at + 1}": {"x": source(f"v{at}") if at else value(0)} for at in range(length)}
    made = driver.Builder().with_modules(_module(parameterize(**places)(step))).build()
    end = f"v{length}"
    return Work(lambda: made.execute([end])[end], 1, expect=length)


def _layered(layers: Layers) -> driver.Driver:
    def leaf(x: int) -> int:
        return x + 1

    def node(x: int, y: int) -> int:
        return (x + y) & 0xFFFF

    leaves = {f"v0_{number}": {"x": value(at)} for number, at in enumerate(layers.inputs)}
    nodes = {
        f"v{depth + 1}_{number}": {"x": source(f"v{depth}_{one}"), "y": source(f"v{depth}_{other}")}
        for depth, row in enumerate(layers.rows)
        for number, (one, other) in enumerate(row)
    }
    names = [f"v{len(layers.rows)}_{number}" for number in range(len(layers.rows[-1]))]
    scope: dict[str, Any] = {"last": last.fn}
    exec(f"def end({': int, '.join(names)}: int) -> int: return last({', '.join(names)})", scope)
    module = _module(parameterize(**leaves)(leaf), parameterize(**nodes)(node), scope["end"])
    return driver.Builder().with_modules(module).build()


def layered(nodes: int) -> Work:
    layers = Layers(nodes)
    made = _layered(layers)
    return Work(lambda: made.execute(["end"])["end"], layers.size, expect=layers.loops())


def build(nodes: int) -> Work:
    layers = Layers(nodes)
    return Work(lambda: bool(_layered(layers).graph), layers.size, expect=True)


def mapped(items: int) -> Work:
    scope: dict[str, Any] = {"Parallelizable": Parallelizable, "Collect": Collect}
    exec(  # its nodes need annotations that are classes, which this file's are not
        "def item(n: int) -> Parallelizable[int]:\n yield from range(n)\n"
        "def one(item: int) -> int:\n return item + 1\n"
        "def end(one: Collect[int]) -> list:\n return list(one)\n",
        scope,
    )
    made = (
        driver.Builder()
        .with_modules(_module(scope["item"], scope["one"], scope["end"]))
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_local_executor(executors.SynchronousLocalTaskExecutor())
        .with_remote_executor(executors.SynchronousLocalTaskExecutor())
        .build()
    )
    expect = list(range(1, items + 1))
    return Work(lambda: made.execute(["end"], inputs={"n": items})["end"], items, expect=expect, note=f"{items:,} items")


def countdown(turns: int) -> Work:
    raise Cannot("its graphs have no cycles")


def _asynchronous(sources: list[str], names: list[str], expect: list[int]) -> Work:
    scope: dict[str, Any] = {"asyncio": asyncio}
    exec("\n".join(sources), scope)
    loop = event_loop()
    module = _module(*[scope[name] for name in scope if name.startswith("v")])
    made = loop.run_until_complete(async_driver.Builder().with_modules(module).build())

    def call() -> list[int]:
        found = loop.run_until_complete(made.execute(names))
        return [found[name] for name in names]

    return Work(call, len(sources), expect=expect)


def overlapping(count: int) -> Work:
    sources = [f"async def v{at + 1}() -> int:\n await asyncio.sleep(0)\n return {at} + 1" for at in range(count)]
    return _asynchronous(sources, [f"v{at + 1}" for at in range(count)], list(range(1, count + 1)))


def in_turn(count: int) -> Work:
    sources = [
        f"async def v{at + 1}({f'v{at}: int' if at else ''}) -> int:\n await asyncio.sleep(0)\n return {f'v{at}' if at else 0} + 1"
        for at in range(count)
    ]
    return _asynchronous(sources, [f"v{count}"], [count])


