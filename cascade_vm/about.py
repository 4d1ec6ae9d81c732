"""What an artifact tells about its content, and what changes no meaning: where calls were written, how the source of tasks looked, who
compiled it and when. Outside the content hash, and inside of what is signed."""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable, Mapping

import msgspec

from cascade_vm.bounded import shown
from cascade_vm.load_limits import DEFAULT

_NOWHERE = 0xFFFF


class SourceMap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the calls of a graph were written. Of each instruction ``numbers`` has two bytes, the index of its file, or 65,535 where it was
    written nowhere; ``lines`` has four, the line. Both big-endian."""

    files: tuple[str, ...]
    numbers: bytes
    lines: bytes

    __repr__ = shown

    @classmethod
    def of(cls, files: Iterable[str], places: Iterable[tuple[int, int]]) -> SourceMap:
        """From (index into ``files``, line) for each instruction, or (-1, 0) where nothing was written."""
        pairs = list(places)
        numbers = _swapped(array.array("H", [file if 0 <= file < _NOWHERE else _NOWHERE for file, _ in pairs]))
        return cls(tuple(files), numbers.tobytes(), _swapped(array.array(_FOUR, [line for _, line in pairs])).tobytes())

    def __len__(self) -> int:
        return len(self.numbers) // 2

    @property
    def is_whole(self) -> bool:
        """Is there a line for each number, and a file?"""
        if len(self.numbers) % 2 or len(self.lines) != 2 * len(self.numbers):
            return False
        used = set(self._numbers())
        used.discard(_NOWHERE)
        return max(used, default=-1) < len(self.files)

    def place(self, pc: int) -> tuple[str, int] | None:
        """The file and line of instruction ``pc``; None where nothing was written."""
        number = int.from_bytes(self.numbers[2 * pc : 2 * pc + 2], "big")
        if not 0 <= pc < len(self) or number == _NOWHERE:
            return None
        return self.files[number], int.from_bytes(self.lines[4 * pc : 4 * pc + 4], "big")

    def places(self) -> list[tuple[int, int]]:
        """What ``of`` was given."""
        lines = _swapped(array.array(_FOUR, self.lines))
        return [(number, line) if number != _NOWHERE else (-1, 0) for number, line in zip(self._numbers(), lines, strict=True)]

    def texts(self) -> list[str]:
        """ "path:line" of each instruction, or ""."""
        files = self.files
        return [f"{files[number]}:{line}" if number >= 0 else "" for number, line in self.places()]

    def _numbers(self) -> array.array[int]:
        return _swapped(array.array("H", self.numbers))


_FOUR = "I" if array.array("I").itemsize == 4 else "L"


def _swapped(numbers: array.array[int]) -> array.array[int]:
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


class About(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """``source_maps`` are by cycle_id; ``fingerprints`` of the source of tasks, by symbol; ``provenance`` is free: who compiled it, when,
    of which revision."""

    source_maps: dict[str, SourceMap]
    fingerprints: dict[str, bytes]
    provenance: dict[str, str]

    __repr__ = shown


def about(
    source_maps: Mapping[str, SourceMap], fingerprints: Mapping[str, bytes] | None = None, provenance: Mapping[str, str] | None = None
) -> About:
    """``About`` of any mappings."""
    return About(dict(source_maps), dict(fingerprints or {}), dict(provenance or {}))


def texts(provenance: Mapping[str, str]) -> dict[str, str]:
    """``provenance`` as a dict, checked.

    :raises TypeError: it is no mapping of texts by texts. :raises ValueError: one of them is no UTF-8, or too long to be loaded again.
    """
    if not isinstance(provenance, Mapping):
        raise TypeError(f"provenance takes a dict of texts by name, not {type(provenance).__name__!r}")
    for name, text in provenance.items():
        for one in (name, text):
            if type(one) is not str:
                raise TypeError(f"provenance takes texts by name; {name!r}: {text!r} has one of type {type(one).__name__!r}")
            try:
                size = len(one.encode())
            except UnicodeEncodeError:
                raise ValueError(f"provenance: {one!r} is no text that UTF-8 can hold") from None
            if size > DEFAULT.text:
                raise ValueError(f"provenance: a text of {name[:60]!r} has {size:,} bytes; at most {DEFAULT.text:,} can be loaded again")
    return dict(provenance)


_RETURNS = "returns "  # and the symbol of a task
_MOST_RETURNED = 100  # shapes that are told of one task
_DIGITS = 12  # of a cycle_id: they say which of the shapes of one program it is


def told_returns(returned: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """As provenance: by the symbol of a task, the cycle_ids of graphs that it is known to return."""
    return {
        f"{_RETURNS}{symbol}": " ".join([one[:_DIGITS] for one in list(shapes)[:_MOST_RETURNED]])
        for symbol, shapes in sorted(returned.items())
    }


def returned_by(provenance: Mapping[str, str], shapes: Iterable[str]) -> dict[str, list[str]]:
    """What ``told_returns`` was given, as far as it names ``shapes`` (cycle_ids)."""
    whole = {one[:_DIGITS]: one for one in shapes}
    return {
        name.removeprefix(_RETURNS): [whole[one] for one in text.split(" ") if one in whole]
        for name, text in provenance.items()
        if name.startswith(_RETURNS)
    }
