"""How much memory values take, estimated, in bounded time."""

from __future__ import annotations

import sys
from typing import Any

_MOST_OBJECTS = 64  # that are looked at
_ALONE = frozenset({int, float, str, bytes, bool, complex, type(None)})  # types whose values hold no others


def size_of(value: Any) -> int:
    """Bytes that a value takes, estimated: few objects are looked at, and what is left of a container is taken to be like those."""
    if type(value) in _ALONE:
        return sys.getsizeof(value)
    left = _MOST_OBJECTS
    seen: set[int] = set()

    def measure(one: Any) -> int:
        nonlocal left
        if id(one) in seen:
            return 0
        seen.add(id(one))
        left -= 1
        try:
            size = sys.getsizeof(one)
        except Exception:  # of a class whose __sizeof__ fails: it is the user's, and no reason to fail
            size = object.__sizeof__(one)
        kind = type(one)
        if kind is dict:
            items: Any = (half for pair in one.items() for half in pair)
            many = 2 * len(one)
        elif kind in (list, tuple, set, frozenset):
            items, many = one, len(one)
        else:
            return size
        looked_at = within = 0
        for item in items:
            if left <= 0:
                break
            looked_at += 1
            within += measure(item)
        return size + (within * many // looked_at if looked_at else 0)

    return measure(value)
