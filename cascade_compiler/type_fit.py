"""Can a value of one type be passed where another is wanted? ``clashes`` says yes only where it clearly cannot.

It is asked for warnings, and a warning that is wrong is worse than one that is missing. So whatever it does not know fits: type variables,
protocols, classes that answer for themselves, arrays, numbers of all kinds for each other, iterables of all kinds for each other. Of
containers it is supposed that they are not empty: a list of texts clashes with a list of numbers.
"""

from __future__ import annotations

import abc
import collections
import collections.abc
import datetime
import enum
import inspect
import types
import typing
from collections.abc import Iterable
from typing import Any

_DEEPEST = 8
_MOST_SUBCLASSES = 100  # that are looked through for one that is of both types
_NONE = type(None)

_NUMBERS = frozenset({bool, int, float, complex})  # and what the standard library registers as numbers
_BYTES = frozenset({bytes, bytearray, memoryview})
_ITERABLES = frozenset({list, tuple, set, frozenset, collections.deque})
# Classes that say all of what their values are: a subclass that is also something else, such as a list or a mapping, is not expected.
_CLOSED = _NUMBERS | _BYTES | _ITERABLES | {str, dict, _NONE, datetime.date, datetime.datetime, datetime.time, datetime.timedelta}
_MAPPINGS = frozenset(
    {dict, collections.defaultdict, collections.OrderedDict, collections.abc.Mapping, collections.abc.MutableMapping}
)
_OF_ONE = _ITERABLES | {
    getattr(collections.abc, name)
    for name in (
        "Iterable", "Iterator", "Generator", "Reversible", "Collection", "Container", "Sequence", "MutableSequence", "Set", "MutableSet",
    )
}  # fmt: skip

# A class with one of these may stand for something else.
_ANSWERS = frozenset(
    {"__getattr__", "__getattribute__", "__class__", "__array__", "__array_interface__", "__array_priority__", "__dlpack__",
     "__dataframe__", "__arrow_c_array__", "__arrow_c_stream__", "__torch_function__", "__jax_array__"}
)  # fmt: skip
# What a value needs to be taken for a builtin one by most code.
_SERVES_AS: tuple[tuple[frozenset[type], tuple[str, ...]], ...] = (
    (_NUMBERS, ("__index__", "__int__", "__float__", "__complex__")),
    (frozenset({str, bytes}), ("__fspath__",)),
    (_ITERABLES, ("__iter__",)),
    (_BYTES, ("__bytes__", "__buffer__")),
    (frozenset({dict}), ("__getitem__",)),
)


def clashes(given: Any, wanted: Any, depth: int = 0) -> bool:
    """True where no value of the type ``given`` is one of ``wanted``, as far as anybody can see. Never raises."""
    given, wanted = _plain(given), _plain(wanted)
    if given is Any or wanted is Any or given is wanted or depth > _DEEPEST:
        return False
    if _is_union(given):
        return all(clashes(one, wanted, depth + 1) for one in typing.get_args(given))
    if _is_union(wanted):
        return all(clashes(given, one, depth + 1) for one in typing.get_args(wanted))
    if typing.get_origin(given) is typing.Literal:
        return all(_no_such_value(value, wanted, depth) for value in typing.get_args(given))
    if typing.get_origin(wanted) is typing.Literal:
        return all(clashes(given, type(value), depth + 1) for value in typing.get_args(wanted))
    one, other = typing.get_origin(given) or given, typing.get_origin(wanted) or wanted
    if not isinstance(one, type) or not isinstance(other, type) or _is_strange(one) or _is_strange(other):
        return False
    return _apart(one, other) or _members_clash(given, wanted, one, other, depth + 1)


def _plain(kind: Any) -> Any:
    """A type without what is only said of it; Any for all that is not known."""
    for _ in range(_DEEPEST):
        origin = typing.get_origin(kind)
        if origin is typing.Annotated or origin in (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar):
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        else:
            break
    if kind is None:
        return _NONE
    if typing.is_typeddict(kind) or typing.is_typeddict(typing.get_origin(kind)):
        return dict
    if kind is object or not (isinstance(kind, type) or typing.get_origin(kind) is not None):
        return Any
    return kind


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _no_such_value(value: Any, wanted: Any, depth: int) -> bool:
    if typing.get_origin(wanted) is typing.Literal:
        return not any(type(one) is type(value) and one == value for one in typing.get_args(wanted))
    return clashes(type(value), wanted, depth + 1)


def _is_strange(kind: type) -> bool:
    """May a value be of this class in another way than by deriving from it?"""
    if kind in _CLOSED or kind in _OF_ONE or kind in _MAPPINGS:
        return False
    if getattr(kind, "_is_protocol", False) or kind.__module__ == "typing":
        return True
    own = (object, type, abc.ABCMeta, enum.EnumMeta)
    for meta in inspect.getmro(type(kind)):
        if meta not in own and not vars(meta).keys().isdisjoint(("__instancecheck__", "__subclasscheck__")):
            return True
    if kind.__module__ == "collections.abc":
        return kind in (collections.abc.Awaitable, collections.abc.Coroutine)  # who awaits them, is not told by types
    for base in kind.__mro__[:-1]:
        if base not in _CLOSED and not _ANSWERS.isdisjoint(vars(base)):
            return True
        if base.__module__ not in ("collections.abc", "typing", "builtins") and "__subclasshook__" in vars(base):
            return True
    return False


def _apart(one: type, other: type) -> bool:
    """Is a value of class ``one`` never taken for one of class ``other``?"""
    try:
        if issubclass(one, other) or issubclass(other, one):
            return False
    except Exception:  # a class may have been registered with another that answers in code of the user's
        return False
    if _is_number(one) and _is_number(other):
        return False
    if (one in _BYTES and other in _BYTES) or (one in _OF_ONE and other in _OF_ONE):
        return False
    if one not in _CLOSED or one in _ITERABLES:
        served = [names for kinds, names in _SERVES_AS if other in kinds]
        if any(hasattr(one, name) for names in served for name in names):
            return False
    abstract = [kind for kind in (one, other) if type(kind) is abc.ABCMeta]
    if abstract:
        return one in _CLOSED or other in _CLOSED
    return not any(_have_heirs_in_common(first, second) for first, second in ((one, other), (other, one)) if first not in _CLOSED)


def _is_number(kind: type) -> bool:
    return kind in _NUMBERS or kind.__module__ in ("numbers", "decimal", "fractions")


def _have_heirs_in_common(one: type, other: type) -> bool:
    """Does a class derive from both; or does ``one`` have so many heirs that this is not looked for?"""
    stack, seen = [one], {one}
    heirs: list[type[Any]]
    while stack:
        heirs = type.__subclasses__(stack.pop())
        for heir in heirs:
            if heir in seen:
                continue
            if other in heir.__mro__ or len(seen) >= _MOST_SUBCLASSES:
                return True
            seen.add(heir)
            stack.append(heir)
    return False


def _members_clash(given: Any, wanted: Any, one: type, other: type, depth: int) -> bool:
    """The same of what two containers hold, where that is said."""
    has, takes = _members(given, one), _members(wanted, other)
    if has is None or takes is None:
        return False
    if isinstance(has, dict) and isinstance(takes, dict):
        return any(clashes(has[part], takes[part], depth) for part in ("key", "value"))
    has, takes = (part["key"] if isinstance(part, dict) else part for part in (has, takes))
    if isinstance(has, tuple) and isinstance(takes, tuple):
        return len(has) != len(takes) or any(clashes(a, b, depth) for a, b in zip(has, takes, strict=True))
    return any(clashes(a, b, depth) for a in _each(has) for b in _each(takes))


def _members(kind: Any, origin: type) -> Any:
    """What a container holds: of a mapping {"key": ..., "value": ...}, of a tuple of fixed length a tuple, else a type; None: not told."""
    args = typing.get_args(kind)
    if origin is str:
        return str
    if origin in _BYTES:
        return int
    if origin is tuple and args and args[-1] is not ...:
        return tuple(args)
    if origin in _MAPPINGS:
        return {"key": args[0], "value": args[1]} if len(args) == 2 else None
    return args[0] if origin in _OF_ONE and args else None


def _each(members: Any) -> Iterable[Any]:
    return members if isinstance(members, tuple) else (members,)
