"""The Python generators behind the resources of a spec, each writing into the log: shared by ``build`` and ``eager``."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing import behaviour

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Log
    from cascade_compiler.testing.specs import ResourceSpec

DOWN = ".down"  # what the log adds to the name of a resource that is torn down


def parameter(number: int) -> str:
    """The name of the parameter by which a resource injects another."""
    return f"r{number}"


def value_of(name: str, needs: Mapping[str, Any]) -> Any:
    return (name, *needs.values())


def resource_function(name: str, spec: ResourceSpec, log: Log, injected: Mapping[str, Any]) -> Callable[..., Any]:
    """The generator function of a resource; ``injected`` are the defaults of its parameters."""

    def begin(kind: str, needs: Mapping[str, Any], *, is_async: bool) -> int:
        return log.start(name + kind, (), dict(needs), is_async=is_async)

    def end(call: int, fails: bool, what: str) -> None:
        log.stop(call, "raised" if fails else "end")
        if fails:
            raise ValueError(what)

    if spec.delay is None:

        def generator(**needs: Any) -> Any:
            end(begin("", needs, is_async=False), spec.fails == "up", name)
            yield value_of(name, needs)
            end(begin(DOWN, {}, is_async=False), spec.fails == "down", name + DOWN)

        function: Callable[..., Any] = generator
    else:
        delay = spec.delay

        async def async_generator(**needs: Any) -> Any:
            call = begin("", needs, is_async=True)
            await _sleep(log, call, delay)
            end(call, spec.fails == "up", name)
            yield value_of(name, needs)
            call = begin(DOWN, {}, is_async=True)
            await _sleep(log, call, spec.down)
            end(call, spec.fails == "down", name + DOWN)

        function = async_generator
    function.__name__ = name
    function.__qualname__, function.__module__ = name, behaviour.__name__
    keywords = [inspect.Parameter(one, inspect.Parameter.KEYWORD_ONLY, default=default) for one, default in injected.items()]
    function.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    return function


async def _sleep(log: Log, call: int, seconds: int) -> None:
    try:
        if seconds:
            await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        log.stop(call, "cancelled")
        raise
