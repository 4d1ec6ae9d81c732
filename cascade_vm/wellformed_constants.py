"""The form of a constant, looked at before it is decoded: how deep it nests, how many values and how large integers it has.

Whether it is a constant in canonical form is seen when it is decoded (rule P2); that it can be decoded safely is seen here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache

from cascade_vm.errors import LoadError
from cascade_vm.load_limits import LoadLimits, over
from cascade_vm.wellformed_tokens import Data, Fault, Tally, array_header, blob

_BLOCK = 64

# What is one value and holds no others: numbers, nil, booleans, and short text.
_ATOM = (
    rb"(?:[\x00-\x7f\xc0\xc2\xc3\xe0-\xff]|[\xcc\xd0].|[\xcd\xd1]..|[\xca\xce\xd2].{4}|[\xcb\xcf\xd3].{8}|\xa0|"
    + b"|".join(bytes([0xA0 + n]) + b".{%d}" % n for n in range(1, 16))
    + b")"
)
_INT = b"\xa3int"
_DEPTH_ALONE = LoadLimits(values=sys.maxsize, integer=sys.maxsize)


def check_depth(constant: bytes) -> None:
    """:raises ValueError: it nests deeper than any constant may, or is not one value."""
    try:
        check_constant(memoryview(constant), 0, len(constant), Tally(_DEPTH_ALONE))
    except (Fault, LoadError) as fault:
        raise ValueError(str(fault)) from None


def check_constant(data: Data, start: int, end: int, tally: Tally) -> None:
    """Go over the constant from ``start`` to ``end``, without recursion.

    :raises Fault: it is not one value without maps and extensions. :raises LoadError: it is over a limit.
    """
    limits = tally.limits
    first = data[start] if start < end else 0
    if not (0x90 <= first <= 0x9F or 0xDC <= first <= 0xDD) or end - start <= min(limits.depth, limits.integer // 4, limits.values):
        return  # an atom, or too short to be over any limit
    whole, at = data[:end], start
    open_arrays: list[int] = []  # how many members of each are still to come
    left = 1
    atom, block = _matchers()
    while left or open_arrays:
        if not left:
            left = open_arrays.pop()
            continue
        found = block(whole, at) if left >= _BLOCK else None
        if found is not None:
            left -= _BLOCK
        else:
            found = atom(whole, at)
            left -= 1
        if found is not None:
            at = found.end()
            continue
        kind = whole[at] if at < end else 0
        if 0x90 <= kind <= 0x9F or 0xDC <= kind <= 0xDD:
            count, at = array_header(whole, at)
            tally.add("values", "values in constants", count)
            open_arrays.append(left)
            left = count
            if len(open_arrays) > limits.depth + 1:
                raise over("depth", "nesting of a constant", len(open_arrays) - 1, limits.depth)
            if count == 2 and whole[at : at + 4] == _INT:
                at = _integer(whole, at + 4, tally)
                left = 0
        elif 0xA0 <= kind <= 0xBF or 0xD9 <= kind <= 0xDB:
            at = blob(whole, at, 0xA0, 0xC0, (0xD9, 0xDA, 0xDB), "text")[1]
        else:
            at = blob(whole, at, 0, 0, (0xC4, 0xC5, 0xC6), "constant")[1]
    if at != end:
        raise Fault(at, f"has a constant that goes on for {end - at:,} bytes behind its end")


def _integer(data: Data, at: int, tally: Tally) -> int:
    start, end = blob(data, at, 0xA0, 0xC0, (0xD9, 0xDA, 0xDB), "text")
    bits = 4 * (end - start)
    if bits > tally.limits.integer:
        raise over("integer", "largest integer, in bits,", bits, tally.limits.integer)
    return end


_Match = Callable[[Data, int], "re.Match[bytes] | None"]


@cache
def _matchers() -> tuple[_Match, _Match]:
    """Of one atom, and of a block of them."""
    return re.compile(_ATOM, re.DOTALL).match, re.compile(b"(?:" + _ATOM + b"){%d}+" % _BLOCK, re.DOTALL).match
