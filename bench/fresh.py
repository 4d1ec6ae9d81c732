"""Graphs built afresh for each run, of a shape that has been compiled: building, recognising, running, freeing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.case import BY_HAND, Case, Reach, Work, sized
from bench.chains import nested
from bench.engines import CODEGEN, engines, scaled
from bench.tasks import Layers, chain
from cascade_compiler import run

_RUNS = 1_000


def _fresh(build: Callable[[], Any], engine: str, runs: int, units: int, expect: Any) -> Work:
    def call() -> Any:
        value = None
        for _ in range(runs):
            value = run(build(), engine=engine)
        return value

    return Work(call, runs * units, expect=expect)


def _chain() -> dict[str, Callable[[], Work]]:
    def by(engine: str) -> Work:
        return _fresh(lambda: chain(20, 0), engine, scaled(sized(_RUNS), engine), 20, 20)

    sides = {BY_HAND: lambda: Work(nested, _RUNS * 20, expect=20)}
    return sides | {engine: lambda engine=engine: by(engine) for engine in engines()}


def _layered(nodes: int) -> dict[str, Callable[[], Work]]:
    def by_hand() -> Work:
        layers = Layers(sized(nodes))
        return Work(layers.lines(), layers.size, expect=layers.loops())

    def by(engine: str) -> Work:
        layers = Layers(sized(nodes))
        return _fresh(layers.graph, engine, 1, layers.size, layers.loops())

    return {BY_HAND: by_hand} | {engine: lambda engine=engine: by(engine) for engine in engines()}


def cases() -> Iterator[Case]:
    reaches = (Reach(CODEGEN, "extra", most=0.5e-6),)
    about = "Each run builds the graph anew; its shape is recognised, not compiled. \"Extra\" is all that comes on top of the calls."
    yield Case("fresh chain of 20 calls", "call", "20 calls nested in one expression", _chain(), reaches=reaches, about=about)
    for nodes in (1_000, 10_000, 100_000):
        yield Case(
            f"fresh layered graph of {nodes:,} calls", "call", "a function with one line a call", _layered(nodes),
            reaches=reaches, quick=nodes < 100_000, about=about,
        )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.fresh", cases())
