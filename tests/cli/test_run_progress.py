"""Progress of ``cascade run``: what is counted, what is drawn, and a terminal that it is drawn on."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console

from cascade_compiler import Router, arun, gather, run, subscribe, task
from cascade_compiler.cli import failures, main, progress
from cascade_compiler.cli.progress import Progress
from cascade_compiler.cli.tallies import Call, Tallies
from cascade_compiler.testing import run_virtual
from cascade_vm.caching import MemoryCache
from cascade_vm.events import CacheHit, Mapped, RunFinished, TaskBlocked, TaskFinished, TaskRetrying, TaskStarted
from cascade_vm.interruption import was_in_flight

ROOT = Path(__file__).parents[2]


@task
def double(x: int) -> int:
    return 2 * x


@task
async def slow(x: int) -> int:
    await asyncio.sleep(x)
    return x


@task
def countdown(n: int) -> Any:
    return countdown(n - 1) if n else 0


tries: list[int] = []


@task
def unsteady() -> str:
    tries.append(1)
    if len(tries) % 3:
        raise ConnectionError
    return "done"


@task
def fails() -> None:
    raise ZeroDivisionError


@task
def either(x: int) -> Any:
    return double(x) if x else x


@task
def interrupted(x: int) -> int:
    if not x:
        raise KeyboardInterrupt
    return x


def figures(tallies: Tallies) -> dict[str, dict[str, Any]]:
    """What is not zero, by task."""
    names = ("running", "done", "failed", "cancelled", "skipped", "hits", "retries", "items", "items_done", "waits")
    found = {one.task.rpartition(".")[2]: {n: getattr(one, n) for n in names} for one in tallies.by_task()}
    return {task: {name: value for name, value in one.items() if value} for task, one in found.items()}


# --- counting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["auto", "interpreter", "codegen", "graph"])
class TestCounting:
    def test_calls_turns_items_retries_hits_and_skips(self, engine: str) -> None:
        tallies, cache = Tallies(), MemoryCache()
        with subscribe(tallies):
            run(gather(double.map([1, 2, 3]), countdown(4), unsteady().with_retry(3), double(1).run_if(False, otherwise=0)), engine=engine)
            run(double(7).with_cache(cache), engine=engine)
            run(double(7).with_cache(cache), engine=engine)
        assert figures(tallies) == {
            "double": {"done": 5, "items": 3, "items_done": 3, "hits": 1, "skipped": 1},
            "countdown": {"done": 5},
            "unsteady": {"done": 1, "retries": 2},
        }
        assert tallies.in_progress() == []
        assert tallies.stopped == []

    def test_a_failure(self, engine: str) -> None:
        tallies = Tallies()
        with subscribe(tallies), pytest.raises(ZeroDivisionError):
            run(fails(), engine=engine)
        assert figures(tallies) == {"fails": {"failed": 1}}
        assert tallies.in_progress() == []

    def test_what_runs_waits_and_is_stopped(self, engine: str) -> None:
        tallies = Tallies()
        name = slow.task.label

        async def scenario() -> None:
            target = gather(slow.map([5, 50, 50], max_concurrency=2), slow(40).with_constraints(gpu=1), slow(40).with_constraints(gpu=1))
            running = asyncio.ensure_future(arun(target, capacity={"gpu": 1}, engine=engine))
            await asyncio.sleep(10)
            assert figures(tallies) == {"slow": {"running": 3, "done": 1, "items": 3, "items_done": 1, "waits": 1}}
            assert Call(name, None, "capacity: gpu") in tallies.in_progress()
            assert len(tallies.in_progress()) == 4
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        with subscribe(tallies):
            run_virtual(scenario)
        assert sorted(tallies.stopped, key=str) == sorted(
            [Call(name, 1, ""), Call(name, 2, ""), Call(name, None, ""), Call(name, None, "capacity: gpu")], key=str
        )
        assert tallies.in_progress() == []


    def test_loops_and_maps_that_become_hot(self, engine: str) -> None:
        tallies, seen = Tallies(), Counter[str]()
        target = gather(countdown(700), double.map(range(700)), either.map(x=[0, 1, 0]))
        with subscribe(tallies):
            run(target, engine=engine)
        with subscribe(lambda event: seen.update([type(event).__name__])):
            run(target, engine=engine)
        assert figures(tallies) == {
            "countdown": {"done": 701},
            "double": {"done": 701, "items": 700, "items_done": 700},
            "either": {"done": 3, "items": 3, "items_done": 3},
        }
        assert seen == {"RunStarted": 1, "RunFinished": 1, "TaskStarted": 1_405, "TaskFinished": 1_405}

    def test_an_interruption_tells_what_was_running(self, engine: str) -> None:
        for target, stopped in ((interrupted(0), Call(interrupted.task.label, None, "")), (
            interrupted.map([2, 1, 0, 1]), Call(interrupted.task.label, 2, "")
        )):
            tallies = Tallies()
            with subscribe(tallies), pytest.raises(KeyboardInterrupt):
                run(target, engine=engine)
            assert tallies.stopped == [stopped]
            assert tallies.in_progress() == []
            assert figures(tallies)["interrupted"]["cancelled"] == 1


def test_calls_that_end_at_once_are_not_told_to_those_who_count_alone() -> None:
    tallies, told = Tallies(), []

    class Listening(Tallies):
        def counter(self, teller: Any) -> Any:
            run = tallies.counter(teller)

            def take(kind: Any, facts: Any) -> None:
                told.append(kind.__name__)
                run(kind, facts)

            take.calls = run.calls  # type: ignore[attr-defined]
            return take

    with subscribe(Listening()):
        run(gather(countdown(5), double.map([1, 2])))
    assert told == ["RunStarted", "Mapped", "RunFinished"]
    assert figures(tallies) == {"countdown": {"done": 6}, "double": {"done": 2, "items": 2, "items_done": 2}}


def test_a_task_that_is_never_called_is_not_shown() -> None:
    tallies = Tallies()
    with subscribe(tallies):
        run(Router(double(0), {0: double(2), 1: countdown(1)}))
    assert figures(tallies) == {"double": {"done": 2}}


def test_no_event_is_made_for_those_who_count_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tallies = Tallies()
    asked: list[int] = []
    monkeypatch.setattr("cascade_vm.executable.monotonic", lambda: asked.append(1) or 0.0)  # each event has the time in it
    with subscribe(tallies):
        assert run(double(4)) == 8
    assert not asked
    seen: list[Any] = []
    with subscribe(tallies), subscribe(seen.append):
        run(double(4))
    assert [type(one) for one in seen][1:3] == [TaskStarted, TaskFinished]
    assert len(asked) == len(seen) == 4
    assert figures(tallies) == {"double": {"done": 2}}


# --- drawing ----------------------------------------------------------------------------------------------------------


class Drawn:
    """A progress of which the test says what happens, and when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, width: int = 100, height: int = 24, encoding: str = "utf-8") -> None:
        self.now = 0.0
        self.file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        console = Console(file=self.file, force_terminal=True, width=width, height=height, highlight=False, markup=False, color_system=None)
        self.progress = Progress(console, lambda: self.now)
        self.console = console
        teller: Any = type("Teller", (), {"run": 1})
        self.tell = self.progress.tallies.counter(teller)

    def lines(self) -> list[str]:
        with self.console.capture() as captured:
            self.console.print(self.progress.picture())
        return [line.rstrip() for line in captured.get().splitlines()]


def test_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch)
    drawn.tell(Mapped, {"task": "flows.fetch", "items": 1_000})
    for number in range(500):
        drawn.tell(TaskStarted, {"task": "flows.fetch", "index": number, "call": number + 1})
        drawn.tell(TaskFinished, {"task": "flows.fetch", "index": number, "call": number + 1})
    drawn.tell(TaskStarted, {"task": "flows.fetch", "index": 500, "call": 501})
    drawn.tell(TaskStarted, {"task": "flows.fetch", "index": 501, "call": 502})
    drawn.tell(TaskRetrying, {"task": "flows.fetch", "index": 501, "call": 502, "error": "E", "wait": 1})
    drawn.tell(TaskBlocked, {"task": "flows.load", "call": 503, "reason": "rate limit: api"})
    drawn.tell(CacheHit, {"task": "flows.load", "call": 504})
    assert drawn.lines() == [
        "0.0 s  501 done, 1 running, 2 waiting, 1 retry, 1 from a cache",
        "  flows.fetch  500/1,000  " + "\u2501" * 8 + "\u2500" * 8 + "  1 running, 1 waiting for a retry, 1 retry",
        "  flows.load      1 done                    1 waiting for rate limit api, 1 from a cache",
    ]
    drawn.now = 2.0
    for number in range(600, 800):
        drawn.tell(TaskFinished, {"task": "flows.fetch", "index": number, "call": number})
    assert "  100/s  1 running" in drawn.lines()[1]
    drawn.now = 3723.0
    assert drawn.lines()[0].startswith("1:02:03  701 done")
    assert drawn.progress.summary("done in").plain == "done in 1:02:03: 2 tasks, 701 calls, 1 running, 2 waiting, 1 retry, 1 from a cache"


def test_it_is_bounded_however_many_tasks_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch, width=60)
    for number in range(10_000):
        drawn.tell(TaskStarted, {"task": f"a.module.with.a.name.that.is.quite.long.task_{number}", "call": number})
        if number % 2_500:
            drawn.tell(TaskFinished, {"task": f"a.module.with.a.name.that.is.quite.long.task_{number}", "call": number})
    lines = drawn.lines()
    assert len(lines) == 8
    assert all(len(line) < 60 for line in lines)
    assert lines[-1] == "  and 9,994 more tasks: 9,994 done"
    for number in (0, 2_500, 5_000, 7_500):  # what runs is there
        assert any(f"task_{number} " in line and "1 running" in line for line in lines)
    assert len(Drawn(monkeypatch, height=4).lines()) <= 3


def test_a_terminal_that_is_no_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch, encoding="ascii", width=40)
    drawn.tell(Mapped, {"task": "flows.fetch", "items": 4})
    drawn.tell(TaskStarted, {"task": "flows.fetch", "index": 0, "call": 1})
    drawn.tell(TaskFinished, {"task": "flows.fetch", "index": 0, "call": 1})
    drawn.tell(TaskRetrying, {"task": "flows.fetch", "index": 1, "call": 2, "error": "E", "wait": 1})
    drawn.tell(TaskStarted, {"task": "flows.ma\u00df", "call": 3})
    lines = drawn.lines()
    assert lines[2].startswith(r"  flows.ma\xdf")
    assert "####------------" in lines[1]
    assert all(line.isascii() for line in lines)


def test_a_terminal_that_goes_away_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError

        flush = write  # type: ignore[assignment]

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress(Console(file=Gone(), force_terminal=True), lambda: 0.0, first=0.0) as shown:
        shown.begin()
        assert shown._thread is not None
        shown._thread.join()  # it has ended by itself
        assert run(double(2)) == 4
    assert shown.shown


def test_what_was_running_in_a_few_lines() -> None:
    calls = [Call("m.a", at, "") for at in range(9)] + [Call("m.b", None, "capacity: gpu")] * 2 + [Call("m.c", 4, "a retry")]
    assert progress._lines_of(calls) == [
        "running: m.a (map items 0, 1, 2, 3, 4 and 4 more)", "waiting for capacity gpu: m.b (2 calls)",
        "waiting for a retry: m.c (map item 4)",
    ]  # fmt: skip
    assert len(progress._lines_of([Call(f"m.t{at}", None, "") for at in range(100)])) == 9


def test_what_is_printed_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    console = Console(file=file, force_terminal=True, width=60, color_system=None, highlight=False, markup=False)
    with Progress(console, lambda: 0.0) as shown:
        kept = sys.stderr
        print("before", file=sys.stderr)
        shown.show()
        print("[bold]a line\x1b[31m", "x" * 100, file=sys.stderr)
        print("half a", end="", file=sys.stderr)
        assert "half a" not in file.getvalue()
        print(" line", file=sys.stderr)
        sys.stderr.writelines(["one\n", "tail"])
    text = file.getvalue()
    assert text.startswith("before\n")
    for line in ("[bold]a line\x1b[31m " + "x" * 100 + "\n", "half a line\n", "one\n"):
        assert line in text
    assert text.index("one\n") < text.index("tail") < text.index("done in 0.0 s")  # what was held back comes before the summary
    assert sys.stderr is file
    kept.write("later")  # by a handler of logging, say
    assert file.getvalue().endswith("later")


def test_a_debugger_has_the_terminal_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    asked: list[Any] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda *args: asked.append((args, sys.stderr is file)))
    hook = sys.breakpointhook
    with Progress(Console(file=file, force_terminal=True), lambda: 0.0) as shown:
        shown.show()
        sys.breakpointhook(1)
        assert sys.breakpointhook is hook
        shown.show()  # too late
    assert asked == [((1,), True)]


# --- on a terminal ----------------------------------------------------------------------------------------------------

FLOWS = """
import asyncio, os, sys
from cascade_compiler import gather, task, workflow

@task
async def waits(name):
    print("a task says", name)
    loop = asyncio.get_running_loop()
    got = loop.create_future()
    reader = os.open("gate", os.O_RDONLY | os.O_NONBLOCK)
    loop.add_reader(reader, lambda: got.done() or got.set_result(os.read(reader, 10)))
    await got
    loop.remove_reader(reader)
    return name

@workflow
def flow(name: str = "A"):
    return waits(name)
"""


class Terminal:
    """The command line on a pseudo terminal."""

    def __init__(self, folder: Path, *words: str, stdout: Any = None) -> None:
        self.master, slave = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", "LINES": "24"}
        environment.pop("NO_COLOR", None)
        command = [sys.executable, "-m", "cascade_compiler.cli", *words]
        self.process = subprocess.Popen(command, cwd=folder, stdin=slave, stdout=stdout or slave, stderr=slave, env=environment)
        os.close(slave)
        self._bytes = b""

    @property
    def seen(self) -> str:
        """What has come, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self._bytes.decode(errors="replace"))

    def read_until(self, text: str) -> None:
        """Read until ``text`` has come, or all has: fails then."""
        while text not in self.seen:
            if not self._read():
                self._fail(f"{text!r} did not come")

    def read_to_the_end(self) -> int:
        while self._read():
            pass
        os.close(self.master)
        return self.process.wait()

    def _read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], 60)
        if not ready:
            self._fail("nothing came for a minute")
        try:
            found = os.read(self.master, 65536)
        except OSError:  # Linux, when the other end is closed
            return False
        self._bytes += found
        return bool(found)

    def _fail(self, why: str) -> NoReturn:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        raise AssertionError(f"{why}, after:\n{self.seen}")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows.py").write_text(FLOWS)
    os.mkfifo(tmp_path / "gate")
    return tmp_path


def test_a_run_on_a_terminal(folder: Path) -> None:
    gate = os.open(folder / "gate", os.O_RDWR)
    terminal = Terminal(folder, "run", "flows:flow")
    terminal.read_until("1 running")  # drawn, while the task waits
    os.write(gate, b"go")
    assert terminal.read_to_the_end() == 0
    os.close(gate)
    lines = terminal.seen.replace("\r", "").split("\n")
    assert lines[0] == "a task says A"
    assert "flows.waits" in terminal.seen
    assert re.search(r"done in [0-9.]+ s: 1 task, 1 call\b", lines[-3])
    assert lines[-2:] == ["A", ""]
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.index("\x1b[?25l")  # the cursor is there again


def test_the_value_goes_to_a_file_as_it_is(folder: Path) -> None:
    gate = os.open(folder / "gate", os.O_RDWR)
    with open(folder / "out", "w") as out:
        terminal = Terminal(folder, "run", "flows:flow", "--json", stdout=out)
        terminal.read_until("1 running")
        os.write(gate, b"go")
        assert terminal.read_to_the_end() == 0
    os.close(gate)
    assert json.loads((folder / "out").read_text()) == {"result": "A"}
    assert "a task says A" in terminal.seen


def test_ctrl_c_on_a_terminal_tells_what_was_running(folder: Path) -> None:
    gate = os.open(folder / "gate", os.O_RDWR)
    terminal = Terminal(folder, "run", "flows:flow")
    terminal.read_until("1 running")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.read_to_the_end() == 130
    os.close(gate)
    assert "interrupted" in terminal.seen
    assert terminal.seen.endswith("running: flows.waits\r\n")
    assert "done in" not in terminal.seen


def test_nothing_is_shown_where_it_is_not_asked_for(folder: Path) -> None:
    gate = os.open(folder / "gate", os.O_RDWR)
    os.write(gate, b"go")
    terminal = Terminal(folder, "run", "flows:flow", "--no-progress")
    assert terminal.read_to_the_end() == 0
    os.close(gate)
    assert terminal.seen == "a task says A\r\nA\r\n"


def test_quiet_where_stderr_is_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("quiet_flows.py").write_text(
        "from cascade_compiler import task, workflow\n@task\ndef one(): return 1\n@workflow\ndef flow(): return one()\n"
    )
    made: list[int] = []
    monkeypatch.setattr(Progress, "begin", lambda self: made.append(1))
    assert main(["run", "quiet_flows:flow"]) == 0
    assert made == []
    assert main(["run", "quiet_flows:flow", "--progress"]) == 0
    assert made == [1]
    assert capsys.readouterr() == ("1\n1\n", "")
    sys.modules.pop("quiet_flows")


def test_the_end_of_a_run_ends_what_it_left() -> None:
    tallies = Tallies()
    teller: Any = type("Teller", (), {"run": 1})
    tell = tallies.counter(teller)
    tell(TaskStarted, {"task": "m.a", "call": 1, "index": 3})
    tell(RunFinished, {"status": "cancelled", "error": None})
    assert tallies.stopped == [Call("m.a", 3, "")]
    assert figures(tallies) == {"a": {}}


def test_what_cancels_a_run_knows_what_was_in_flight() -> None:
    found: list[tuple[str, ...]] = []

    async def scenario() -> None:
        for target in (gather(slow(50), slow.map([60, 70]), slow(2)), slow(50)):
            running = asyncio.ensure_future(arun(target, engine="interpreter"))
            await asyncio.sleep(10)
            running.cancel()
            try:
                await running
            except asyncio.CancelledError as cancelled:
                stop = KeyboardInterrupt()
                stop.__context__ = cancelled  # what asyncio makes of it
                found.append(was_in_flight(stop))
                told.append(failures.text(stop).splitlines())

    told: list[list[str]] = []
    run_virtual(scenario)
    several, alone = found
    name = slow.task.label
    assert [one.partition(", called at ")[0] for one in several] == [name] * 3
    assert [one.partition(" (")[2] for one in several] == ["", "map item 0)", "map item 1)"]
    assert [one.partition(", called at ")[0] for one in alone] == [name]
    assert told[0] == ["interrupted", *(f"in {one}" for one in several)]
    assert was_in_flight(KeyboardInterrupt()) == ()
