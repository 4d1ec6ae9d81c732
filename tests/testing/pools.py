"""Drawn graphs for the tests of the harness: the same at every run, drawn once for all tests and all of pytest's workers."""

from __future__ import annotations

import fcntl
import pickle
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from cascade_compiler.testing import FEATURES, GraphSpec, graph_specs

# A long run of Hypothesis draws most graphs as variations of others; short ones have graphs that differ, in half of the time.
RUNS, IN_A_RUN = 12, 6


class Pools:
    """``pools(focus, number)`` are some dozens of graphs; other numbers have others.

    :param directory: where they are kept, for those who ask for them later.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[tuple[str, int], list[GraphSpec]] = {}

    def __call__(self, focus: str, number: int = 0, features: frozenset[str] = FEATURES) -> list[GraphSpec]:
        key = (f"{focus}-{len(features)}", number)
        if key not in self._known:
            path = self._directory / f"{key[0]}-{number}.pickle"
            with open(path, "a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # one draws, the others wait for it
                file.seek(0)
                if not (text := file.read()):
                    file.write(text := pickle.dumps(_drawn(focus, number, features)))
            self._known[key] = pickle.loads(text)
        return self._known[key]


def _drawn(focus: str, number: int, features: frozenset[str]) -> list[GraphSpec]:
    specs: dict[GraphSpec, None] = {}
    for run in range(RUNS):

        @seed(number * RUNS + run)
        @settings(max_examples=IN_A_RUN, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(graph_specs(features=features, focus=None if focus == "all" else focus))
        def collect(spec: GraphSpec) -> None:
            specs[spec] = None

        collect()
    return list(specs)
