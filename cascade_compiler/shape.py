"""The shape of a graph and its digest, the ``cycle_id``.

The shape is everything but the values of literals and inputs (S27). Its digest is taken over a canonical encoding that names tasks
by symbol, so it is the same in every process. Two tasks may carry one symbol (a function defined again), so in one process a
digest is always accompanied by ``identities``: the objects that the names stood for.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from cascade_compiler.ir import Graph, Kind
from cascade_vm import constants
from cascade_vm.inputs import MISSING

_FORMAT = "cascade-shape-1"


def digest(graph: Graph) -> str:
    """The cycle_id: 40 hexadecimal digits (BLAKE2b, 160 bits)."""
    state = hashlib.blake2b(digest_size=20)
    for entry in _entries(graph):
        state.update(entry)
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


def _entries(graph: Graph) -> Any:
    """The canonical encoding, one msgpack array an operation."""
    encode = msgspec.msgpack.Encoder().encode
    tasks: dict[Any, int] = {}
    classes = iter(graph.classes)
    yield encode(_FORMAT)
    for op in graph.ops:
        if op.task is not None:
            at = tasks.get(op.task)
            if at is None:
                at = tasks[op.task] = len(tasks)
                yield encode(["task", op.task.symbol, op.task.version, op.task.is_async, op.task.pure, op.task.mode])
            told = [*([] if op.policy is None else [op.policy]), *(["bound"] if op.bound else [])]
            if op.kind is Kind.MAP:
                yield encode(["map", op.detail.iterated, op.detail.max_concurrency])
            yield encode([at, op.args, op.names, op.after, *told])
        elif op.kind is Kind.LITERAL:
            yield b"\xc0"
        elif op.kind is Kind.ITEM:
            yield encode(["item", op.args, op.after])
        elif op.kind is Kind.RESOURCE:
            yield encode(["resource", op.detail.symbol, op.detail.scope, op.detail.is_async, op.args, op.names])
        elif op.kind is Kind.BRANCH or op.kind is Kind.SELECT:
            yield encode([op.kind.value, op.args, op.after, op.routes, op.detail])
        elif op.kind is Kind.INPUT:
            yield encode(["input", op.detail.source, op.detail.name, type_text(op.detail.type), _default_text(op.detail.default)])
        else:
            yield encode(["build", op.detail, op.args, op.after])
            if op.detail.endswith("-like"):
                yield encode(type_text(next(classes)))
    yield encode(["result", graph.result])


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
