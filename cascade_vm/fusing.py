"""Runs of linked instructions as one: what the machine's loop tells apart for each instruction, it need not tell apart within a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cascade_vm.forms import BLOCK, CALL_1, CALL_2, CHAIN, SPAWN, SPAWNS, SURE_BLOCK, SURE_CHAIN, SURE_END, Linked

# Longest run of calls fused into one CHAIN: enough to make the loop's own cost vanish, short enough to stay readable in a profile.
_MAX_CHAIN = 64
WARM = 16  # runs after which code is fused: that takes about as long as it saves in so many

_FUSED = (BLOCK, CHAIN, SPAWNS, SURE_BLOCK, SURE_CHAIN, SURE_END)


def fuse(linked: list[Linked]) -> list[Linked]:
    """Runs of plain calls as one: calls ``R[x] = f(R[x])`` as a CHAIN, whose value stays in a local variable meanwhile; others as a BLOCK;
    and what is begun without being waited for as SPAWNS.

    A BLOCK is for what has its arguments in one register or two, and lets go of one at most: each call is ``(f, a, b, dst, gone)``, where
    ``b`` and ``gone`` are None for no register.
    """
    fused: list[Linked] = []
    calls: list[Linked] = []  # of a BLOCK
    spawns: list[Linked] = []
    at, end = 0, len(linked)
    while at < end:
        one = linked[at]
        form, dst, _, a, _, _, dead, _ = one
        last = at + 1
        if form == CALL_1 and dst == a and not dead:
            while last < end and last - at < _MAX_CHAIN and _goes_on(linked[last], dst):
                last += 1
        if last - at > 2:
            _end(fused, calls, spawns)
            fused.append((CHAIN, dst, tuple([link[2] for link in linked[at:last]]), a, None, None, (), one[7]))
        elif form <= CALL_2 and (not dead or (len(dead) == 1 and dead[0] != dst)):
            # (A value that nobody reads must die at once: in a BLOCK it would live until the next call has ended.)
            if spawns:
                _end(fused, calls, spawns)
            calls += linked[at:last]
        elif form == SPAWN:
            if calls:
                _end(fused, calls, spawns)
            spawns.append(one)
        else:
            if calls or spawns:
                _end(fused, calls, spawns)
            fused.append(one)
        at = last
    _end(fused, calls, spawns)
    return fused


def _goes_on(one: Linked, register: int) -> bool:
    form, dst, _, a, _, _, dead, _ = one
    return form == CALL_1 and dst == register == a and not dead


def _end(fused: list[Linked], calls: list[Linked], spawns: list[Linked]) -> None:
    """Add what has been collected, of which one is empty."""
    if len(calls) > 1:
        block = tuple([(fn, a, b, dst, dead[0] if dead else None) for _, dst, fn, a, b, _, dead, _ in calls])
        fused.append((BLOCK, 0, block, None, None, None, (), calls[0][7]))
    elif len(spawns) > 1:
        fused.append((SPAWNS, 0, tuple(spawns), None, None, None, (), spawns[0][7]))
    else:
        fused += calls
        fused += spawns
    calls.clear()
    spawns.clear()


def how_far(form: int, fn: Any, links: Iterator[Any]) -> int:
    """How far into what has been fused its loop has come; 0 for any other form."""
    return max(0, len(fn) - links.__length_hint__() - 1) if form in _FUSED else 0  # type: ignore[attr-defined]
