"""Profiles: figures by task, by instruction and by stack, exact on a clock that stands still but where it is told to move."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from threading import Barrier, Thread
from typing import Any

import pytest

from cascade_compiler import Param, Router, TargetSkipped, arun, compile, run, task
from cascade_compiler.testing import VirtualPool, run_virtual, takes
from cascade_vm import executable, profile_table
from cascade_vm.caching import MemoryCache
from cascade_vm.events import SUBSCRIBERS, Teller, subscribe
from cascade_vm.profiling import Profile, profile
from cascade_vm.run_profile import RunProfile
from cascade_vm.sizes import size_of


def busy(seconds: float) -> None:
    """Work: the clock of the loop moves on, and nobody else does."""
    asyncio.get_running_loop()._now += seconds  # type: ignore[attr-defined]


@task
async def fetch(seconds):
    busy(0.25)
    await asyncio.sleep(seconds)
    busy(0.25)
    return seconds


@task
async def rest(seconds):
    await asyncio.sleep(seconds)
    return seconds


@task
def work(seconds, *others):
    busy(seconds)
    return seconds


@task
def countdown(n):
    busy(0.125)
    return countdown(n - 1) if n else work(1)


@task
def expand(n):
    busy(0.5)
    return work(2, fetch(n))


@task
async def lead(n):
    await asyncio.sleep(1)
    return plain(0, fetch(n))


@task
async def follow(n):
    await asyncio.sleep(1)
    return plain(fetch(n))


@task(mode="thread")
def crunch(seconds):
    takes(seconds, lambda: None)
    return seconds


@task
def plain(*values):
    return values


def profiled(target, capacity=None, **options) -> Profile:
    async def main():
        with profile(**options) as found:
            await arun(target, capacity=capacity, pools={"thread": VirtualPool(asyncio.get_running_loop())})
        return found

    return run_virtual(main).value


def by_task(found: Profile):
    return {one.task.rpartition(".")[2]: one for one in found.tasks}


class TestTasks:
    def test_own_time_of_a_synchronous_call(self):
        one = by_task(profiled(work(3)))["work"]
        assert (one.calls, one.finished, one.own, one.total, one.longest, one.waiting) == (1, 1, 3.0, 3.0, 3.0, {})

    def test_a_coroutine_is_suspended_where_it_awaits(self):
        found = profiled(work(1, fetch(2)))
        one = by_task(found)["fetch"]
        assert (one.own, one.waiting, one.total) == (0.5, {"suspended": 2.0}, 2.5)
        assert found.seconds == 3.5

    def test_two_that_overlap_each_have_their_own(self):
        found = profiled(work(1, fetch(2), fetch(4)))
        one = by_task(found)["fetch"]
        assert one.calls == 2
        assert one.own == 1.0
        assert one.waiting == {"suspended": 6.0}
        assert found.seconds == 5.75  # and not 8: they waited together

    def test_what_comes_late_for_the_machine_is_waiting(self):
        """The value of the first is there at 2.5; the machine works until 10."""
        found = profiled(work(1, fetch(2), work(10)))
        one = by_task(found)["fetch"]
        assert one.own == 0.5
        assert one.own + one.waiting["suspended"] == one.total

    def test_blocked_by_capacity(self):
        target = work(0, *[fetch(2).with_constraints(gpu=1) for _ in range(2)])
        one = by_task(profiled(target, capacity={"gpu": 1}))["fetch"]
        assert one.waiting == {"suspended": 4.0, "capacity": 2.5}

    def test_blocked_by_a_rate_limit(self):
        target = work(0, *[rest(1).with_rate_limit("api", 1, per=5) for _ in range(2)])
        assert by_task(profiled(target))["rest"].waiting == {"suspended": 2.0, "rate limit": 5.0}

    def test_back_off_between_attempts(self):
        tries = []

        @task
        async def unsteady():
            await asyncio.sleep(1)
            tries.append(1)
            if len(tries) < 3:
                raise ConnectionError("not yet")
            return "there"

        one = by_task(profiled(unsteady().with_retry(5, delay=2, backoff=2)))["unsteady"]
        assert (one.calls, one.retries, one.finished, one.failed) == (1, 2, 1, 0)
        assert one.waiting == {"suspended": 3.0, "back-off": 6.0}

    def test_a_retry_of_a_synchronous_call(self):
        tries = []

        @task
        def unsteady():
            busy(1)
            tries.append(1)
            if len(tries) < 2:
                raise ConnectionError("not yet")

        one = by_task(profiled(unsteady().with_retry(2, delay=3)))["unsteady"]
        assert (one.own, one.waiting) == (2.0, {"back-off": 3.0})

    def test_a_thread(self):
        one = by_task(profiled(crunch(3)))["crunch"]
        assert (one.calls, one.total, one.waiting) == (1, 3.0, {"suspended": 3.0})  # the pool's double only says how long it takes

    def test_a_real_thread_is_queued_and_then_works(self):
        """One thread for two calls that meet nobody: the second waits for the first."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool, profile() as found:
            run(plain(_spin(), _spin()), pools={"thread": pool})
        one = by_task(found)["_spin"]
        assert one.calls == one.finished == 2
        assert one.waiting["queued"] > 0
        assert one.own > 0
        assert one.own + sum(one.waiting.values()) == pytest.approx(one.total)

    def test_cache_hits_and_skips(self):
        cache = MemoryCache()
        found = profiled(plain(work(1).with_cache(cache), work(1).with_cache(cache), work(9).run_if(False, otherwise=2)))
        one = by_task(found)["work"]
        assert (one.calls, one.hits, one.skipped, one.own) == (2, 1, 1, 1.0)

    def test_map_items(self):
        one = by_task(profiled(fetch.map([1, 2, 3])))["fetch"]
        # All begin at once, and the loop comes to the second and third when those before have worked for 0.25.
        assert (one.calls, one.own, one.waiting) == (3, 1.5, {"suspended": 6.0, "queued": 0.75})
        assert by_task(profiled(work.map([1, 2, 3])))["work"].own == 6.0

    def test_failure_and_what_it_cancels(self):
        @task
        async def fail():
            await asyncio.sleep(1)
            raise ValueError("no")

        async def main():
            with profile() as found, pytest.raises(ValueError, match="no"):
                await arun(plain(fail(), fetch(9)))
            return found

        found = run_virtual(main).value
        assert found.runs[0].status == "failed"
        assert by_task(found)["fail"].failed == 1
        assert by_task(found)["fetch"].failed == 1  # it was cancelled
        assert by_task(found)["fetch"].total == 1.0

    def test_graph_mode_does_not_say_how_calls_run(self):
        with profile() as found:
            assert run(plain(1, 2), engine="graph") == (1, 2)
        assert by_task(found)["plain"].calls == 1
        assert by_task(found)["plain"].own == 0
        assert found.instructions == []


@task(mode="thread")
def _spin():
    return sum(range(20_000))


class TestInstructions:
    def test_counts_and_times(self):
        found = profiled(work(1, fetch(2), work(4)))
        texts = [one.text.split(" = ")[-1].partition("(")[0].replace(f"{__name__}:", "") for one in found.instructions]
        assert texts == ["spawn fetch", "call work", "tail_call work"]
        spawn, call, tail = found.instructions
        assert [one.count for one in found.instructions] == [1, 1, 1]
        assert (spawn.own, call.own, tail.own) == (0.5, 4.0, 1.0)
        assert spawn.own + spawn.waiting == 4.5  # fetched at the end of the call of work
        assert [one.machine for one in found.instructions] == [0.0, 0.0, 0.0]

    def test_a_loop_counts_each_turn(self):
        found = profiled(countdown(5))
        assert [one.count for one in found.instructions if "countdown" in one.text] == [6]
        assert by_task(found)["countdown"].own == 0.75

    def test_live_registers_are_the_compilers(self):
        """Never more than it has allocated, and all of them at the widest place."""
        target = plain(*[plain(at) for at in range(6)])
        found = profiled(target)
        program = compile(target)
        assert max(one.live for one in found.instructions) == 6 <= program.entry.registers

    def test_dead_registers_are_not_live(self):
        found = profiled(plain(plain(1, 2), plain(3, 4)))
        assert [one.live for one in found.instructions] == [4, 3, 2]

    def test_bytes_are_estimated_or_not(self):
        big = "x" * 100_000
        found = profiled(plain(plain(big), 1))
        assert found.instructions[0].bytes >= sys.getsizeof(big)
        assert profiled(plain(plain(big), 1), sizes=False).instructions[0].bytes == 0

    def test_skipped_instructions_are_counted_as_such(self):
        found = profiled(plain(work(work(1).run_if(False)).run_if(False, otherwise=2)))
        assert by_task(found)["work"].skipped >= 1
        assert by_task(found)["work"].calls == 0

    def test_what_takes_a_skipped_value_is_skipped(self):
        async def main():
            with profile() as found, pytest.raises(TargetSkipped):
                await arun(plain(plain(work(1).run_if(False)), plain(2)))
            return found

        found = run_virtual(main).value
        skipped = [one for one in found.instructions if one.skipped]
        assert [(one.count, one.skipped) for one in skipped] == [(0, 1), (0, 1)]  # and the target, too
        assert ":plain(" in skipped[0].text

    def test_routes(self):
        found = profiled(Router(plain("a")[0], {"a": work(1), "b": work(2)}))
        assert by_task(found)["work"].own == 1.0

    def test_a_frame_that_leaves_its_strands(self):
        """`expand` gives a graph that waits, in the middle of a strand: what follows goes on meanwhile."""
        found = profiled(plain(expand(3), work(1), work(1)))
        assert by_task(found)["work"].own == 4.0
        assert found.seconds == 6.0  # 0.5, then 0.25 + 3 + 0.25 with the work of 1 and 1 meanwhile, then 2


class TestStacks:
    def levels(self, found):
        from cascade_vm.flame import stacks

        return {
            tuple(label.replace(f"{__name__}.", "") for label in path): (seconds, calls)
            for path, (seconds, calls) in stacks(found).items()
        }

    def test_nested_graphs_are_levels(self):
        found = self.levels(profiled(plain(expand(3))))
        root = ("run of plain",)
        assert found[*root, "expand"] == (0.5, 1)
        assert found[*root, "expand", "work"] == (2.0, 1)
        assert found[*root, "expand", "fetch"] == (0.5, 1)
        assert found[*root, "expand", "fetch", "(suspended)"] == (3.0, 0)

    def test_calls_that_begin_when_another_frame_has_its_turn(self):
        """Both graphs are there in one tick, both issue a call, and only then does the loop come to those."""
        found = self.levels(profiled(plain(lead(3), follow(2))))
        calls = {path[1:]: calls for path, (_, calls) in found.items() if path[-1] == "fetch"}
        assert calls == {("lead", "fetch"): 1, ("follow", "fetch"): 1}

    def test_tail_calls_are_one_level_however_many_there_are(self):
        found = self.levels(profiled(countdown(40)))
        root = ("run of countdown",)
        assert found[*root, "countdown"] == (0.125, 1)
        assert found[*root, "tail: countdown", "countdown"] == (5.0, 40)
        assert found[*root, "tail: work", "work"] == (1.0, 1)
        assert max(map(len, found)) == 3

    def test_depth_is_bounded(self):
        @task
        def down(n):
            return plain(down(n - 1)) if n else plain()

        found = profiled(plain(down(400)))
        assert by_task(found)["down"].calls == 401
        assert max(map(len, self.levels(found))) <= 101

    def test_map_items_that_give_graphs(self):
        found = self.levels(profiled(plain(expand.map([1, 2]))))
        assert found["run of plain", "expand", "work"] == (4.0, 2)


class TestProfile:
    def test_nothing_is_left_when_it_ends(self):
        with profile() as found:
            run(plain(1))
        assert SUBSCRIBERS == []
        run(plain(1))
        assert len(found.runs) == 1

    def test_the_values_are_the_same_with_and_without(self):
        target = plain(expand(3), countdown(3), fetch(1), crunch(1), work.map([1, 2]))
        with_it = run_virtual(lambda: _value_with_profile(target)).value
        pools = lambda: {"thread": VirtualPool(asyncio.get_running_loop())}  # noqa: E731

        async def without():
            return await arun(target, pools=pools())

        assert with_it == run_virtual(without).value

    def test_code_that_was_generated_is_profiled_as_any_other(self):
        target = compile(plain(plain(1), 2)).link(engine="codegen")
        with profile() as found:
            assert target.run() == ((1,), 2)
        assert [one.count for one in found.instructions] == [1, 1]

    def test_an_artifact_with_inputs(self):
        exe = compile(plain(Param("n", int))).link()
        with profile() as found:
            exe.run(n=1)
            exe.run(n=2)
        assert [one.count for one in found.instructions] == [2]
        assert len(found.runs) == 2

    def test_runs_in_threads_do_not_mix(self):
        barrier = Barrier(2)

        def one():
            barrier.wait()
            for _ in range(50):
                run(plain(plain(1), plain(2)))

        with profile() as found:
            threads = [Thread(target=one) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(found.runs) == 100
        assert all(one.tasks[f"{__name__}.plain"].calls == 3 for one in found.runs)
        assert [one.count for one in found.instructions] == [100, 100, 100]

    def test_runs_in_one_loop_do_not_mix(self):
        async def main():
            with profile() as found:
                await asyncio.gather(arun(work(0, fetch(1))), arun(work(0, fetch(2))))
            return found

        found = run_virtual(main).value
        assert [one.tasks[f"{__name__}.fetch"].calls for one in found.runs] == [1, 1]

    def test_a_profile_in_a_profile(self):
        with profile() as outer, profile() as inner:
            run(plain(plain(1)))
        assert by_task(outer)["plain"].calls == by_task(inner)["plain"].calls == 2
        assert len(outer.instructions) == 2

    def test_beside_other_subscribers(self):
        seen = []
        with subscribe(seen.append), profile() as found:
            run(plain(1))
        assert len(seen) == 4
        assert found.runs[0].events == 4

    def test_spans_are_bounded(self):
        found = profiled(work.map([0] * 50), most_spans=10)
        assert len(found.runs[0].spans) == 10
        assert found.runs[0].dropped == 40
        assert by_task(found)["work"].calls == 50
        assert "40 spans were not kept" in found.table()

    def test_nothing_is_kept_of_calls_that_have_ended(self):
        one: RunProfile = profiled(plain(fetch.map(range(5)), countdown(5), expand(1))).runs[0]
        assert one._open == {}
        assert one.probe.called == {}

    def test_its_cost_is_measured(self):
        with profile() as found:
            run(plain(plain(1)))
        events, steps, seconds = found.cost
        assert (events, steps) == (6, 2)
        assert 0 < seconds < 1


async def _value_with_profile(target):
    with profile():
        return await arun(target, pools={"thread": VirtualPool(asyncio.get_running_loop())})


class Thing:
    """Counts how many there are."""

    alive = 0

    def __init__(self) -> None:
        Thing.alive += 1

    def __del__(self) -> None:
        Thing.alive -= 1


@task
def count_things(thing):
    return Thing.alive


@task
def turn(n, thing, seen):
    seen.append(Thing.alive)
    return turn(n - 1, Thing(), seen) if n else len(seen)


class TestLifetimes:
    """What is told, and even what is profiled, keeps no value alive."""

    @pytest.fixture(params=["profile", "events"])
    def watched(self, request):
        with profile() if request.param == "profile" else subscribe(lambda event: None):
            yield

    @pytest.mark.parametrize("engine", ["interpreter", "graph"])
    def test_values_die_with_their_last_use_and_with_the_run(self, watched, engine):
        seen: list[int] = []
        assert run(turn(30, Thing(), seen), engine=engine) == 31
        assert max(seen) <= 3
        assert Thing.alive == 0

    @pytest.mark.parametrize("engine", ["interpreter", "graph"])
    def test_inputs_die_with_the_run_without_the_cycle_collector(self, watched, engine):
        gc.collect()
        gc.disable()
        try:
            assert run(count_things(Param("thing", Any)), {"thing": Thing()}, engine=engine) == 1
            assert Thing.alive == 0
        finally:
            gc.enable()

    def test_of_a_failed_run(self, watched):
        @task
        def fail(thing):
            raise ValueError("no")

        with pytest.raises(ValueError, match="no") as caught:
            run(plain(fail(plain(Thing())), Thing()))
        assert "fail" in caught.value.__notes__[0]
        del caught
        assert Thing.alive == 0

    def test_code_of_shapes_that_come_once_does_not_pile_up(self, monkeypatch):
        kept = []

        class KeptTeller(Teller):
            def __init__(self, *args):
                super().__init__(*args)
                kept.append(self)

        @task
        def again(n):
            @task
            def once(n):
                return again(n)

            return once(n - 1) if n else "end"

        monkeypatch.setattr(executable, "Teller", KeptTeller)
        with subscribe(lambda event: None):
            assert run(again(1500)) == "end"
        assert len(kept[0].linked) < 1_200  # as many as the cache keeps, and not all 1,501

    def test_an_exception_without_a_text(self, watched):
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no text")

        @task
        def fail():
            raise Mute

        with pytest.raises(Mute):
            run(plain(fail()))


class TestShown:
    def test_the_table(self):
        shown = profiled(work(1, fetch(2))).table(instructions=True).replace(f"{__name__}.", "").replace(f"{__name__}:", "")
        lines = [" ".join(line.split()) for line in shown.splitlines()]
        assert lines[0] == "1 run, returned, 3.50 s in all; the machine beside its calls: 0"
        assert lines[1].startswith("the profile itself: at least ")
        assert lines[3] == "task calls own suspended longest share"
        assert lines[5:7] == ["fetch 1 500 ms 2.00 s 2.50 s 71%", "work 1 1.00 s 1.00 s 29%"]
        assert "tail_call work(R" in shown

    def test_nothing_has_run(self):
        assert Profile().table() == "nothing has run"
        assert Profile().folded() == ""

    def test_as_data(self):
        told = json.loads(json.dumps(profiled(work(1, fetch(2))).to_dict()))
        assert told["runs"][0]["seconds"] == 3.5
        assert {one["task"].rpartition(".")[2]: one["own"] for one in told["tasks"]} == {"work": 1.0, "fetch": 0.5}
        assert told["tasks"][0]["waiting"] == {"suspended": 2.0}
        assert [one["count"] for one in told["instructions"]] == [1, 1]

    def test_repr_is_short(self):
        found = profiled(work(1))
        assert repr(found) == "<Profile of 1 run, 1 call, 1 s>"
        assert repr(found.runs[0]) == f"<RunProfile of run {found.runs[0].run}: returned, 1 call, 1 s>"

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0, "0"), (1, "1.00 s"), (0.99951, "1.00 s"), (12.34, "12.3 s"), (1234.5, "1,234 s"), (0.0123, "12.3 ms"), (4.2e-6, "4.20 µs"),
         (0.000999, "999 µs")],
    )  # fmt: skip
    def test_seconds(self, value, text):
        assert profile_table.seconds(value) == text

    @pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (9999, "9,999 B"), (12_345, "12.3 kB"), (123_456_789, "123 MB")])
    def test_sizes(self, value, text):
        assert profile_table.size(value) == text


class TestSizes:
    def test_containers_are_looked_into(self):
        inner = "x" * 1000
        assert size_of([inner]) == sys.getsizeof([inner]) + sys.getsizeof(inner)
        assert size_of({1: inner}) > sys.getsizeof(inner)

    def test_the_same_object_counts_once(self):
        inner = "x" * 1000
        assert size_of((inner, inner)) < 2 * sys.getsizeof(inner)

    def test_large_ones_are_estimated_from_a_few(self):
        large = [str(at) * 50 for at in range(10_000, 20_000)]
        exact = sys.getsizeof(large) + sum(map(sys.getsizeof, large))
        assert 0.9 * exact < size_of(large) < 1.1 * exact

    def test_cycles_end(self):
        cycle: list[object] = []
        cycle.append(cycle)
        assert size_of(cycle) > 0

    def test_what_refuses_is_measured_otherwise(self):
        class Refuses:
            def __sizeof__(self):
                raise RuntimeError("no")

        assert size_of(Refuses()) > 0


NOTHING = """
import sys
import cascade_compiler as c

@c.task
def one():
    raise ValueError("no")

@c.task
def value():
    return 1

c.run(value())
print([name for name in sys.modules if name in (
    "logging", "opentelemetry", "cascade_vm.logs", "cascade_vm.telemetry", "cascade_vm.profiling", "cascade_vm.probe", "cascade_vm.flame"
)])
import cascade_vm.telemetry
print("opentelemetry" in sys.modules)
from cascade_vm.logs import log_events
with log_events():
    try:
        c.run(one())
    except ValueError:
        print("failed, in silence")
"""


def test_nothing_is_imported_or_shown_unless_it_is_asked_for():
    shown = subprocess.run([sys.executable, "-W", "error", "-c", NOTHING], capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == ("[]\nFalse\nfailed, in silence\n", "")
