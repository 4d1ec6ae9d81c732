"""``task.map(...)``: one call for each position of some iterables, and ``common(...)``: values that go to every call (S13)."""

from __future__ import annotations

from collections.abc import Iterable
from sys import _getframe
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from cascade_compiler.lazy import LazyResult
from cascade_compiler.node_kinds import Literal, MapKind
from cascade_vm.bounded import bounded
from cascade_vm.notes import short

if TYPE_CHECKING:
    from cascade_compiler.task import Task


class _Indexed(Protocol):
    def __getitem__(self, key: int, /) -> Any: ...


Iterated: TypeAlias = Iterable[Any] | _Indexed  # what a map goes over, besides LazyResults


class Common:
    """What ``common`` marks a value with."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"common(<{bounded(type(self.value).__name__, 80)}>)"


def common(**values: Any) -> dict[str, Any]:
    """Values for every call of a map: ``price.map(item=items, **common(currency="EUR"))``. They may be LazyResults.

    :raises TypeError: there are none.
    """
    if not values:
        raise TypeError("common() takes values by name: task.map(x=xs, **common(y=1))")
    return {name: Common(value) for name, value in values.items()}


def mapped(task: Task, /, *iterables: Any, max_concurrency: int | None = None, **named: Any) -> LazyResult[list[Any]]:
    """A LazyResult of the list of ``task``'s results, one call for each position of the iterables, in order (S13).

    :param iterables: for the task's first parameters; they, and those by name, must have one length. A LazyResult of an iterable
        will do, and a list that holds LazyResults.
    :param max_concurrency: how many items may be in progress at once; 1,000 where it is not given.
    :param named: iterables by the names of parameters, and ``**common(...)``.
    :raises TypeError: there is no iterable, or something that cannot be iterated. :raises ValueError: lengths that differ.
    """
    kwargs = {}
    iterated = []
    for name, value in named.items():
        if type(value) is Common:
            kwargs[name] = value.value
        else:
            kwargs[name] = value
            iterated.append(name)
    if not iterables and not iterated:
        raise TypeError(f"{task.label}.map needs something to go over: an iterable for at least one parameter")
    if max_concurrency is not None and (type(max_concurrency) is not int or max_concurrency < 1):
        raise ValueError(f"{task.label}.map: max_concurrency must be an int of at least 1, not {max_concurrency!r}")
    _check_lengths(task, {**{f"argument {at}": one for at, one in enumerate(iterables)}, **{n: kwargs[n] for n in iterated}})
    form = (frozenset(iterated), max_concurrency)
    kind = task.maps.get(form)
    if kind is None:
        kind = task.maps.setdefault(form, MapKind(task, *form))
    caller = _getframe(1)
    return LazyResult(kind, iterables, kwargs, None, caller.f_code, caller.f_lasti)


def _check_lengths(task: Task, given: dict[str, Any]) -> None:
    """What is known already when the map is written; the rest is known when it runs."""
    lengths: dict[str, int] = {}
    for name, value in given.items():
        if type(value) is LazyResult:
            continue
        if type(value) is Literal:
            value = value.value
        if type(value) is dict and any(type(one) is Common for one in value.values()):
            raise TypeError(f"{task.label}.map: common() stands as **common(...), with its stars")
        if not hasattr(type(value), "__iter__") and not hasattr(type(value), "__getitem__"):
            raise TypeError(
                f"{task.label}.map: {name} is {short(value)}, which cannot be iterated. A value for every call goes into "
                f"**common({name if name.isidentifier() else 'x'}=...)"
            )
        if hasattr(type(value), "__len__"):
            lengths[name] = len(value)
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"{task.label}.map: the iterables must have one length, and {shown}")
