"""What people see when something goes wrong: whole texts, in golden files, the same for all engines and for a loaded artifact.

CASCADE_GOLDEN=write writes the files; look at what has changed before it is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cascade_compiler.cli import main

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"

# Wrong before anything runs: what is typed.
BEFORE = {
    "wrong_call": ["run", "error_flows:wrong_call"],
    "hidden": ["run", "error_flows:hidden"],
    "task_itself": ["run", "error_flows:task_itself"],
    "twice": ["run", "error_flows:twice", "-p", "x=1"],
    "circle": ["run", "error_flows:circle"],
    "used_as_value": ["run", "error_flows:used_as_value", "-p", "n=1"],
    "returns_nothing": ["run", "error_flows:returns_nothing", "-p", "n=1"],
    "inputs": ["run", "error_flows:report", "-p", "limit=many", "-p", "tgas=[]"],
    "no_such_name": ["run", "error_flows:repotr"],
    "no_such_module": ["run", "error_flow:report"],
    "no_such_option": ["run", "error_flows:report", "--limit", "5"],
    "unsavable": ["compile", "error_flows:from_lambda"],
    "no_file": ["run", "nothing.cbp"],
    "text_file": ["run", "text.cbp"],
    "cut": ["verify", "cut.cbp"],
    "flipped": ["run", "flipped.cbp"],
    "newer": ["run", "newer.cbp"],
    "gone": ["run", "gone.cbp", "-p", "day=Mon"],
}

# Wrong while it runs.
DURING = [
    "plain", "keyword", "helpers", "cause", "context", "asynchronous", "mapped", "mapped_common", "retried", "timed", "loop", "nested",
    "long_arguments", "unshowable", "without_notes", "group", "exits", "set_up", "tear_down", "no_yield", "skipped", "no_route", "no_jump",
    "unbound", "no_capacity", "no_item", "no_place", "threaded", "no_hash",
]  # fmt: skip


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Types a command, and gives what it says on stderr, without what differs from machine to machine and version to version."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.delenv("CASCADE_FULL_TRACEBACK", raising=False)

    def type_(*words: str) -> str:
        main(words)
        said = capsys.readouterr().err
        said = said.replace(f"{HERE}{os.sep}", "").replace(str(tmp_path), "HERE")
        said = re.sub(r"^\s*[~^]+\n", "", said, flags=re.MULTILINE)  # what in the line failed: later versions show more of it
        said = re.sub(r"(; near it: [^,\s]+),.*", r"\1", said)  # what else is near depends on what else this process knows
        return re.sub(r"0x[0-9a-f]+", "0x...", said)

    return type_


def compare(name: str, said: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("CASCADE_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(said, encoding="utf-8")
    assert said == path.read_text(encoding="utf-8")


def artifacts(typed) -> None:
    """Bad ones, of a good one."""
    typed("compile", "error_flows:report", "-o", "good.cbp")
    good = Path("good.cbp").read_bytes()
    Path("text.cbp").write_text("hello")
    Path("cut.cbp").write_bytes(good[:-60])
    Path("flipped.cbp").write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    Path("newer.cbp").write_bytes(good[:9] + b"\x63" + good[10:])


def an_artifact_whose_task_is_gone() -> None:
    Path("gone_flows.py").write_text(
        "from cascade_compiler import task, workflow\n@task\ndef count(day):\n    return 1\n"
        "@workflow\ndef counted(day: str):\n    return count(day)\n"
    )
    # In a process of its own: this one would know the task even when its module has lost it.
    words = [sys.executable, "-m", "cascade_compiler.cli", "compile", "gone_flows:counted", "-o", "gone.cbp"]
    subprocess.run(words, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(HERE.parents[1])})
    Path("gone_flows.py").write_text("from cascade_compiler import task\n@task\ndef counts(day):\n    return 1\n")


@pytest.mark.parametrize("name", BEFORE)
def test_before_anything_runs(typed, name):
    if BEFORE[name][1].endswith(".cbp"):
        artifacts(typed)
    if name == "gone":
        an_artifact_whose_task_is_gone()
    compare(name, typed(*BEFORE[name]))


@pytest.mark.parametrize("name", DURING)
def test_while_it_runs(typed, name):
    """The same text from each engine, and from a program that was saved"""
    target = f"error_flows:{name}"
    said = {engine: typed("run", target, "--engine", engine) for engine in ("interpreter", "codegen", "graph")}
    typed("compile", target, "-o", "saved.cbp")
    said |= {f"saved, {engine}": typed("run", "saved.cbp", "--engine", engine) for engine in ("interpreter", "codegen")}
    compare(name, said["interpreter"])
    assert {engine: text for engine, text in said.items() if text != said["interpreter"]} == {}


def test_no_file_is_left_over():
    assert {path.stem for path in GOLDEN.iterdir()} == {*BEFORE, *DURING}
    assert len(DURING) + len(BEFORE) >= 30
