"""What one run must keep to: no earlier, no later, and no more than its graph says.

Each complaint cites the rule of docs/semantics.md that the run broke. Where the rules do not settle who of several is served first
(``Ideal.is_settled``), a run is held to what holds in any order: the values, the calls, and the laws of what they share.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cascade_compiler.testing.compare import calls_differ, disagreement, listed, name_of, orders_differ
from cascade_compiler.testing.ideal import ideal, raised, sync_orders
from cascade_compiler.testing.laws_of_limits import limits_broken, stored_wrongly
from cascade_compiler.testing.laws_of_resources import end_after, resources_left
from cascade_compiler.testing.observe import Observation, observe_eager
from cascade_compiler.testing.resource_functions import DOWN
from cascade_compiler.testing.spec_tools import has_only_sync_tasks, running_on
from cascade_compiler.testing.specs import Again, Call, Go, GraphSpec, Jumps, Loop, Map, Node, Router
from cascade_compiler.testing.walks import below, needs, refs, routed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_compiler.testing.events import Called
    from cascade_compiler.testing.plan import Ideal

_SHOWN = 12


def assert_lawful(seen: Observation, reference: Observation | None = None) -> None:
    """One run did what its spec means, no earlier, no later and no more (P1, P3-P5, P7, S6, S7, S15).

    :param reference: ``observe_eager(spec)``, where it is at hand.
    :raises Disagreement: it did something else.
    """
    reference = reference or observe_eager(seen.spec)
    complaints = list(_complaints(seen, reference, ideal(seen.spec)))
    if complaints:
        raise disagreement(f"{name_of(seen)} is not lawful", complaints, seen)


def assert_clean(seen: Observation) -> None:
    """A run that was cancelled left nothing behind, and either was cancelled or had ended before (P7, S18).

    :raises Disagreement: it left something, or the cancellation became another error.
    """
    faults = list(_left_behind(seen))
    plan = ideal(seen.spec)
    # Of what fails without a task only the type is known: the words are the engine's own.
    endings = {"CancelledError()", *(failure.text for failure in plan.failures if failure.task)}
    kinds = {failure.text.split("(")[0] for failure in plan.failures if not failure.task}
    if seen.failure is not None and seen.failure not in endings and seen.failure.split("(")[0] not in kinds:
        faults.append(f"cancelling it gave {seen.failure}")
    faults += _too_early(seen)
    faults += resources_left(seen)
    if faults:
        raise disagreement(f"{name_of(seen)}, cancelled, is not clean", faults, seen)


def _complaints(seen: Observation, reference: Observation, plan: Ideal) -> Iterator[str]:
    yield from _left_behind(seen)
    yield from _too_early(seen)
    yield from limits_broken(seen)
    yield from resources_left(seen)
    yield from stored_wrongly(seen, plan)
    if not plan.failures:
        if seen.outcome != reference.outcome:
            yield f"outcome:\n    {name_of(seen)} {seen.outcome}\n    {name_of(reference)} {reference.outcome}"
            return
        yield from calls_differ(seen.calls, plan.count(), name_of(seen), "the plan")
        if not plan.is_settled:
            return
        if seen.makespan != plan.makespan:
            yield f"time (S7): it took {seen.makespan:g}; the critical path is {plan.makespan:g}"
        yield from _async_starts(seen, plan, None)
    else:
        allowed = raised(plan, seen.spec)
        texts = [f.text if f.task else f.text.split("(")[0] for f in allowed]
        if seen.failure is None or (seen.failure not in texts and seen.failure.split("(")[0] not in texts):
            yield f"outcome (S15): it {seen.outcome}; to raise {' or '.join(dict.fromkeys(texts))} was right"
            return
        more = Counter(_without_ends(seen.calls - plan.count()))
        if allowed[0].task == "target":  # skipped: all that was demanded has run (S11)
            made, right = Counter(_without_ends(seen.calls)), Counter(_without_ends(plan.count()))
            yield from calls_differ(made, right, name_of(seen), "the plan")
        elif more:
            yield f"calls that the graph does not contain (S10): {listed(more)}"
        if all(failure.task for failure in plan.failures) and plan.is_settled:
            if seen.makespan != (end := end_after(seen, plan.makespan)):
                yield f"time (S15): it failed at {seen.makespan:g}; the first failure comes at {plan.makespan:g}, the end at {end:g}"
            yield from _async_starts(seen, plan, plan.makespan)
    if has_only_sync_tasks(seen.spec) and plan.is_settled and all(failure.task for failure in plan.failures):
        planned, order = tuple(plan.sync_order), seen.sync_order
        orders = {planned}
        if order != planned:
            orders = sync_orders(seen.spec)
        if plan.failures:  # what stands then is torn down, and that is no part of the plan
            order, orders = _stripped(order), set(map(_stripped, orders))
        if order not in orders:
            yield "order of sync calls (S6):\n" + orders_differ(order, planned, name_of(seen), "the plan")


def _left_behind(seen: Observation) -> Iterator[str]:
    if seen.leaks:
        yield "left in the loop (S15, S18): " + ", ".join(seen.leaks)
    if seen.late:
        yield "went on after the run had ended (S15, S18): " + ", ".join(map(str, seen.late))
    started = Counter(event.call for event in seen.events)
    hanging = [str(event) for event in seen.events if started[event.call] == 1]
    if hanging and not seen.leaks:
        yield "started and never ended (S15, S18): " + ", ".join(hanging)


def _async_starts(seen: Observation, plan: Ideal, until: float | None) -> Iterator[str]:
    """S7: an async call starts as soon as its inputs are there; after a failure (at ``until``) nothing starts."""
    due: Counter[tuple[str, str, float]] = Counter((c.task, c.args, c.start) for c in plan.calls if c.is_async)
    came = Counter((e.task, e.args, e.time) for e in seen.events if e.kind == "start" and e.is_async)
    if until is not None:  # at the very instant of the failure a start may or may not come
        due = Counter({key: count for key, count in due.items() if key[2] < until})
        came = Counter({key: n for key, n in came.items() if key[2] < until or (key[2] > until and not key[0].endswith(DOWN))})
    if due != came:
        yield (
            f"starts of async calls (S7, S15): not at their time {_timed(came - due) or 'none'}; "
            f"missing {_timed(due - came) or 'none'}"
        )


def _too_early(seen: Observation) -> Iterator[str]:
    """P4: no call starts before what it needs has ended, data and ``after`` alike."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    runs_on = running_on(seen.spec)
    for index, event in enumerate(seen.events):
        if event.kind == "start":
            first.setdefault(event.task, index)
        elif event.task in runs_on:
            continue  # its time may have been up before
        # What happens inside t1 (in the graph that it returns, in its rounds) belongs to t1, too.
        for end in (i for i, letter in enumerate(event.task + ".") if letter == "."):
            last[event.task[:end]] = index
    yield from _early_in(seen.spec, "", first, last)


def _early_in(spec: GraphSpec, prefix: str, first: dict[str, int], last: dict[str, int]) -> Iterator[str]:
    repeated = {node.of for node in spec.nodes if isinstance(node, Again)}
    repeated |= below(spec.nodes, [one for node in spec.nodes for one in routed(node)])  # they run in each round
    for position, node in enumerate(spec.nodes):
        if not isinstance(node, (Call, Loop, Map, Jumps)) or position in repeated:
            continue  # of a call that is written twice, the log does not tell which is which
        name = f"{prefix}t{position}"
        if isinstance(node, Call) and isinstance(node.does, Go):
            yield from _early_in(node.does.graph, f"{name}.", first, last)
        match node:
            case Loop():
                started = first.get(f"{name}.m{node.first.member}")
            case Jumps():
                started = first.get(f"{name}.j{node.first}")
            case _:
                started = first.get(name)
        for needed in sorted(_calls_below(spec.nodes, node)):  # which includes its conditions: it was made, so all were true
            other = f"{prefix}t{needed}"
            if needed not in repeated and started is not None and last.get(other, -1) >= started:
                yield f"{name} started before {other} had ended (S3, S8)"


def _calls_below(nodes: tuple[Node, ...], node: Node) -> set[int]:
    """The nearest calls, loops and maps that a node waits for whatever is chosen, through items, lists and selectors."""
    found: set[int] = set()
    rest = list(needs(node))
    while rest:
        position = rest.pop()
        if position < 0:  # a resource
            continue
        node = nodes[position]
        if isinstance(node, (Call, Loop, Map, Jumps)):
            found.add(position)
        elif isinstance(node, Router):
            rest += refs(node.selector)
        elif not isinstance(node, Again):
            rest += needs(node)
    return found


def _stripped(order: tuple[Called, ...]) -> tuple[Called, ...]:
    """``order`` without the ends of resources with which it ends."""
    last = len(order)
    while last and order[last - 1][0].endswith(DOWN):
        last -= 1
    return order[:last]


def _without_ends(calls: Counter[Called]) -> dict[Called, int]:
    """``calls`` without the ends of resources: those of a run that fails are none of its graph."""
    return {call: count for call, count in calls.items() if not call[0].endswith(DOWN)}


def _timed(calls: Counter[tuple[str, str, float]]) -> str:
    return ", ".join(f"{task}{args} at {time:g}" for task, args, time in sorted(calls)[:_SHOWN])
