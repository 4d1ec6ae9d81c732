"""What an artifact holds, while it is not yet known to be good: structures and arrays that stay bytes, and are decoded piece by piece.

Decoded, a small instruction takes ten times its bytes, and a list of small numbers more. So the verifier is given these in place of tuples:
it goes over a whole program, and never has more of it in memory than a piece (and what it notes for itself). What has passed is decoded
as a whole.

Only bytes that ``cascade_vm.wellformed`` has gone over may be given: it has noted where the parts are of what is large.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, pairwise
from typing import Any

import msgspec

from cascade_vm.blueprint import Blueprint
from cascade_vm.wellformed_tokens import Data, Marks, Tally, blob


def stored(kind: Any, data: Data, at: int, end: int, tally: Tally) -> Any:
    """The value of a type from ``at`` to ``end``: decoded where it is small, else a structure or sequence whose large parts are read when
    they are asked for."""
    starts = tally.fields.get(at)
    if starts is not None:
        return _structure(_plain(kind), data, starts, tally)
    marks = tally.arrays.get(at)
    if marks is not None:
        return Pieces(typing.get_args(kind)[0], data, marks, tally)
    return _decoder(kind).decode(data[at:end])


def _structure(kind: Any, data: Data, starts: Sequence[int], tally: Tally) -> Any:
    places = pairwise(starts)
    if typing.get_origin(kind) is tuple:
        return tuple([stored(one, data, at, end, tally) for one, (at, end) in zip(typing.get_args(kind), places, strict=True)])
    return kind(**{name: stored(one, data, at, end, tally) for (name, one), (at, end) in zip(_hints(kind).items(), places, strict=False)})


class Pieces(Sequence[Any]):
    """A tuple that stays bytes: members are decoded when they are asked for, with their neighbours."""

    __slots__ = ("_data", "_decode", "_first", "_kind", "_known", "_marks", "_tally")

    def __init__(self, kind: Any, data: Data, marks: Marks, tally: Tally) -> None:
        self._kind = kind
        self._decode = _decoder(tuple[kind, ...]).decode
        self._data = data
        self._marks = marks
        self._tally = tally
        self._known: Sequence[Any] = ()  # the piece that was decoded last
        self._first = 0  # the number of its first member

    def __len__(self) -> int:
        return self._marks.numbers[-1]

    def pieces(self) -> Iterator[Sequence[Any]]:
        """All members, a piece at a time."""
        for piece in range(len(self._marks.numbers) - 1):
            yield self._decoded(piece)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.pieces())

    def __getitem__(self, number: Any) -> Any:
        if type(number) is int and 0 <= number - self._first < len(self._known):
            return self._known[number - self._first]
        if type(number) is slice:
            return tuple([self[one] for one in range(*number.indices(len(self)))])
        count = len(self)
        if number < 0:
            number += count
        if not 0 <= number < count:
            raise IndexError(number)
        piece = self._marks.piece_of(number)
        self._known, self._first = self._decoded(piece), self._marks.numbers[piece]
        return self._known[number - self._first]

    def first_texts(self) -> Iterator[str]:
        """Of structures, each in a piece of its own, the first field, a text."""
        for at in self._marks.places[:-1]:
            start, end = blob(self._data, at + 1, 0xA0, 0xC0, (0xD9, 0xDA, 0xDB), "text")
            yield str(self._data[start:end], "utf-8")

    def _decoded(self, piece: int) -> Sequence[Any]:
        numbers, places = self._marks.numbers, self._marks.places
        count, at, end = numbers[piece + 1] - numbers[piece], places[piece], places[piece + 1]
        if count == 1:
            return (stored(self._kind, self._data, at, end, self._tally),)
        decoded: Sequence[Any] = self._decode(b"\xdd" + count.to_bytes(4, "big") + self._data[at:end])
        return decoded


def pieces_of(some: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The members, in pieces that are at hand: of a tuple itself."""
    if type(some) is Pieces:
        return some.pieces()
    return iter((some,))


def alike(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Have both the same members, in order?"""
    return len(some) == len(others) and all(one == other for one, other in zip(some, others, strict=True))


def cycle_ids(blueprints: Sequence[Blueprint]) -> Iterable[str]:
    """The cycle_id of each."""
    if type(blueprints) is Pieces:
        return blueprints.first_texts()
    return [blueprint.cycle_id for blueprint in blueprints]


def _plain(kind: Any) -> Any:
    """A type that may also be None, without that."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (kind,) = [one for one in typing.get_args(kind) if one is not type(None)]
    return kind


@cache
def _hints(kind: Any) -> dict[str, Any]:
    known = typing.get_type_hints(kind)
    return {name: known[name] for name in kind.__struct_fields__}


@cache
def _decoder(kind: Any) -> Any:
    return msgspec.msgpack.Decoder(kind)
