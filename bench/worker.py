"""A process that makes and times sides of one case, one at a time, as it is told on its standard input.

The conductor (interleaved.py) lets several of these take turns: one for Cascade and what is written by hand, one for each peer, so that
nobody's imports, threads or garbage are in another's process; or one for each of two commits. A line in is a JSON object with what to
``do``; the answer is a line of JSON out. What the work prints goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import cascade_vm
from bench.case import Cannot, Case, Work

MODULES = ("chains", "layered", "fresh", "loops", "maps", "awaiting", "compiling", "artifact", "growth", "build", "matching", "profile")


def find(module: str, name: str) -> Case:
    """The case called ``name`` of a file of this package."""
    return next(case for case in import_module(f"bench.{module}").cases() if case.name == name)


def time(work: Work, repeats: int) -> float:
    """Seconds for one unit. The collector stays on, as it is when users run, but starts from a clean slate."""
    gc.collect()
    spent = 0.0
    if work.prepare is None:
        call = work.call
        start = perf_counter()
        for _ in range(repeats):
            call()
        spent = perf_counter() - start
    else:
        for _ in range(repeats):
            arguments = work.arguments()
            start = perf_counter()
            work.call(*arguments)
            spent += perf_counter() - start
            del arguments
    return spent / (repeats * work.count)


def make(factory: Callable[[], Work]) -> tuple[Work, dict[str, Any]]:
    """Make and check a side. ``took`` is the seconds of one call: of a second one, where the first may have had more to do."""
    start = perf_counter()
    work = factory()
    prepared = perf_counter() - start
    took = work.check()
    if took < 0.1 or not work.alike:
        took = min(took, time(work, 1) * work.count)
    return work, {"took": took, "count": work.count, "note": work.note, "prepared": prepared}


def serve(module: str, name: str, peer: str | None) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if peer is None:
        factories = dict(find(module, name).sides)
    else:
        from bench import peers

        asked = find(module, name).peers
        if asked is None:
            raise LookupError(f"{name} is not for peers")
        factories = {peer: lambda: peers.side(peer, asked)}
        with suppress(ImportError):  # to be told when the side is made
            import_module(peers.PEERS[peer].module)
    gc.collect()
    gc.freeze()  # what has been imported: users of one engine would not have all of it
    made: dict[str, Work] = {}
    for line in sys.stdin:
        asked_for = json.loads(line)
        side = asked_for.get("side", "")
        answer: dict[str, Any]
        try:
            match asked_for["do"]:
                case "sides":
                    answer = {"sides": list(factories), "tree": str(Path(cascade_vm.__file__).parents[1])}
                case "make":
                    made[side], answer = make(factories[side])
                case "time":
                    answer = {"seconds": time(made[side], asked_for["repeats"])}
                case other:
                    raise ValueError(f"there is nothing to do called {other!r}")
        except Cannot as why:
            answer = {"cannot": str(why)}
        except Exception as fault:  # told to the conductor, which decides: an old commit may lack what a case needs
            traceback.print_exc()
            answer = {"fault": f"{type(fault).__name__}: {fault}"[:500]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
