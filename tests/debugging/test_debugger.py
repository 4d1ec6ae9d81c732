"""The debugger as a library: what it knows at a stop, where it stops, how it goes on, and what is left when it is given up."""

from __future__ import annotations

import asyncio
import gc
import signal
import weakref
from collections.abc import Callable
from typing import Any

import debug_flows
import pytest

from cascade_compiler import arun, compile, run, subscribe, task
from cascade_vm.debugging import Breakpoint, Debugger, Quit
from cascade_vm.events import SUBSCRIBERS, RunFinished
from cascade_vm.profiling import profile

Steps = Callable[[Debugger], object]


def stops(target: Any, *moves: Steps, engine: str = "interpreter") -> tuple[list[str], Any]:
    """What it stopped at, going on by ``moves`` in turn, then to the end; and the value of the run."""
    seen: list[str] = []
    waiting = list(moves)

    def control(debugger: Debugger) -> None:
        assert debugger.stop is not None
        frame = debugger.frame
        seen.append(f"{frame.depth}.{frame.turn}.{debugger.stop.place.pc} {debugger.stop.kind}")
        if waiting:
            waiting.pop(0)(debugger)

    with Debugger(control):
        return seen, run(target, engine=engine)


def places(*found: str) -> list[str]:
    return [f"{one} instruction" for one in found]


def step(debugger: Debugger) -> None:
    debugger.step()


@pytest.mark.parametrize("engine", ["auto", "interpreter", "codegen"])
def test_every_instruction_is_seen_in_every_engine_that_compiles(engine: str) -> None:
    for _ in range(2):  # what has been generated before is no hindrance
        seen, value = stops(debug_flows.straight, *[step] * 9, engine=engine)
        assert (seen, value) == (["0.1.0 instruction", "0.1.1 instruction", "0.1.2 instruction"], 13)
        assert run(debug_flows.straight, engine=engine) == 13


def test_the_end_of_a_strand_of_a_frame_and_of_turns() -> None:
    nested = debug_flows.nested
    assert stops(nested, step, step, Debugger.next_strand)[0] == places("0.1.0", "1.1.0", "1.1.1", "0.1.1")
    assert stops(nested, step, Debugger.finish_frame, step)[0] == places("0.1.0", "1.1.0", "0.1.1", "1.1.0")
    assert stops(nested, Debugger.next_strand)[0] == ["0.1.0 instruction"]
    third, value = stops(debug_flows.looping, lambda debugger: debugger.until_turn(3), Debugger.next_strand, Debugger.finish_frame)
    assert (third, value) == (["0.1.0 instruction", "0.3.0 instruction", "0.4.0 instruction"], 42)


def test_breakpoints() -> None:
    def at_all(debugger: Debugger) -> None:
        debugger.break_at_task("flows.double")
        debugger.break_at(0)
        debugger.break_at(0)
        assert debugger.breakpoints == [Breakpoint(task="flows.double"), Breakpoint(pc=0, cycle_id=debugger.frame.cycle_id)]
        with pytest.raises(ValueError, match=r"there is no instruction -1: this shape has 0 to 2"):
            debugger.break_at(-1)

    assert stops(debug_flows.straight, at_all)[0] == ["0.1.0 instruction", "0.1.1 instruction"]
    assert stops(debug_flows.nested, lambda debugger: debugger.until("double"))[0] == ["0.1.0 instruction", "1.1.1 instruction"]
    made = (Breakpoint(task="a"), Breakpoint(pc=1, cycle_id="f" * 40), Breakpoint(exception=""), Breakpoint(exception="E"))
    shown = [str(one) for one in made]
    assert shown == ["calls of a", "instruction 1 of ffffffffffff", "any exception", "exceptions of class E"]


@pytest.mark.parametrize(
    ("name", "retries"),
    [("", 2), ("ConnectionError", 2), ("OSError", 2), ("builtins.OSError", 2), ("ValueError", 0), ("object", 2)],
)
def test_breakpoints_at_exceptions_that_are_tried_again(name: str, retries: int) -> None:
    debug_flows.reset()
    seen, value = stops(debug_flows.retried, lambda debugger: debugger.break_at_exception(name))
    assert (seen[1:], value) == (["0.1.0 retry"] * retries, 14)


def test_asynchronous_attempts_are_seen_with_their_own_exceptions() -> None:
    tries: dict[str, int] = {}

    @task
    async def unsteady(name):
        tries[name] = tries.get(name, 0) + 1
        await asyncio.sleep(0)
        if tries[name] < 3:
            raise ConnectionError(f"{name}{tries[name]}")
        return name

    seen: list[tuple[str, str, Any, int]] = []

    def control(debugger: Debugger) -> None:
        stop = debugger.stop
        assert stop is not None
        debugger.break_at_exception()
        if stop.kind == "retry":
            seen.append((str(stop.exception), stop.note.split("\n")[1].strip(), stop.item, stop.attempt))

    with Debugger(control):
        assert run(unsteady.map(["a", "b"]).with_retry(3), engine="interpreter") == ["a", "b"]
    assert seen == [
        ("a1", "name = 'a'", 0, 1), ("b1", "name = 'b'", 1, 1), ("a2", "name = 'a'", 0, 2), ("b2", "name = 'b'", 1, 2),
    ]  # fmt: skip


def test_what_waits_is_told_with_the_reason() -> None:
    @task
    async def hold(x):
        await asyncio.sleep(0)
        return x

    target = debug_flows.add(hold.map([1, 2]).with_constraints(slot=1), debug_flows.double(debug_flows.tag("x")))
    told: list[list[tuple[Any, str]]] = []

    def control(debugger: Debugger) -> None:
        told.append([(one.item, one.state) for one in debugger.waiting])
        debugger.step()

    with Debugger(control), pytest.raises(TypeError):
        run(target, engine="interpreter", capacity={"slot": 1})
    assert [(0, "in flight"), (1, "capacity: slot")] in told


def test_the_first_run_of_the_block_alone_is_debugged_and_nothing_stays() -> None:
    seen: list[Any] = []
    with Debugger(lambda debugger: seen.append(debugger.stop)) as debugger:
        run(debug_flows.straight, engine="interpreter")
        run(debug_flows.nested, engine="interpreter")
        assert debugger.stop is None
        assert repr(debugger) == "<Debugger, 0 breakpoints, 3 steps>"
    assert len(seen) == 1
    assert SUBSCRIBERS == []


def test_a_profile_at_the_same_time_does_without_its_probe() -> None:
    with profile() as figures, Debugger(step):
        assert run(debug_flows.straight, engine="interpreter") == 13
    with Debugger(step), profile() as figures:
        assert run(debug_flows.straight, engine="interpreter") == 13
    assert sum(one.calls for one in figures.tasks) == 3


def test_what_control_raises_ends_the_run_with_that_and_without_notes() -> None:
    for kind in (RuntimeError, KeyboardInterrupt, Quit):
        for at in range(6):
            events: list[Any] = []
            debug_flows.reset()
            left = at

            def control(debugger: Debugger, kind: type[BaseException] = kind) -> None:
                nonlocal left
                if not left:
                    raise kind("from control")
                left -= 1
                debugger.step()

            with subscribe(events.append), Debugger(control), pytest.raises(kind, match="from control") as raised:
                run(debug_flows.mapped, engine="interpreter")
            assert not hasattr(raised.value, "__notes__")
            assert isinstance(events[-1], RunFinished)
            assert events[-1].status == ("cancelled" if kind is Quit else "failed")


def test_giving_up_at_every_stop_tears_down_and_awaits_all() -> None:
    def through(at: int) -> str:
        left = at

        def control(debugger: Debugger) -> None:
            nonlocal left
            if not left:
                debugger.quit()
            left -= 1
            debugger.step()

        async def main() -> str:
            try:
                with Debugger(control):
                    return str(await arun(debug_flows.with_resource, engine="interpreter"))
            except Quit:
                return "given up"
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

        debug_flows.reset()
        value = asyncio.run(main())
        done = list(debug_flows.TRACE)
        assert [one for one in done if "up" in one] == [one.replace("torn down", "set up") for one in reversed(done) if "down" in one]
        return value

    outcomes = [through(at) for at in range(6)]
    assert outcomes == ["given up"] * 5 + ["<a> in line in store"]


def test_a_failure_is_stopped_at_before_anything_is_torn_down() -> None:
    debug_flows.reset()
    held = debug_flows.with_resource.trace()[0]
    target = debug_flows.gather(held, debug_flows.fail(debug_flows.tag(held)))
    trace: list[list[str]] = []

    def control(debugger: Debugger) -> None:
        assert debugger.stop is not None
        if debugger.stop.kind == "failure":
            trace.append(list(debug_flows.TRACE))
            assert debugger.stop.note.endswith("x = '<a> in line in store'")
            debugger.quit()  # it fails as it would have

    with Debugger(control) as debugger, pytest.raises(ValueError, match="no <a> in line in store"):
        run(target, engine="interpreter")
    assert debugger.ending is None
    assert trace == [["set up", "line set up"]]
    assert debug_flows.TRACE[-2:] == ["line torn down", "torn down"]


def test_the_registers_are_those_that_the_listing_calls_live() -> None:
    from cascade_vm.listing import disassemble

    for flow in (debug_flows.straight, debug_flows.nested, debug_flows.looping):
        program = compile(flow)
        entry = disassemble(next(one for one in program.data.blueprints if one.cycle_id == program.cycle_id))
        live = [line.rpartition("; live ")[2].replace("-", "").split() for line in entry.splitlines() if "; live" in line]
        found: list[list[str]] = []

        def control(debugger: Debugger, found: list[list[str]] = found) -> None:
            if debugger.frame.depth == 0 and debugger.frame.turn == 1:
                found.append([f"R{one.number}" for one in debugger.registers()])
            debugger.step()

        with Debugger(control):
            run(flow, engine="interpreter")
        assert found[1:] == live[:-1]


def test_a_frame_that_waits_for_another_has_let_go_of_what_that_was_given() -> None:
    held: list[list[str]] = []

    def control(debugger: Debugger) -> None:
        held.append([f"R{one.number} {one.shown} {one.holds}" for one in debugger.registers(debugger.frames[0])])
        debugger.step()

    with Debugger(control):
        run(debug_flows.nested, engine="interpreter")
    first, second = "R0 4 %1 call debug_flows:deeper(R0)", "R1 2 literal"
    assert held[:4] == [["R0 1 literal", second], [second], [second], [first, second]]
    assert held[4:7] == [[first], [first], [first, "R1 6 %3 call debug_flows:deeper(R1)"]]


def test_nothing_of_the_run_is_kept_alive() -> None:
    class Value:
        pass

    gone: list[weakref.ref[Value]] = []

    @task
    def make():
        value = Value()
        gone.append(weakref.ref(value))
        return value

    with Debugger(step) as debugger:
        assert isinstance(run(debug_flows.gather(make(), 1), engine="interpreter")[0], Value)
    gc.collect()
    assert [ref() for ref in gone] == [None]
    assert debugger.stop is None


def test_an_interruption_that_ends_the_run_knows_what_is_in_flight() -> None:
    from cascade_vm.interruption import was_in_flight

    told: list[tuple[str, ...]] = []

    @task
    async def ask(n):
        told.append(was_in_flight(debugger.interruption()))

    debugger = Debugger(lambda debugger: None)
    assert was_in_flight(debugger.interruption()) == ()
    with debugger:
        run(ask.map([1, 2]), engine="interpreter")
    assert [[one.partition(" (map")[2] for one in each] for each in told] == [[" item 0)", " item 1)"]] * 2


def test_an_interruption_stops_at_the_next_instruction() -> None:
    at: list[int] = []

    @task
    def again(n):
        if n == 5:
            signal.raise_signal(signal.SIGINT)
        return again(n - 1) if n else 0

    def control(debugger: Debugger) -> None:
        at.append(debugger.frame.turn)

    debugger = Debugger(control)
    before = signal.signal(signal.SIGINT, lambda number, frame: at.append(-debugger.interrupt()))
    try:
        with debugger:
            assert run(again(10), engine="interpreter") == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert at == [1, -1, 7]
