"""100 awaits, overlapping and one after the other, beside ``asyncio.gather`` and plain ``await``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bench.case import BY_HAND, Case, Peers, Reach, Work
from bench.engines import CODEGEN, GRAPH, akept, engines
from bench.event_loop import event_loop
from bench.tasks import at_once, tick
from cascade_compiler import arun, gather

_AWAITS = 100
_RUNS = 10


def in_loop(once: Callable[[], Awaitable[Any]], runs: int, count: int, expect: Any) -> Work:
    """``runs`` times ``once``, in a loop that is kept."""
    loop = event_loop()

    async def many() -> Any:
        value = None
        for _ in range(runs):
            value = await once()
        return value

    return Work(lambda: loop.run_until_complete(many()), runs * count, expect=expect)


def wide(node: Any, count: int = _AWAITS) -> Any:
    return gather(*[node(at) for at in range(count)])


def long(node: Any, count: int = _AWAITS) -> Any:
    value: Any = 0
    for _ in range(count):
        value = node(value)
    return value


def _overlapping(node: Any) -> Callable[[], Work]:
    fn = node.fn

    async def by_hand() -> list[int]:
        return await asyncio.gather(*[fn(at) for at in range(_AWAITS)])

    return lambda: in_loop(by_hand, _RUNS, _AWAITS, list(range(1, _AWAITS + 1)))


def _in_turn(node: Any) -> Callable[[], Work]:
    fn = node.fn

    async def by_hand() -> int:
        value = 0
        for _ in range(_AWAITS):
            value = await fn(value)
        return value

    return lambda: in_loop(by_hand, _RUNS, _AWAITS, _AWAITS)


def _cascade(shape: Callable[[Any], Any], node: Any, expect: Any, fresh: bool) -> dict[str, Callable[[], Work]]:
    def by(engine: str) -> Work:
        once = (lambda: arun(shape(node), engine=engine)) if fresh else akept(shape(node), engine)
        return in_loop(once, 1 if engine == GRAPH else _RUNS, _AWAITS, expect)

    return {engine: lambda engine=engine: by(engine) for engine in engines()}


def cases() -> Iterator[Case]:
    ways: list[tuple[str, str, Callable[[Any], Callable[[], Work]], Callable[[Any], Any], Any, str]] = [
        ("overlapping", "asyncio.gather", _overlapping, wide, list(range(1, _AWAITS + 1)), "overlapping"),
        ("in turn", "100 plain awaits", _in_turn, long, _AWAITS, "in_turn"),
    ]
    for name, beside, by_hand, shape, expect, work in ways:
        for node, what in ((tick, "awaits"), (at_once, "coroutines that do not wait")):
            for fresh in (False, True) if node is tick else (False,):
                reach = not fresh and node is tick
                yield Case(
                    f"100 {what} {name}{', graph built afresh' if fresh else ''}", "await", beside,
                    {BY_HAND: by_hand(node), **_cascade(shape, node, expect, fresh)},
                    reaches=(Reach(CODEGEN, "ratio", most=1.15),) if reach else (),
                    peers=Peers(work, {"count": _AWAITS}) if reach else None, quick=node is tick,
                    about="Each await gives way to the loop once (`asyncio.sleep(0)`)." if node is tick else "",
                )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.awaiting", cases())
