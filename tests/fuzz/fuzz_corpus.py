"""What the fuzzer begins from: artifacts of every construct, and harmless tasks that they can be linked against.

The golden corpus has artifacts of each version of the container; some flows of tests/artifacts are compiled for what it does not have.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).parents[1]
for _folder in ("golden", "artifacts"):
    if str(TESTS / _folder) not in sys.path:
        sys.path.append(str(TESTS / _folder))

import artifact_flows  # noqa: E402 (found by the lines above)
import golden_flows  # noqa: E402
import jump_flows  # noqa: E402
import shape_flows  # noqa: E402

from cascade_compiler import compile  # noqa: E402
from cascade_vm.registry import PROCESS, Registry  # noqa: E402

MODULES = ("artifact_flows", "golden_flows", "jump_flows", "shape_flows", "shape_helpers")
CALLS = 200  # of tasks, in one run


class Sample(NamedTuple):
    """An artifact, and inputs for its runs."""

    name: str
    artifact: bytes
    inputs: tuple[dict[str, Any], ...]


class Exhausted(BaseException):
    """A run has called more tasks than it may. No retry catches it, since it is no Exception."""


class Budget:
    """How many calls of tasks are left in a run."""

    def __init__(self) -> None:
        self.left = CALLS

    def spend(self) -> None:
        """:raises Exhausted: none is left."""
        self.left -= 1
        if self.left < 0:
            raise Exhausted


BUDGET = Budget()


def samples() -> list[Sample]:
    """All of them, in a fixed order."""
    found = []
    for path in sorted((TESTS / "golden" / "artifacts").glob("*.cbp")):
        inputs = golden_flows.RUNS[path.name.partition(".")[0]]
        found.append(Sample(path.name, path.read_bytes(), tuple(inputs)))
    compiled: dict[str, tuple[Any, dict[str, Any]]] = {
        "small": (artifact_flows.small, {"x": 3}),
        "counted": (jump_flows.counted, {"n": 3}),
        "states": (jump_flows.states, {"key": "same"}),
        "parity": (shape_flows.parity, {"n": 3}),
        "everything": (shape_flows.everything, {"n": 2}),
        "nested": (shape_flows.nested, {"n": 2}),
    }
    found += [Sample(name, compile(flow).to_bytes(), (inputs,)) for name, (flow, inputs) in compiled.items()]
    return found


def harmless() -> Registry:
    """The tasks and resources of the samples, each of which spends of the budget and gives nothing large."""
    os.environ.update(golden_flows.ENVIRONMENT)
    registry = Registry()
    for symbol in PROCESS.symbols():
        if symbol.partition(":")[0] in MODULES:
            task = PROCESS.lookup(symbol)
            assert task is not None
            registry.register(task if task.mode == "process" else _Guarded(task))
    for symbol in PROCESS.resource_symbols():
        resource = PROCESS.lookup_resource(symbol)
        if resource is not None and symbol.partition(":")[0] in MODULES:
            registry.register_resource(resource)
    registry.add(errors=[golden_flows.GoldenError])
    return registry


def forget() -> None:
    """Make what tasks remember as it was at first."""
    BUDGET.left = CALLS
    golden_flows.forget()
    jump_flows.tries.clear()
    jump_flows.opened.clear()


class _Guarded:
    """A task as the linker sees it."""

    def __init__(self, task: Any) -> None:
        self.symbol: str = task.symbol
        self.is_async: bool = task.is_async
        self.mode: str = task.mode
        self.version: str = task.version
        self.signature_text: str = task.signature_text
        self.fn = _guarded_async(task.fn) if task.is_async else _guarded(task.fn)


def _guarded(fn: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        BUDGET.spend()
        return _small(fn(*args, **kwargs))

    return call


def _guarded_async(fn: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(fn)
    async def call(*args: Any, **kwargs: Any) -> Any:
        BUDGET.spend()
        return _small(await fn(*args, **kwargs))

    return call


def _small(value: Any) -> Any:
    size = len(value) if isinstance(value, (str, bytes, list, tuple, dict, set)) else 0
    if size > 1_000 or (type(value) is int and value.bit_length() > 10_000):
        raise ValueError("a task makes something large of its arguments")
    return value


class Inline(Executor):
    """Does at once what is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as failure:  # whoever waits for the future gets it
            done.set_exception(failure)
        return done
