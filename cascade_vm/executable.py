"""Running linked code: from an activation to a value or an exception."""

from __future__ import annotations

import math
from typing import Any

from cascade_vm.blocking_driver import run_blocking
from cascade_vm.link import Activation
from cascade_vm.machine import Machine
from cascade_vm.outcome import Outcome, Value
from cascade_vm.tracebacks import trimmed


def run_activation(activation: Activation, params: dict[str, Any], time_slice: float) -> Any:
    """Run on this thread; ``params`` are the inputs as given, for graphs that are met later."""
    return _unwrap(run_blocking(Machine(activation, params), time_slice))


async def arun_activation(activation: Activation, params: dict[str, Any], time_slice: float) -> Any:
    """Run in the running event loop."""
    from cascade_vm.asyncio_driver import drive

    machine = Machine(activation, params)
    del activation  # the machine alone holds the literals now, and lets go of them as they die
    return _unwrap(await drive(machine, time_slice))


def _unwrap(outcome: Outcome) -> Any:
    if type(outcome) is Value:
        return outcome.value
    failure = outcome.error  # type: ignore[union-attr]
    try:
        raise failure.with_traceback(trimmed(failure.__traceback__))
    finally:
        del outcome, failure  # no cycle through this frame's locals


def check_time_slice(time_slice: float) -> None:
    """:raises ValueError: it is no number of seconds."""
    if isinstance(time_slice, bool) or not isinstance(time_slice, (int, float)) or not math.isfinite(time_slice) or time_slice < 0:
        raise ValueError(f"time_slice must be a number of seconds, 0 or more, not {time_slice!r}")
