"""The ways into the second tier, and the first, to compare with."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

from cascade_compiler import LazyResult, arun, compile, run

Ways = dict[str, Callable[[], Any]]


def ways(build: Callable[[], LazyResult], portable: bool = False, **options: Any) -> Ways:
    """Each runs ``build()`` and gives its value.

    :param portable: its tasks can be found by name, so that it can be a program, too.
    """

    def later(engine: str) -> Any:
        async def main() -> Any:
            return await arun(build(), engine=engine, **options)

        return asyncio.run(main())

    found: Ways = {
        "interpreter": lambda: run(build(), engine="interpreter", **options),
        "interpreter in a machine": lambda: run(build(), engine="interpreter", **{"capacity": {"nothing": 1}, **options}),
        "codegen": lambda: run(build(), engine="codegen", **options),  # by a machine
        "codegen again": lambda: run(build(), engine="codegen", **options),  # without one, where that can be
        "codegen once more": lambda: run(build(), engine="codegen", **options),  # a loop that has gone round
        "interpreter in a loop": lambda: later("interpreter"),
        "codegen in a loop": lambda: later("codegen"),
        "codegen in a loop again": lambda: later("codegen"),  # a chain
    }
    if portable:
        interpreted = compile(build()).link(engine="interpreter", **options)
        found["program, interpreter"] = interpreted.run
        found["program, interpreter again"] = interpreted.run
        program = compile(build()).link(engine="codegen", **options)
        found["program"] = program.run
        found["program again"] = program.run
    return found


def told(call: Callable[[], Any]) -> tuple[Any, ...]:
    """What came of it: type, arguments and notes of a failure, and where in the user's files it was raised."""
    try:
        return "value", call()
    except BaseException as failure:
        lines = traceback.extract_tb(failure.__traceback__)
        users = [(line.name, line.lineno) for line in lines if "/tests/" in line.filename and "ways.py" not in line.filename]
        return type(failure), failure.args, getattr(failure, "__notes__", []), users


def agree(build: Callable[[], LazyResult], portable: bool = False, **options: Any) -> tuple[Any, ...]:
    """What ``build()`` comes to, by every way."""
    seen = {name: told(call) for name, call in ways(build, portable, **options).items()}
    first = seen["interpreter"]
    for name, one in seen.items():
        assert one == first, (name, one, first)
    return first
