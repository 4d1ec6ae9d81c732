"""What a machine asks its driver for besides awaiting something: to wait a while, to run a function in a thread or process. Data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade_vm.parcels import Answer, perform

if TYPE_CHECKING:
    from cascade_vm.blueprint import Symbol


class Timer:
    """Wait for ``seconds``."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Job:
    """Call ``fn`` in a thread, or the task of this symbol in a process; its value is ``then``, where that is given, of what comes."""

    __slots__ = ("args", "fn", "kwargs", "mode", "symbol", "then")

    def __init__(
        self, mode: str, symbol: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
        then: Callable[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        self.mode = mode
        self.symbol = symbol
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.then = then

    @property
    def label(self) -> str:
        return self.symbol.replace(":", ".")


def job_of(symbol: Symbol, fn: Callable[..., Any]) -> Callable[..., Job]:
    """A function that makes the job of a call, where that of an async task makes a coroutine."""
    return partial(_job, symbol.mode, symbol.name, fn)


def _job(mode: str, symbol: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job:
    return Job(mode, symbol, fn, args, kwargs)


def call_in_thread(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    """(has it failed, value or exception): as data, since a StopIteration that an executor's job raises would never arrive (gh-112182)."""
    try:
        return False, fn(*args, **kwargs)
    except BaseException as failure:
        return True, failure


def call_in_process(symbol: str, parcel: bytes) -> Answer:
    """In the process of a pool: call the task that is registered under ``symbol`` with the arguments in ``parcel``."""
    return perform(symbol.replace(":", "."), partial(_found, symbol), parcel)


def _found(symbol: str) -> Callable[..., Any]:
    import importlib
    import sys

    from cascade_vm.registry import lookup

    module, _, name = symbol.partition(":")
    if module == "__main__" and "__mp_main__" in sys.modules:  # how a spawned process calls the script that spawned it
        module = "__mp_main__"
    importlib.import_module(module)
    task = lookup(f"{module}:{name}")
    if task is None:
        raise LookupError(f"the process of the pool finds no @task {symbol}: define it at the top of its module")
    return task.fn
