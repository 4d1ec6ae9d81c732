"""What a node of a graph may be, besides a call of a task: an item of a value, a list of values, an input.

Every kind has a ``label`` (to show), and owns what the cache has compiled for graphs whose root is a node of it: ``known``, by
cycle_id, and ``entries``, the few of them that a new graph is matched against first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from cascade_vm.bounded import bounded
from cascade_vm.continuation import Continuation

if TYPE_CHECKING:
    from weakref import ref as Ref

    from cascade_compiler.cache import Entry
    from cascade_compiler.task import Task


T = TypeVar("T")


class NodeKind(Protocol):
    """What every LazyResult's ``task`` field has."""

    @property
    def label(self) -> str: ...

    is_input: ClassVar[bool]
    is_call: ClassVar[bool]  # may it have a retry, a timeout, a cache?
    entries: tuple[Entry | Ref[Entry], ...]
    known: dict[str, list[Entry | Ref[Entry]]]


class BuiltinKind:
    """A node that the machine computes itself."""

    __slots__ = ("__weakref__", "entries", "known", "label")
    is_input: ClassVar[bool] = False
    is_call: ClassVar[bool] = False

    def __init__(self, label: str) -> None:
        self.label = label
        self.entries: tuple[Entry | Ref[Entry], ...] = ()
        self.known: dict[str, list[Entry | Ref[Entry]]] = {}

    def __repr__(self) -> str:
        return f"<kind {self.label}>"


ITEM = BuiltinKind("item")  # args: (value, key)
GATHER = BuiltinKind("gather")  # args: the items
ROUTER = BuiltinKind("router")  # args: (selector, {key: number of its route}, *routes), and the default behind them where there is one
TARGETS = BuiltinKind("targets")  # no node: the root of a run of several targets in a container


class MapKind:
    """A map of one task: which of its arguments are iterated, and how many items may be in progress. One object for each such form.

    Of a node's positional arguments all are iterated, of its keywords those in ``iterated``; the others are common to all calls.
    """

    __slots__ = ("__weakref__", "entries", "iterated", "known", "max_concurrency", "task")
    is_input: ClassVar[bool] = False
    is_call: ClassVar[bool] = True

    def __init__(self, task: Task, iterated: frozenset[str], max_concurrency: int | None) -> None:
        self.task = task
        self.iterated = iterated
        self.max_concurrency = max_concurrency
        self.entries: tuple[Entry | Ref[Entry], ...] = ()
        self.known: dict[str, list[Entry | Ref[Entry]]] = {}

    @property
    def label(self) -> str:
        return f"{self.task.label}.map"

    def __repr__(self) -> str:
        return f"<kind {bounded(self.label)}>"


class Literal(Continuation):
    """A value that is not scanned for LazyResults: what ``literal(x)`` returns. A task that returns one has that very value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"literal(<{bounded(type(self.value).__name__, 80)}>)"


def literal(value: T) -> T:
    """Mark ``value`` as passed as it is: nothing in it is scanned or resolved, even where it holds LazyResults (S3)."""
    return Literal(value)  # type: ignore[return-value]  # it stands for the value wherever one is taken
