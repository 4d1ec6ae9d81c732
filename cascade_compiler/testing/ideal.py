"""What should happen, and when: the schedule of a machine that starts each call the moment its inputs are there.

No task is run here: values and times are thought through together. A node is looked at when it is first demanded, and demands what it
needs, all of it at the same time. Synchronous work takes no time, an async attempt takes its delay, and a value is there at the latest
time of what it needs: so the time of the target is the critical path.

A failure does not stop the computation, only what depends on it. So the schedule also says what *else* would have failed,
and when: a run must raise one of the earliest failures, and must have started, by then, all that was due before.

Where the rules leave open who is first, the schedule says so (``Ideal.is_settled``), and runs are held to laws instead of times.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.amounts import check_at_once
from cascade_compiler.testing.behaviour import Scope
from cascade_compiler.testing.ideal_graph import Activation
from cascade_compiler.testing.ideal_thought import Thought
from cascade_compiler.testing.memory import Memory, remembered
from cascade_compiler.testing.plan import READINGS, Failure, Ideal, Reading
from cascade_compiler.testing.show import show, show_failure
from cascade_compiler.testing.spec_tools import has_only_sync_tasks, values
from cascade_vm.errors import CapacityError

if TYPE_CHECKING:
    from cascade_compiler.testing.events import Called
    from cascade_compiler.testing.specs import GraphSpec


def critical_path(spec: GraphSpec) -> float:
    """The time, in virtual seconds, at which a run of ``spec`` must end (P5), if the rules settle it."""
    return ideal(spec).makespan


def ideal(spec: GraphSpec, reading: Reading = READINGS[0]) -> Ideal:
    """The schedule of ``spec``. The order of sync calls means something only where there are no others."""
    if reading is not READINGS[0]:
        return _ideal(spec, reading)
    return remembered(_IDEALS, spec, lambda: _ideal(spec, reading))


_IDEALS: Memory[Ideal] = OrderedDict()  # each run of a spec is held to the same schedule


def _ideal(spec: GraphSpec, reading: Reading) -> Ideal:
    thought = Thought(reading, dict(spec.capacity))
    try:
        check_at_once(spec)
    except CapacityError as failure:
        thought.plan.failures.append(Failure(0, "", show_failure(failure), (), False))
        return thought.plan
    job = thought.world.start(_whole(thought, spec))
    thought.world.run()
    plan = thought.plan
    if plan.failures:
        plan.makespan = plan.failures[0].time
    else:
        assert job.done, "the schedule does not come to its end"
        plan.makespan, plan.result = thought.world.now, show(job.value)
    return plan


async def _whole(thought: Thought, spec: GraphSpec) -> Any:
    scope = Scope(inputs=values(spec), resources=spec.resources)
    value = await Activation(thought, spec.nodes, spec.target, scope, ()).value("target")
    await thought.world.sleep(max(0, thought.in_pools - thought.world.now))
    await thought.held.end()
    return value


def readings(spec: GraphSpec) -> tuple[Ideal, ...]:
    """The schedules of ``spec`` under all readings of what the rules leave open."""
    return remembered(_READINGS, spec, lambda: tuple(ideal(spec, reading) for reading in READINGS))


_READINGS: Memory[tuple[Ideal, ...]] = OrderedDict()


def sync_orders(spec: GraphSpec) -> set[tuple[Called, ...]]:
    """The orders of sync calls that a run of ``spec`` may show, if all of its tasks are sync."""
    return {tuple(plan.sync_order) for plan in readings(spec)}


def raised(plan: Ideal, spec: GraphSpec) -> list[Failure]:
    """The failures of which a run may raise any: exactly one, unless timing or the order of building containers decides.

    Where the schedule is not settled, it may be any.

    Where places decide (nothing is async), it is the first in their order. Failures that come straight from waits that
    end at the same instant come in one tick: then it is the lowest position (S15).
    """
    if not plan.is_settled or len(plan.failures) < 2 or any(not failure.task for failure in plan.failures):
        return plan.failures
    if has_only_sync_tasks(spec):
        return list(dict.fromkeys(one.failures[0] for one in readings(spec)))
    first = [failure for failure in plan.failures if failure.time == plan.makespan]
    return [min(first, key=lambda failure: failure.place)] if all(failure.waited for failure in first) else first
