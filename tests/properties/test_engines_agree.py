"""Every engine does what graphs mean, and all of them do the same (P1-P5, P7, P15, P17, P18).

How many graphs are tried: ``CASCADE_EXAMPLES=1000`` for the full run, ``50000`` for a night, 150 without it. The quick run draws the
same graphs each time, so it cannot fail by chance; a larger number draws new ones. What fails prints as a test: paste it below.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from cascade_compiler import arun
from cascade_compiler.testing import (
    Built,
    GraphSpec,
    check_cancel,
    check_engine,
    check_spec,
    check_together,
    check_unused,
    graph_specs,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ENGINES = ("graph", "interpreter")
EXAMPLES = int(os.environ.get("CASCADE_EXAMPLES", "150"))


def examples(share: float = 1.0) -> settings:
    return settings(
        max_examples=max(10, int(EXAMPLES * share)),
        derandomize="CASCADE_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        print_blob=True,
    )


def calling(engine: str, **options: Any) -> Callable[[Built], Awaitable[Any]]:
    async def call(built: Built) -> Any:
        return await arun(built.target, **built.options(), engine=engine, **options)

    return call


@pytest.mark.parametrize("engine", ENGINES)
@given(spec=graph_specs())
@examples()
def test_an_engine_does_what_the_graph_means(engine: str, spec: GraphSpec) -> None:
    check_spec(spec, [engine], seeds=(None, 1, 2))


@given(spec=graph_specs())
@examples()
def test_engines_agree(spec: GraphSpec) -> None:
    check_spec(spec, ENGINES, seeds=(None,))


@pytest.mark.parametrize("engine", ENGINES)
@given(spec=graph_specs())
@examples(0.3)
def test_a_node_that_nothing_needs_changes_nothing(engine: str, spec: GraphSpec) -> None:
    check_unused(spec, calling(engine), source=engine)


@pytest.mark.parametrize("engine", ENGINES)
@given(spec=graph_specs())
@examples(0.3)
def test_runs_in_one_loop_are_like_runs_alone(engine: str, spec: GraphSpec) -> None:
    check_together(spec, calling(engine), source=engine)


@pytest.mark.parametrize("engine", ENGINES)
@given(spec=graph_specs())
@examples(0.3)
def test_a_cancelled_run_leaves_nothing_behind(engine: str, spec: GraphSpec) -> None:
    check_cancel(spec, calling(engine), source=engine)


@pytest.mark.parametrize("engine", ENGINES)
@given(spec=graph_specs())
@examples(0.3)
def test_yielding_at_every_tail_call_changes_nothing(engine: str, spec: GraphSpec) -> None:
    check_engine(spec, calling(engine, time_slice=0), (None, 1), source=engine)
