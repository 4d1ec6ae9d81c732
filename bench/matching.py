"""The matcher alone: what it costs to recognise a graph whose shape has been compiled, beside building that graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.case import Case, Work
from bench.tasks import chain, fan, increment, total
from cascade_compiler.capture import capture
from cascade_compiler.lowering import link_emitted, lower
from cascade_compiler.matcher import generate

_TIMES = 500


def keywords(width: int) -> Any:
    return total(**{f"part{at}": increment(x=at) for at in range(width)})


def containers(width: int) -> Any:
    return total([increment(at) for at in range(width // 2)], {"rows": [increment(at) for at in range(width // 2)]})


def _sides(build: Callable[[], Any], nodes: int) -> dict[str, Callable[[], Work]]:
    def match_it() -> Work:
        target = build()
        graph = capture(target)
        match = generate(graph, link_emitted(lower(graph)))
        if match is None:
            raise AssertionError("this shape should have a matcher")

        def call() -> bool:
            found = None
            for _ in range(_TIMES):
                found = match(target)
            return found is not None

        return Work(call, _TIMES * nodes, expect=True)

    def build_it() -> None:
        for _ in range(_TIMES):
            build()

    return {"build": lambda: Work(build_it, _TIMES * nodes), "match": match_it}


def cases() -> Iterator[Case]:
    shapes: tuple[tuple[str, Callable[[], Any], int], ...] = (
        ("a chain of 20", lambda: chain(20, 0), 20), ("a fan of 20", lambda: fan(20), 21),
        ("20 by keywords", lambda: keywords(20), 21), ("20 in containers", lambda: containers(20), 21),
    )  # fmt: skip
    for name, build, nodes in shapes:
        yield Case(f"match {name}", "node", "building it", _sides(build, nodes))


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.matching", cases())
