"""Constants of a program: values as bytes that give back the same type and value, everywhere.

msgpack alone would turn a tuple into a list and a Decimal into text. So whatever msgpack does not tell apart is an array that begins with
a tag: ``["tuple", 1, 2]``. The encoding is canonical: members of sets are sorted by their bytes. docs/artifact-format.md has the table.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from cascade_vm.wellformed_constants import check_depth

MAX_DEPTH = 64

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder()
_PLAIN = (type(None), bool, float, str, bytes)
_ATOMS = frozenset({*_PLAIN, int})  # what msgpack gives back as it was
_ARRAYS = frozenset({*range(0x90, 0xA0), 0xDC, 0xDD})  # first bytes
_SHARED = _ATOMS | {complex, decimal.Decimal, uuid.UUID, datetime.date, datetime.datetime, datetime.time, datetime.timedelta}


class NotEncodable(ValueError):
    """A value that no artifact can hold. ``path`` leads to it from the constant, as Python would write it: ``['rows'][2]``."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path or 'it'}: {what}")
        self.path = path
        self.what = what


def encode(value: Any) -> bytes:
    """The canonical bytes of ``value``.

    :raises NotEncodable: its type is none of those in docs/artifact-format.md, or it is nested more than 64 deep.
    """
    return _ENCODER.encode(_tree(value, "", 0))


def decode(data: bytes) -> Any:
    """The value of bytes made by ``encode``; a new object each time.

    :raises ValueError: the bytes are no constant, or not the canonical form of one.
    """
    value = _decoded(data)
    try:
        # The common ones without a detour: what is no array is as msgpack has it.
        canonical = (_ENCODER.encode(value) if type(value) in _ATOMS and data[0] not in _ARRAYS else encode(value)) == data
    except NotEncodable:
        canonical = False
    if not canonical:
        raise ValueError("no constant: not in canonical form")
    return value


def decode_again(data: bytes) -> Any:
    """``decode`` of what it has decoded before: without the check of its form."""
    return _decoded(data)


def _decoded(data: bytes) -> Any:
    try:
        if len(data) > MAX_DEPTH:
            check_depth(data)  # msgspec recurses, and may have a small stack
        tree = _DECODER.decode(data)
        return tree if type(tree) in _ATOMS else _value(tree, 0)
    except (
        msgspec.DecodeError,
        RecursionError,
        OverflowError,
        TypeError,
        KeyError,
        IndexError,
        decimal.DecimalException,
    ) as fault:
        raise ValueError(f"no constant: {fault}") from None


def is_immutable(value: Any) -> bool:
    """May runs share one object of this value? True for atoms, and for tuples and frozensets of them."""
    kind = type(value)
    return kind in _SHARED or ((kind is tuple or kind is frozenset) and all(is_immutable(part) for part in value))


def _shown(key: Any) -> str:
    try:
        return f"{key!r:.40}"
    except ValueError:  # Python does not write numbers of thousands of digits
        return f"<{type(key).__name__}>"


def _tree(value: Any, path: str, depth: int) -> Any:
    # Lists in brackets, not generators: each of those would take a part of the thread's stack, however deep.
    if depth > MAX_DEPTH:
        raise NotEncodable(path, f"nested more than {MAX_DEPTH} deep")
    kind = type(value)
    if kind is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotEncodable(path, "text with a lone surrogate, which has no UTF-8") from None
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else ["int", f"{value:x}"]
    if kind in (list, tuple):
        return [kind.__name__, *[_tree(part, f"{path}[{at}]", depth + 1) for at, part in enumerate(value)]]
    if kind is dict:
        parts: list[Any] = []
        for key, part in value.items():
            shown = _shown(key)
            parts += (_tree(key, f"{path} (the key {shown})", depth + 1), _tree(part, f"{path}[{shown}]", depth + 1))
        return ["dict", *parts]
    if kind in (set, frozenset):
        return [kind.__name__, *sorted([_tree(part, f"{path} (a member)", depth + 1) for part in value], key=_ENCODER.encode)]
    text = _TEXT_OF.get(kind)
    if text is None:
        raise NotEncodable(path, f"an instance of {kind.__module__}.{kind.__qualname__}".replace("builtins.", ""))
    if getattr(value, "tzinfo", None) is not None and type(value.tzinfo) is not datetime.timezone:
        raise NotEncodable(
            path, f"a {kind.__name__} in time zone {value.tzinfo}: only fixed offsets (datetime.timezone) can be stored"
        )
    return [kind.__name__, *text(value)]


_TEXT_OF: dict[type, Callable[[Any], list[Any]]] = {
    complex: lambda v: [v.real, v.imag],
    bytearray: lambda v: [bytes(v)],
    range: lambda v: [_tree(part, "", 1) for part in (v.start, v.stop, v.step)],
    slice: lambda v: [_tree(part, f".{name}", 1) for name, part in (("start", v.start), ("stop", v.stop), ("step", v.step))],
    type(...): lambda v: [],
    decimal.Decimal: lambda v: [str(v)],
    uuid.UUID: lambda v: [v.hex],
    datetime.date: lambda v: [v.isoformat()],
    datetime.datetime: lambda v: [v.isoformat(), v.fold],
    datetime.time: lambda v: [v.isoformat(), v.fold],
    datetime.timedelta: lambda v: [v.days, v.seconds, v.microseconds],
}


def _value(tree: Any, depth: int) -> Any:
    if type(tree) is not list:
        if type(tree) not in _ATOMS:
            raise ValueError(f"a {type(tree).__name__}, which has no place in a constant")
        return tree
    if depth > MAX_DEPTH or not tree or type(tree[0]) is not str:
        raise ValueError("an array without a tag, or nested too deep")
    tag, parts = tree[0], tree[1:]
    if tag in _CONTAINERS:
        return _CONTAINERS[tag]([_value(part, depth + 1) for part in parts])
    if tag not in _FROM_TEXT:
        raise ValueError(f"the unknown tag {tag[:40]!r}")
    make, kinds = _FROM_TEXT[tag]
    if kinds is not None and [type(part) for part in parts] != kinds:
        raise ValueError(f"a malformed {tag}")
    return make(*parts)


_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "dict": lambda parts: dict(zip(parts[::2], parts[1::2], strict=True)),
    "set": set,
    "frozenset": frozenset,
}
# tag -> (how it is made, the types of its parts; None: parts are constants themselves)
_FROM_TEXT: dict[str, tuple[Callable[..., Any], list[type] | None]] = {
    "int": (lambda text: int(text, 16), [str]),
    "complex": (complex, [float, float]),
    "bytearray": (bytearray, [bytes]),
    "range": (lambda *parts: range(*(_value(part, 1) for part in parts)), None),
    "slice": (lambda *parts: slice(*(_value(part, 1) for part in parts)), None),
    "ellipsis": (lambda: ..., []),
    "Decimal": (decimal.Decimal, [str]),
    "UUID": (lambda text: uuid.UUID(hex=text), [str]),
    "date": (datetime.date.fromisoformat, [str]),
    "datetime": (lambda text, fold: datetime.datetime.fromisoformat(text).replace(fold=fold), [str, int]),
    "time": (lambda text, fold: datetime.time.fromisoformat(text).replace(fold=fold), [str, int]),
    "timedelta": (lambda days, seconds, micro: datetime.timedelta(days, seconds, micro), [int, int, int]),
}
