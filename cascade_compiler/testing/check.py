"""All checks on one spec: what a property test calls, and what a printed regression test calls again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.compare import assert_agree
from cascade_compiler.testing.laws import assert_clean, assert_lawful
from cascade_compiler.testing.observe import (
    EngineCall,
    Observation,
    observe,
    observe_blocking,
    observe_eager,
    observe_together,
)
from cascade_compiler.testing.spec_tools import add_unused, is_sync, modes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cascade_compiler.testing.build import Built
    from cascade_compiler.testing.specs import GraphSpec

ENGINES = ("graph", "interpreter")


def check_spec(spec: GraphSpec, engines: Sequence[str] = ENGINES, seeds: Collection[int | None] = (None, 1, 2)) -> None:
    """Run ``spec`` on each of Cascade's engines, hold each to what the spec means, and all to each other.

    :raises Disagreement: with every difference, and the spec as a test.
    """
    seen = []
    for engine in engines:
        seen.append(check_engine(spec, _arun(engine), seeds, source=engine))
        if is_sync(spec):
            assert_agree(seen[-1], observe_blocking(_run(engine), spec, source=engine))
    for other in seen[1:]:
        assert_agree(seen[0], other)


def check_engine(
    spec: GraphSpec, engine_call: EngineCall, seeds: Collection[int | None] = (None, 1, 2), *, source: str = "engine"
) -> Observation:
    """Hold one engine to what ``spec`` means, under each of ``seeds``; gives the first observation.

    :raises Disagreement: with every difference, and the spec as a test.
    """
    reference = observe_eager(spec)
    seen = []
    for seed in seeds:
        seen.append(observe(engine_call, spec, seed, source=source))
        assert_lawful(seen[-1], reference)
        if len(seen) > 1:
            assert_agree(seen[0], seen[-1])  # P17, S29
    return seen[0]


def check_unused(spec: GraphSpec, engine_call: EngineCall, *, source: str = "engine") -> None:
    """A node that nothing needs changes nothing (P15)."""
    assert_agree(observe(engine_call, spec, source=source), observe(engine_call, add_unused(spec), source=source))


def check_together(spec: GraphSpec, engine_call: EngineCall, *, seed: int = 1, source: str = "engine") -> None:
    """Three runs in one loop are like one alone (P18). Not for tasks in processes: they are found by name, and each run has its own."""
    if "process" in modes(spec):
        return
    alone = observe(engine_call, spec, source=source)
    for seen in observe_together(engine_call, [spec] * 3, seed, source=source):
        assert_agree(alone, seen)


def check_cancel(spec: GraphSpec, engine_call: EngineCall, *, most: int = 200, source: str = "engine") -> int:
    """Cancelled at each turn of the loop, a run leaves nothing behind (P7); gives the number of cancelled runs."""
    whole = observe(engine_call, spec, source=source).iterations
    turns = range(1, min(whole, most) + 1)
    for turn in turns:
        assert_clean(observe(engine_call, spec, source=f"{source}, cancelled at turn {turn}", cancel_at=turn))
    return len(turns)


def _run(engine: str) -> Callable[[Built], Any]:
    def call(built: Built) -> Any:
        from cascade_compiler import run

        return run(built.target, **built.options(), engine=engine)

    return call


def _arun(engine: str) -> EngineCall:
    async def call(built: Built) -> Any:
        from cascade_compiler import arun

        return await arun(built.target, **built.options(), engine=engine)

    return call
