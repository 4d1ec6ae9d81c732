"""Drawn graphs, for all tests that want some: the same at every run, drawn once for all tests and all of pytest's workers.

Half of the time of a test of drawn graphs would go into drawing them, and most tests try the same ones: so they are kept.
``CASCADE_EXAMPLES`` says how many are tried: with it, they are drawn anew for each test, by chance.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from cascade_compiler.testing import FEATURES, GraphSpec, graph_specs

EXAMPLES = int(os.environ.get("CASCADE_EXAMPLES", "240"))
# A long run of Hypothesis draws most graphs as variations of others; short ones have graphs that differ, in half of the time.
IN_A_RUN = 6
IN_A_POOL = 12  # runs

TryAll = Callable[..., None]


class Pools:
    """``pools(focus, number)`` are some dozens of graphs; other numbers have others.

    :param directory: where they are kept, for those who ask for them later.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[tuple[str, int], list[GraphSpec]] = {}

    def __call__(self, focus: str, number: int = 0) -> list[GraphSpec]:
        specs: dict[GraphSpec, None] = {}
        for run in range(number * IN_A_POOL, (number + 1) * IN_A_POOL):
            specs.update(dict.fromkeys(self.of_run(focus, run)))
        return list(specs)

    def of_run(self, focus: str, run: int) -> list[GraphSpec]:
        """What one short run of Hypothesis draws.

        :param focus: what they are about, of ``FOCUSES``; "all": some about this, some about that.
        :param run: the seed.
        """
        if (focus, run) not in self._known:
            with open(self._directory / f"{focus}-{run}.pickle", "a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # one draws, the others wait for it
                file.seek(0)
                if not (text := file.read()):
                    file.write(text := pickle.dumps(_drawn(focus, run)))
            self._known[focus, run] = pickle.loads(text)
        return self._known[focus, run]

    def try_all(self, check: Callable[[GraphSpec], object], share: float, focus: str | None = None) -> None:
        """Call ``check`` with drawn graphs, as many as are this share of all. Of those that fail, the smallest is shown."""
        for run in range(max(1, round(EXAMPLES * share / IN_A_RUN))):
            if "CASCADE_EXAMPLES" in os.environ:
                _try(check, random.getrandbits(64), focus)
                continue
            try:
                for spec in self.of_run(focus or "all", run):
                    _with_chance_as_drawn(check, spec)
            except Exception:
                _try(check, run, focus)  # the same graphs again, and then smaller ones
                raise


def _drawn(focus: str, run: int) -> list[GraphSpec]:
    specs: list[GraphSpec] = []

    @seed(run)
    @settings(max_examples=IN_A_RUN, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(graph_specs(features=FEATURES, focus=None if focus == "all" else focus))
    def collect(spec: GraphSpec) -> None:
        specs.append(spec)

    collect()
    return specs


def _try(check: Callable[[GraphSpec], object], start: int, focus: str | None) -> None:
    @seed(start)
    @settings(max_examples=IN_A_RUN, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(spec=graph_specs(features=FEATURES, focus=focus))
    def drawn(spec: GraphSpec) -> None:
        check(spec)

    drawn()


def _with_chance_as_drawn(check: Callable[[GraphSpec], object], spec: GraphSpec) -> None:
    """Hypothesis begins each example with the same random numbers."""
    before = random.getstate()
    random.seed(0)
    try:
        check(spec)
    finally:
        random.setstate(before)
