"""The examples do what they say: numbers worked out by hand, and one result whichever engine runs them."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import agent_loop
import pytest
import simulation
import stdlib_report

from cascade_compiler import compile, run

EXAMPLES = Path(stdlib_report.__file__).parent
# What the processes that run examples import Cascade from, wherever pytest was started.
CASCADE = str(Path(__file__).parents[2])

LIBRARY = {
    "alpha.py": b"""\
import os, os.path
from json import loads

class Outer:
    async def long(self):
        import re
        return (
            1,
        )

    class Inner:
        def short(self): pass
""",
    "beta/__init__.py": b"""\
from . import gamma
from .gamma import work
import json as j
""",
    "beta/gamma.py": b'''\
"""An invalid escape, which must not warn: \\d"""
try:
    import json.decoder
except ImportError:
    def work():
        return 1
else:
    def work():
        for _ in []:
            def inner():
                return lambda: 2
match 1:
    case 1:
        import os
''',
    "beta/tests/test_it.py": b"def test_it():\n    import unittest\n",
    "site-packages/other.py": b"import other\n",
    "beta/notes.txt": b"import nothing\n",
    "old/latin.py": b"# -*- coding: latin-1 -*-\nname = '\xe9'\n",
    "old/nothing.py": b"",
    "old/print.py": b"print 'two'\n",
    "old/undecodable.py": b"name = '\xe9'\n",
    "old/unknown.py": b"# -*- coding: klingon -*-\n",
}

# alpha.py has 12 lines, beta 3 + 14 + 2, old 2 + 0 (of two that parse); nothing of site-packages is read.
WHOLE = {
    "files": 9,
    "parsed": 6,
    "lines": 33,
    "classes": 2,
    "functions": 6,
    "packages": [
        {"package": "beta", "files": 3, "lines": 19, "classes": 0, "functions": 4},
        {"package": "alpha", "files": 1, "lines": 12, "classes": 2, "functions": 2},
        {"package": "old", "files": 2, "lines": 2, "classes": 0, "functions": 0},
    ],
    "imported": [
        {"module": "json", "files": 3},
        {"module": "os", "files": 2},
        {"module": "re", "files": 1},
        {"module": "unittest", "files": 1},
    ],
    "longest": [
        {"function": "Outer.long", "file": "alpha.py", "line": 5, "lines": 5},
        {"function": "work", "file": "beta/gamma.py", "line": 8, "lines": 4},
        {"function": "work", "file": "beta/gamma.py", "line": 5, "lines": 2},
        {"function": "work.inner", "file": "beta/gamma.py", "line": 10, "lines": 2},
        {"function": "test_it", "file": "beta/tests/test_it.py", "line": 1, "lines": 2},
        {"function": "Outer.Inner.short", "file": "alpha.py", "line": 12, "lines": 1},
    ],
}


@pytest.fixture
def library(tmp_path: Path) -> str:
    """A folder with a small library in it; three of its files are broken."""
    root = tmp_path / "library"
    for name, text in LIBRARY.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text)
    return str(root)


def check_whole(report: dict[str, Any]) -> None:
    report = dict(report)
    faults = report.pop("faults")
    assert report == WHOLE
    assert [fault["file"] for fault in faults] == ["old/print.py", "old/undecodable.py", "old/unknown.py"]
    said = [fault["fault"] for fault in faults]  # the wording is Python's, and changes with its version
    assert said[0].startswith("SyntaxError: ")
    assert said[0].endswith("(line 1)")
    assert "utf-8" in said[1].lower()
    assert "klingon" in said[2]


# --- stdlib_report ----------------------------------------------------------------------------------------------------


def test_report_by_the_plain_functions(library: str) -> None:
    """The numbers, without any engine: this is what the engines are held against."""
    names = stdlib_report.find.fn(library, True)
    sources = [asyncio.run(stdlib_report.read.fn(library, name)) for name in names]
    check_whole(stdlib_report.summarize.fn([stdlib_report.parse.fn(source, 10) for source in sources], 10))


@pytest.mark.parametrize("engine", ["auto", "graph"])
def test_report(library: str, engine: str) -> None:
    check_whole(run(stdlib_report.report(root=library), engine=engine))


def test_report_compiled(library: str) -> None:
    """One program, several inputs; defaults come from the workflow."""
    program = compile(stdlib_report.report)
    check_whole(program.run(root=library))
    short = program.run(root=library, limit=1, tests=False)
    assert short["files"] == 8
    assert short["functions"] == 5
    assert short["packages"] == [{"package": "beta", "files": 2, "lines": 17, "classes": 0, "functions": 3}]
    assert short["imported"] == WHOLE["imported"][:1]
    assert short["longest"] == WHOLE["longest"][:1]
    assert short == run(stdlib_report.report(1, library, False), engine="graph")


def test_a_limit_of_zero_leaves_the_sums(library: str) -> None:
    report = run(stdlib_report.report(limit=0, root=library))
    assert (report["longest"], report["imported"], report["packages"]) == ([], [], [])
    assert report["functions"] == 6


def test_the_report_is_plain_data(library: str) -> None:
    report = run(stdlib_report.report(root=library))
    assert json.loads(json.dumps(report)) == report


def test_a_file_that_cannot_be_read_is_reported(library: str) -> None:
    os.symlink("nowhere", Path(library, "gone.py"))
    report = run(stdlib_report.report(root=library))
    assert report["files"] == 10
    assert report["parsed"] == 6
    assert report["faults"][0]["file"] == "gone.py"
    assert report["faults"][0]["fault"].startswith("FileNotFoundError: ")


@pytest.mark.parametrize("engine", ["auto", "graph"])
def test_a_folder_without_python_fails_the_run(tmp_path: Path, engine: str) -> None:
    with pytest.raises(FileNotFoundError, match="no Python files below"):
        run(stdlib_report.report(root=str(tmp_path)), engine=engine)


def test_without_a_root_it_is_the_standard_library() -> None:
    library = stdlib_report.locate.fn("")
    assert {"ast.py", "asyncio/tasks.py"} <= set(stdlib_report.find.fn(library, False))
    assert not any("packages/" in name for name in stdlib_report.find.fn(library, True))


def test_the_artifact_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    compile(stdlib_report.report).save(tmp_path / "report.cbp")
    artifact = (tmp_path / "report.cbp").read_bytes()
    for path in (stdlib_report.locate.fn(""), CASCADE, str(EXAMPLES), str(Path.home()) + os.sep):
        assert path.encode() not in artifact


def run_example(name: str, *arguments: str) -> str:
    """What an example prints, in a process of its own."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), CASCADE]))
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_demo(library: str, tmp_path: Path) -> None:
    """Compiled here, run there, compared: on a small library, the artifact kept."""
    pytest.importorskip("rich")
    said = run_example("demo.py", "--root", library, "--directory", str(tmp_path / "made"))
    assert "6 files, 33 lines, 2 classes, 6 functions" in said
    assert "Outer.Inner.short" in said
    assert "The artifact and graph mode agree on all of the report (9 files)." in said
    size = (tmp_path / "made" / "report.cbp").stat().st_size
    assert f"{size:,} bytes" in said


def test_demo_shows_a_difference(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison compares: a number that differs ends the demonstration with 1."""
    console = pytest.importorskip("rich.console").Console(record=True, width=110)
    import demo

    def other(artifact: Path, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"report": run(stdlib_report.report(**inputs)) | {"lines": 34}, "load": 0.0, "run": 0.0}

    monkeypatch.setattr(demo, "run_in_new_process", other)
    assert demo.demonstrate(tmp_path / "report.cbp", {"root": library}, console) == 1
    said = console.export_text()
    assert '- "lines": 34,' in said
    assert '+ "lines": 33,' in said


# --- agent_loop -------------------------------------------------------------------------------------------------------


def test_agent_by_a_plain_loop() -> None:
    """The same turns, made by hand, end in the same summary; several hundred of them."""

    async def by_hand() -> Any:
        state = agent_loop.field.fn(7, 24, 40)
        while state.items and (state.battery or state.robot == agent_loop.DOCK):
            action = await agent_loop.plan.fn(state)
            state = agent_loop.observe.fn(state, agent_loop.act.fn(state, action))
        return agent_loop.go_on.fn(state)

    told = asyncio.run(by_hand())
    assert told["turns"] > 300
    assert told["left"] == 0
    assert sum("picked up" in line for line in told["transcript"]) == 40
    assert sum("refused" in line for line in told["transcript"]) == told["refused"]
    assert run(agent_loop.clear_field()) == told
    assert run(agent_loop.clear_field(), engine="graph") == told
    assert compile(agent_loop.clear_field).run() == told


def test_agent_acts_by_the_rules_of_its_world() -> None:
    state = agent_loop.State(seed=1, size=2, items=frozenset({(1, 0)}), full=32, battery=32)
    act = agent_loop.act.fn
    assert act(state, "north") == ({"refused": 1}, "refused: north at (0, 0)")
    assert act(state, "pick up") == ({"refused": 1}, "refused: pick up at (0, 0)")
    assert act(state, "east") == ({"robot": (1, 0), "battery": 31}, "")
    there = agent_loop.observe.fn(state, act(state, "east"))
    assert (there.turn, there.robot, there.transcript) == (1, (1, 0), ())
    assert act(there, "pick up") == ({"items": frozenset()}, "picked up the item at (1, 0)")
    assert act(there, "recharge") == ({"refused": 1}, "refused: recharge at (1, 0)")


@pytest.mark.parametrize("seed", range(5))
def test_agent_ends_for_other_seeds(seed: int) -> None:
    told = run(agent_loop.clear_field(seed=seed, size=12, items=15))
    assert told["left"] == 0 or told["battery"] == 0
    assert told == run(agent_loop.clear_field(seed=seed, size=12, items=15), engine="graph")


def test_agent_prints_its_transcript() -> None:
    said = run_example("agent_loop.py")
    assert "0 items left" in said
    assert said.startswith("turn ")


# --- simulation -------------------------------------------------------------------------------------------------------


def test_one_step_by_hand() -> None:
    """60 hares, 10 lynxes: births 0.8, catches 0.4 for each hare and year; then the lynxes meet the new hares."""
    told = run(simulation.years(steps=1))
    hares = 60 + 0.01 * 60 * (0.8 - 0.4)
    assert told["hares"] == pytest.approx(hares, rel=1e-12)
    assert told["lynxes"] == pytest.approx(10 + 0.01 * 10 * (0.01 * hares - 0.4), rel=1e-12)
    assert (told["fewest"], told["most"], told["peaks"]) == (60, told["hares"], 0)


def test_no_step_changes_nothing() -> None:
    told = run(simulation.years(steps=0))
    assert told == {"hares": 60.0, "lynxes": 10.0, "fewest": 60.0, "most": 60.0, "peaks": 0, "drift": 0.0}


def by_a_plain_loop(steps: int) -> tuple[float, float]:
    hares, lynxes = 60.0, 10.0
    for _ in range(steps):
        hares = simulation.breed.fn(hares, lynxes)
        lynxes = simulation.hunt.fn(hares, lynxes)
    return hares, lynxes


@pytest.mark.parametrize("engine", ["auto", "graph"])
def test_simulation_equals_a_plain_loop(engine: str) -> None:
    told = run(simulation.years(steps=2_000), engine=engine)
    assert (told["hares"], told["lynxes"]) == by_a_plain_loop(2_000)


def test_a_hundred_thousand_steps() -> None:
    """A thousand years, in one run: still the plain loop's numbers, still on the same cycle."""
    told = compile(simulation.years).run()
    assert (told["hares"], told["lynxes"]) == by_a_plain_loop(100_000)
    assert abs(told["drift"]) < 0.001
    # Small cycles take 2 pi / sqrt(births * deaths) years, 11.1; wider ones somewhat longer.
    assert 0.9 < told["peaks"] / (1_000 / (2 * math.pi / math.sqrt(0.8 * 0.4))) < 1
