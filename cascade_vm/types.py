"""Types of inputs as text: a closed set of names and forms, read by a small parser and never evaluated.

int    str | None    list[dict[str, float]]    tuple[int, ...]    Literal['a', 1]    date
"""

from __future__ import annotations

import datetime
import decimal
import re
import types
import typing
import uuid
from typing import Any

import msgspec

MAX_DEPTH = 16

_NAMED: dict[str, Any] = {
    "any": Any, "None": type(None), "bool": bool, "int": int, "float": float, "str": str, "bytes": bytes, "bytearray": bytearray,
    "complex": complex, "date": datetime.date, "datetime": datetime.datetime, "time": datetime.time, "timedelta": datetime.timedelta,
    "Decimal": decimal.Decimal, "UUID": uuid.UUID, "object": object,
    "list": list, "tuple": tuple, "dict": dict, "set": set, "frozenset": frozenset,
}  # fmt: skip
_NAME_OF = {kind: name for name, kind in _NAMED.items()}
_GENERIC = ("list", "tuple", "dict", "set", "frozenset")


def describe(kind: Any, depth: int = 0) -> str:
    """The text of a type.

    :raises ValueError: it is none of those that an artifact can describe (a class of the user's own, say).
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"a type nested more than {MAX_DEPTH} deep")
    if kind is None:
        return "None"
    try:
        if kind in _NAME_OF:
            return _NAME_OF[kind]
    except TypeError:  # unhashable: no type
        raise ValueError(f"{kind!r} is no type") from None
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        raise ValueError("constraints of Annotated types cannot be stored")
    if origin in (typing.Union, types.UnionType):
        return " | ".join(describe(arg, depth) for arg in args)
    if origin is typing.Literal:
        if not all(type(arg) in (int, str, bool, type(None)) for arg in args):
            raise ValueError(f"{kind} has values other than int, str, bool and None")
        return f"Literal[{', '.join(_quoted(arg) if type(arg) is str else repr(arg) for arg in args)}]"
    if origin in _NAME_OF and _NAME_OF[origin] in _GENERIC and not args and kind != tuple[()]:
        return _NAME_OF[origin]  # typing.List and the like, bare
    if origin in _NAME_OF and _NAME_OF[origin] in _GENERIC and args:
        return f"{_NAME_OF[origin]}[{', '.join('...' if arg is ... else describe(arg, depth + 1) for arg in args)}]"
    raise ValueError(f"an artifact cannot describe the type {getattr(kind, '__qualname__', kind)}")


_TOKEN = re.compile(r"\s*(?:(\.\.\.|[A-Za-z]+)|(-?\d+)|(\"(?:[^\"\\]|\\.)*\")|([\[\],|]))")


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def parse(text: str) -> Any:
    """The type that ``describe`` gave ``text`` for.

    :raises ValueError: the text describes no type.
    """
    reader = _Reader(text)
    kind = reader.union(0)
    if reader.rest:
        raise ValueError(f"no type: {text[:80]!r}")
    return kind


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.rest: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"no type: {text[:80]!r}")
            self.rest.append((("name", "int", "str", "sign")[(found.lastindex or 1) - 1], found.group(found.lastindex or 1)))
            at = found.end()
        self.rest.reverse()

    def take(self, *wanted: str) -> str:
        kind, token = self.rest.pop() if self.rest else ("", "")
        if kind not in wanted and token not in wanted:
            raise ValueError(f"no type: {self.text[:80]!r}")
        return token

    def union(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError("a type nested too deep")
        kinds = [self.one(depth)]
        while self.rest and self.rest[-1] == ("sign", "|"):
            self.rest.pop()
            kinds.append(self.one(depth))
        return kinds[0] if len(kinds) == 1 else typing.Union[tuple(kinds)]  # noqa: UP007 (of a number not known here)

    def one(self, depth: int) -> Any:
        name = self.take("name")
        bracket = bool(self.rest) and self.rest[-1] == ("sign", "[")
        if name == "Literal" and bracket:
            return typing.Literal[tuple(self.arguments(self.value))]
        if name not in _NAMED or (bracket and name not in _GENERIC):
            raise ValueError(f"no type: {self.text[:80]!r}")
        kind = _NAMED[name]
        return kind[tuple(self.arguments(lambda: self.member(depth + 1)))] if bracket else kind

    def arguments(self, read: Any) -> list[Any]:
        self.take("[")
        found = [read()]
        while self.take(",", "]") == ",":
            found.append(read())
        return found

    def member(self, depth: int) -> Any:
        if self.rest and self.rest[-1] == ("name", "..."):
            self.rest.pop()
            return ...
        return self.union(depth)

    def value(self) -> Any:
        kind, token = self.rest.pop() if self.rest else ("", "")
        if kind == "int":
            return int(token)
        if kind == "str":
            try:
                return msgspec.json.decode(token, type=str)
            except msgspec.DecodeError:
                raise ValueError(f"no type: {self.text[:80]!r}") from None
        if token in ("True", "False", "None"):
            return {"True": True, "False": False, "None": None}[token]
        raise ValueError(f"no type: {self.text[:80]!r}")
