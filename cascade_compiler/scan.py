"""Which values can hold LazyResults, and which of them do.

A container that holds one (however deep) is rebuilt when the graph runs; any other container is a literal and arrives as the
same object (S3, S4). A LazyResult inside an object that nothing rebuilds, a field of a dataclass say, would arrive raw: such
objects are found and refused.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import re
import types
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import msgspec

from cascade_compiler.lazy import LazyResult
from cascade_compiler.mapping import Common
from cascade_compiler.node_kinds import Literal
from cascade_vm.errors import CompileError
from cascade_vm.notes import short

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
    # And types by `type`, not isinstance(), which an object can deceive with a __class__ of its own.
    if issubclass(type(container), dict):
        return (part for pair in dict.items(container) for part in pair)
    for kind in (list, tuple, set, frozenset):
        if issubclass(type(container), kind):
            return kind.__iter__(container)
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
            self._refuse_hidden(value, value)
            return False
        known = self._found.get(id(value))
        return self._walk(value) if known is None else known

    def _refuse_hidden(self, owner: Any, value: Any) -> None:
        if type(value) is Common:
            raise CompileError(
                "common() is for map, where it tells values from iterables: in a plain call, pass the value itself", code="C02"
            )
        hidden = hidden_lazy(value)
        if hidden is None:
            return
        path, lazy = hidden
        if owner is not value:  # the attributes of a container
            path = path[2:].replace("']", "", 1).lstrip(".")
        kind = type(owner).__name__
        raise CompileError(
            f"{lazy!r} is hidden in {path.lstrip('.')} of a {kind}, a place that is not rebuilt, so the task would "
            f"get the node instead of its value. Pass it as an argument of its own (or in a list, tuple, dict or set) and "
            f"build the {kind} inside a task; literal(...) passes the object as it is.",
            code="C04",
        )

    def _walk(self, root: Any) -> bool:
        """Post-order over nested containers. A container is marked when one of its members is, also through cycles."""
        found = self._found
        open_: list[tuple[Any, Iterator[Any]]] = []
        opened: set[int] = set()
        inside_itself: list[Any] = []

        def enter(container: Any) -> None:
            if type(container) not in _BUILTIN_CONTAINERS:
                self._refuse_hidden(container, dict(attributes(container)))
            opened.add(id(container))
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
                    if id(part) in opened:  # it is one of its own members
                        inside_itself.append(part)
                    elif known:
                        found[id(container)] = True
                    elif known is None:
                        enter(part)
                        descended = True
                        break
                elif self.holds_lazy(part):
                    found[id(container)] = True
            if descended:
                continue
            open_.pop()
            opened.discard(id(container))
            mine = found.setdefault(id(container), False)
            if mine and open_:
                found[id(open_[-1][0])] = True
        for container in inside_itself:
            if found[id(container)]:
                raise CompileError(
                    f"a {type(container).__name__} contains itself and a LazyResult too: it cannot be rebuilt. "
                    f"Pass the LazyResult as an argument of its own.",
                    code="C04",
                )
        return found[id(root)]


def _only_atoms(container: Any) -> bool:
    """A fast no: the set of the members' types, computed at C speed, has nothing that could hold a LazyResult."""
    if type(container) in _BUILTIN_CONTAINERS and len(container) > 8:
        kinds = set(map(type, container))
        if type(container) is dict:
            kinds.update(map(type, container.values()))
        return kinds <= ATOMS
    return False


def hidden_lazy(value: Any) -> tuple[str, LazyResult] | None:
    """The first LazyResult inside an object that is not rebuilt, with its path; None where there is none.

    Looks, as deep as they go, into data classes (dataclasses, attrs, msgspec), containers, deques, partials, exceptions and slices;
    into the attributes of other objects for two levels, since what lies behind them may be a whole program. Attributes are read
    without running properties. Stops after some thousands of objects: a graph is no place for more.
    """
    seen: set[int] = set()
    stack: list[tuple[str, Any, int]] = [("", value, 0)]
    while stack and len(seen) < _LOOKED_AT:
        path, one, level = stack.pop()
        kind = type(one)
        if kind is LazyResult:
            return path, one
        if kind in ATOMS or kind is Literal or id(one) in seen:
            continue
        seen.add(id(one))
        data = is_container(kind) or kind in _HOLDERS or _is_data(kind)
        if not data:
            level += 1
            if level > _LEVELS:
                continue
        stack.extend((path + name, part, level) for name, part in reversed(list(_parts(one))))
    return None


_LEVELS = 2
_LOOKED_AT = 10_000
_HOLDERS = (collections.deque, functools.partial, types.MappingProxyType, slice)


def _is_data(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or attrs.has(kind) or issubclass(kind, (msgspec.Struct, BaseException))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, each with the end of a path to it."""
    kind = type(value)
    if issubclass(kind, (enum.Enum, type)):
        return
    if kind is slice:
        yield from ((f".{name}", getattr(value, name)) for name in ("start", "stop", "step"))
    elif kind is functools.partial:
        yield from ((f".args[{at}]", part) for at, part in enumerate(value.args))
        yield from ((f".keywords[{name!r}]", part) for name, part in value.keywords.items())
    elif issubclass(kind, (dict, types.MappingProxyType)):
        if not _only_atoms(value):
            for key, part in value.items() if kind is types.MappingProxyType else dict.items(value):
                shown = short(key)
                yield f" (the key {shown})", key
                yield f"[{shown}]", part
    elif issubclass(kind, (collections.deque, list, tuple, set, frozenset)) and not _only_atoms(value):
        parts = members(value) if is_container(kind) else collections.deque.__iter__(value)
        yield from ((f"[{at}]", part) for at, part in enumerate(parts))
    elif issubclass(kind, BaseException):
        yield from ((f".args[{at}]", part) for at, part in enumerate(value.args))
    if kind not in _BUILTIN_CONTAINERS and kind not in _HOLDERS:
        yield from attributes(value)


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """The instance attributes of an object, from its ``__dict__`` and slots, as (".name", value)."""
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        held = None
    if type(held) is dict:
        yield from ((f".{name}", part) for name, part in held.copy().items())  # a copy: another thread may be writing
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name in ("__dict__", "__weakref__"):
                continue
            name = f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
            try:
                yield f".{name}", object.__getattribute__(value, name)
            except AttributeError:
                continue


def emptied(container: Any) -> Any:
    """An empty container of the same type, with the same attributes: what a rebuilt one begins as.

    Made without its constructor, which may want arguments, and without ever being shown the old items.
    """
    kind = type(container)
    made: Any
    if kind in (collections.defaultdict, collections.OrderedDict, collections.Counter):
        made = collections.defaultdict(container.default_factory) if kind is collections.defaultdict else kind()
    else:
        made = _bare(kind)
    if isinstance(made, collections.defaultdict):
        made.default_factory = container.default_factory
    for name, part in attributes(container):
        if name[1:] not in ("default_factory",):
            object.__setattr__(made, name[1:], part)
    return made


def _bare(kind: Any) -> Any:
    base: Any = next(base for base in _BUILTIN_CONTAINERS if issubclass(kind, base))
    return base.__new__(kind)


def build_kind(container: Any) -> tuple[str, Any]:
    """(kind, prototype) of a container that will be rebuilt; plain builtins have no prototype."""
    kind = type(container)
    for base in (list, tuple, dict, set, frozenset):
        if kind is base:
            return base.__name__, None
    base = next(base for base in (list, tuple, dict, set, frozenset) if issubclass(kind, base))
    return f"{base.__name__}-like", emptied(container)
