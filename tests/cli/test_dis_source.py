"""``cascade dis --source`` and ``--live``, what --generated shows of parts, and the passes with the graphs between them."""

from __future__ import annotations

import json
import os
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cascade_compiler.cli import live_chart, main
from cascade_compiler.cli.source_lines import Sources, with_source
from cascade_vm import assemble, disassemble, load

FLOWS = '''
from cascade_compiler import Jump, bind, select_jump, task, workflow

@task
def a(x): return x

@task
def b(x, y): return x

@workflow
def flow(n: int):
    one = a(n)
    return b(one,\ta(5))  # a comment \x1b[31m

@task
def step(n, total=0):
    return Jump("done", total) if n == 0 else Jump("again", {"n": n - 1, "total": total + n})

@workflow
def jumps(n: int):
    return bind(step(n), select_jump({"again": step(a(0)), "done": None}))
'''

_numbers = count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    name = f"dis_of_test_{next(_numbers)}"
    (tmp_path / f"{name}.py").write_text(FLOWS)
    yield name
    sys.modules.pop(name, None)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def test_source_stands_above_its_instructions(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "compile", f"{module}:flow", "-o", "flow.cbp")
    for target in (f"{module}:flow", "flow.cbp"):
        out = said(capsys, "dis", target, "--source")
        lines = out.splitlines()
        first = lines.index(f"  ; {module}.py:12   one = a(n)")
        assert lines[first + 1].startswith("     0  %")
        second = lines.index(rf"  ; {module}.py:13   return b(one,   a(5))  # a comment \x1b[31m")
        assert second == first + 2
        assert sum(line.startswith("  ; ") for line in lines) == 2  # both other instructions come of that line
    assert assemble(out).to_bytes() == assemble(disassemble(load("flow.cbp"))).to_bytes()
    sys.modules.pop(module)
    Path(f"{module}.py").unlink()
    assert said(capsys, "dis", "flow.cbp", "--source") == disassemble(load("flow.cbp"))


def test_source_as_json(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(said(capsys, "dis", f"{module}:flow", "--source", "--json"))
    found = [one["source"] for strand in told["blueprints"][0]["strands"] for one in strand["instructions"]]
    assert found[0] == "one = a(n)"
    assert found[1] == found[2] == r"return b(one,   a(5))  # a comment \x1b[31m"
    plain = json.loads(said(capsys, "dis", f"{module}:flow", "--json"))
    assert all("source" not in one for strand in plain["blueprints"][0]["strands"] for one in strand["instructions"])


def test_only_python_files_below_the_folders_are_read(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    for path in (tmp_path / "secret.py", below / "notes.txt", below / "ok.py"):
        path.write_text("text\n")
    (below / "latin.py").write_bytes("# -*- coding: latin-1 -*-\né = 1\n".encode("latin-1"))
    (below / "bad.py").write_bytes(b"\xff\xfe\n")
    (below / "folder.py").mkdir()
    os.mkfifo(below / "pipe.py")
    (below / "long.py").write_text("x" * 500)
    sources = Sources([str(below)])
    assert sources.line("ok.py", 1) == "text"
    assert sources.line("latin.py", 2) == "é = 1"
    assert sources.line("long.py", 1) == "x" * 157 + "..."
    refused = [
        "../secret.py", str(tmp_path / "secret.py"), "notes.txt", "x/../ok.py", "x\\..\\ok.py", "C:\\ok.py", "C:ok.py", "\\ok.py", "bad.py",
        "folder.py", "pipe.py", "none.py", "ok.py\0", "",
    ]  # fmt: skip
    assert [path for path in refused if sources.line(path, 1) is not None] == []
    assert [number for number in (-1, 0, 3, 10**9) if sources.line("ok.py", number) is not None] == []


def test_strange_paths_of_a_listing_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a b.py").write_text("one\n")
    (tmp_path / 'q"@ 1.py').write_text("two\n")
    listing = '     0  %1    R1 = call m:a(R0)  @ a b.py:1   ; live R1\n     1  %2    return(R1)  @ "q\\"@ 1.py":1   ; live -'
    assert with_source(listing, Sources([str(tmp_path)])).splitlines()[::2] == ["  ; a b.py:1   one", '  ; q"@ 1.py:1   two']


def test_a_chart_of_what_is_live(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "dis", f"{module}:flow", "--live").splitlines()
    assert lines[0].endswith("   2 registers, at most 2 of them live")
    assert [line.split(f" {module}:")[0] for line in lines[1:]] == [
        "    R 01", "strand 0", "    0 |o  R1 = call", "    1 o|  R0 = call", "    2 xx  tail_call",
    ]  # fmt: skip
    told = json.loads(said(capsys, "dis", f"{module}:flow", "--live", "--json"))
    assert [row["live"] for row in told["live"][0]["rows"]] == [[0, 1], [0, 1], []]


def test_a_chart_agrees_with_the_listing_and_is_bounded(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wide.py").write_text(
        "from cascade_compiler import task, workflow\n@task\ndef a(x): return x\n"
        "@workflow\ndef flow(n: int): return [a(n) for _ in range(80)]\n"
    )
    said(capsys, "compile", "wide:flow")
    chart = said(capsys, "dis", "flow.cbp", "--live")
    assert "; and 16 more registers" in chart
    assert chart.splitlines()[1] == " " * 16 + "1         2         3         4         5         6"
    assert chart.splitlines()[-1] == f"   81 |{'.' * 63}  return(R0)"
    program = load("flow.cbp")
    shown = [line.partition("; live ")[2] for line in disassemble(program).splitlines() if "; live " in line]
    for (_, live), text in zip(live_chart.rows(program.entry), shown, strict=True):
        assert text == (f"{len(live)} registers" if len(live) > 8 else " ".join(f"R{one}" for one in sorted(live)) or "-")
    sys.modules.pop("wide")


def test_the_parts_that_jumps_begin_are_generated_too(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "compile", f"{module}:jumps")
    program = load("jumps.cbp")
    out = said(capsys, "dis", "jumps.cbp", "--generated")
    compile(out, "<generated>", "exec")
    for number, blueprint in enumerate(program.data.blueprints):
        strands = [f"# blueprint {blueprint.cycle_id[:12]}, strand {at}" for at in range(len(blueprint.strands))]
        assert number in program.data.begun()
        assert all(out.count(f"{one}:") + out.count(f"{one}\n") == 1 for one in strands)


def test_the_graph_after_each_pass_that_changed_it(capsys: pytest.CaptureFixture[str], module: str) -> None:
    Path("pure.py").write_text(
        "from cascade_compiler import task, workflow\n@task(pure=True)\ndef a(x): return x\n@task\ndef b(*x): return x\n"
        "@workflow\ndef flow(n: int): return b(a(n), a(n), a(4))\n"
    )
    out = said(capsys, "dis", "pure:flow", "--passes", "--fold")
    told = json.loads(said(capsys, "dis", "pure:flow", "--passes", "--fold", "--json"))["passes"]
    heads = [part.split("\n")[0] for part in out.rstrip("\n").split("\n\n")]
    assert heads == [
        "graph as it was captured", "pass fold", "graph after fold", "pass merge_twins", "graph after merge_twins",
        "pass forward_items changes nothing", "pass drop_dead", "graph in the end",
    ]  # fmt: skip
    for step in told:
        assert step["graph"].replace("\n", "\n  ") in out
    sys.modules.pop("pure")
