"""The flame view and the trace file of a profile, and ``cascade profile``."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
from xml.etree import ElementTree

import pytest

from cascade_compiler import arun, compile, task, workflow
from cascade_compiler.cli import main
from cascade_compiler.testing import VirtualPool, run_virtual, takes
from cascade_vm.caching import MemoryCache
from cascade_vm.flame import folded, html, svg
from cascade_vm.profiling import Profile, profile

tries: list[int] = []


def busy(seconds):
    asyncio.get_running_loop()._now += seconds


@task
async def fetch(seconds):
    await asyncio.sleep(seconds)
    return seconds


@task
def work(seconds, *others):
    busy(seconds)
    return seconds


@task
def expand(n):
    busy(0.5)
    return work(2, fetch(n))


@task
async def unsteady():
    await asyncio.sleep(1)
    tries.append(1)
    if len(tries) < 3:
        raise ConnectionError("not <yet>")
    return 1


@task(mode="thread")
def crunch(seconds):
    takes(seconds, lambda: None)
    return seconds


@pytest.fixture(scope="module")
def rich_profile() -> Profile:
    """Two runs in one loop, with something of everything."""
    tries.clear()
    cache = MemoryCache()
    one = work(
        1, fetch.map([1, 2, 3]), expand(2), crunch(3), fetch(9).with_cache(cache), unsteady().with_retry(5, delay=1),
        *[fetch(2).with_constraints(gpu=1) for _ in range(3)], *[fetch(1).with_rate_limit("api", 1, per=2) for _ in range(2)],
        work(5).run_if(False, otherwise=3),
    )  # fmt: skip

    async def runs():
        pools = {"thread": VirtualPool(asyncio.get_running_loop())}
        with profile() as found:
            await asyncio.gather(arun(one, capacity={"gpu": 1}, pools=pools), arun(work(1, fetch(2))))
            await arun(work(0, fetch(9).with_cache(cache)))
        return found

    return run_virtual(runs).value


def short(text):
    return text.replace(f"{__name__}.", "")


class TestFlame:
    def test_folded_stacks(self):
        async def runs():
            with profile() as found:
                await arun(work(1, expand(2)))
            return found

        assert short(folded(run_virtual(runs).value)).splitlines() == [
            "run of work;expand 500000",
            "run of work;expand;fetch;(suspended) 2000000",
            "run of work;expand;work 2000000",
            "run of work;work 1000000",
        ]

    def test_every_line_is_a_stack_and_a_number(self, rich_profile):
        lines = folded(rich_profile).splitlines()
        assert lines
        assert all(re.fullmatch(r"[^;]+(;[^;]+)* [1-9][0-9]*", line) for line in lines)

    def test_it_adds_up_to_what_calls_took(self, rich_profile):
        whole = sum(int(line.rpartition(" ")[2]) for line in folded(rich_profile).splitlines())
        of_tasks = sum(one.own + sum(one.waiting.values()) for one in rich_profile.tasks)
        assert whole == pytest.approx(of_tasks * 1e6)

    def test_the_svg_is_well_formed_and_boxes_stand_on_those_that_they_are_part_of(self, rich_profile):
        root = ElementTree.fromstring(svg(rich_profile))
        space = {"s": "http://www.w3.org/2000/svg"}
        boxes = [
            (group.find("s:title", space).text, *(float(group.find("s:rect", space).get(one)) for one in ("x", "y", "width")))
            for group in root.iterfind("s:g", space)
            if group.find("s:title", space) is not None
        ]
        assert len(boxes) > 10
        lowest = max(y for _, _, y, _ in boxes)
        for title, x, y, width in boxes:
            beneath = [one for one in boxes if one[2] == y + 18 and one[1] - 0.01 <= x and x + width <= one[1] + one[3] + 0.51]
            assert y == lowest or len(beneath) == 1, title
            beside = [one for one in boxes if one[2] == y and one[1] < x + width - 0.01 and x < one[1] + one[3] - 0.01]
            assert len(beside) == 1, title
        assert any("(back-off): " in title for title, *_ in boxes)

    def test_names_are_escaped(self, monkeypatch, rich_profile):
        level = rich_profile.runs[0].root.level("<script>&")
        level.own = 1.0
        try:
            shown = svg(rich_profile)
            ElementTree.fromstring(shown)
            assert "<script>" not in shown
        finally:
            del rich_profile.runs[0].root.beneath["<script>&"]

    def test_the_page_holds_the_svg(self, rich_profile):
        page = html(rich_profile)
        assert svg(rich_profile).strip() in page
        assert page.startswith("<!doctype html>")
        assert "http://" not in page.replace("http://www.w3.org", "")  # nothing is fetched from anywhere

    def test_files_by_their_names(self, rich_profile, tmp_path):
        for name, begins in (("f.svg", "<svg"), ("f.html", "<!doctype"), ("f.folded", "run of ")):
            rich_profile.flame(tmp_path / name)
            assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)

    def test_it_is_the_same_each_time(self, rich_profile):
        assert svg(rich_profile) == svg(rich_profile)

    def test_nothing_has_run(self):
        ElementTree.fromstring(svg(Profile()))


PHASES = {"X", "i", "C", "M"}


def valid(trace: dict) -> None:
    """What the Trace Event Format asks for, and what makes Perfetto draw it right."""
    assert json.loads(json.dumps(trace)) == trace
    assert trace["displayTimeUnit"] in ("ms", "ns")
    events = trace["traceEvents"]
    for one in events:
        assert one["ph"] in PHASES
        assert isinstance(one["name"], str)
        assert isinstance(one["cat"], str)
        assert isinstance(one["pid"], int)
        assert isinstance(one["tid"], int)
        assert isinstance(one["ts"], (int, float))
        assert one["ts"] >= 0
        if one["ph"] == "X":
            assert isinstance(one["dur"], (int, float))
            assert one["dur"] >= 0
        if one["ph"] == "i":
            assert one["s"] in ("g", "p", "t")
        if one["ph"] == "M":
            assert one["name"] in ("process_name", "thread_name", "thread_sort_index")
    timed = [one["ts"] for one in events if one["ph"] != "M"]
    assert timed == sorted(timed)
    named = {(one["pid"], one["tid"]) for one in events if one["name"] == "thread_name"}
    assert named >= {(one["pid"], one["tid"]) for one in events if one["ph"] in "Xi"}
    assert {one["pid"] for one in events if one["name"] == "process_name"} == {one["pid"] for one in events}
    ends: dict[tuple[int, int], float] = {}
    for one in events:
        if one["ph"] == "X":
            track = one["pid"], one["tid"]
            assert one["ts"] >= ends.get(track, 0.0), f"{one} overlaps the one before on its track"
            ends[track] = round(one["ts"] + one["dur"], 3)


class TestTrace:
    def test_it_is_valid(self, rich_profile):
        valid(rich_profile.trace_events())

    def test_every_phase_is_there_with_its_time(self, rich_profile):
        events = [one for one in rich_profile.trace_events()["traceEvents"] if one["ph"] == "X"]
        found = [(short(one["name"]), one["ts"] / 1e6, one["dur"] / 1e6) for one in events if one["pid"] == rich_profile.runs[0].run]
        assert ("expand", 0.0, 0.5) in found
        retried = [one for one in events if short(one["name"]) == "unsteady"]
        assert [(one["args"]["attempt"], one["args"]["outcome"]) for one in retried] == [(1, "retried"), (2, "retried"), (3, "finished")]
        assert "ConnectionError" in retried[0]["args"]["error"]
        assert len({one["tid"] for one in retried}) == 1  # attempts and back-offs of a call share a track
        names = {name for name, _, _ in found}
        assert {"run", "blocked: capacity", "blocked: rate limit", "blocked: back-off", "fetch", "work", "crunch"} <= names

    def test_retries_hits_and_skips_are_instants(self, rich_profile):
        instants = [one["name"] for one in rich_profile.trace_events()["traceEvents"] if one["ph"] == "i"]
        assert sorted(instants) == ["cache hit", "retry", "retry", "skipped"]

    def test_overlap_is_seen_as_tracks(self):
        async def runs():
            with profile() as found:
                await arun(work(1, fetch(3), fetch(3), fetch(1), fetch(fetch(1))))
            return found

        found = run_virtual(runs).value
        events = found.trace_events()["traceEvents"]
        tracks = {one["tid"] for one in events if one["ph"] == "X" and short(one["name"]) == "fetch"}
        assert len(tracks) == 4  # four at once; the fifth takes a track that has become free
        names = {one["tid"]: one["args"]["name"] for one in events if one["name"] == "thread_name"}
        assert [names[tid] for tid in sorted(names)] == ["run", "this thread", *["in flight"] * 4]
        assert min(names) == found.runs[0].run  # as that of the process: Perfetto takes it for the main thread, which comes first

    def test_runs_share_no_track(self):
        """Viewers tell tracks by their numbers, whatever run they are of: also where a thousand calls were in flight"""

        async def runs():
            with profile() as found:
                for _ in range(2):
                    await arun(work(1, *[fetch(1) for _ in range(1_100)]))
            return found

        found = run_virtual(runs).value
        of: dict[int, set[int]] = {}
        for one in found.trace_events()["traceEvents"]:
            of.setdefault(one["tid"], set()).add(one["pid"])
        assert len(of) == 2 * 1_102
        assert all(len(pids) == 1 for pids in of.values())

    def test_synchronous_calls_are_on_the_thread(self, rich_profile):
        events = rich_profile.trace_events()["traceEvents"]
        assert {one["tid"] for one in events if one["ph"] == "X" and short(one["name"]) in ("work", "expand")} == {
            one["tid"] for one in events if one["name"] == "thread_name" and one["args"]["name"] == "this thread"
        }

    def test_a_counter_of_what_runs(self):
        async def runs():
            with profile() as found:
                await arun(work(1, fetch(3), fetch(1)))
            return found

        events = run_virtual(runs).value.trace_events()["traceEvents"]
        counts = [(one["ts"] / 1e6, one["args"]["running"]) for one in events if one["ph"] == "C"]
        assert counts == [(0, 2), (1, 1), (4, 0)]

    def test_the_file(self, rich_profile, tmp_path):
        rich_profile.trace(tmp_path / "t.json")
        valid(json.loads((tmp_path / "t.json").read_text()))

    def test_a_run_that_fails(self):
        @task
        async def fail():
            await asyncio.sleep(1)
            raise ValueError("no")

        async def runs():
            with profile() as found, pytest.raises(ValueError, match="no"):
                await arun(work(1, fail(), fetch(4)))
            return found

        trace = run_virtual(runs).value.trace_events()
        valid(trace)
        calls = [one["args"] for one in trace["traceEvents"] if one["ph"] == "X" and "call" in one["args"]]
        assert [one["outcome"] for one in calls] == ["failed", "failed"]

    def test_nothing_has_run(self):
        valid(Profile().trace_events())


FLOWS = """
from cascade_compiler import task, workflow

@task
def double(x):
    print("from a task")
    return 2 * x

@task
def add(a, b):
    if b > 100:
        raise ValueError("too much")
    return a + b

@workflow
def report(n: int = 4):
    return add(double(1), double(n))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "profiled_flows.py").write_text(FLOWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("profiled_flows", None)


class TestCommand:
    def test_a_workflow(self, folder, capsys):
        assert main(["profile", "profiled_flows:report", "-p", "n=3", "--repeat", "2"]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("2 runs (2 returned), ")
        assert re.search(r"^profiled_flows\.double +4 ", out, re.MULTILINE)
        assert err == "from a task\n" * 4

    def test_an_artifact_with_files(self, folder, capsys):
        assert main(["compile", "profiled_flows:report"]) == 0
        capsys.readouterr()
        words = ["profile", "report.cbp", "--instructions", "--trace", "t.json", "--flame", "f.svg"]
        assert main(words) == 0
        out, _ = capsys.readouterr()
        assert "tail_call profiled_flows:add(R" in out
        assert out.endswith("wrote t.json, f.svg\n")
        valid(json.loads((folder / "t.json").read_text()))
        ElementTree.fromstring((folder / "f.svg").read_text())

    @pytest.mark.parametrize("command", ["profile", "debug"])
    def test_inputs_from_a_file_and_capacity(self, folder, capsys, monkeypatch, command):
        (folder / "p.toml").write_text("n = 3\n")
        (folder / "held_flows.py").write_text(
            f"import profiled_flows as flows\n{FLOWS.partition('@task')[0]}"
            "@workflow\ndef held(n: int):\n    return flows.double(n).with_constraints(gpu=1)\n"
        )
        monkeypatch.setattr(sys, "stdin", io.StringIO("c\n"))
        words = [command, "held_flows:held", "--params", "p.toml"]
        assert main([*words, "--capacity", "gpu=1"]) == 0
        out, _ = capsys.readouterr()
        assert "profiled_flows.double" in out if command == "profile" else out.endswith("the run returned 6\n")
        monkeypatch.setattr(sys, "stdin", io.StringIO("c\n"))
        assert main(words) == 1
        assert "here: --capacity name=amount" in capsys.readouterr().err
        sys.modules.pop("held_flows", None)

    def test_json(self, folder, capsys):
        assert main(["profile", "profiled_flows:report", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert {one["task"]: one["calls"] for one in told["tasks"]} == {"profiled_flows.double": 2, "profiled_flows.add": 1}
        assert [one["count"] for one in told["instructions"]] == [1, 1, 1]

    def test_a_run_that_fails_is_shown_up_to_there(self, folder, capsys):
        assert main(["profile", "profiled_flows:report", "-p", "n=99", "--flame", "f.folded"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "1 run, failed" in err
        assert "ValueError: too much" in err
        assert (folder / "f.folded").exists()

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            (["--repeat", "0"], "--repeat must be at least 1, not 0"),
            (["--flame", "f.png"], "the name says the form"),
            (["--trace", "no/such/folder/t.json"], "cannot be written"),
            (["-p", "m=1"], "m"),
        ],
    )
    def test_bad_usage(self, folder, capsys, words, text):
        assert main(["profile", "profiled_flows:report", *words]) == 2
        assert text in capsys.readouterr().err


@workflow
def nothing_special(n: int = 1):
    return work(0, fetch(n))


def test_a_linked_program_is_profiled_as_a_workflow_is():
    async def runs():
        with profile() as found:
            await compile(nothing_special).arun(n=2)
        return found

    found = run_virtual(runs).value
    assert found.seconds == 2.0
    valid(found.trace_events())
