"""What was in flight when a run was cancelled, kept on the exception that cancelled it: for whoever tells of an interruption."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from cascade_vm.frame import Operation

_MOST = 1_000


def in_flight(cancelled: BaseException, operations: Iterable[Operation]) -> BaseException:
    """Keep what these calls are called, and where, on ``cancelled``, unless it has that already; gives it back."""
    if not hasattr(cancelled, "in_flight"):
        with suppress(AttributeError):  # a class of its own may have no room
            cancelled.in_flight = tuple([_shown(one) for one in islice(sorted(operations), _MOST)])  # type: ignore[attr-defined]
    return cancelled


def was_in_flight(failure: BaseException) -> tuple[str, ...]:
    """What ``in_flight`` kept on ``failure``, or on what it came of: asyncio makes a KeyboardInterrupt of a CancelledError."""
    at: BaseException | None = failure
    seen: set[int] = set()
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        found = getattr(at, "in_flight", None)
        if isinstance(found, tuple) and found:
            return found
        at = at.__cause__ or at.__context__
    return ()


def _shown(operation: Operation) -> str:
    frame, pc = operation.frame, operation.pc
    where = frame.code.where(frame.sites, pc)
    item = f" (map item {operation.index})" if operation.index >= 0 else ""
    return f"{frame.code.label(pc).removesuffix('.map')}{f', called at {where}' if where else ''}{item}"
