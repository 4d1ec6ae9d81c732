"""A warning for each edge of a graph whose ends say types that clearly cannot fit.

It is given where a graph is compiled ahead of time, and where the shape of a run's target is compiled for the first time: never on a hit.
Nothing is checked that is not annotated, and nothing is run to find out (annotations.py); what may fit, fits (type_fit.py).
See docs/decisions/0023-lazy-results-for-type-checkers.md.
"""

from __future__ import annotations

import typing
import warnings
from collections.abc import Iterable, Sequence
from types import GenericAlias, UnionType
from typing import Any, NamedTuple

from cascade_compiler.annotations import Ends, either, show
from cascade_compiler.inputs import InputKind
from cascade_compiler.ir import SKIPPED, Graph, Kind, Op
from cascade_compiler.lazy import LazyResult
from cascade_compiler.resource import ResourceKind
from cascade_compiler.task import Task
from cascade_compiler.type_fit import clashes
from cascade_vm.jumps import Jump
from cascade_vm.sites import line_of, portable_path

_MOST = 6  # sources of one value that are told apart: routes of a router, items of a list
_MOST_TOLD = 10_000
_TOLD: set[str] = set()  # a pair of ends is told of once


class TypeMismatchWarning(UserWarning):
    """A call takes a value of one type, and gets one of another, by what both say."""


class _Made(NamedTuple):
    """Where a value comes from that is made of others: ``what`` is a kind of container, "map", "item" or "any of"."""

    what: str
    of: tuple[Any, ...]


# What a value comes from, as it is told apart: a Task, InputKind or ResourceKind, the class of a literal, a _Made of those; None: unknown.
_CALL, _MAP, _LITERAL = Kind.CALL, Kind.MAP, Kind.LITERAL


def check(graph: Graph) -> None:
    """Warn of what cannot fit in a captured graph; linear in its edges, and the types are compared once for each pair of ends."""
    annotated = {task for task in {op.task for op in graph.ops} if task is not None and _ends(task).takes}
    if not annotated:
        return
    classes = [kind if type(kind) is type else None for kind in map(type, graph.literals)]
    sources: list[Any] = []
    append, source_of = sources.append, sources.__getitem__
    seen: set[Any] = set()
    for op in graph.ops:
        kind = op.kind
        if kind is _LITERAL:
            append(classes[op.detail])
            continue
        task = op.task
        if kind is _CALL:
            append(None if op.bound else task)  # what jumps lead to, is not told by the task
        else:
            append(_made(graph, op, sources))
        if task in annotated:
            names, detail = op.names, op.detail
            edges = (task, *map(source_of, op.args)) if not names and detail is None else (task, names, detail, *map(source_of, op.args))
            if edges not in seen:
                seen.add(edges)
                _check_call(graph, op, sources)


def _ends(task: Any) -> Ends:
    """What a task or a resource says of its types, read once."""
    ends = task.ends
    if ends is None:
        ends = task.ends = Ends(task.fn)
    return ends  # type: ignore[no-any-return]


def _made(graph: Graph, op: Op, sources: Sequence[Any]) -> Any:
    """The source of a value that is no literal, and not of a plain call."""
    match op.kind:
        case Kind.MAP:
            return _Made("map", (op.task,))
        case Kind.INPUT | Kind.RESOURCE:
            return op.detail
        case Kind.SELECT:
            return _of("any of", [None if at == SKIPPED else sources[at] for at in op.routes if at != SKIPPED])
        case Kind.ITEM:
            key = graph.ops[op.args[1]]
            index = graph.literals[key.detail] if key.kind is _LITERAL else None
            return _of("item", [sources[op.args[0]]], index if type(index) in (int, str) else None)
        case Kind.BUILD if op.detail in ("list", "tuple", "set", "frozenset"):
            parts = [sources[at] for at in op.args] if op.detail == "tuple" else dict.fromkeys(sources[at] for at in op.args)
            return _of(op.detail, list(parts)) if 0 < len(parts) <= _MOST else {"list": list, "tuple": tuple}.get(op.detail)
        case Kind.BUILD if op.detail == "dict":
            return dict
    return None


def _of(what: str, parts: list[Any], *more: Any) -> _Made | None:
    """One level deep, except for maps: what is made of what is made, is not looked at, so that sources stay small."""
    if len(parts) > _MOST or any(type(part) is _Made and part.what != "map" for part in parts):
        return None
    return _Made(what, (*parts, *more))


def _check_call(graph: Graph, op: Op, sources: Sequence[Any]) -> None:
    task = op.task
    assert task is not None
    ends = _ends(task)
    lead = (op.policy.dynamic if op.policy is not None else 0) + op.bound  # amounts of constraints and routes, before the arguments
    plain = len(op.args) - len(op.names)
    for number in range(lead, len(op.args)):
        parameter = ends.at(number - lead) if number < plain else ends.named(op.names[number - plain])
        wanted = ends.takes.get(parameter) if parameter is not None else None
        source = sources[op.args[number]]
        if wanted is None or source is None or _holds_lazy(wanted):
            continue
        goes_over = op.kind is _MAP and number in op.detail.iterated
        if goes_over:
            wanted = GenericAlias(Iterable, (wanted,))
        given = _type_of(source)
        if clashes(given, wanted):
            _warn(graph, op, str(parameter), ends, given, op.args[number], goes_over)


def _type_of(source: Any) -> Any:
    """The type of what comes from a source; Any where it is not told."""
    if type(source) is Task:
        return _result(_ends(source).gives)
    if type(source) is InputKind:
        return source.type
    if type(source) is ResourceKind:
        args = typing.get_args(_ends(source).gives)  # of an Iterator, Generator, AsyncIterator
        return args[0] if args else Any
    if type(source) is not _Made:
        return Any if source is None else source
    parts = [_type_of(part) for part in source.of if source.what != "item"]
    if source.what == "item":
        return _item(_type_of(source.of[0]), source.of[1])
    if source.what == "tuple":
        return GenericAlias(tuple, tuple(parts))
    one = either(parts)
    if source.what == "any of":
        return one
    return {"map": list, "list": list, "set": set, "frozenset": frozenset}[source.what][one]  # type: ignore[index]


def _result(gives: Any) -> Any:
    """What a task's call stands for, if its function gives this: of a LazyResult the value."""
    if gives is LazyResult or gives is Jump:
        return Any
    origin, args = typing.get_origin(gives), typing.get_args(gives)
    if origin is LazyResult:
        return args[0]
    if origin is typing.Union or origin is UnionType:
        return either([_result(part) for part in args])
    return gives


def _holds_lazy(wanted: Any) -> bool:
    """Does a parameter take LazyResults themselves (by ``literal``)?"""
    return wanted is LazyResult or typing.get_origin(wanted) is LazyResult or any(_holds_lazy(one) for one in typing.get_args(wanted))


def _item(kind: Any, key: Any) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and args and args[-1] is not ... and type(key) is int:
        return args[key] if -len(args) <= key < len(args) else Any
    if (origin is list or (origin is tuple and args and args[-1] is ...)) and type(key) is int:
        return args[0]
    return args[1] if origin is dict and len(args) == 2 else Any


def _warn(graph: Graph, op: Op, parameter: str, ends: Ends, given: Any, operand: int, goes_over: bool) -> None:
    assert op.task is not None
    wanted = ends.texts[parameter]
    label = f"{op.task.label}{'.map' if op.kind is _MAP else ''}"
    text = (
        f"{label}({parameter}: {wanted}) at {_site(op)} takes {'iterables of ' * goes_over}{wanted}, and gets {show(given)} "
        f"from {_producer(graph, graph.ops[operand])}"
    )
    if text in _TOLD:
        return
    if len(_TOLD) < _MOST_TOLD:
        _TOLD.add(text)
    assert op.code is not None
    warnings.warn_explicit(text, TypeMismatchWarning, op.code.co_filename, line_of(op.code, op.lasti))


def _site(op: Op) -> str:
    return f"{portable_path(op.code.co_filename)}:{line_of(op.code, op.lasti)}" if op.code is not None else "?"


def _producer(graph: Graph, op: Op) -> str:
    """Where a value comes from, in words."""
    at = f" at {_site(op)}" if op.code is not None else ""
    if op.task is not None:
        return f"{op.task.label}{'.map' if op.kind is _MAP else ''}{at}"
    match op.kind:
        case Kind.LITERAL:
            return "the value that is written there"
        case Kind.INPUT | Kind.RESOURCE:
            return f"{op.detail.label}{at}"
        case Kind.ITEM:
            return f"an item{at} of what {_producer(graph, graph.ops[op.args[0]])} gives"
        case Kind.SELECT:
            routes = [_producer(graph, graph.ops[route]) for route in op.routes if route != SKIPPED][:_MOST]
            return " or ".join(dict.fromkeys(routes))
    parts = [_producer(graph, graph.ops[part]) for part in op.args][:_MOST]
    return f"the {op.detail} of {', '.join(dict.fromkeys(parts))}"
