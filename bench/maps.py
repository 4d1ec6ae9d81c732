"""One call for each of 1,000,000 items."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.case import BY_HAND, Case, Peers, Reach, Work, sized
from bench.engines import CODEGEN, GRAPH, engines
from bench.tasks import f, increment
from cascade_compiler import run

_FEW = 10_000  # for graph mode


def _sides(items: int) -> dict[str, Callable[[], Work]]:
    def by_hand() -> Work:
        count = sized(items)
        return Work(lambda: [f(x) for x in range(count)], count, expect=list(range(1, count + 1)))

    def by(engine: str) -> Work:
        count = sized(min(items, _FEW) if engine == GRAPH else items)
        note = f"{count:,} items" if count < items else ""
        expect = list(range(1, count + 1))
        return Work(lambda: run(increment.map(x=range(count)), engine=engine), count, expect=expect, note=note, alike=True)

    return {BY_HAND: by_hand} | {engine: lambda engine=engine: by(engine) for engine in engines()}


def cases() -> Iterator[Case]:
    for items in (10_000, 1_000_000):
        yield Case(
            f"map over {items:,} items", "item", "a list comprehension that calls the function", _sides(items),
            reaches=(Reach(CODEGEN, "ratio", most=1.3),) if items > _FEW else (),
            peers=Peers("mapped", {"items": 1_000}) if items > _FEW else None, quick=items == _FEW, only_quick=items == _FEW,
            about="A synchronous task, in one thread." if items == _FEW else "A synchronous task, in one thread; dask with a bag, "
            "which it has for that. The other libraries are given fewer items, in their favour.",
        )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.maps", cases())
