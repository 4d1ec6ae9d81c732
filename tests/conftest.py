"""What most tests want: each engine in turn, and `run` on it."""

from __future__ import annotations

import concurrent.futures
import functools
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from cascade_compiler import run as run_any

if TYPE_CHECKING:
    from drawn import Pools, TryAll

# Whatever the environment says: some hundred processes that tests start would compile all of Cascade anew, and every worker all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that starts a job in the background has it ignore Ctrl-C, and what it starts in turn: tests that interrupt would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["interpreter", "codegen", "graph"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(engine: str) -> Callable[..., Any]:
    return functools.partial(run_any, engine=engine)


@pytest.fixture(scope="session")
def processes() -> Iterator[concurrent.futures.Executor]:
    """One process for all tests that only need some: each that is spawned costs about a second."""
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(len, "x").result()
        yield pool


@pytest.fixture(scope="session")
def pools(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Pools:
    from drawn import Pools  # it needs Hypothesis, which takes its time

    base = tmp_path_factory.getbasetemp()
    directory = (base if worker_id == "master" else base.parent) / "pools"  # one for all workers of a run
    directory.mkdir(exist_ok=True)
    return Pools(directory)


@pytest.fixture
def try_all(pools: Pools) -> TryAll:
    """``try_all(check, share, focus)``: drawn graphs are checked."""
    return pools.try_all


@pytest.fixture(autouse=True)
def _collector_sees_the_test_alone() -> Iterator[None]:
    """What was there before a test is none of its business: a full collection during it would take a tenth of a second."""
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()
