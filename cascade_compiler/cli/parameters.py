"""``-p name=value``: from text to the values of inputs.

A value is text, and the type of its input converts it, as everywhere. Where the type has members (a list, a dict, a data class, or
a union with one), the text is read as JSON first.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import types
import typing
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from cascade_compiler.cli.failures import UsageError
from cascade_vm.errors import InputError
from cascade_vm.inputs import MISSING, Declared, bind, convert, show_type
from cascade_vm.notes import short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TEXT_LIKE = (str, bytes, bytearray, memoryview)


def amounts(words: Sequence[str]) -> dict[str, float] | None:
    """``["gpu=2"]`` as names and amounts; None where there are none.

    :raises UsageError: as ``split``; an amount is no number.
    """
    given = split(words, "--capacity")
    try:
        return {name: float(text) for name, text in given.items()} or None
    except ValueError:
        wrong = next(f"{name}={text}" for name, text in given.items() if not _is_number(text))
        raise UsageError(f"--capacity {wrong}: expected name=number") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def split(words: Sequence[str], option: str = "-p") -> dict[str, str]:
    """``["day=2026-01-31"]`` as names and texts.

    :raises UsageError: a word has no ``=`` or no name, or a name comes twice; all of them in one error.
    """
    given: dict[str, str] = {}
    faults = []
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            faults.append(f"{option} {word}: expected name=value")
        elif name in given:
            faults.append(f"{option} {word}: {name!r} is given already, as {given[name]!r}")
        given.setdefault(name, text)
    if len(faults) == 1:
        raise UsageError(faults[0], (faults[0],))
    if faults:
        raise UsageError(f"{len(faults)} faults in the parameters:\n" + "\n".join(f"  {one}" for one in faults), tuple(faults))
    return given


def values(declared: Sequence[Declared], texts: Mapping[str, str]) -> dict[str, Any]:
    """What to give a run for ``texts``: JSON read where the type asks for it, other text as it is.

    :raises InputError: text that should be JSON is not. Then all other faults of the inputs are in it too.
    """
    kinds = {one.name: one.type for one in declared if one.source == "param"}
    given: dict[str, Any] = {}
    faults: list[str] = []
    for name, text in texts.items():
        try:
            given[name] = value(text, kinds.get(name, Any))
        except ValueError as fault:
            faults.append(f"input {name!r} ({show_type(kinds[name])}) is {short(text)}: {fault}")
    if not faults:
        return given
    try:
        bind([one for one in declared if one.name in given or one.name not in texts], given)
    except InputError as others:
        faults += others.faults
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise InputError(f"{count} in the inputs:\n" + "\n".join(f"  {fault}" for fault in faults), tuple(faults))


def usage(declared: Sequence[Declared]) -> str:
    """How the inputs are given: ``usage: -p day=<date> [-p limit=<int>]``."""
    shown = [f"-p {one.name}=<{show_type(one.type)}>" for one in declared if one.source == "param"]
    optional = [one.default is not MISSING for one in declared if one.source == "param"]
    listed = [f"[{one}]" if may_miss else one for one, may_miss in zip(shown, optional, strict=True)]
    return f"usage: {' '.join(listed)}" if listed else "it takes no inputs"


def value(text: str, kind: Any) -> Any:
    """What to give an input of type ``kind`` for ``text``.

    :raises ValueError: the text should be JSON, and is not.
    """
    if not _has_members(kind):
        return text
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as fault:
        if _fits(text, kind):
            return text  # another member of a union takes it
        raise ValueError(f"not JSON ({fault}), and {_example(kind)}") from None
    return text if not _fits(found, kind) and _fits(text, kind) else found


def _fits(value: Any, kind: Any) -> bool:
    try:
        convert(value, kind)
    except ValueError:
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _example(kind: Any) -> str:
    keyed = any(isinstance(one, type) and issubclass(one, collections.abc.Mapping) for one in _classes(kind))
    return "this type is written as JSON: " + ("""'{"a": 1}'""" if keyed else """'["a", "b"]'""")


def _has_members(kind: Any) -> bool:
    return any(isinstance(one, type) and _is_made_of_members(one) for one in _classes(kind))


def _is_made_of_members(kind: type) -> bool:
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__") or typing.is_typeddict(kind):
        return True
    return issubclass(kind, msgspec.Struct) or (issubclass(kind, collections.abc.Collection) and not issubclass(kind, _TEXT_LIKE))


def _classes(kind: Any) -> list[Any]:
    """The classes that ``kind`` allows at its top: those of a union, ``list`` for ``list[int]``."""
    found, waiting = [], [kind]
    while waiting:
        one = waiting.pop()
        origin = typing.get_origin(one)
        if origin in (typing.Union, types.UnionType):
            waiting += typing.get_args(one)
        elif origin is typing.Annotated:
            waiting.append(typing.get_args(one)[0])
        elif hasattr(one, "__supertype__"):  # NewType
            waiting.append(one.__supertype__)
        else:
            found.append(origin or one)
    return found
