"""The Python functions behind the calls of a spec: plain, undecorated, each writing into the log.

They are shared by ``build`` (which decorates them) and ``eager`` (which calls them), so that both run the same user code; all
that differs is who calls it, when, and with what. Where a task returns a graph, ``go`` makes what it returns.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.spec_tools import constant
from cascade_compiler.testing.specs import All, Call, Const, First, Go, GraphSpec, Loop, Raises, Spec

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Log


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a graph stands: the prefix of its nodes' names, the arguments that ``Arg`` means, the inputs of the run."""

    prefix: str = ""
    args: Mapping[int | str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def name(self, position: int) -> str:
        return f"{self.prefix}t{position}"

    def inside(self, name: str, args: Mapping[int | str, Any]) -> Scope:
        """The scope of a graph that the call ``name`` returned."""
        return Scope(f"{name}.", args, self.inputs)


@dataclass(frozen=True, slots=True)
class NextRound:
    """What a member of a loop returns before the last round: go on with ``loop.members[member].steps[step]``."""

    name: str
    loop: Loop
    member: int
    step: int
    args: Mapping[int | str, Any]


Go_ = Callable[[GraphSpec, Scope], Any]


def arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[int | str, Any]:
    """What ``Arg`` may mean in the graph that a call returned: its arguments by position and by name."""
    found: dict[int | str, Any] = dict(enumerate(args))
    found.update(kwargs)
    return found


def perform(name: str, does: Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call computes, or raises; a ``Go`` is returned as it is."""
    match does:
        case All():
            return (name, args, tuple(kwargs.items()))
        case Const(value):
            return constant(value)
        case First():
            return next(iter((*args, *kwargs.values())), None)
        case Raises(kind):
            raise getattr(builtins, kind)(name)
        case Go():
            return does
    raise NotImplementedError(f"a task that does {does!r}")


def call_function(name: str, call: Call, scope: Scope, log: Log, go: Go_) -> Callable[..., Any]:
    """The function of a ``Call``."""

    def body(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = perform(name, call.does, args, kwargs)
        if type(result) is Go:
            return go(result.graph, scope.inside(name, arguments(args, kwargs)))
        return result

    if call.delay is None:

        def function(*args: Any, **kwargs: Any) -> Any:
            return _recorded(log, name, args, kwargs, body)

        return function
    delay = call.delay

    async def async_function(*args: Any, **kwargs: Any) -> Any:
        return await _recorded_async(log, name, args, kwargs, body, delay)

    return async_function


def member_function(name: str, loop: Loop, member: int, log: Log, go: Callable[[NextRound], Any]) -> Callable[..., Any]:
    """The function of a member of a loop; ``name`` is the loop's. Its defaults are real ones, so that omitting works."""
    spec = loop.members[member]
    own = f"{name}.m{member}"
    default_a, default_b = constant(spec.a), constant(spec.b)

    def body(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        n, a, b = args
        if n == 0:
            return (own, a, b)
        return go(NextRound(own, loop, member, n % len(spec.steps), {"n": n, "a": a, "b": b}))

    if spec.delay is None:

        def function(n: Any, a: Any = default_a, b: Any = default_b) -> Any:
            return _recorded(log, own, (n, a, b), {}, body)

        return function
    delay = spec.delay

    async def async_function(n: Any, a: Any = default_a, b: Any = default_b) -> Any:
        return await _recorded_async(log, own, (n, a, b), {}, body, delay)

    return async_function


Body = Callable[[tuple[Any, ...], dict[str, Any]], Any]


def _recorded(log: Log, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], body: Body) -> Any:
    call = log.start(name, args, kwargs, is_async=False)
    try:
        result = body(args, kwargs)
    except Exception:
        log.stop(call, "raised")
        raise
    log.stop(call, "end")
    return result


async def _recorded_async(
    log: Log, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], body: Body, delay: int
) -> Any:
    call = log.start(name, args, kwargs, is_async=True)
    try:
        if delay:
            await asyncio.sleep(delay)
        result = body(args, kwargs)
    except asyncio.CancelledError:
        log.stop(call, "cancelled")
        raise
    except Exception:
        log.stop(call, "raised")
        raise
    log.stop(call, "end")
    return result
