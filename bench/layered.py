"""A random graph in layers of 100 calls, each of two random calls of the layer before; its program kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.case import BY_HAND, Case, Peers, Reach, Work, sized
from bench.engines import CODEGEN, INTERPRETER, engines, kept
from bench.tasks import Layers


def _sides(nodes: int) -> dict[str, Callable[[], Work]]:
    def by_hand() -> Work:
        layers = Layers(sized(nodes))
        return Work(layers.lines(), layers.size, expect=layers.loops())

    def loops() -> Work:
        layers = Layers(sized(nodes))
        return Work(layers.loops, layers.size, expect=layers.loops())

    def by(engine: str) -> Work:
        layers = Layers(sized(nodes))
        return Work(kept(layers.graph(), engine), layers.size, expect=layers.loops())

    sides = {BY_HAND: by_hand, "by hand, in loops": loops}
    return sides | {engine: lambda engine=engine: by(engine) for engine in engines()}


def cases() -> Iterator[Case]:
    for nodes in (500, 10_000, 100_000):
        reaches = (Reach(CODEGEN, "ratio", most=1.15), Reach(INTERPRETER, "ratio", most=2.2)) if nodes > 500 else ()
        yield Case(
            f"layered graph of {nodes:,} calls", "call", "a function with one line a call", _sides(nodes),
            reaches=reaches, peers=Peers("layered", {"nodes": nodes}) if nodes == 500 else None, quick=nodes < 100_000,
            about="Built and compiled once."
            + ("" if nodes == 500 else " The other libraries are measured with 500 calls: some take minutes to take in 10,000."),
        )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.layered", cases())
