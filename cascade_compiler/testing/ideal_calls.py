"""When the calls of a graph should be made, and what they come to: attempts, policies, maps."""

from __future__ import annotations

import builtins
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.behaviour import Skip, cached_call, duration, in_vain, perform, timed_out
from cascade_compiler.testing.ideal_maps import Items
from cascade_compiler.testing.show import show_call
from cascade_compiler.testing.specs import Call, Map, RetrySpec
from cascade_compiler.testing.thought import Poisoned
from cascade_compiler.testing.walks import is_limited, named

if TYPE_CHECKING:
    from cascade_compiler.testing.ideal_graph import Activation, Parts
    from cascade_compiler.testing.thought import Place


async def call(here: Activation, node: Call, name: str, place: Place, position: int) -> Any:
    """The value of a call, or the Skip that it has instead."""
    parts = await here.parts(node.args, named(node), node.after, node.holds)
    if type(parts) is Skip:
        return parts
    result = await _made(here, node, name, parts, place)
    return await here.go_on(result, name, place, parts, position)


async def mapped(here: Activation, node: Map, name: str, place: Place) -> Any:
    """The values of all items of a map, or the Skip that it has instead."""
    parts = await here.parts(node.args, named(node), node.after, node.holds)
    if type(parts) is Skip:
        return parts
    has_turn = node.delay is None and not is_limited(node)
    if has_turn:
        await here.world.turn(place)
    args, iterated = parts.args, {key: parts.kwargs[key] for key, _ in node.kwargs}
    common = {key: value for key, value in parts.kwargs.items() if key not in iterated}
    try:
        rows = list(zip(*args, *iterated.values(), strict=True))
    except Exception as failure:
        here.thought.fail(failure, place)

    if not rows:
        here.world.blur()  # a map of nothing may take a tick

    async def item(index: int, place: Place) -> Any:
        row = rows[index]
        one = parts.of_item(row[: len(args)], dict(zip(iterated, row[len(args) :], strict=True)) | common)
        result = await _made(here, node, name, one, place, has_turn=has_turn)
        return await here.go_on(result, name, place, one)

    return await Items(here.world, here.thought.reading, node, place).run([partial(item, index) for index in range(len(rows))])


async def _made(here: Activation, node: Call | Map, name: str, parts: Parts, place: Place, *, has_turn: bool = False) -> Any:
    """What one call, or one item, returns: a value, or a Go."""
    if not is_limited(node):
        return await _attempts(here, node, name, parts, place, has_turn=has_turn)
    await here.world.ask(place)
    limits = here.thought.limits
    if node.cache is None:
        return await _with_capacity(here, node, name, parts, place)
    key = (node.cache, cached_call(name, parts.args, parts.kwargs))
    is_hit, value = await limits.look_up(key, place, is_async=node.delay is not None)
    if is_hit:
        return value
    try:
        result = await _with_capacity(here, node, name, parts, place)
    except Poisoned:
        limits.failed(key)
        raise
    limits.made(key, result)
    return result


async def _with_capacity(here: Activation, node: Call | Map, name: str, parts: Parts, place: Place) -> Any:
    limits = here.thought.limits
    held: dict[str, float] = {}
    if node.holds:
        try:
            held = await limits.hold(place, parts.amounts)
        except ValueError as failure:
            here.thought.fail(failure, place)
    try:
        return await _attempts(here, node, name, parts, place)
    finally:
        limits.release(held)


async def _attempts(here: Activation, node: Call | Map, name: str, parts: Parts, place: Place, *, has_turn: bool = False) -> Any:
    """All attempts, with the waits before and between them."""
    retry = node.retry or RetrySpec(1)
    world, is_async = here.world, node.delay is not None
    for attempt in count(1):
        if node.rate is not None:
            if attempt > 1:
                await world.ask(place)
            await here.thought.limits.start(node.rate, place)
        if not is_async and not has_turn:
            await world.turn(place)
        failing = attempt <= node.fails
        seconds: float = duration(node, parts.args, parts.kwargs, failing=failing)
        cut = node.timeout is not None and seconds > node.timeout
        if node.mode != "inline":  # nothing interrupts it
            here.thought.in_pools = max(here.thought.in_pools, world.now + seconds)
        seconds = node.timeout if cut and node.timeout is not None else seconds
        await here.thought.attempt(name, show_call(parts.args, parts.kwargs), seconds, is_async=is_async)
        if node.timeout is not None or node.mode != "inline":
            world.blur()  # whoever watches the time, or brings a value from a thread, may take a tick
        failure: Exception
        if cut:
            failure = timed_out(name, seconds)
        elif failing:
            failure = in_vain(name)
        else:
            try:
                return perform(name, node.does, parts.args, parts.kwargs)
            except Exception as error:
                failure = error
        if attempt >= retry.attempts or not any(isinstance(failure, getattr(builtins, error)) for error in retry.on):
            here.thought.fail(failure, place, name, waited=seconds > 0 and node.retry is None and node.timeout is None)
        wait = retry.delay * retry.backoff ** (attempt - 1)
        if wait:
            await world.sleep(wait)
            world.blur()  # the end of a wait and that of a call need not come in one tick
        has_turn = not wait and node.rate is None  # what is tried again at once is so in place
    raise AssertionError("the attempts of a call are counted")
