"""Whatever is stepped through does what it does without: drawn graphs, at each stop of which all that can be looked at is looked at."""

from __future__ import annotations

import random
from typing import Any

import pytest
from drawn import TryAll

from cascade_compiler import arun
from cascade_compiler.testing import FOCUSES, Built, GraphSpec
from cascade_compiler.testing.compare import assert_agree
from cascade_compiler.testing.observe import observe
from cascade_vm.debugging import Debugger, Quit
from cascade_vm.events import Event, RunFinished, RunStarted, subscribe


def look(debugger: Debugger) -> None:
    """See everything that there is to see."""
    assert debugger.stop is not None
    frames = debugger.frames
    assert [one.depth for one in frames] == list(range(len(frames)))
    assert frames[-1] == debugger.frame
    assert sum(line.is_current for line in debugger.listing()) == 1
    for frame in frames:
        for register in debugger.registers(frame):
            assert register.holds
            assert len(register.shown) < 1_000
    assert all(one.label and one.state for one in debugger.waiting)
    assert all(debugger.ready)
    debugger.step()


def told(events: list[Event]) -> list[Any]:
    return [(type(one), [getattr(one, name) for name in one.__struct_fields__ if name != "run"]) for one in events]


async def plain(built: Built, events: list[Event]) -> Any:
    with subscribe(events.append):
        return await arun(built.target, **built.options(), engine="interpreter")


async def stepped(built: Built, events: list[Event], control: Any = look) -> Any:
    with subscribe(events.append), Debugger(control):
        return await arun(built.target, **built.options(), engine="interpreter")


def check_stepping(spec: GraphSpec) -> None:
    without: list[Event] = []
    within: list[Event] = []
    one = observe(lambda built: plain(built, without), spec, source="interpreter")
    other = observe(lambda built: stepped(built, within), spec, source="interpreter")
    assert_agree(one, other)
    assert one.events == other.events
    assert told(without) == told(within)
    assert other.leaks == ()


@pytest.mark.parametrize("focus", [None, *FOCUSES])
def test_stepping_changes_nothing(focus: str | None, try_all: TryAll) -> None:
    try_all(check_stepping, 0.2 if focus is None else 0.25 / len(FOCUSES), focus)


def check_quitting(spec: GraphSpec) -> None:
    """Give up at some stops, first and last among them: nothing is left, and nothing is told after the end."""
    stops = 0

    def count(debugger: Debugger) -> None:
        nonlocal stops
        stops += 1
        debugger.step()

    whole = observe(lambda built: stepped(built, [], count), spec)
    chosen = random.Random(stops)
    for at in sorted({0, stops - 1, *(chosen.randrange(stops) for _ in range(3))} if stops else ()):
        left = at
        events: list[Event] = []
        failing = False

        def quit_there(debugger: Debugger) -> None:
            nonlocal left, failing
            failing = debugger.stop is not None and debugger.stop.kind == "failure"
            if not left:
                debugger.quit()
            left -= 1
            debugger.step()

        async def call(built: Built) -> Any:
            try:
                return await stepped(built, events, quit_there)  # noqa: B023 (called at once)
            except Quit:
                return "given up"

        seen = observe(call, spec)
        if failing:
            assert seen.failure == whole.failure
        else:
            assert seen.result == "'given up'", (at, stops, seen.outcome)
        assert seen.leaks == ()
        assert seen.late == ()
        assert isinstance(events[0], RunStarted)
        assert isinstance(events[-1], RunFinished)
        assert events[-1].status == ("failed" if failing else "cancelled") or whole.failure is not None
        assert sum(isinstance(one, RunFinished) for one in events) == 1


@pytest.mark.parametrize("focus", [None, *FOCUSES])
def test_giving_up_leaves_nothing(focus: str | None, try_all: TryAll) -> None:
    try_all(check_quitting, 0.1 if focus is None else 0.15 / len(FOCUSES), focus)
