"""What holds of calls that share something, whoever is served first: no more is held than there is, and starts keep their distance."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cascade_compiler.testing.spec_tools import named_nodes
from cascade_compiler.testing.specs import Call, Map
from cascade_compiler.testing.walks import amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_compiler.testing.observe import Observation
    from cascade_compiler.testing.plan import Ideal
    from cascade_compiler.testing.specs import GraphSpec, RateSpec


def limits_broken(seen: Observation) -> Iterator[str]:
    """S22, by the log of a run."""
    holds, rates = _limits(seen.spec)
    if holds:
        yield from _held_too_much(seen, holds)
    if rates:
        yield from _too_close(seen, rates)


def stored_wrongly(seen: Observation, plan: Ideal) -> Iterator[str]:
    """S19: what is made is stored, once, if it is a value; a run that fails may have stored less."""
    stored = Counter(seen.stored)
    more, fewer = stored - plan.stored, plan.stored - stored
    if more or (fewer and not plan.failures):
        yield f"caches (S19): stored, and should not be, {dict(more)}; should be, and is not, {dict(fewer)}"


def _limits(spec: GraphSpec) -> tuple[dict[str, dict[str, float]], dict[str, RateSpec]]:
    """What each task holds, and the rate limit of each, by the task's name."""
    holds: dict[str, dict[str, float]] = {}
    rates: dict[str, RateSpec] = {}
    for name, node, nodes in named_nodes(spec):
        if isinstance(node, (Call, Map)):
            if node.holds and (node.mode == "inline" or node.timeout is None):  # else an attempt may run on that holds nothing
                holds[name] = {what: amount(nodes, expr) for what, expr in node.holds}
            if node.rate is not None:
                rates[name] = node.rate
    return holds, rates


def _held_too_much(seen: Observation, holds: dict[str, dict[str, float]]) -> Iterator[str]:
    totals = dict(seen.spec.capacity)
    held: Counter[str] = Counter()
    for event in seen.events:
        for what, much in holds.get(event.task, {}).items():
            held[what] += much if event.kind == "start" else -much  # type: ignore[assignment]
            if held[what] > totals.get(what, 0):
                yield f"capacity (S22): with {event.task}, calls hold {held[what]} of {what}, and there is {totals.get(what, 0)}"
                return


def _too_close(seen: Observation, rates: dict[str, RateSpec]) -> Iterator[str]:
    last: dict[str, float] = {}
    for event in seen.events:
        if event.kind == "start" and (rate := rates.get(event.task)) is not None:
            before = last.get(rate.name)
            if before is not None and event.time < before + rate.per / rate.rate:
                yield f"rate limit (S22): {event.task} started at {event.time:g}, after another one of {rate.name} at {before:g}"
                return
            last[rate.name] = event.time
