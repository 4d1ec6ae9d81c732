"""pipefunc: a ``Pipeline`` of functions that are wired by the names of what they give."""

from __future__ import annotations

from typing import Any

from pipefunc import PipeFunc, Pipeline

from bench.case import Cannot, Work
from bench.tasks import Layers, add, f, last


def chain(length: int) -> Work:
    steps = [PipeFunc(f, f"v{at + 1}", renames={"x": f"v{at}"}) for at in range(length)]
    pipeline = Pipeline(steps, validate_type_annotations=False)  # type: ignore[arg-type]
    end = f"v{length}"
    return Work(lambda: pipeline.run(end, kwargs={"v0": 0}), 1, expect=length)


def _layered(layers: Layers) -> Pipeline:
    steps = [PipeFunc(f, f"v0_{number}", renames={"x": f"in{number}"}) for number in range(len(layers.inputs))]
    for depth, row in enumerate(layers.rows):
        steps += [
            PipeFunc(add.fn, f"v{depth + 1}_{number}", renames={"x": f"v{depth}_{one}", "y": f"v{depth}_{other}"})
            for number, (one, other) in enumerate(row)
        ]
    names = [f"v{len(layers.rows)}_{number}" for number in range(len(layers.rows[-1]))]
    scope: dict[str, Any] = {"last": last.fn}  # a function takes what its parameters are called
    exec(f"def join({', '.join(names)}): return last({', '.join(names)})", scope)
    return Pipeline([*steps, PipeFunc(scope["join"], "end")], validate_type_annotations=False)


def layered(nodes: int) -> Work:
    layers = Layers(nodes)
    pipeline = _layered(layers)
    inputs = {f"in{number}": at for number, at in enumerate(layers.inputs)}
    return Work(lambda: pipeline.run("end", kwargs=inputs), layers.size, expect=layers.loops())


def build(nodes: int) -> Work:
    layers = Layers(nodes)
    return Work(lambda: bool(_layered(layers).topological_generations), layers.size, expect=True, alike=True)


def mapped(items: int) -> Work:
    pipeline = Pipeline([PipeFunc(f, "y", mapspec="x[i] -> y[i]")], validate_type_annotations=False)
    given = {"x": list(range(items))}

    def call() -> list[int]:
        return list(pipeline.map(given, parallel=False, storage="dict", show_progress=False)["y"].output)

    return Work(call, items, expect=list(range(1, items + 1)), note=f"{items:,} items")


def countdown(turns: int) -> Work:
    raise Cannot("its graphs have no cycles")


def overlapping(count: int) -> Work:
    raise Cannot("it does not await coroutines: its asynchronous maps hand functions to executors")


in_turn = overlapping
