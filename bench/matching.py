"""The matcher alone: what it costs to recognise a graph whose shape has been compiled, beside building that graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.case import Case, Work
from bench.loops import chain, increment
from cascade_compiler import task
from cascade_compiler.capture import capture
from cascade_compiler.lowering import link_emitted, lower
from cascade_compiler.matcher import generate

_TIMES = 500


@task
def total(*parts: Any, **named: Any) -> int:
    """Takes anything."""
    return len(parts) + len(named)


def fan(width: int) -> Any:
    return total(*[increment(at) for at in range(width)])


def keywords(width: int) -> Any:
    return total(**{f"part{at}": increment(x=at) for at in range(width)})


def containers(width: int) -> Any:
    return total([increment(at) for at in range(width // 2)], {"rows": [increment(at) for at in range(width // 2)]})


def _maker(build: Callable[[], Any], nodes: int) -> Callable[[], tuple[Work, Work]]:
    def make() -> tuple[Work, Work]:
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

        def beside() -> None:
            for _ in range(_TIMES):
                build()

        return Work(call, _TIMES * nodes, expect=True), Work(beside, _TIMES * nodes)

    return make


def cases() -> Iterator[Case]:
    yield Case("match a chain of 20", "node", "building it", _maker(lambda: chain(20, 0), 20))
    yield Case("match a fan of 20", "node", "building it", _maker(lambda: fan(20), 21))
    yield Case("match 20 by keywords", "node", "building it", _maker(lambda: keywords(20), 21))
    yield Case("match 20 in containers", "node", "building it", _maker(lambda: containers(20), 21))


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.matching", cases())
