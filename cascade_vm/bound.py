"""Calls that may jump: what a bound task returns is looked up in the routes that stand before its arguments (S26)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from cascade_vm.jobs import Job
from cascade_vm.jumps import given

if TYPE_CHECKING:
    from cascade_vm.blueprint import Symbol


class Routes(Protocol):
    """What stands before the arguments of a bound call."""

    def resolve(self, value: Any) -> Any:
        """What the value of the call stands for: itself, or a continuation."""


def bound(symbol: Symbol, fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` with routes as its first argument, and with those of its keywords that are given (see jumps.py)."""
    if symbol.mode != "inline":
        return partial(_job, symbol.mode, symbol.name, fn)
    return partial(_awaited if symbol.is_async else _called, fn)


def _called(fn: Callable[..., Any], routes: Routes, /, *args: Any, **kwargs: Any) -> Any:
    return routes.resolve(fn(*args, **given(kwargs)) if kwargs else fn(*args))


async def _awaited(fn: Callable[..., Any], routes: Routes, /, *args: Any, **kwargs: Any) -> Any:
    return routes.resolve(await fn(*args, **given(kwargs)))


def _job(mode: str, symbol: str, fn: Callable[..., Any], routes: Routes, /, *args: Any, **kwargs: Any) -> Job:
    return Job(mode, symbol, fn, args, given(kwargs), routes.resolve)
