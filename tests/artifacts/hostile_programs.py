"""Hostile programs of any size that keep all rules but one of the last: what the verifier notes of them is as much as it can be."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

import hostile
from hostile import _encode as encode
from hostile import array

_SYMBOLS = array([b"\x96\xa3m:f\xa11" + waits + b"\xa2()\xa6inline\xc2" for waits in (b"\xc2", b"\xc3")])
_CALL, _SPAWN, _TAIL_CALL, _DROP, _RETURN, _BRANCH, _SELECT = 1, 2, 3, 7, 8, 12, 13


def _one(
    opcode: int, position: int, dst: int = -1, reads: Iterable[int] = (), aux: int = 0,
    dead: Iterable[int] = (), after: Iterable[int] = (), tests: Iterable[int] = (),
) -> bytes:  # fmt: skip
    fields = (opcode, position, dst, [*reads], aux, [], [*dead], [*after], -1, [*tests])
    return b"\x9a" + b"".join(encode(field) for field in fields)


def _strand(start: int, stop: int, needs: Iterable[int] = (), awaits: Iterable[int] = ()) -> bytes:
    return b"\x96" + encode(start) + encode(stop) + b"\xc2" + encode([*needs]) + encode([*awaits]) + b"\x00"


def _program(instructions: Sequence[bytes], strands: Sequence[bytes], registers: int, literals: int = 0, **more: bytes) -> bytes:
    fields = {
        "registers": encode(registers), "literals": encode(literals), "symbols": _SYMBOLS, "instructions": array(instructions),
        "strands": array(strands),
    }  # fmt: skip
    constants = b"\x91\xc4\x01\x01" if literals else b"\x90"
    return hostile.program(
        blueprints=b"\x91" + hostile._blueprint(**(fields | more)), literals=encode([0] * literals), constants=constants
    )


def programs(count: int) -> Iterator[tuple[str, bytes]]:
    """By name, contents of about ``count`` instructions."""
    several = range(count)
    shuffled = list(several)
    random.Random(1).shuffle(shuffled)
    unread = _one(_TAIL_CALL, 2**31, -1, (1,))  # reads what nobody wrote
    last = _one(_TAIL_CALL, 2**31)
    yield "one strand", _program([_one(_CALL, at, 0) for at in several] + [unread], [_strand(0, count + 1)], 2)
    yield "positions far apart", _program([_one(_CALL, 97 * at, 0) for at in shuffled] + [unread], [_strand(0, count + 1)], 2)
    yield "many strands", _program([_one(_CALL, at) for at in several] + [last], [_strand(at, at + 1) for at in range(count + 1)], 1)
    in_a_row = [_strand(at, at + 1, (at - 1,) if at else ()) for at in range(count + 1)]
    yield "a chain of strands", _program([_one(_CALL, at, 0, (0,) if at else ()) for at in several] + [unread], in_a_row, 2)
    yield "one after the other", _program([_one(_CALL, at, after=(at - 1,) if at else ()) for at in several] + [last], in_a_row, 1)
    by_many = [_strand(at, at + 1, range(max(0, at - 12), at)) for at in range(count // 4 + 1)]
    yield "strands that wait for twelve", _program([_one(_CALL, at) for at in range(count // 4)] + [last], by_many, 1)
    few = count // 10
    reads = [_one(_CALL, at, at if at < 100 else -1, range(min(at, 100))) for at in range(few)]
    yield "registers that all read", _program([*reads, last], in_a_row[: few + 1], 101)
    spawns = [_one(_SPAWN, at, at, aux=1) for at in several]
    waiting = [_strand(0, count), _strand(count, count + 1, (), several)]
    yield "one that waits for all", _program([*spawns, _one(_TAIL_CALL, 2**31, -1, [count])], waiting, count + 1)
    drops = [one for at in range(count // 2) for one in (_one(_CALL, at, 0), _one(_DROP, -1, -1, (0,), dead=(0,)))]
    yield "drops", _program([*drops, unread], [_strand(0, len(drops) + 1)], 2)
    tests = [_one(_CALL, 0, 0), *[_one(_CALL, at + 1, 0, (0,), tests=(0,)) for at in several]]
    yield "tests", _program([*tests, unread], [_strand(0, count + 2)], 2)
    ends = [_one(_CALL, 0, 0), _one(_TAIL_CALL, 1, -1, range(2, count), dead=range(2, count))]
    yield "a long list", _program(ends, [_strand(0, 2)], 2 + 8 * count, 1 + 8 * count)
    pairs = count // 6
    choosing = [one for at in range(pairs) for one in (_one(_BRANCH, 2 * at, 0, (1,), at), _one(_SELECT, 2 * at + 1, 2, (0,), at))]
    strands = [_strand(2 * at, 2 * at + 2, (), (2 * at - 1,) if at else ()) for at in range(pairs)]
    strands.append(_strand(2 * pairs, 2 * pairs + 1, (), (2 * pairs - 1,)))
    choices = array([b"\x93" + encode([0, 0]) + encode([-3, -3]) + b"\xc2"] * pairs)
    whole = [*choosing, _one(_RETURN, 2 * pairs, -1, (2,))]
    yield "choices", _program(whole, strands, 3, 2, choices=choices)
    yield "regions", _program(whole, strands, 3, 2, choices=choices, regions=array([b"\x90"] + [b"\x91\x00"] * (pairs - 1)))
