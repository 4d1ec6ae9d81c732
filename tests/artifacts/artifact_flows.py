"""Tasks and workflows that are compiled by one process and run by another. Importing this module is recorded."""

from __future__ import annotations

import asyncio
import datetime  # the type of an input: resolved when the workflow is traced
import decimal
import os
import sys
from typing import Any

from cascade_compiler import Env, Param, gather, task, workflow

sys.artifact_flows_imported = True  # type: ignore[attr-defined]
if marker := os.environ.get("ARTIFACT_FLOWS_MARKER"):
    with open(marker, "a") as file:
        file.write("imported\n")


@task
def double(x: int) -> int:
    return 2 * x


@task
def collect(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


@task
async def later(x: Any) -> Any:
    await asyncio.sleep(0)
    return x


@task
def countdown(n: int, mark: Any = "end") -> Any:
    return mark if n == 0 else countdown(n - 1, mark)


@task
def nest(x: Any) -> Any:
    return collect(later(x))


@task
def append(items: list[Any], x: Any) -> list[Any]:
    items.append(x)
    return items


@task
def fail(x: Any) -> Any:
    raise ValueError(x)


@task(version="7", name="renamed")
def versioned(x: Any) -> Any:
    return x


class Tools:
    @staticmethod
    @task
    def inner(x: Any) -> Any:
        return "inner", x


@workflow
def small(x: int, y: str = "d") -> Any:
    return collect(double(x), [later(y), {"k": (x,)}], k=double(2))


@workflow
def rich(
    day: datetime.date, rate: decimal.Decimal = decimal.Decimal("0.5"), tags: list[str] | None = None, limit: int = 3
) -> Any:
    shared = collect(day, rate)
    return {
        "shared": [shared, shared],
        "items": (shared[0][0], gather(double(limit), later(tags))),
        "set": {double(limit), "one", "two", 3},
        "frozen": frozenset(["a", "b", double(1)]),
        "ordered": collect(1).after(later(2)),
        "nested": nest(limit),
        "loop": countdown(limit),
        "held": append([], limit),
        "env": Env("ARTIFACT_FLOWS_ENV", int, 9),
        "tools": [Tools.inner(1), versioned(2)],
        "set of strings": collect({"alpha", "beta", "gamma", "delta", "epsilon"}),
    }


@workflow
def failing(x: int) -> Any:
    return collect(double(x), fail(x))


def param_graph() -> Any:
    return collect(Param("x", int, 1), [Param("y", str)])


@task(name="two words")
def spoken():
    return 1


@task(name="a:b")
def parted():
    return 1
