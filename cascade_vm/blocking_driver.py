"""The blocking driver: runs a machine on the caller's thread, and needs no event loop as long as nothing has to be waited for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from cascade_vm.errors import EventLoopRunning
from cascade_vm.machine import Machine
from cascade_vm.outcome import Error, Outcome, Value, ended
from cascade_vm.scheduler import Stop


def run_blocking(machine: Machine, time_slice: float, pools: Mapping[str, Any] | None = None) -> Outcome:
    """Run to the end. A machine that wants to wait is handed to asyncio, in a loop of its own.

    :param time_slice: seconds between yields at tail calls, once there is a loop; without one a run never yields.
    :raises EventLoopRunning: it must wait, and this thread runs an event loop already. Where the code shows that beforehand,
        nothing has been run.
    """
    if machine.root.code.waits_for_io and _loop_is_running():
        raise EventLoopRunning(_ADVICE)
    return start_blocking(machine, time_slice, pools)


def start_blocking(machine: Machine, time_slice: float, pools: Mapping[str, Any] | None = None) -> Outcome:
    """``run_blocking``, whatever the code shows beforehand."""
    try:
        stop = machine.resume()
    except BaseException as ending:  # Ctrl-C between two instructions
        machine.abandon()
        _close(machine, Error(ending))
        raise
    return go_on_blocking(machine, stop, time_slice, pools)


def go_on_blocking(machine: Machine, stop: Stop, time_slice: float, pools: Mapping[str, Any] | None = None) -> Outcome:
    """``run_blocking`` of a machine that has been started, and stands with ``stop``."""
    if stop is Stop.RETURNED:
        return _close(machine, Value(machine.value))
    if stop is Stop.FAILED:
        machine.abandon()  # nothing has been started: there is no loop yet
        return _close(machine, Error(machine.take_failure()))
    if _loop_is_running():
        machine.abandon()
        refused = EventLoopRunning(_ADVICE)
        _close(machine, Error(refused))
        raise refused
    from cascade_vm.asyncio_driver import run_in_new_loop

    return run_in_new_loop(machine, stop, time_slice, pools)


def _close(machine: Machine, outcome: Outcome) -> Outcome:
    """Tear down the resources of a run that ends with ``outcome``, and had no loop."""
    if machine.resources is None or not machine.resources.order:
        return outcome
    return ended(outcome, machine.resources.close_without_loop())


_ADVICE = (
    "this program has to wait (it calls an async task), and run() was called inside a running event loop, which it would block. "
    "Use `await arun(...)` there."
)


def _loop_is_running() -> bool:
    asyncio = sys.modules.get("asyncio")  # not imported: then no loop of it runs
    return asyncio is not None and asyncio._get_running_loop() is not None
