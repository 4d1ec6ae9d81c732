"""Testing tools: virtual time for asyncio code, and a generator of graphs with an independent account of what they mean.

**To test your own tasks**: ``run_virtual`` runs a coroutine with a virtual clock. Waiting costs nothing, a deadlock is an error
instead of a hang, and what the code leaves behind in the loop is an error, too::

    def test_report_waits_for_both() -> None:
        run = run_virtual(lambda: arun(report(slow(), slower())), seed=1)
        assert run.value == ...
        assert run.elapsed == 5

**To test an engine** (or a back end, or a pass): draw a ``GraphSpec`` with ``graph_specs()`` and hold the run against plain
Python and the ideal schedule with ``check_spec``, or in parts with ``observe``, ``assert_agree`` and ``assert_lawful``.

Only the strategies need hypothesis: ``pip install cascade-vm[testing]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.testing.build import Built, build
from cascade_compiler.testing.check import check_cancel, check_engine, check_spec, check_together, check_unused
from cascade_compiler.testing.compare import Disagreement, assert_agree
from cascade_compiler.testing.eager import eager, eager_sync
from cascade_compiler.testing.events import Event, Log
from cascade_compiler.testing.ideal import critical_path, ideal
from cascade_compiler.testing.laws import assert_clean, assert_lawful
from cascade_compiler.testing.observe import Observation, observe, observe_blocking, observe_eager, observe_together
from cascade_compiler.testing.plan import Ideal
from cascade_compiler.testing.spec_tools import add_unused, as_test, is_sync
from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    All,
    Arg,
    Call,
    Const,
    DictOf,
    First,
    Gather,
    Given,
    Go,
    GraphSpec,
    Input,
    Item,
    Jumps,
    ListOf,
    Lit,
    Loop,
    Map,
    Member,
    Move,
    Raises,
    RaisesOn,
    RateSpec,
    Ref,
    ResourceSpec,
    RetrySpec,
    Router,
    SetOf,
    State,
    Step,
    TupleOf,
    Use,
    When,
)
from cascade_compiler.testing.virtual_pool import VirtualPool, takes
from cascade_compiler.testing.virtual_run import Leak, VirtualRun, capture_virtual, run_virtual
from cascade_compiler.testing.virtual_time import Deadlock, OutOfBudget, VirtualTimeError, VirtualTimeLoop

if TYPE_CHECKING:
    from cascade_compiler.testing.strategies import DEFAULT_FEATURES, FEATURES, FOCUSES, atoms, constants, exprs, graph_specs

__all__ = [
    "ABSENT", "DEFAULT_FEATURES", "FEATURES", "FOCUSES", "Again", "All", "Arg", "Built", "Call", "Const", "Deadlock", "DictOf",
    "Disagreement", "Event", "First", "Gather", "Given", "Go", "GraphSpec", "Ideal", "Input", "Item", "Jumps", "Leak", "ListOf",
    "Lit", "Log", "Loop", "Map", "Member", "Move", "Observation", "OutOfBudget", "Raises", "RaisesOn", "RateSpec", "Ref",
    "ResourceSpec", "RetrySpec", "Router", "SetOf", "State", "Step", "TupleOf", "Use", "VirtualPool", "VirtualRun",
    "VirtualTimeError", "VirtualTimeLoop", "When", "add_unused", "as_test", "assert_agree", "assert_clean", "assert_lawful",
    "atoms", "build", "capture_virtual", "check_cancel", "check_engine", "check_spec", "check_together", "check_unused",
    "constants", "critical_path", "eager", "eager_sync", "exprs", "graph_specs", "ideal", "is_sync", "observe",
    "observe_blocking", "observe_eager", "observe_together", "run_virtual", "takes",
]  # fmt: skip

_NEED_HYPOTHESIS = frozenset({"DEFAULT_FEATURES", "FEATURES", "FOCUSES", "atoms", "constants", "exprs", "graph_specs"})


def __getattr__(name: str) -> Any:
    # Imported at first use: the rest works without hypothesis.
    if name in _NEED_HYPOTHESIS:
        from cascade_compiler.testing import strategies

        return getattr(strategies, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
