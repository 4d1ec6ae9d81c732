"""The containers of ``build``: how each is made of its parts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from cascade_vm import isa


def _dict_of(parts: list[Any]) -> dict[Any, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _refilled(fill: Callable[[Any, list[Any]], None]) -> Callable[[list[Any]], Any]:
    def build(parts: list[Any]) -> Any:
        container = copy.copy(parts[0])
        fill(container, parts[1:])
        return container

    return build


def _set_items(container: Any, parts: list[Any]) -> None:
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        container[key] = value


def _immutable(base: Any) -> Callable[[list[Any]], Any]:
    def build(parts: list[Any]) -> Any:
        prototype = parts[0]
        container: Any = base.__new__(type(prototype), parts[1:])
        if hasattr(prototype, "__dict__"):
            container.__dict__.update(prototype.__dict__)
        return container

    return build


_BUILDER_OF: dict[str, Callable[[list[Any]], Any]] = {
    "list": lambda parts: parts,
    "tuple": tuple,
    "dict": _dict_of,
    "set": set,
    "frozenset": frozenset,
    "list-like": _refilled(lambda made, parts: made.extend(parts)),
    "tuple-like": _immutable(tuple),
    "dict-like": _refilled(_set_items),
    "set-like": _refilled(lambda made, parts: made.update(parts)),
    "frozenset-like": _immutable(frozenset),
}
BUILDERS: tuple[Callable[[list[Any]], Any], ...] = tuple(_BUILDER_OF[name] for name in isa.CONTAINERS)
