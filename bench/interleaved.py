"""The conductor: the sides of a case take turns, in one process or in several, and their ratios are taken round by round."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

from bench.case import Case, Reach
from bench.results import Measured, Range, Reached, Side

_ROUND = 0.02  # seconds that each side of a round should take at least: far above the clock's grain and a switch of tasks
_MOST = 40  # rounds
_LONG = 3.0  # seconds of one call from which on the one that was made to try it is taken for its first round
_PATIENCE = 6.0  # seconds that a side may take for rounds beyond its budget
ROOT = Path(__file__).parents[1]


class Worker:
    """A process of bench.worker. ``folders`` are where it finds this package and the project's."""

    def __init__(self, module: str, case: str, peer: str | None = None, folders: tuple[Path, ...] = (ROOT,)) -> None:
        path = os.pathsep.join(map(str, folders))
        command = [sys.executable, "-P", "-m", "bench.worker", module, case, *([peer] if peer else [])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        self.gone = False

    def ask(self, what: str, side: str = "", **more: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": what, "side": side, **more}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.gone = True
            return {"fault": f"its process ended with status {self.process.wait()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None) -> None:
        self.process.communicate()  # closes its input, at which it ends


class Turns:
    """One side: who times it, and what it may spend."""

    def __init__(self, side: Side, worker: Worker, asked: str, made: Mapping[str, Any], budget: float, least: int) -> None:
        self.side = side
        self.worker = worker
        self.asked = asked
        took = made["took"]
        side.count, side.note, side.prepared = made["count"], made["note"], made["prepared"]
        self.repeats = max(1, round(_ROUND / took)) if took else 1
        cost = self.repeats * took
        least = min(least, int(_PATIENCE / cost))
        if took >= _LONG:
            side.values["0"] = took / side.count
        else:
            least = max(least, 2)
        self.rounds = max(least, min(_MOST, int(budget / cost)))

    def time(self, number: int) -> None:
        answer = self.worker.ask("time", self.asked, repeats=self.repeats)
        if "seconds" in answer:
            self.side.values[str(number)] = answer["seconds"]
        else:
            self.side.cannot, self.side.fault = answer.get("fault", "it failed"), True
            self.rounds = 0


def start(side: Side, worker: Worker, asked: str, budget: float, least: int) -> Turns | None:
    """Make a side; None if there is no such side, which then says why."""
    made = worker.ask("make", asked)
    if "took" in made:
        return Turns(side, worker, asked, made, budget, least)
    side.cannot = made.get("cannot") or made["fault"]
    side.fault = "fault" in made
    return None


def take_turns(turns: list[Turns], first: int = 1) -> None:
    """All rounds. A side that is too slow to be in every one is in some, spread evenly; the reference (the first) is in all."""
    last = max((one.rounds for one in turns), default=0)
    if turns:
        turns[0].rounds = max(turns[0].rounds, min(last, _MOST))
    draw = random.Random(1)
    for number in range(last):
        # Each round in an order of its own: no side always comes after the same other one's heat and caches, nor keeps time with
        # what else the machine does in turns.
        for one in draw.sample(turns, len(turns)):
            if (number + 1) * one.rounds // last > number * one.rounds // last:
                one.time(number + first)


def measure(module: str, case: Case, budget: float, least: int, with_peers: bool) -> Measured:
    """Check all sides of ``case`` and time them, each for about ``budget`` seconds and for ``least`` rounds or more."""
    from bench.peers import PEERS

    begun = perf_counter()
    found = Measured(module, case.name, case.unit, case.beside, [], about=case.about)
    workers = [Worker(module, case.name)]
    turns: list[Turns] = []
    try:
        names: list[tuple[str, Worker]] = [(name, workers[0]) for name in case.sides]
        if with_peers and case.peers is not None:
            for peer in PEERS:
                workers.append(Worker(module, case.name, peer))
                names.append((peer, workers[-1]))
        for name, worker in names:
            side = Side(name)
            found.sides.append(side)
            one = start(side, worker, name, budget * case.share, least)
            if one is not None:
                turns.append(one)
        if not found.sides[0].cannot:
            take_turns(turns)
    finally:
        for worker in workers:
            with worker:
                pass
    judge(found, case.reaches)
    found.took = perf_counter() - begun
    return found


def judge(found: Measured, reaches: tuple[Reach, ...]) -> None:
    """Medians, ratios to the reference, and what was reached."""
    beside = found.sides[0].values
    usual = Range.of(list(beside.values()))
    for side in found.sides:
        side.seconds = Range.of(list(side.values.values()))
        if side is not found.sides[0] and usual is not None:
            # A long side's first call stands beside the reference's rounds as a whole: it was no part of any of them.
            pairs = [(value, beside.get(number, usual.middle)) for number, value in side.values.items()]
            side.ratio = Range.of([one / other for one, other in pairs])
            side.extra = Range.of([one - other for one, other in pairs])
    for reach in reaches:
        one = found.side(reach.side)
        if one is None:
            continue
        found.reaches.append(Reached(reach.side, reach.measure, reach.most, reach.least, _value(one, reach.measure)))


def _value(side: Side, measure: str) -> float | None:
    if side.seconds is None:
        return None
    match measure:
        case "ratio":
            return side.ratio.middle if side.ratio else None
        case "extra":
            return side.extra.middle if side.extra else None
        case "rate":
            return 1 / side.seconds.middle
        case "each":
            return side.seconds.middle
        case "seconds":
            return side.seconds.middle * side.count
    raise ValueError(f"there is no measure called {measure!r}")
