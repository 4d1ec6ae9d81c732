"""100 awaits, overlapping and one after the other, beside ``asyncio.gather`` and plain ``await``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bench.case import Case, Work
from cascade_compiler import arun, compile, gather, task

_AWAITS = 100
_RUNS = 10
_LOOP: list[asyncio.AbstractEventLoop] = []


@task
async def tick(x: int) -> int:
    """Waits for one turn of the loop."""
    await asyncio.sleep(0)
    return x + 1


@task
async def at_once(x: int) -> int:
    """Asynchronous by name, but never waits."""
    return x + 1


def _in_loop(once: Callable[[], Awaitable[Any]], expect: Any) -> Work:
    async def many() -> Any:
        value = None
        for _ in range(_RUNS):
            value = await once()
        return value

    def call() -> Any:
        if not _LOOP:
            _LOOP.append(asyncio.new_event_loop())
        return _LOOP[0].run_until_complete(many())

    return Work(call, _RUNS * _AWAITS, expect=expect)


def _wide(node: Any) -> Any:
    return gather(*[node(at) for at in range(_AWAITS)])


def _long(node: Any) -> Any:
    value: Any = 0
    for _ in range(_AWAITS):
        value = node(value)
    return value


def _overlapping(node: Any, kept: bool) -> Callable[[], tuple[Work, Work]]:
    fn = node.fn

    async def by_hand() -> list[int]:
        return await asyncio.gather(*[fn(at) for at in range(_AWAITS)])

    def make() -> tuple[Work, Work]:
        expect = list(range(1, _AWAITS + 1))
        once = compile(_wide(node)).link().arun if kept else lambda: arun(_wide(node))
        return _in_loop(once, expect), _in_loop(by_hand, expect)

    return make


def _in_turn(node: Any, kept: bool) -> Callable[[], tuple[Work, Work]]:
    fn = node.fn

    async def by_hand() -> int:
        value = 0
        for _ in range(_AWAITS):
            value = await fn(value)
        return value

    def make() -> tuple[Work, Work]:
        once = compile(_long(node)).link().arun if kept else lambda: arun(_long(node))
        return _in_loop(once, _AWAITS), _in_loop(by_hand, _AWAITS)

    return make


def cases() -> Iterator[Case]:
    for how, kept in (("program kept", True), ("fresh graph", False)):
        for name, node in (("sleep(0)", tick), ("no wait", at_once)):
            yield Case(f"100 overlapping {name}, {how}", "await", "asyncio.gather", _overlapping(node, kept))
            yield Case(f"100 in turn {name}, {how}", "await", "plain await", _in_turn(node, kept))


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.awaiting", cases())
