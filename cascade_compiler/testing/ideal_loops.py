"""When the rounds of a loop, or of jumps, should come: each is a graph of its own, whose target is the next call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.behaviour import NextJump, Skip, jumped, moved
from cascade_compiler.testing.show import show_call
from cascade_compiler.testing.spec_tools import constant
from cascade_compiler.testing.specs import ABSENT, Jumps, ListOf, Loop
from cascade_vm.errors import RouteNotFound

if TYPE_CHECKING:
    from cascade_compiler.testing.ideal_graph import Activation, Parts
    from cascade_compiler.testing.thought import Place


async def rounds(here: Activation, loop: Loop, name: str, place: Place, parts: Parts, position: int) -> Any:
    """The value of a loop, whose first call takes ``parts``."""
    step, n = loop.first, loop.count
    round_: Activation | None = None  # that of the call; of the first it is ``here``
    while True:
        member = loop.members[step.member]
        own = f"{name}.m{step.member}"
        bound = {"a": constant(member.a), "b": constant(member.b)}
        bound |= {**dict(zip("ab", parts.args, strict=False)), **parts.kwargs}
        a, b = bound["a"], bound["b"]
        if member.delay is None:
            await here.world.turn(place)
        await here.thought.attempt(own, show_call((n, a, b), {}), member.delay or 0, is_async=member.delay is not None)
        if round_ is not None:
            await round_.end()
        elif n:
            await here.end_before_tail_call(position)
        if n == 0:
            return (own, a, b)
        index = n % len(member.steps)
        step = member.steps[index]
        scope = here.scope.inside(f"{own}.s{index}", {"n": n, "a": a, "b": b})
        round_ = here.inner(step.nodes, ListOf((*step.args, *(value for _, value in step.kwargs))), scope, place)
        found = await round_.parts(step.args, step.kwargs)
        if type(found) is Skip:
            here.thought.fail(found.error(), place, own)
        parts = found
        place = (*place, round_.size)
        n -= 1


async def jumps(here: Activation, node: Jumps, name: str, place: Place, parts: Parts, position: int) -> Any:
    """The value of jumps, whose first call takes ``parts``. Each jump begins a graph: a route, with what it needs, anew."""
    number, named = node.first, {"n": node.count, **parts.kwargs}
    round_: Activation | None = None
    while True:
        state = node.states[number]
        own = f"{name}.j{number}"
        n, a, b = named["n"], named.get("a", constant(state.a)), named.get("b", constant(state.b))
        if state.delay is None:
            await here.world.turn(place)
        await here.thought.attempt(own, show_call((n, a, b), {}), state.delay or 0, is_async=state.delay is not None)
        result = moved(own, state, n, a, b)
        try:
            target = jumped(node, result) if type(result) is NextJump else None
        except RouteNotFound as failure:
            here.thought.fail(failure, place)
        if round_ is not None:
            await round_.end()
        elif target is not None:
            await here.end_before_tail_call(position)
        if target is None:
            value = result.data if type(result) is NextJump else result
            return None if value is ABSENT else value
        number, data = target
        written = tuple([(key, expr) for key, expr in node.states[number].written if key not in data])
        round_ = here.again(ListOf(tuple([expr for _, expr in written])), place)
        found = await round_.parts((), written)
        if type(found) is Skip:
            here.thought.fail(found.error(), place, own)
        named = {**data, **found.kwargs}
        place = (*place, round_.size)
