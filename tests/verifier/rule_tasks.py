"""The tasks that the listings of this folder call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from cascade_compiler import Jump, resource, task


@task(version="1")
def f(*args: Any, **kwargs: Any) -> Any:
    """Tells what it was given."""
    return ["f", *args, kwargs] if kwargs else ["f", *args]


@task(version="1")
def one(x: Any) -> Any:
    return x


@task(version="1")
async def g(*args: Any, **kwargs: Any) -> Any:
    await asyncio.sleep(0)
    return ["g", *args, kwargs] if kwargs else ["g", *args]


@task(version="1")
def nested(x: Any) -> Any:
    """Its value is that of a graph that waits: a frame in which it stands leaves its strands."""
    return g(x)


@task(version="1")
def step(n: Any, rows: Any = None) -> Any:
    return Jump("end", ["done", n, rows]) if n >= 3 else Jump("again", {"n": n + 1})


@resource
def connection() -> Iterator[str]:
    yield "connection"
