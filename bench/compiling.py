"""Compiling: how fast, and whether it stays linear; and how long other libraries take to make a graph ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.case import BY_HAND, Case, Peers, Reach, Work, sized
from bench.tasks import Layers, chain, fan
from cascade_compiler import compile

_SMALL = "1,000 nodes"


def _compile(build: Callable[[int], Any], nodes: int) -> Callable[[], Work]:
    def make() -> Work:
        target = build(sized(nodes))
        size = Layers(sized(nodes)).size if build is _layered else sized(nodes)

        def call() -> int:
            return len(compile(target).entry.instructions)

        return Work(call, size, expect=size, alike=True)

    return make


def _layered(nodes: int) -> Any:
    return Layers(nodes).graph()


def _ready(nodes: int) -> dict[str, Callable[[], Work]]:
    def by_hand() -> Work:
        layers = Layers(sized(nodes))
        return Work(lambda: callable(layers.lines()), layers.size, expect=True)

    def ours() -> Work:
        layers = Layers(sized(nodes))
        return Work(lambda: bool(compile(layers.graph()).link()), layers.size, expect=True)

    return {BY_HAND: by_hand, "build, compile, link": ours}


def cases() -> Iterator[Case]:
    shapes: list[tuple[str, Callable[[int], Any], int]] = [
        ("layered graph", _layered, 1_000_000), ("chain", lambda n: chain(n, 0), 100_000), ("fan-out", lambda n: fan(n - 1), 100_000),
    ]  # fmt: skip
    for name, build, most in shapes:
        for quick in (True, False):
            sizes = [1_000] + [size for size in (10, 100, 10_000, 100_000, 1_000_000) if size <= (10_000 if quick else most)]
            reach: tuple[Reach, ...] = ()
            if build is _layered and not quick:
                reach = (
                    Reach(_SMALL, "rate", least=150_000), Reach("1,000,000 nodes", "rate", least=150_000),
                    Reach("1,000,000 nodes", "ratio", most=1.5),
                )  # fmt: skip
            yield Case(
                f"compile a {name}{' (to 10,000 nodes)' if quick else ''}", "node", f"a node of {_SMALL}",
                {f"{size:,} nodes": _compile(build, size) for size in sizes}, reaches=reach, quick=quick, only_quick=quick,
                about="From a graph to a program: no artifact is written, nothing is linked.",
            )  # fmt: skip
    yield Case(
        "make a graph of 500 calls ready", "call", "Python's own compiler, for the function with one line a call", _ready(500),
        peers=Peers("build", {"nodes": 500}), quick=False,
        about="From nothing to what can be run again and again: what each of the libraries does once.",
    )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.compiling", cases())
