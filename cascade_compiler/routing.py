"""``Router``: the value of one route of several; the others do not run (S12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import _getframe
from typing import Any, TypeVar, overload

from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import ROUTER
from cascade_compiler.policy import refuse_task
from cascade_vm.inputs import MISSING

T = TypeVar("T")


@overload
def Router(
    selector: Any, routes: Mapping[Any, LazyResult[T]] | Iterable[tuple[Any, LazyResult[T]]], default: LazyResult[T] = MISSING
) -> LazyResult[T]: ...
@overload
def Router(selector: Any, routes: Mapping[Any, LazyResult[T]] | Iterable[tuple[Any, LazyResult[T]]], default: T) -> LazyResult[T]: ...
@overload
def Router(selector: Any, routes: Mapping[Any, Any] | Iterable[tuple[Any, Any]], default: Any = MISSING) -> LazyResult[Any]: ...
def Router(selector: Any, routes: Mapping[Any, Any] | Iterable[tuple[Any, Any]], default: Any = MISSING) -> LazyResult[Any]:
    """A LazyResult of the value of one route: ``Router(kind(order), {"card": by_card(order), "cash": by_cash(order)})``.

    :param selector: its value chooses the route, as a key chooses the entry of a dict.
    :param routes: a dict, or pairs of key and route. Keys are plain hashable values; routes are LazyResults or values.
    :param default: the route for every other key. Without one, another key raises ``RouteNotFound`` when it comes.
    :raises TypeError: a key is a LazyResult, or cannot be hashed. :raises ValueError: no routes; two keys that are equal (True and 1).
    """
    if isinstance(routes, LazyResult) or not isinstance(routes, Iterable):
        raise TypeError(f"Router: routes are a dict that is written out, since its keys are part of the graph; not {routes!r}")
    refuse_task(selector, "Router: the selector")
    pairs = list(routes.items()) if isinstance(routes, Mapping) else [_pair(one) for one in routes]
    if not pairs:
        raise ValueError("a Router needs at least one route")
    table: dict[Any, int] = {}
    for number, (key, _) in enumerate(pairs):
        _check_key(key)
        if key in table:
            other = pairs[table[key]][0]
            raise ValueError(f"Router: the keys {other!r} and {key!r} are equal, so only one of their routes could be taken")
        table[key] = number
    values = [value for _, value in pairs] + ([] if default is MISSING else [default])
    caller = _getframe(1)
    return LazyResult(ROUTER, (selector, table, *values), {}, None, caller.f_code, caller.f_lasti)


def _pair(one: Any) -> tuple[Any, Any]:
    if not isinstance(one, tuple) or len(one) != 2:
        raise TypeError(f"Router: routes are a dict, or pairs of key and route, not {one!r}")
    return one


def _check_key(key: Any) -> None:
    parts = [key]
    while parts:
        part = parts.pop()
        if type(part) is LazyResult:
            raise TypeError(f"Router: a key must be a plain value, not {part!r}: the value of a LazyResult is not known yet")
        if isinstance(part, (tuple, frozenset)):
            parts += part
    try:
        hash(key)
    except TypeError:
        raise TypeError(f"Router: the key {key!r} cannot be hashed, so no selector could find it") from None
    if key != key:
        raise ValueError(f"Router: the key {key!r} is not equal to itself, so no selector could find it")
