"""Proves that bytes have the form of a structure, before they are decoded: in memory that does not grow with them, and without recursion
into what they say.

The form is read off the very classes that msgspec decodes into. All of it is checked: types, exact lengths, UTF-8, the shortest form of
each integer and length, the order of keys. So what passes can be decoded, gives the same bytes when it is encoded, and claims nothing
that is not there.

Long arrays of structures are matched in blocks by a regular expression, since most of their members have a simple form and ``re`` goes
over bytes as fast as C does; whatever is not simple is read step by step.
"""

from __future__ import annotations

import re
import types
import typing
from array import array
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import msgspec

from cascade_vm.errors import LoadError
from cascade_vm.load_limits import over
from cascade_vm.wellformed_constants import check_constant
from cascade_vm.wellformed_tokens import ANY_INT, INT, NATURAL, PIECE, Data, Fault, Marks, Tally, array_header, blob, header

_BLOCK = 32  # members that one match goes over

_SHORT_TEXT = b"(?:\xa0|" + b"|".join(bytes([0xA0 + n]) + b"[\\x00-\\x7f]{%d}" % n for n in range(1, 16)) + b")"


# Binary of a constant that is short, and so obviously no array that nothing of it is over a limit.
_SHORT_CONSTANT = (
    b"\xc4(?:\x00|" + b"|".join(re.escape(bytes([n])) + b"[^\x90-\x9f\xdc\xdd].{%d}" % (n - 1) for n in range(1, 17)) + b")"
)


class Form:
    """The form of a value. ``simple`` is a regular expression for its commonest forms; None where there is none."""

    simple: bytes | None = None
    name = "value"

    def read(self, data: Data, at: int, tally: Tally) -> int:
        """Where the value that begins at ``at`` ends.

        :raises Fault: there is none of this form. :raises LoadError: it is over a limit.
        """
        raise Fault(at, f"should be {self.name}")


class _Pattern(Form):
    """One that a regular expression describes wholly."""

    def __init__(self, simple: bytes, name: str) -> None:
        self.simple = simple
        self.name = name
        self._match = re.compile(simple, re.DOTALL).match

    def read(self, data: Data, at: int, tally: Tally) -> int:
        found = self._match(data, at)
        if found is None:
            raise self._fault(data, at)
        return found.end()

    def _fault(self, data: Data, at: int) -> Fault:
        first = data[at] if at < len(data) else None
        if first is None or at + ANY_INT.get(first, 0) > len(data):
            return Fault(at, "ends in the middle")
        if first in ANY_INT and self.name.startswith("an integer") and (first < 0xD0 or self.name == "an integer"):
            return Fault(at, "has an integer that is not in its shortest form", "L08")
        if self.name == "a float" and (first in ANY_INT or first < 0x80 or first >= 0xE0 or first == 0xCA):
            return Fault(at, "has a float that is not in its 64-bit form", "L08")
        return Fault(at, f"has no {self.name.split(' ', 1)[1]}")


class _Text(Form):
    """Text; ``limited``: is it a name or the like?"""

    simple = _SHORT_TEXT
    name = "text"

    def read(self, data: Data, at: int, tally: Tally) -> int:
        start, end = blob(data, at, 0xA0, 0xC0, (0xD9, 0xDA, 0xDB), "text")
        if end - start > tally.limits.text:
            raise over("text", "longest text, in bytes,", end - start, tally.limits.text)
        try:
            str(data[start:end], "utf-8")
        except UnicodeDecodeError:
            raise Fault(at, "has text that is not UTF-8") from None
        return end


class _Bytes(Form):
    """Binary, of any size or of one; of a constant its form is looked at, too."""

    name = "binary"

    def __init__(self, constant: bool, size: int | None) -> None:
        self._constant = constant
        self._size = size
        self.simple = _SHORT_CONSTANT if constant and size is None else None

    def read(self, data: Data, at: int, tally: Tally) -> int:
        start, end = blob(data, at, 0, 0, (0xC4, 0xC5, 0xC6), "binary")
        if self._size is not None and end - start != self._size:
            raise Fault(at, f"has {end - start:,} bytes, not {self._size}")
        if self._constant:
            check_constant(data, start, end, tally)
        return end


class _Optional(Form):
    def __init__(self, one: Form) -> None:
        self._one = one
        self.simple = None if one.simple is None else b"(?:\xc0|" + one.simple + b")"

    def read(self, data: Data, at: int, tally: Tally) -> int:
        return at + 1 if at < len(data) and data[at] == 0xC0 else self._one.read(data, at, tally)


class _Array(Form):
    """Any number of values of one form. ``limit`` is what their number counts against; None for those that only the size limits.
    ``piece``: in a long one, after how many bytes a place is noted."""

    def __init__(self, one: Form, limit: str | None, kind: str, piece: int = PIECE) -> None:
        self._one = one
        self._limit = limit
        self._kind = kind
        self._piece = piece
        if one.simple is not None and limit is None:
            most = 4 if isinstance(one, _Pattern) else 2
            self.simple = b"(?:\x90|" + b"|".join(bytes([0x90 + n]) + one.simple * n for n in range(1, most + 1)) + b")"

    def read(self, data: Data, at: int, tally: Tally) -> int:
        head = at
        count, at = array_header(data, at)
        if self._limit is not None:
            tally.add(self._limit, self._kind, count)
        elif count > 16:
            tally.add("operands", "operands in long lists", count)
        one, number = self._one, 0
        block, single = (None, None) if one.simple is None or count < _BLOCK else _matchers(one.simple)
        first, piece, marks = at, self._piece, None
        noted = at + piece  # from where on a place is to be noted
        try:
            while number < count:
                found = block(data, at) if block is not None and number + _BLOCK <= count else None
                if found is not None:
                    number += _BLOCK
                    at = found.end()
                    if at >= noted:
                        marks = _marked(marks, first, number, at)
                        noted = at + piece
                    continue
                for _ in range(min(_BLOCK, count - number)):
                    found = None if single is None else single(data, at)
                    start, at = at, one.read(data, at, tally) if found is None else found.end()
                    if at - start >= PIECE:  # a large one is by itself
                        marks = _marked(marks, first, number, start)
                    number += 1
                    if at >= noted:
                        marks = _marked(marks, first, number, at)
                        noted = at + piece
        except Fault as fault:
            fault.path.append(f"[{number}]")
            raise
        if at - head >= PIECE:
            tally.arrays[head] = _marked(marks, first, number, at)
        return at


def _marked(marks: Marks | None, first: int, number: int, at: int) -> Marks:
    """The marks of an array, with one more; ``first``: where the first member is."""
    marks = Marks(first) if marks is None else marks
    marks.add(number, at)
    return marks


Agree = Callable[[Data, Mapping[str, int], Tally], None]


class _Fields(Form):
    """An array of exactly these values. ``agree`` is given where each of them begins, and raises Fault if they do not fit together."""

    def __init__(self, fields: Mapping[str, Form], agree: Agree | None = None) -> None:
        self._fields = dict(fields)
        self._agree = agree
        self._head = 0x90 + len(fields)
        parts = [one.simple for one in fields.values()]
        if agree is None and all(part is not None for part in parts):
            self.simple = re.escape(bytes([self._head])) + b"".join(part for part in parts if part is not None)

    def read(self, data: Data, at: int, tally: Tally) -> int:
        if at >= len(data) or data[at] != self._head:
            count, _ = array_header(data, at)
            raise Fault(at, f"has an array of {count}, which should be one of {len(self._fields)}")
        head, at = at, at + 1
        starts = {}
        for field, one in self._fields.items():
            starts[field] = at
            try:
                at = one.read(data, at, tally)
            except Fault as fault:
                fault.path.append(f".{field}")
                raise
        if self._agree is not None:
            self._agree(data, starts, tally)
        if at - head >= PIECE:
            tally.fields[head] = array("Q", (*starts.values(), at))
        return at


class _Map(Form):
    """From text to values of one form; ``sorted``: are the keys in order?"""

    def __init__(self, one: Form, in_order: bool) -> None:
        self._one = one
        self._in_order = in_order

    def read(self, data: Data, at: int, tally: Tally) -> int:
        count, at = header(data, at, 0x80, (0xDE, 0xDF), "map")
        tally.add("entries", "entries of a map", count)
        before: bytes | None = None
        text = _Text()
        for _ in range(count):
            start = blob(data, at, 0xA0, 0xC0, (0xD9, 0xDA, 0xDB), "text")[0]
            end = text.read(data, at, tally)
            key = bytes(data[start:end])
            if self._in_order and before is not None and before >= key:
                raise Fault(at, "has a map whose keys are not in order", "L08")
            before = key
            try:
                at = self._one.read(data, end, tally)
            except Fault as fault:
                fault.path.append(f"[{key.decode()[:60]!r}]")
                raise
        return at


_Match = Callable[[Data, int], "re.Match[bytes] | None"]


@cache
def _matchers(simple: bytes) -> tuple[_Match, _Match]:
    """Of a block, and of one. Possessive: a block that does not match is not tried in other ways, and nothing is kept for that."""
    return re.compile(b"(?:" + simple + b"){%d}+" % _BLOCK, re.DOTALL).match, re.compile(simple, re.DOTALL).match


_NATURAL = _Pattern(NATURAL, "an integer of 0 or more")
_ATOMS: dict[Any, Form] = {
    int: _Pattern(INT, "an integer"),
    bool: _Pattern(b"[\xc2\xc3]", "a boolean"),
    float: _Pattern(b"\xcb.{8}", "a float"),
    str: _Text(),
}



def form_of(
    kind: Any,
    limits: Mapping[tuple[str, str], str],
    *,
    natural: Collection[tuple[str, str]] = (),
    sizes: Mapping[tuple[str, str], int] | None = None,
    agree: Mapping[str, Agree] | None = None,
    apart: Collection[tuple[str, str]] = (),
    in_order: bool = True,
    fields: int | None = None,
) -> Form:
    """The form of a type: of a Struct, of tuples, maps and atoms.

    :param limits: by class and field, what the number of members is limited by, if not ``entries``; binary that is there is a constant.
    :param natural: classes and fields of integers that are not negative.
    :param sizes: by class and field, how long binary is, where it has one length.
    :param agree: by class, what its fields must keep together.
    :param apart: classes and fields of arrays whose members are read one by one, in any order: the place of each is noted.
    :param in_order: must the keys of maps be in order?
    :param fields: how many fields of the outermost Struct there are, where an older version had less.
    """

    def make(kind: Any, where: tuple[str, str]) -> Form:
        if kind is int and where in natural:
            return _NATURAL
        if kind in _ATOMS:
            return _ATOMS[kind]
        if kind is bytes:
            return _Bytes(where in limits, (sizes or {}).get(where))
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            (one,) = [argument for argument in arguments if argument is not type(None)]
            return _Optional(make(one, where))
        if origin is dict:
            return _Map(make(arguments[1], where), in_order)
        if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
            one = make(arguments[0], where)
            limit = limits.get(where, None if arguments[0] in (int, str) else "entries")
            return _Array(one, limit, where[1], 1 if where in apart else PIECE)
        if origin is tuple:
            return _Fields({str(number): make(argument, where) for number, argument in enumerate(arguments)})
        return structure(kind, None)

    def structure(kind: type[msgspec.Struct], fields: int | None) -> Form:
        hints = typing.get_type_hints(kind)
        named = {name: make(hints[name], (kind.__name__, name)) for name in kind.__struct_fields__[:fields]}
        return _Fields(named, (agree or {}).get(kind.__name__))

    return structure(kind, fields) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else make(kind, ("", ""))


def check(data: Data, form: Form, tally: Tally, what: str) -> None:
    """:raises LoadError: the bytes do not have the form, are over a limit, or go on behind it."""
    try:
        end = form.read(data, 0, tally)
        if end != len(data):
            raise Fault(end, f"goes on for {len(data) - end:,} bytes behind its end")
    except Fault as fault:
        where = "".join(reversed(fault.path)).lstrip(".")
        place = f"byte {fault.at:,}" + (f", {where}" if where else "")
        if fault.code == "L08":
            raise LoadError(
                f"the artifact's {what} is not in canonical form: it {fault.what} ({place}). It was not written by Cascade: compile it "
                "again",
                code="L08",
            ) from None
        raise LoadError(f"the artifact's {what} is malformed: it {fault.what} ({place}). Compile it again", code="L07") from None
