"""The engines of Cascade that can be measured in this tree, and how a graph is kept ready for each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from cascade_compiler import arun, compile, run, task

GRAPH, INTERPRETER, CODEGEN = "graph", "interpreter", "codegen"
_SLOWER = {GRAPH: 50}  # graph mode gets a smaller count where the work is long; it costs about that much more


@task
def _probe(x: int) -> int:
    return x


@cache
def engines() -> tuple[str, ...]:
    """Graph mode, the interpreter and, where this tree has it, generated code: found out by asking for it once."""
    try:
        run(_probe(1), engine=CODEGEN)
        compile(_probe(1)).link(engine=CODEGEN)
    except ValueError:
        return GRAPH, INTERPRETER
    return GRAPH, INTERPRETER, CODEGEN


def compiled() -> tuple[str, ...]:
    """The engines that run instructions."""
    return tuple(engine for engine in engines() if engine != GRAPH)


def scaled(count: int, engine: str) -> int:
    """A count for ``engine`` that takes about as long as ``count`` does for the others."""
    return max(1, count // _SLOWER.get(engine, 1))


def kept(target: Any, engine: str) -> Callable[[], Any]:
    """A call that runs ``target``, with all that can be done before having been done. Graph mode has nothing to do before."""
    return partial(run, target, engine=GRAPH) if engine == GRAPH else compile(target).link(engine=engine).run


def akept(target: Any, engine: str) -> Callable[[], Any]:
    """``kept`` for a running event loop."""
    return partial(arun, target, engine=GRAPH) if engine == GRAPH else compile(target).link(engine=engine).arun
