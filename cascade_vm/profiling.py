"""Profiles: where the time of runs went, by task, by instruction, and as it happened.

    with profile() as p:
        run(report(day))
    print(p.table())
    p.flame("report.svg")
    p.trace("report.json")      # for ui.perfetto.dev, or chrome://tracing

A profile subscribes to events, and has the machine looked at while it runs (see probe.py). Runs that begin within its block are profiled to
their end; others pay nothing. What a profile costs is measured, and told: ``cost``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from cascade_vm.events import Event, Subscription, TaskFinished, TaskStarted, Teller, Watcher, subscribe
from cascade_vm.probe import Figures, Probe, Steps
from cascade_vm.run_profile import WAITS, RunProfile, TaskFigures


class InstructionFigures(msgspec.Struct, frozen=True):
    """What is known of one instruction. Times in seconds, ``bytes`` estimated. ``own`` is of its calls, ``machine`` what the machine did
    for it; ``live`` registers of a frame held something when it began, or when it had run, at most."""

    cycle_id: str
    pc: int
    text: str
    count: int
    skipped: int
    own: float
    machine: float
    waiting: float
    live: int
    bytes: int


class Cost(NamedTuple):
    """What profiling itself cost at least, in seconds: what an event and a step take, measured when asked for, times their number."""

    events: int
    steps: int
    seconds: float


class Profile(Watcher):
    """What runs did with their time. See ``profile``."""

    def __init__(self, sizes: bool = True, most_spans: int = 200_000) -> None:
        self.runs: list[RunProfile] = []
        self._sizes = sizes
        self._most_spans = most_spans
        self._by_number: dict[int, RunProfile] = {}
        self._probes: dict[int, Probe] = {}
        self._subscription: Subscription | None = None

    def __enter__(self) -> Profile:
        self._subscription = subscribe(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None) -> None:
        if self._subscription is not None:
            self._subscription.close()

    def probe(self, teller: Teller) -> Probe | None:
        """A run is to be profiled. Of two profiles the first has it, and the other has what the events tell."""
        if teller.probe is not None:
            return None
        made = self._probes[teller.run] = Probe(teller, self._sizes)
        return made

    def __call__(self, event: Event) -> None:
        one = self._by_number.get(event.run)
        if one is None:
            one = self._by_number[event.run] = RunProfile(event.run, self._probes.pop(event.run, None), self._most_spans)
            self.runs.append(one)
        one.take(event)

    # --- figures ----------------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """From the beginning of each run to its end, added up."""
        return sum(one.seconds for one in self.runs)

    @property
    def tasks(self) -> list[TaskFigures]:
        """By task, what took longest first: by own time and waiting, then by name."""
        found: dict[str, TaskFigures] = {}
        for one in self.runs:
            for name, figures in list(one.tasks.items()):
                found.setdefault(name, TaskFigures(name)).add(figures)
        return sorted(found.values(), key=lambda one: (-(one.own + sum(one.waiting.values())), one.task))

    @property
    def instructions(self) -> list[InstructionFigures]:
        """By instruction, in the order of the shapes and in theirs."""
        from cascade_vm.listing import instruction_text, symbol_names

        found: dict[tuple[str, int], Figures] = {}
        for run in self.runs:
            for key, one in list(run.probe.figures.items()) if run.probe is not None else ():
                found.setdefault(key, Figures(one.blueprint, one.pc)).add(one)
        order = {cycle_id: at for at, cycle_id in enumerate(dict.fromkeys(cycle_id for cycle_id, _ in found))}
        names = {cycle_id: symbol_names(one.blueprint) for (cycle_id, _), one in found.items()}
        told = []
        for (cycle_id, pc), one in sorted(found.items(), key=lambda pair: (order[pair[0][0]], pair[0][1])):
            text = instruction_text(one.blueprint, one.blueprint.instructions[pc], names[cycle_id])
            told.append(
                InstructionFigures(
                    cycle_id, pc, text, one.count, one.skipped, one.own, max(one.machine, 0.0), one.waiting, one.live, one.bytes
                )
            )
        return told

    @property
    def cost(self) -> Cost:
        """What it cost to take these figures. Takes some milliseconds to say."""
        events = sum(one.events for one in self.runs)
        steps = sum(one.probe.steps for one in self.runs if one.probe is not None)
        for_event, for_step = _costs(self._sizes)
        return Cost(events, steps, events * for_event + steps * for_step)

    def to_dict(self) -> dict[str, Any]:
        """All of it as data for JSON. Times in seconds."""
        return {
            "runs": [
                {
                    "run": one.run, "status": one.status, "error": one.error, "seconds": one.seconds,
                    "machine": one.probe.machine if one.probe is not None else None, "events": one.events,
                }
                for one in self.runs
            ],
            "tasks": [
                {name: getattr(one, name) for name in TaskFigures.__slots__ if name != "waiting"}
                | {"waiting": {kind: one.waiting[kind] for kind in WAITS if kind in one.waiting}}
                for one in self.tasks
            ],
            "instructions": [msgspec.structs.asdict(one) for one in self.instructions],
            "cost": self.cost._asdict(),
        }  # fmt: skip

    # --- what is shown ----------------------------------------------------------------------------------------------------

    def table(self, instructions: bool = False) -> str:
        """The figures as text: by task, and by instruction where that is asked for."""
        from cascade_vm.profile_table import text

        return text(self, instructions)

    __str__ = table

    def __repr__(self) -> str:
        calls = sum(one.calls for run in self.runs for one in list(run.tasks.values()))
        return f"<Profile of {len(self.runs):,} run{'s' * (len(self.runs) != 1)}, {calls:,} call{'s' * (calls != 1)}, {self.seconds:.6g} s>"

    def folded(self) -> str:
        """Stacks as text, one a line, with microseconds: what flame graph tools read."""
        from cascade_vm.flame import folded

        return folded(self)

    def flame(self, path: str | os.PathLike[str]) -> None:
        """Write a flame view: as SVG or HTML where the name ends in .svg or .html, else as folded stacks.

        :raises OSError: it cannot be written.
        """
        from cascade_vm import flame

        form = {".svg": flame.svg, ".html": flame.html, ".htm": flame.html}.get(Path(path).suffix.lower(), flame.folded)
        Path(path).write_text(form(self), encoding="utf-8")

    def trace_events(self) -> dict[str, Any]:
        """The trace as data, in the Trace Event format."""
        from cascade_vm.trace_file import trace

        return trace(self)

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write the trace as JSON: ui.perfetto.dev and chrome://tracing open it.

        :raises OSError: it cannot be written.
        """
        import json

        Path(path).write_text(json.dumps(self.trace_events(), separators=(",", ":")) + "\n", encoding="utf-8")


def profile(*, sizes: bool = True, most_spans: int = 200_000) -> Profile:
    """A profile of the runs that begin within its ``with`` block.

    :param sizes: estimate the bytes of what registers hold, too.
    :param most_spans: of how many phases of calls is each run to remember when they were. Beyond, they are counted, and not in the trace.
    """
    return Profile(sizes, most_spans)


_ROUNDS = 500


def _costs(sizes: bool) -> tuple[float, float]:
    """Seconds that an event and a counted instruction take, measured now."""
    found = Profile(sizes, 2 * _ROUNDS)
    teller = Teller(monotonic, (Subscription(found, sys._getframe()),))
    begun = perf_counter()
    for call in range(_ROUNDS):
        teller.tell(TaskStarted, task="measured", call=call)
        teller.tell(TaskFinished, task="measured", call=call)
    for_event = (perf_counter() - begun) / (2 * _ROUNDS)
    return for_event, Steps.cost(sizes, _ROUNDS)
