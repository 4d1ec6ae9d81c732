"""What most tests want: each engine in turn, and `run` on it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from cascade_compiler import run as run_any


@pytest.fixture(params=["interpreter", "graph"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(engine: str) -> Callable[..., Any]:
    return functools.partial(run_any, engine=engine)
