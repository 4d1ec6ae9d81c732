"""The shape of a graph and its digest, the ``cycle_id``.

The shape is everything but the values of literals and inputs (S27). Its digest is taken over a canonical encoding that names tasks
by symbol, so it is the same in every process. Two tasks may carry one symbol (a function defined again), so in one process a
digest is always accompanied by ``identities``: the objects that the names stood for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from cascade_compiler.ir import Graph, Kind
from cascade_vm import constants
from cascade_vm.inputs import MISSING

_FORMAT = "cascade-shape-1"
_BATCH = 1000  # entries encoded at once: to encode few costs as much as to begin


def digest(graph: Graph) -> str:
    """The cycle_id: 40 hexadecimal digits (BLAKE2b, 160 bits)."""
    state = hashlib.blake2b(digest_size=20)
    encode = msgspec.msgpack.Encoder().encode
    entries = _entries(graph)
    while batch := list(islice(entries, _BATCH)):
        # The entries one behind the other: an array without its header, of 1 byte for less than 16 entries.
        state.update(memoryview(encode(batch))[1 if len(batch) < 16 else 3 :])
    return state.hexdigest()


def identities(graph: Graph) -> tuple[Any, ...]:
    """The tasks, classes and input declarations of the graph, each at its first use: what the digest knows by name only."""
    found: dict[int, Any] = {}
    for op in graph.ops:
        if op.task is not None:
            found.setdefault(id(op.task), op.task)
        if op.kind is Kind.RESOURCE:
            found.setdefault(id(op.detail), op.detail)
        if op.live is not None:
            for one in (*op.live.errors, op.live.cache):
                found.setdefault(id(one), one)
    for kind in graph.classes:
        found.setdefault(id(kind), kind)
    return (*found.values(), *graph.inputs)


def _entries(graph: Graph) -> Iterator[Any]:
    """The canonical form of each operation, and of what it is the first to name; all will be msgpack."""
    literal, mapped = Kind.LITERAL, Kind.MAP
    tasks: dict[Any, int] = {}
    classes = iter(graph.classes)
    yield _FORMAT
    for op in graph.ops:
        task = op.task
        if task is not None:
            at = tasks.get(task)
            if at is None:
                at = tasks[task] = len(tasks)
                yield ["task", task.symbol, task.version, task.is_async, task.pure, task.mode]
            if op.kind is mapped:
                yield ["map", op.detail.iterated, op.detail.max_concurrency]
            entry = [at, op.args, op.names, op.after]
            if op.policy is not None:
                entry.append(op.policy)
            if op.bound:
                entry.append("bound")
            yield entry
        elif op.kind is literal:
            yield None
        elif op.kind is Kind.ITEM:
            yield ["item", op.args, op.after]
        elif op.kind is Kind.RESOURCE:
            yield ["resource", op.detail.symbol, op.detail.scope, op.detail.is_async, op.args, op.names]
        elif op.kind is Kind.BRANCH or op.kind is Kind.SELECT:
            yield [op.kind.value, op.args, op.after, op.routes, op.detail]
        elif op.kind is Kind.INPUT:
            yield ["input", op.detail.source, op.detail.name, type_text(op.detail.type), _default_text(op.detail.default)]
        else:
            yield ["build", op.detail, op.args, op.after]
            if op.detail.endswith("-like"):
                yield type_text(next(classes))
    yield ["result", graph.result]


def type_text(kind: Any) -> str:
    """A type by name: ``module:qualname`` for classes, Python's own text for the rest."""
    if isinstance(kind, type) and not hasattr(kind, "__args__"):
        return f"{kind.__module__}:{kind.__qualname__}"
    return str(kind)


def _default_text(default: Any) -> str:
    if default is MISSING:
        return "-"
    try:
        return f"={constants.encode(default).hex()}"
    except constants.NotEncodable:
        return f"={type_text(type(default))}"
