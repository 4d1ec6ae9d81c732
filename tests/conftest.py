"""What most tests want: each engine in turn, and `run` on it."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cascade_compiler import run as run_any


@pytest.fixture(params=["interpreter", "graph"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(engine: str) -> Callable[..., Any]:
    return functools.partial(run_any, engine=engine)


@pytest.fixture(autouse=True)
def _collector_sees_the_test_alone() -> Iterator[None]:
    """What was there before a test is none of its business: a full collection during it would take a tenth of a second."""
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()
