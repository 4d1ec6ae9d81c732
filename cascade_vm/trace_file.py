"""Profiles as a trace file: what happened when, on tracks, for ui.perfetto.dev and chrome://tracing.

The format is the Trace Event Format (JSON object form): complete events (``ph`` X), instants (i), counters (C) and metadata (M), with
times in microseconds from the first run's beginning, in order. Each run is a process. Its first track is the run; its second the thread
that runs it, with synchronous calls, which never overlap. Every other call has a track to itself while it lasts, the lowest that is free:
so there are as many as calls were in flight at once. What held a call up (capacity, a rate limit, a back-off) stands on its track beside
its attempts. Perfetto sorts the tracks of a process by their numbers, shows these behind their names, and takes the one that has the number
of its process for the main thread.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascade_vm.profiling import Profile
    from cascade_vm.run_profile import RunProfile, Span

_KINDS = (("async", "in flight"), ("thread", "thread job"), ("process", "process job"), ("", "call"), ("inline", "held up"))
_INSTANTS = ("retry", "cache hit", "skipped")


def trace(profile: Profile) -> dict[str, Any]:
    """The whole as data."""
    found: list[dict[str, Any]] = []
    zero = min((one.began for one in profile.runs), default=0.0)
    free = 1 + max((one.run for one in profile.runs), default=0)  # viewers tell tracks by their numbers alone, of all runs
    for one in profile.runs:
        events, free = _of_run(one, zero, free)
        found += events
    heads = [one for one in found if one["ph"] == "M"]
    # At one moment a longer event comes first, so that what lies within it is seen to.
    rest = sorted((one for one in found if one["ph"] != "M"), key=lambda one: (one["ts"], -one.get("dur", 0.0)))
    return {
        "traceEvents": heads + rest,
        "displayTimeUnit": "ms",
        "otherData": {"producer": "cascade", "dropped": sum(one.dropped for one in profile.runs)},
    }


def _of_run(run: RunProfile, zero: float, thread: int) -> tuple[list[dict[str, Any]], int]:
    """The events of a run, and the first number that is free then. ``thread`` is that of its thread; those of calls are the next ones."""
    def at(time: float) -> float:
        return round((time - zero) * 1e6, 3)

    tracks = _tracks(run)
    name = f"run {run.run}" + (f": {run.root.label.removeprefix('run of ')}" if run.probe is not None else "")
    events = [_head("process_name", run.run, run.run, {"name": name})]
    shown = {run.run: "run", thread: "this thread"}
    number_of: dict[tuple[int, int], int] = {}
    for kind, number in sorted({one for one in tracks.values() if one is not None}):
        track = number_of[kind, number] = thread + 1 + len(number_of)
        shown[track] = _KINDS[kind][1]
    for place, (track, text) in enumerate(shown.items()):
        events.append(_head("thread_name", run.run, track, {"name": text}))
        events.append(_head("thread_sort_index", run.run, track, {"sort_index": place}))
    whole: dict[str, Any] = {"status": run.status} | ({"error": run.error} if run.error else {})
    duration = _dur(run.began, run.ended, zero)
    events.append(
        {"ph": "X", "name": "run", "cat": "run", "pid": run.run, "tid": run.run, "ts": at(run.began), "dur": duration, "args": whole}
    )
    for span in run.spans:
        where = tracks.get(span.call)
        on_thread = where is None or (span.mode == "inline" and span.kind == "run")
        one: dict[str, Any] = {
            "name": span.task if span.kind == "run" else f"{span.kind}" if span.kind in _INSTANTS else f"blocked: {span.kind}",
            "cat": "task" if span.kind == "run" else span.kind if span.kind in _INSTANTS else "blocked",
            "pid": run.run,
            "tid": thread if on_thread else number_of[where],  # type: ignore[index]
            "ts": at(span.begin),
            "args": _args(span),
        }
        if span.kind in _INSTANTS:
            one |= {"ph": "i", "s": "t"}
        else:
            one |= {"ph": "X", "dur": _dur(span.begin, span.end, zero)}
            if span.outcome == "failed":
                one["cname"] = "terrible"
            elif span.outcome == "retried":
                one["cname"] = "bad"
        events.append(one)
    return events + _counters(run, at), thread + 1 + len(number_of)


def _dur(begin: float, end: float, zero: float) -> float:
    """The difference of the two as they are written, so that rounding makes no two events overlap."""
    return round(round((end - zero) * 1e6, 3) - round((begin - zero) * 1e6, 3), 3)


def _args(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {"task": span.task, "call": span.call, "attempt": span.attempt}
    if span.index is not None:
        found["index"] = span.index
    for name in ("mode", "outcome", "error", "detail"):
        value = getattr(span, name)
        if value:
            found[name] = value
    return found


def _tracks(run: RunProfile) -> dict[int, tuple[int, int] | None]:
    """For each call (kind, number) of its track; None for one that is on the track of the thread alone."""
    lives: dict[int, tuple[float, float, int]] = {}
    for span in run.spans:
        if span.mode == "inline" and (span.kind == "run" or span.begin == span.end):
            continue
        kind = next(at for at, (mode, _) in enumerate(_KINDS) if mode == span.mode)
        begin, end, _ = lives.get(span.call, (span.begin, span.end, kind))
        lives[span.call] = (min(begin, span.begin), max(end, span.end), kind)
    found: dict[int, tuple[int, int] | None] = {}
    free: dict[int, list[int]] = {}
    busy: list[tuple[float, int, int]] = []  # (until when, kind, number)
    made: dict[int, int] = {}
    for call, (begin, end, kind) in sorted(lives.items(), key=lambda pair: (pair[1][0], pair[0])):
        while busy and busy[0][0] <= begin:
            _, other, number = heapq.heappop(busy)
            heapq.heappush(free.setdefault(other, []), number)
        if free.get(kind):
            number = heapq.heappop(free[kind])
        else:
            number = made.get(kind, 0)
            made[kind] = number + 1
        found[call] = kind, number
        heapq.heappush(busy, (end, kind, number))
    return found


def _counters(run: RunProfile, at: Any) -> list[dict[str, Any]]:
    """How many calls ran at once, each time that changes."""
    changes: dict[float, int] = {}
    for span in run.spans:
        if span.kind == "run" and span.end > span.begin:
            changes[at(span.begin)] = changes.get(at(span.begin), 0) + 1
            changes[at(span.end)] = changes.get(at(span.end), 0) - 1
    running = 0
    found = []
    for time, change in sorted(changes.items()):
        if change:
            running += change
            event = {"ph": "C", "name": "calls", "cat": "counter", "pid": run.run, "tid": run.run, "ts": time}
            found.append(event | {"args": {"running": running}})
    return found


def _head(name: str, pid: int, tid: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "M", "name": name, "cat": "__metadata", "pid": pid, "tid": tid, "ts": 0, "args": args}
