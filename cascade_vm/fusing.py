"""Runs of linked instructions as one: what the machine's loop tells apart for each instruction, it need not tell apart within a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cascade_vm.forms import BLOCK, CALL_1, CALL_2, CHAIN, SPAWN, SPAWNS, Linked

# Longest run of calls fused into one CHAIN: enough to make the loop's own cost vanish, short enough to stay readable in a profile.
_MAX_CHAIN = 64
_FUSED = (BLOCK, CHAIN, SPAWNS)


def fuse(linked: list[Linked]) -> list[Linked]:
    """Runs of plain calls as one: calls ``R[x] = f(R[x])`` as a CHAIN, whose value stays in a local variable meanwhile; others as a BLOCK;
    and what is begun without being waited for as SPAWNS.

    A BLOCK is for what has its arguments in one register or two, and lets go of one at most: each call is ``(f, a, b, dst, gone)``, where
    ``b`` and ``gone`` are None for no register. What is told apart for every instruction elsewhere need not be told apart within it.
    """
    fused: list[Linked] = []
    at = 0
    while at < len(linked):
        first = linked[at]
        links = _links(linked, at)
        if links > 2:
            last = at + links
            fused.append((CHAIN, first[1], tuple([one[2] for one in linked[at:last]]), first[3], None, None, (), first[7]))
        elif (last := _last_of(linked, at, _fits_block)) - at > 1:
            calls = tuple([(fn, a, b, dst, dead[0] if dead else None) for _, dst, fn, a, b, _, dead, _ in linked[at:last]])
            fused.append((BLOCK, 0, calls, None, None, None, (), first[7]))
        elif (last := _last_of(linked, at, _spawns)) - at > 1:
            fused.append((SPAWNS, 0, tuple(linked[at:last]), None, None, None, (), first[7]))
        else:
            last = at + 1
            fused.append(first)
        at = last
    return fused


def _links(linked: list[Linked], at: int) -> int:
    """How many calls from ``at`` on are of the value before, in one register."""
    register = linked[at][1]
    last = at
    while last < len(linked) and last - at < _MAX_CHAIN:
        form, dst, _, a, _, _, dead, _ = linked[last]
        if form != CALL_1 or dst != register or a != register or dead:
            break
        last += 1
    return last - at


def _last_of(linked: list[Linked], at: int, belongs: Callable[[list[Linked], int], bool]) -> int:
    while at < len(linked) and belongs(linked, at):
        at += 1
    return at


def _fits_block(linked: list[Linked], at: int) -> bool:
    form, dst, _, _, _, _, dead, _ = linked[at]
    # A value that nobody reads must die at once; in a BLOCK it would live until the next call has ended.
    return form <= CALL_2 and (not dead or (len(dead) == 1 and dead[0] != dst)) and _links(linked, at) <= 2


def _spawns(linked: list[Linked], at: int) -> bool:
    return linked[at][0] == SPAWN


def how_far(form: int, fn: Any, links: Iterator[Any]) -> int:
    """How far into what has been fused its loop has come; 0 for any other form."""
    return max(0, len(fn) - links.__length_hint__() - 1) if form in _FUSED else 0  # type: ignore[attr-defined]
