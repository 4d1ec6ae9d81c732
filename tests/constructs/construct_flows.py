"""Graphs of every construct that an artifact can hold; their tasks are found by name."""

from __future__ import annotations

import asyncio
from typing import Any

from cascade_compiler import Param, Router, common, gather, pipeline, sequence, task, workflow


@task
def give(x: Any, *rest: Any) -> Any:
    return x


@task
def add(x: Any, y: Any = 100) -> Any:
    return x + y


@task
async def wait(seconds: float, value: Any = None) -> Any:
    await asyncio.sleep(seconds)
    return value


class Flaky(Exception):
    pass


tries: dict[Any, int] = {}


@task
def flaky(name: Any, times: int) -> Any:
    tries[name] = tries.get(name, 0) + 1
    if tries[name] <= times:
        raise Flaky(name)
    return tries.pop(name)


@task
def loop(n: int) -> Any:
    return Router(n > 0, {True: loop(n - 1)}, default="end").run_if(give(True), "never")


@workflow
def everything(key: str, flag: bool, n: int = 2) -> Any:
    return gather(
        Router(key, {"a": add(1, n), "b": [give(n)], (1, 2): 3}, default=give("default")),
        add(n, 5).run_if(flag, otherwise=give("other")),
        add.map([1, 2, give(3)], **common(y=n)),
        add.map(x=give([1, 2]), y=[10, 20], max_concurrency=1).run_if(flag, []),
        flaky(key, 2).with_retry(3, on=Flaky),
        flaky.map(["m", "n"], **common(times=1)).with_retry(2),
        wait(0, "w").with_timeout(60).with_constraints(slots=1, amount=give(1)).with_rate_limit("r", 1_000),
        sequence([give(1), give(2).run_if(flag, 0), give("last")]),
        pipeline(n, [add, add]),
        Router(flag, {True: loop(n), False: Router(n, {2: "two"})}),
    )


skipped = add(1).run_if(Param("flag", bool))
routed = Router(Param("key"), {"a": add(1), 2: add(2)})
