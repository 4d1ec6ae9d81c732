"""Binding the inputs of a run: every value validated and converted against its type, all faults in one error (S20)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.errors import InputError
from cascade_vm.notes import short

MISSING: Any = type("MISSING", (), {"__repr__": lambda self: "<no default>", "__slots__": ()})()


class Declared(Protocol):
    """The declaration of one input."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> Any: ...
    @property
    def default(self) -> Any: ...
    @property
    def source(self) -> str: ...  # "param" or "env"


def bind(declared: Iterable[Declared], given: Mapping[str, Any], *, refuse_unknown: bool = True) -> list[Any]:
    """The value of each declared input, in order.

    A param comes from ``given``, an env input from the environment, else each from its default, which is not converted.
    :param refuse_unknown: names in ``given`` that nothing declares are faults. A graph met in the middle of a run sees
        all inputs of the run, needs only some of them, and passes False.
    :raises InputError: with all faults, in the order of declaration, unknown names last.
    """
    values: list[Any] = []
    faults: list[str] = []
    names: list[str] = []
    for one in declared:
        if one.source == "env":
            found = os.environ.get(one.name, MISSING)
            what = f"environment variable {one.name}"
        else:
            found = given.get(one.name, MISSING)
            what = f"input {one.name!r}"
            names.append(one.name)
        if found is MISSING:
            if one.default is MISSING:
                faults.append(f"{what} ({show_type(one.type)}) is missing")
            values.append(one.default)
            continue
        if type(found) in CONTINUATIONS:
            values.append(None)
            faults.append(
                f"{what} is a {type(found).__name__}: an input is a value. Put the graph into the target, in place of the Param"
            )
            continue
        try:
            values.append(convert(found, one.type))
        except ValueError as fault:
            values.append(None)
            faults.append(f"{what} is {short(found)}: {fault}")
    if refuse_unknown and not given.keys() <= set(names):
        from difflib import get_close_matches

        for name in given:
            if name not in names:
                near = get_close_matches(str(name), names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; the inputs are {', '.join(names) or 'none'}"
                faults.append(f"unknown input {name!r}{hint}")
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise InputError(f"{count} in the inputs:\n" + "\n".join(f"  {fault}" for fault in faults), tuple(faults))
    return values


def convert(value: Any, kind: Any) -> Any:
    """``value`` as ``kind``: itself where it is one, text and lossless conversions otherwise.

    :raises ValueError: it is not one and cannot become one without loss.
    """
    if kind is Any:
        return value
    if isinstance(kind, type):
        if type(value) is kind:
            return value
        if kind is bytes and isinstance(value, str):  # msgspec would read base64
            raise ValueError(f"expected {show_type(kind)}")
        if kind is float and type(value) is int and int(_as_float(value)) != value:
            raise ValueError("a float cannot hold this integer without loss")
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as fault:
        text = str(fault)
        raise ValueError(text[0].lower() + text[1:]) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        # A type that msgspec does not know: an instance is all that can be asked for.
        if isinstance(kind, type) and isinstance(value, kind):
            return value
        raise ValueError(f"expected {show_type(kind)} ({fault})") from None


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return 0.0


def show_type(kind: Any) -> str:
    """A type as a user would write it."""
    if kind is Any:
        return "any type"
    return kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind).replace("typing.", "")
