"""What msgpack is made of, read where it stands: headers, lengths, integers. For ``cascade_vm.wellformed``, which knows their order."""

from __future__ import annotations

from array import array
from bisect import bisect_right

from cascade_vm.load_limits import LoadLimits, over

Data = memoryview

# Of what takes this many bytes, the places of its parts are noted: it can be read piece by piece.
PIECE = 8192

# The shortest form of an integer; and how long any form is, by its first byte.
NATURAL = rb"(?:[\x00-\x7f]|\xcd[^\x00].|\xcc[\x80-\xff]|\xce(?:[^\x00].{3}|\x00[^\x00].{2})|\xcf(?!\x00{4}).{8})"
INT = (
    rb"(?:[\xe0-\xff]|\xd0[\x80-\xdf]|\xd1(?:[\x80-\xfe].|\xff[\x00-\x7f])"
    rb"|\xd2(?:[\x80-\xfe].{3}|\xff(?:[\x00-\xfe].{2}|\xff[\x00-\x7f].))|\xd3(?!\xff{4}[\x80-\xff])[\x80-\xff].{7}|" + NATURAL + b")"
)
ANY_INT = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}


class Fault(Exception):
    """What is wrong at a byte. ``path`` leads to the value, from the inside out."""

    def __init__(self, at: int, what: str, code: str = "L07") -> None:
        super().__init__(what)
        self.at = at
        self.what = what
        self.code = code
        self.path: list[str] = []


class Marks:
    """Where the members of a long array are: of some of them, the number and the place; last their count, and the end. What is between two
    marks takes less than two pieces, or is one member."""

    __slots__ = ("numbers", "places")

    def __init__(self, at: int) -> None:
        self.numbers = array("Q", (0,))
        self.places = array("Q", (at,))

    def add(self, number: int, at: int) -> None:
        """Member ``number`` is at ``at``."""
        if number != self.numbers[-1]:
            self.numbers.append(number)
            self.places.append(at)

    def piece_of(self, number: int) -> int:
        """Between which marks a member is: the number of the first of them."""
        return bisect_right(self.numbers, number) - 1


class Tally:
    """The limits, and how much of each has been met so far; and where the parts are of what is large."""

    def __init__(self, limits: LoadLimits) -> None:
        self.limits = limits
        self.met: dict[str, int] = {}
        self.arrays: dict[int, Marks] = {}  # by the place of the array
        self.fields: dict[int, array[int]] = {}  # by that of the structure: where each field is, and the end

    def add(self, limit: str, kind: str, count: int) -> None:
        """:raises LoadError: there are more of a kind than a limit allows."""
        self.met[kind] = total = self.met.get(kind, 0) + count
        most = getattr(self.limits, limit)
        if total > most:
            raise over(limit, f"number of {kind}", total, most)


def integer(data: Data, at: int) -> int:
    """The integer at ``at``, which has been found to be one."""
    first = data[at]
    if first not in ANY_INT:
        return first if first < 0x80 else first - 0x100
    return int.from_bytes(data[at + 1 : at + ANY_INT[first]], "big", signed=first >= 0xD0)


def array_header(data: Data, at: int) -> tuple[int, int]:
    """The number of members of an array, and where the first is.

    :raises Fault: there is no array, or it claims more than the bytes can hold.
    """
    return header(data, at, 0x90, (0xDC, 0xDD), "array")


def header(data: Data, at: int, fixed: int, longer: tuple[int, int], what: str) -> tuple[int, int]:
    first = data[at] if at < len(data) else 0
    if fixed <= first < fixed + 16:
        count, after, least = first - fixed, at + 1, 0
    elif first in longer:
        size = 2 if first == longer[0] else 4
        count, after, least = int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size, 16 if size == 2 else 0x10000
    else:
        raise Fault(at, f"has no {what}" if at < len(data) else "ends in the middle")
    if count > len(data) - after:
        raise Fault(at, f"claims {count:,} members of the {what}, and there are {max(0, len(data) - after):,} bytes left")
    if count < least:
        raise Fault(at, f"has the length of the {what} not in its shortest form", "L08")
    return count, after


def blob(data: Data, at: int, fixed: int, fixed_end: int, longer: tuple[int, int, int], what: str) -> tuple[int, int]:
    """Where a text or binary begins and ends."""
    first = data[at] if at < len(data) else 0
    if fixed <= first < fixed_end:
        start, end, least = at + 1, at + 1 + first - fixed, 0
        size = 0
    elif first in longer:
        size = (1, 2, 4)[longer.index(first)]
        start = at + 1 + size
        end = start + int.from_bytes(data[at + 1 : start], "big")
        least = (32 if fixed_end else 0, 0x100, 0x10000)[longer.index(first)]
    else:
        raise Fault(at, f"has no {what}" if at < len(data) else "ends in the middle")
    if end > len(data):
        raise Fault(at, f"claims a {what} of {end - start:,} bytes, and there are {max(0, len(data) - start):,} left")
    if size and end - start < least:
        raise Fault(at, f"has the length of the {what} not in its shortest form", "L08")
    return start, end
