"""Is this a constant? Found out on its bytes where it is large (rule P2): its value can take seventy times that memory.

Keys of dicts and members of sets are made one at a time. Of each the hash is kept; where two are alike, the keys are compared.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

from cascade_vm.constant_keys import ALIKE, LARGE_KEY, SMALL, holds_nan
from cascade_vm.constants import MAX_DEPTH, decode
from cascade_vm.wellformed_tokens import INT, Data, Fault, array_header, blob

_SMALL = SMALL  # bytes of a constant that is simply decoded
_BLOCK = 64
_PARTS = 16  # of many keys, a part is looked at at a time
_NAN = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|NaN")  # some of what this finds holds none

# What is one value in canonical form and holds no others; text, as far as it is short.
_ATOM = (
    rb"(?:[\xc0\xc2\xc3]|\xcb.{8}|\xa0|"
    + b"|".join(bytes([0xA0 + n]) + b"[\\x00-\\x7f]{%d}" % n for n in range(1, 16))
    + b"|" + INT + b")"
)  # fmt: skip
_PARTS_OF = {"list": None, "tuple": None, "slice": 3, "dict": None, "set": None, "frozenset": None}  # what holds constants; how many


def check(constant: bytes) -> None:
    """Is this a constant, in canonical form?

    :raises ValueError: it is not, as ``decode`` would say.
    """
    if len(constant) <= _SMALL:
        found = _matchers()[0](constant)
        if found is None or found.end() != len(constant):
            decode(constant)
        return
    try:
        end = _walked(memoryview(constant))
    except Fault as fault:
        raise ValueError(f"no constant: {fault}") from None
    if end != len(constant):
        raise ValueError("no constant: it goes on behind its end")


def key_hash(constant: bytes, at: int) -> int:
    """The hash of a constant that is a key, as the process has it; ``at`` where it is not equal to itself.

    :raises ValueError: it is no constant, cannot be a key, or is a container too large for one.
    """
    if len(constant) > _SMALL:
        check(constant)
    return _hash(constant, at)


class _Open:
    """A container whose members are gone over. Of a dict and a set, ``hashes`` are those of its keys or members."""

    __slots__ = ("before", "hashes", "is_dict", "left", "start")

    def __init__(self, tag: str, left: int, start: int) -> None:
        self.left = left
        self.start = start  # of the first member
        self.is_dict = tag == "dict"
        self.hashes = array("q") if tag in ("dict", "set", "frozenset") else None
        self.before = b""


def _walked(data: Data) -> int:
    atom, block = _matchers()
    stack: list[_Open] = []
    here, at = _Open("list", 1, 0), 0
    while True:
        if not here.left:
            if here.hashes is not None:
                _check_distinct(data, here)
            if not stack:
                return at
            here = stack.pop()
            continue
        if here.hashes is not None and not (here.is_dict and here.left % 2):
            at = _key(data, at, here)
            here.left -= 1
            continue
        found = block(data, at) if here.left >= _BLOCK and here.hashes is None else None
        if found is not None:
            here.left -= _BLOCK
            at = found.end()
            continue
        here.left -= 1
        found = atom(data, at)
        if found is not None:
            at = found.end()
        elif _is_array(data, at):
            count, inside = array_header(data, at)
            start, inside = blob(data, inside, 0xA0, 0xC0, (0xD9, 0xDA, 0xDB), "tag") if count else (at, at)
            tag = bytes(data[start:inside]).decode("ascii", "replace") if inside - start < 16 else ""
            if tag not in _PARTS_OF:
                end = _end(data, at)
                decode(bytes(data[at:end]))
                at = end
                continue
            if (tag == "dict" and not count % 2) or (_PARTS_OF[tag] or count - 1) != count - 1 or len(stack) > MAX_DEPTH:
                raise ValueError(f"no constant: a malformed {tag}, or nested too deep")
            stack.append(here)
            here, at = _Open(tag, count - 1, inside), inside
        else:
            end = _end(data, at)
            decode(bytes(data[at:end]))  # long text, binary; or not canonical
            at = end


def _key(data: Data, at: int, here: _Open) -> int:
    end = _end(data, at)
    encoded = bytes(data[at:end])
    if here.hashes is None:
        return end
    if not here.is_dict:
        if encoded < here.before:  # alike are two that are not equal to themselves; of others the hash tells
            raise ValueError("no constant: not in canonical form")
        here.before = encoded
    here.hashes.append(_hash(encoded, at))
    return end


def _hash(encoded: bytes, at: int) -> int:
    if len(encoded) > LARGE_KEY and _is_array(memoryview(encoded), 0):
        raise ValueError(f"no constant: a key or member of a set that is a container of more than {LARGE_KEY:,} bytes")
    try:
        value = decode(encoded)
        found = hash(value)
        # What is not equal to itself never is a key twice, and its hash is that of an object that is gone.
        return at if _NAN.search(encoded) and holds_nan(value) else found
    except TypeError as fault:
        raise ValueError(f"no constant: {fault}") from None


def _check_distinct(data: Data, done: _Open) -> None:
    hashes = done.hashes
    if hashes is None or len(hashes) < 2:
        return
    parts = 1 if len(hashes) < 4_096 else _PARTS
    if sum(len({one for one in hashes if one % parts == part}) for part in range(parts)) == len(hashes):
        return
    for part in range(parts):
        if max(Counter([one for one in hashes if one % parts == part]).values(), default=0) > ALIKE:
            raise ValueError(f"no constant: more than {ALIKE:,} keys have one hash")
        keys = [decode(bytes(data[at:end])) for one, (at, end) in zip(hashes, _keys(data, done), strict=True) if one % parts == part]
        if len(set(keys)) != len(keys):
            raise ValueError("no constant: not in canonical form")


def _keys(data: Data, done: _Open) -> Iterator[tuple[int, int]]:
    at = done.start
    for _ in done.hashes or ():
        end = _end(data, at)
        yield at, end
        at = _end(data, end) if done.is_dict else end


def _is_array(data: Data, at: int) -> bool:
    kind = data[at] if at < len(data) else 0
    return 0x90 <= kind <= 0x9F or 0xDC <= kind <= 0xDD


def _end(data: Data, at: int) -> int:
    """Where the value that begins at ``at`` ends; ``at`` plus one where none does."""
    atom, block = _matchers()
    left = 1
    while left:
        found = block(data, at) if left >= _BLOCK else None
        if found is not None:
            left -= _BLOCK
            at = found.end()
            continue
        found = atom(data, at)
        left -= 1
        if found is not None:
            at = found.end()
        elif _is_array(data, at):
            count, at = array_header(data, at)
            left += count
        elif at < len(data) and 0xC4 <= data[at] <= 0xC6:
            at = blob(data, at, 0, 0, (0xC4, 0xC5, 0xC6), "constant")[1]
        else:
            at = blob(data, at, 0xA0, 0xC0, (0xD9, 0xDA, 0xDB), "constant in its shortest form")[1]
    return at


_Match = Callable[..., "re.Match[bytes] | None"]


@cache
def _matchers() -> tuple[_Match, _Match]:
    """Of one atom, and of a block of them."""
    return re.compile(_ATOM, re.DOTALL).match, re.compile(b"(?:" + _ATOM + b"){%d}+" % _BLOCK, re.DOTALL).match
