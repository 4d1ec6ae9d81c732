"""Inputs of a workflow: ``Param`` (given by the caller) and ``Env`` (read from the environment when a run starts)."""

from __future__ import annotations

from collections.abc import Iterator
from sys import _getframe
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from cascade_compiler.lazy import LazyResult
from cascade_vm.bounded import bounded
from cascade_vm.inputs import MISSING

if TYPE_CHECKING:
    from weakref import ref as Ref

    from cascade_compiler.cache import Entry


T = TypeVar("T")


class InputKind:
    """The declaration of one input. ``source`` is "param" or "env"; ``type`` is a type that msgspec can convert to."""

    is_input: ClassVar[bool] = True
    is_call: ClassVar[bool] = False
    __slots__ = ("__weakref__", "default", "entries", "known", "name", "source", "type")

    def __init__(self, name: str, type: Any, default: Any, source: str) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"an input's name must be a non-empty str, not {name!r}")
        self.name = name
        self.type = type
        self.default = default
        self.source = source
        self.entries: tuple[Entry | Ref[Entry], ...] = ()
        self.known: dict[str, list[Entry | Ref[Entry]]] = {}

    @property
    def label(self) -> str:
        return f"{'Env' if self.source == 'env' else 'Param'} {self.name}"

    def __repr__(self) -> str:
        return f"<{bounded(self.label)}>"


@overload
def Param(name: str, type: type[T], default: T = MISSING) -> LazyResult[T]: ...
@overload
def Param(name: str, type: Any = Any, default: Any = MISSING) -> LazyResult[Any]: ...
def Param(name: str, type: Any = Any, default: Any = MISSING) -> LazyResult[Any]:
    """An input of the graph, to be given when it runs: ``run(target, params={name: value})`` (S20).

    The value is validated and converted against ``type`` before anything runs. Two Params of one name in a graph are the
    same input, and must agree in type and default. Returns a ``LazyResult``.
    """
    caller = _getframe(1)
    return LazyResult(InputKind(name, type, default, "param"), (), {}, None, caller.f_code, caller.f_lasti)


@overload
def Env(name: str, *, default: str = MISSING) -> LazyResult[str]: ...
@overload
def Env(name: str, type: type[T], default: T = MISSING) -> LazyResult[T]: ...
@overload
def Env(name: str, type: Any = str, default: Any = MISSING) -> LazyResult[Any]: ...
def Env(name: str, type: Any = str, default: Any = MISSING) -> LazyResult[Any]:
    """An input read from the environment variable ``name`` when a run starts; otherwise like ``Param``."""
    caller = _getframe(1)
    return LazyResult(InputKind(name, type, default, "env"), (), {}, None, caller.f_code, caller.f_lasti)


@overload
def gather(*items: LazyResult[T]) -> LazyResult[list[T]]: ...
@overload
def gather(*items: Any) -> LazyResult[list[Any]]: ...
def gather(*items: Any) -> LazyResult[list[Any]]:
    """A LazyResult of the list of the values of ``items``, in order; what waits among them overlaps.

    >>> gather(*[fetch(url) for url in urls])

    :raises TypeError: an item is an iterator, which nothing would run.
    """
    from cascade_compiler.node_kinds import GATHER

    for item in items:
        if isinstance(item, Iterator):
            raise TypeError(f"gather takes the items themselves, not {type(item).__name__!r}: unpack it, gather(*items)")

    caller = _getframe(1)
    return LazyResult(GATHER, items, {}, None, caller.f_code, caller.f_lasti)
