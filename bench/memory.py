"""Memory: flat over a long loop; and what compiling takes for each node, at its peak. Each is measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.case import BY_HAND
from bench.engines import compiled
from bench.interleaved import ROOT
from bench.results import Memory
from bench.tasks import Layers
from cascade_compiler import LazyResult, compile, run, task

TURNS = 10_000_000
NODES = 100_000
NODE_REACH = 1_500.0  # bytes a node, while it is compiled


def resident() -> tuple[int, int]:
    """Bytes of this process in memory: now, and at the most so far. Where the system does not say what it is now, the most."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmRSS"].split()[0]) * 1024, int(lines["VmHWM"].split()[0]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return most, most


_POINTS: dict[int, int] = {}
_LOOK_AT: set[int] = set()


@task
def turns(n: int, done: int) -> LazyResult | int:
    """Count down, and look at the memory now and then."""
    if done in _LOOK_AT:
        _POINTS[done] = resident()[0]
    return turns(n - 1, done + 1) if n else done


def _loop(engine: str, count: int) -> dict[str, float]:
    _LOOK_AT.update(at for at in (1_000, 10_000, 100_000, 1_000_000, 3_000_000, 10_000_000) if at <= count)
    if engine == BY_HAND:
        fn = turns.fn
        done = 0
        for done in range(count + 1):
            fn(0, done)
    elif run(turns(count, 0), engine=engine) != count:
        raise AssertionError("the loop did not go round as often as it should")
    return {str(at): float(size) for at, size in sorted(_POINTS.items())}


def _compile(nodes: int) -> dict[str, float]:
    import gc

    layers = Layers(nodes)
    compile(Layers(100).graph())  # what is imported and made once, for all
    target = layers.graph()
    gc.collect()
    before = resident()[0]
    program = compile(target)
    peak = resident()[1]
    if len(program.entry.instructions) != layers.size:
        raise AssertionError("not every node became an instruction")
    return {str(layers.size): (peak - before) / layers.size}


def _in_process(*what: str) -> dict[str, float]:
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-P", "-m", "bench.memory", *what], check=True, capture_output=True, text=True, env=path)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(turns: int = TURNS, nodes: int = NODES) -> list[Memory]:
    """All of it; with ``TURNS`` it takes about 25 s for each engine."""
    found = [
        Memory("a long loop", side, "iterations", _in_process("loop", side, str(turns))) for side in (BY_HAND, *compiled())
    ]
    found.append(Memory("compiling", "compile", "nodes", _in_process("compile", "", str(nodes)), NODE_REACH))
    return found


def main(what: str, side: str, count: str) -> Any:
    return _loop(side, int(count)) if what == "loop" else _compile(int(count))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
