"""Comparing two runs of one spec.

``assert_agree`` raises ``Disagreement``, an AssertionError that lists every difference and prints the spec as a test. To hold one
run against what its spec means, see ``laws``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_compiler.testing.ideal import ideal, raised, sync_orders
from cascade_compiler.testing.spec_tools import as_test, callers, has_only_sync_tasks, modes
from cascade_compiler.testing.specs import Call, Map

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from cascade_compiler.testing.events import Called
    from cascade_compiler.testing.observe import Observation

_SHOWN = 12


class Disagreement(AssertionError):
    """Two runs, or a run and the meaning of its graph, differ."""


def assert_agree(a: Observation, b: Observation) -> None:
    """Two runs of one spec agree: result or failure, notes, calls, makespan; for one engine the order of sync calls, too.

    Where several failures are equally early, engines may choose differently, and the calls under way differ with it; one
    engine under two seeds may not (P17). A run that failed is compared by its failure and its time.

    :raises Disagreement: they do not.
    """
    differences = list(_differences(a, b))
    if differences:
        raise disagreement(f"{name_of(a)} and {name_of(b)} disagree", differences, a)


def _differences(a: Observation, b: Observation) -> Iterator[str]:
    plan = ideal(a.spec)
    same_engine = a.source == b.source
    ambiguous = (len(raised(plan, a.spec)) > 1 or not plan.is_settled) and not same_engine
    one_outcome = same_engine or len(raised(plan, a.spec)) < 2
    if (a.failure is None) != (b.failure is None) or (one_outcome and a.outcome != b.outcome):
        yield f"outcome:\n    {name_of(a)} {a.outcome}\n    {name_of(b)} {b.outcome}"
        return
    if a.failure is None:
        yield from calls_differ(a.calls, b.calls, name_of(a), name_of(b))
    elif not ambiguous:
        # Whether an attempt that would be tried again has failed, too, is nobody's business.
        alone = len(plan.failures) < 2 and not any(isinstance(one, (Call, Map)) and one.retry for one in callers(a.spec))
        mine, other = (_comparable(x.notes, keep_others=alone) for x in (a, b))
        if mine != other:
            yield f"notes:\n    {name_of(a)} {mine}\n    {name_of(b)} {other}"
    if a.makespan != b.makespan and not ambiguous:
        yield f"time: {name_of(a)} took {a.makespan:g}, {name_of(b)} {b.makespan:g}"
    # When in its instant something comes from a thread is not settled, so neither is which sync calls come before others.
    from_pools = bool(modes(a.spec))
    if a.sync_order != b.sync_order and not ambiguous and not from_pools and (same_engine or not _both_right(a, b)):
        yield f"order of sync calls:\n{orders_differ(a.sync_order, b.sync_order, name_of(a), name_of(b))}"


def _both_right(a: Observation, b: Observation) -> bool:
    """May two engines make the sync calls in these two orders?"""
    return not has_only_sync_tasks(a.spec) or {a.sync_order, b.sync_order} <= sync_orders(a.spec)


def _comparable(notes: Iterable[str], *, keep_others: bool) -> list[str]:
    """Notes without what may differ: the order in which a set prints, and which other failures were under way as well."""
    kept = [note for note in notes if keep_others or "failed too: " not in note]
    return ["\n".join(line.split("{")[0] for line in note.split("\n")) for note in kept]


# --- words, used by laws as well -----------------------------------------------------------------------------------------


def calls_differ(a: Counter[Called], b: Counter[Called], name_a: str, name_b: str) -> Iterator[str]:
    if a != b:
        yield f"calls: only {name_a} {listed(a - b) or 'none'}; only {name_b} {listed(b - a) or 'none'}"


def listed(calls: Counter[Called]) -> str:
    texts = [f"{task}{args}" + (f" x{count}" if count > 1 else "") for (task, args), count in sorted(calls.items())]
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")


def orders_differ(a: tuple[Called, ...], b: tuple[Called, ...], name_a: str, name_b: str) -> str:
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    named = ((name_a, a), (name_b, b))
    return "\n".join(f"    {name}, from call {at} on: {[task + args for task, args in x[at : at + 4]]}" for name, x in named)


def name_of(seen: Observation) -> str:
    return seen.source + ("" if seen.seed is None else f" (seed {seen.seed})")


def disagreement(what: str, faults: list[str], seen: Observation) -> Disagreement:
    lines = "".join(f"\n  {fault}" for fault in faults)
    return Disagreement(f"{what}:{lines}\n\nAs a test:\n\n{as_test(seen.spec)}")
