"""Which values can hold LazyResults, and which of them do.

A container that holds one (however deep) is rebuilt when the graph runs; any other container is a literal and arrives as the
same object (S3, S4). A LazyResult inside an object that nothing rebuilds, a field of a dataclass say, would arrive raw: such
objects are found and refused.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import re
import types
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import msgspec

from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal
from cascade_vm.errors import CompileError

# Exact types whose instances hold nothing but themselves: by far the most common arguments, told apart by one set lookup.
ATOMS: frozenset[type] = frozenset({
    int, float, bool, str, bytes, complex, type(None), type(...), type(NotImplemented), bytearray, memoryview, range, type,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone, decimal.Decimal, fractions.Fraction,
    uuid.UUID, re.Pattern, pathlib.PurePath, pathlib.PosixPath, pathlib.PurePosixPath, pathlib.WindowsPath,
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType,
})  # fmt: skip

_BUILTIN_CONTAINERS = (list, tuple, dict, set, frozenset)


def is_container(kind: type) -> bool:
    """True for types whose instances are rebuilt when they hold LazyResults: list, tuple, dict, set, frozenset, subclasses."""
    return issubclass(kind, _BUILTIN_CONTAINERS)


def members(container: Any) -> Iterable[Any]:
    """What a container holds, in the order in which its display would be evaluated; a dict's keys and values in turn."""
    # The unbound methods of the builtin types: a subclass may have an __iter__ of its own.
    if isinstance(container, dict):
        return (part for pair in dict.items(container) for part in pair)
    for kind in (list, tuple, set, frozenset):
        if isinstance(container, kind):
            return kind.__iter__(container)  # type: ignore[arg-type]
    raise TypeError(type(container).__name__)


class Scanner:
    """Classifies values; remembers what it found, so that a nested container is walked once, not once a level.

    Valid while the scanned containers are neither changed nor freed: one scanner for each walk over a graph.
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[int, bool] = {}

    def holds_lazy(self, value: Any) -> bool:
        """True if ``value`` is a LazyResult or a container that must be rebuilt. Not recursive; cycles are allowed.

        :raises CompileError: a LazyResult is hidden in an object that cannot be rebuilt.
        """
        kind = type(value)
        if kind in ATOMS:
            return False
        if kind is LazyResult:
            return True
        if not is_container(kind):
            hidden = hidden_lazy(value)
            if hidden is not None:
                path, lazy = hidden
                raise CompileError(
                    f"{lazy!r} is hidden in {path.lstrip('.')} of a {kind.__name__}, an object that is not rebuilt, so the task would "
                    f"get the node instead of its value. Pass it as an argument of its own (or in a list, tuple, dict or set) and "
                    f"build the {kind.__name__} inside a task; literal(...) passes the object as it is."
                )
            return False
        known = self._found.get(id(value))
        return self._walk(value) if known is None else known

    def _walk(self, root: Any) -> bool:
        """Post-order over nested containers. A container is marked when one of its members is, also through cycles."""
        found = self._found
        open_: list[tuple[Any, Iterator[Any]]] = []
        entered: set[int] = set()
        inside_itself: list[Any] = []

        def enter(container: Any) -> None:
            entered.add(id(container))
            open_.append((container, iter(() if _only_atoms(container) else members(container))))

        enter(root)
        while open_:
            container, rest = open_[-1]
            descended = False
            for part in rest:
                kind = type(part)
                if kind in ATOMS:
                    continue
                if kind is LazyResult or kind is Literal:
                    # A literal() inside a container: the container must be rebuilt without the marker.
                    found[id(container)] = True
                elif is_container(kind):
                    known = found.get(id(part))
                    if known:
                        found[id(container)] = True
                    elif known is None and id(part) in entered:  # still open: it is one of its own members
                        inside_itself.append(part)
                    elif known is None:
                        enter(part)
                        descended = True
                        break
                elif self.holds_lazy(part):
                    found[id(container)] = True
            if descended:
                continue
            open_.pop()
            mine = found.setdefault(id(container), False)
            if mine and open_:
                found[id(open_[-1][0])] = True
        for container in inside_itself:
            if found[id(container)]:
                raise CompileError(
                    f"a {type(container).__name__} contains itself and a LazyResult too: it cannot be rebuilt. "
                    f"Pass the LazyResult as an argument of its own."
                )
        return found[id(root)]


def _only_atoms(container: Any) -> bool:
    """A fast no: the set of the members' types, computed at C speed, has nothing that could hold a LazyResult."""
    if type(container) in _BUILTIN_CONTAINERS and len(container) > 8:
        kinds = set(map(type, container))
        if isinstance(container, dict):
            kinds.update(map(type, container.values()))
        return kinds <= ATOMS
    return False


def hidden_lazy(value: Any) -> tuple[str, LazyResult] | None:
    """The first LazyResult in the fields of a data object, with its path; None where there is none.

    Looks into dataclasses, attrs classes, msgspec Structs and instances with a ``__dict__``, and into containers in their
    fields; of a slice, at its bounds. Fields are read without running properties.
    """
    for name, part in _fields(value):
        if type(part) in ATOMS:
            continue
        if type(part) is LazyResult:
            return name, part
        if is_container(type(part)) and not _only_atoms(part):
            for inner in members(part):
                if type(inner) is LazyResult:
                    return name, inner
        elif _is_data(type(part)):
            for inner_name, inner in _fields(part):
                if type(inner) is LazyResult:
                    return name + inner_name, inner
    return None


def _is_data(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or attrs.has(kind) or issubclass(kind, msgspec.Struct)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    if isinstance(value, (enum.Enum, type)):
        return
    if kind is slice:
        yield from ((f".{name}", getattr(value, name)) for name in ("start", "stop", "step"))
        return
    if issubclass(kind, msgspec.Struct):
        names: Iterable[str] = kind.__struct_fields__
    elif _is_data(kind):
        names = [field.name for field in (dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else attrs.fields(kind))]
    else:
        # A copy: another thread may be writing to the object.
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return
        if type(attributes) is dict:
            yield from ((f".{name}", part) for name, part in attributes.copy().items())
        return
    for name in names:
        try:
            yield f".{name}", object.__getattribute__(value, name)
        except AttributeError:
            continue
