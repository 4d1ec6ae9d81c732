"""Jumps as values: what a bound task returns, and how what it carries becomes arguments of the next call (S26)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, NoReturn

from cascade_vm.bounded import bounded
from cascade_vm.continuation import CONTINUATIONS, Continuation
from cascade_vm.errors import RouteNotFound
from cascade_vm.inputs import MISSING
from cascade_vm.notes import short


class Evaluations(NamedTuple):
    """What of several values has to be evaluated first: ``alone`` has each value, or the continuation that it is the value of.

    Those whose numbers are in ``shared`` have parts in common, which must be evaluated once: the value of ``joint`` is a list that has them
    in their places.
    """

    alone: list[Any]
    joint: Continuation | None = None
    shared: frozenset[int] = frozenset()


def _bare(values: list[Any]) -> Evaluations | None:
    return Evaluations(values) if any(type(value) in CONTINUATIONS for value in values) else None


class Jump(Continuation):
    """Returned by a bound task: go on with the route of ``key``.

    ``data`` overrides the arguments of that route: a dict by the names of its parameters, any other value its first parameter. Where the
    route is None, the loop ends, and ``data`` is its value.
    """

    __slots__ = ("data", "key")

    # What of the values that a jump carries is no plain value; None where all are. Who knows graphs puts a scan of its own here.
    evaluations: ClassVar[Callable[[list[Any]], Evaluations | None]] = staticmethod(_bare)

    def __init__(self, key: Any, data: Any = MISSING) -> None:
        self.key = key
        self.data = data

    def __repr__(self) -> str:
        return f"Jump({short(self.key)})" if self.data is MISSING else f"Jump({short(self.key)}, {short(self.data)})"

    def activate(self, *_: Any, **__: Any) -> NoReturn:
        """A jump that comes here was returned by a task without routes.

        :raises RouteNotFound: always.
        """
        raise RouteNotFound(
            f"{self!r} leads nowhere: the task that returned it is not bound. Give its call routes with "
            f"bind(call, select_jump({{{short(self.key)}: ...}}))"
        )


def shown_routes(routes: Mapping[Any, Any]) -> str:
    """Routes by key, as their ``repr`` has them."""
    keys = [short(key) for key, _ in zip(routes, range(8), strict=False)]
    more = f", ... ({len(routes):,} keys)" if len(routes) > len(keys) else ""
    return f"<select_jump: {bounded(', '.join(keys), 200)}{more}>"


def no_route(jump: Jump, keys: Iterable[Any]) -> RouteNotFound:
    """The error for a jump whose key is none of ``keys``."""
    return RouteNotFound(f"there is no route for {jump!r}: the routes are {', '.join(short(key) for key in keys)}")


def no_argument(label: str, data: Any) -> TypeError:
    """The error for data that is to be the first parameter of a task without parameters."""
    return TypeError(f"{label} takes no argument that {short(data)} could be: Jump with a dict, by the names of parameters")


def does_not_fit(label: str, signature: str, fault: TypeError) -> TypeError:
    """The error for data that names what the task does not take; ``fault`` is Python's own."""
    return TypeError(f"the data of a jump does not fit {label}{signature}: {fault}")


# --- keywords that a call was compiled with, and may be made without --------------------------------------------------------

ABSENT: Any = type("ABSENT", (), {"__repr__": lambda self: "<not given>", "__slots__": ()})()  # in the place of an argument


class More(dict[str, Any]):
    """In the place of one keyword: any number of them."""

    __slots__ = ()


def given(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that are there: without those that are ABSENT, and with what More stands for."""
    found: dict[str, Any] = {}
    for name, value in kwargs.items():
        if type(value) is More:
            found.update(value)
        elif value is not ABSENT:
            found[name] = value
    return found
