"""Every engine does what graphs mean, and all of them do the same (P1-P5, P7, P15, P17, P18).

How many graphs are tried: ``CASCADE_EXAMPLES=1000`` for the full run, ``50000`` for a night, 240 without it. The quick run draws the
same graphs each time, so it cannot fail by chance; a larger number draws new ones. What fails prints as a test: paste it below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from drawn import TryAll

from cascade_compiler import arun
from cascade_compiler.testing import (
    FOCUSES,
    Built,
    check_cancel,
    check_engine,
    check_spec,
    check_together,
    check_unused,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ENGINES = ("graph", "interpreter", "codegen")

def calling(engine: str, **options: Any) -> Callable[[Built], Awaitable[Any]]:
    async def call(built: Built) -> Any:
        return await arun(built.target, **built.options(), engine=engine, **options)

    return call


@pytest.mark.parametrize("focus", [None, *FOCUSES])
def test_engines_do_what_the_graph_means_and_agree(focus: str | None, try_all: TryAll) -> None:
    try_all(lambda spec: check_spec(spec, ENGINES, seeds=(None, 1, 2)), 0.4 if focus is None else 0.6 / len(FOCUSES), focus)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_node_that_nothing_needs_changes_nothing(engine: str, try_all: TryAll) -> None:
    try_all(lambda spec: check_unused(spec, calling(engine), source=engine), 0.2)


@pytest.mark.parametrize("engine", ENGINES)
def test_runs_in_one_loop_are_like_runs_alone(engine: str, try_all: TryAll) -> None:
    try_all(lambda spec: check_together(spec, calling(engine), source=engine), 0.2)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cancelled_run_leaves_nothing_behind(engine: str, try_all: TryAll) -> None:
    try_all(lambda spec: check_cancel(spec, calling(engine), source=engine), 0.2)


@pytest.mark.parametrize("engine", ENGINES)
def test_yielding_at_every_tail_call_changes_nothing(engine: str, try_all: TryAll) -> None:
    try_all(lambda spec: check_engine(spec, calling(engine, time_slice=0), (None, 1), source=engine), 0.2)
